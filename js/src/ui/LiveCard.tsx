import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Endpoints, type ModelId } from "../api/endpoints";
import type { RunState } from "../api/payload";
import { inTurn } from "../model/budget";
import { lineOf } from "../model/chart";
import { formatClock, formatDate, formatNumber, formatSize } from "../model/formats";
import { t } from "../model/language";
import type { LogStore } from "../model/log";
import { MetricList } from "../model/metricList";
import { logOf } from "../model/rankLogs";
import { type RunStore, terminal } from "../model/run";
import { SeriesStore } from "../model/series";
import { endWords, memoryMend, noteLines, places, statusWords, wayBack } from "../model/words";
import { Button, CopyButton, Problem } from "./controls";
import { DetailsTab } from "./DetailsTab";
import { VersionLink, VersionView } from "./forms/Version";
import { type Command, useChanges, useCommand, useSeconds } from "./hooks";
import { Logged } from "./Logged";
import { LogsTab } from "./LogsTab";
import { MetricsTab } from "./MetricsTab";
import { OutputsTab } from "./OutputsTab";
import { FirstFailed } from "./RankMark";
import { RanksTab } from "./RanksTab";
import { Notes, RunCard, Stages, Title, Why } from "./RunCard";
import { SystemTab } from "./SystemTab";
import type { Surroundings } from "./surroundings";
import { Tabs } from "./Tabs";

/** Points of a small chart: least, greatest, first and last of what falls on a pixel or so. */
const SMALL_POINTS = 1200;

/** A run, live where it can be and as recorded where not; below it what was started again from here. */
export function RunView({ store, around }: { store: RunStore; around: Surroundings }) {
  useChanges(store.changes);
  return (
    <>
      <OneRun store={store} around={around} />
      {store.reruns.map((one) => (
        <RunView key={one.recorded.run} store={one} around={around} />
      ))}
    </>
  );
}

function OneRun({ store, around }: { store: RunStore; around: Surroundings }) {
  const opening = useCommand();
  const { workspace } = store.recorded;
  const asked = useRef(false);
  if (store.raw !== null) {
    return <LiveCard store={store} around={around} asked={asked.current} />;
  }
  const open = () => {
    asked.current = true;
    opening.run(() => around.door.rest.open(workspace));
  };
  const action = store.standing === "offline" && (
    <>
      <Button disabled={opening.busy} onClick={open}>
        {t("Show live")}
      </Button>
      <Problem text={opening.problem} />
    </>
  );
  return <RunCard payload={store.recorded} action={action} />;
}

/** `asked`: it stands where somebody clicked for it, who should find it there. */
function LiveCard({ store, around, asked }: { store: RunStore; around: Surroundings; asked: boolean }) {
  const { state, recorded } = store;
  const over = terminal(state.status);
  const [chosen, setChosen] = useState<string | null>(null);
  const command = useCommand();
  const logs = useRef(new Map<string, LogStore>());
  const [log, setLog] = useState<string | null>(null);
  const series = useMemo(() => {
    const { rest } = around.door;
    const made = new SeriesStore(
      (metric, window, signal) => rest.series(recorded.workspace, recorded.run, metric, window, { signal }),
      SMALL_POINTS,
      inTurn(),
      undefined,
      undefined,
      () => store.seen,
    );
    made.seed(recorded.series, lineOf);
    return made;
  }, []);
  const metrics = useMemo(
    () =>
      new MetricList(
        (signal) => around.door.rest.metrics(recorded.workspace, recorded.run, { signal }),
        inTurn(),
      ),
    [],
  );
  useChanges(metrics.changes);
  useEffect(
    () => () => {
      series.dispose();
      metrics.dispose();
    },
    [],
  );
  const card = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (asked) {
      // What was clicked is gone, and the live card is shorter than the recorded one.
      card.current?.querySelector<HTMLElement>("[role=tab][tabindex='0']")?.focus({ preventScroll: true });
      card.current?.scrollIntoView({ block: "nearest" });
    }
  }, []);
  useSeconds(!over && store.standing === "live");

  // A failure opens on why; before there is a metric, the log is what there is to see.
  const first = state.status === "Failed" || (state.metrics.length === 0 && !over) ? "logs" : "metrics";
  const tab = chosen ?? first;
  const rerun = (memory: number | null) =>
    command.run(async () => {
      const raw = await around.door.rest.rerun(
        recorded.workspace,
        recorded.run,
        memory,
        store.root.recorded.run,
      );
      store.root.rerun(raw);
    });
  const openLog = (rank: number) => {
    setLog(logOf(rank));
    setChosen("logs");
  };
  const tabs = [
    { key: "metrics", label: t("Metrics"), note: countWords(metrics.count(state)) },
    { key: "logs", label: t("Logs") },
    { key: "outputs", label: t("Outputs"), note: countWords(state.outputs.files) },
    ...(state.processes > 1
      ? [{ key: "ranks", label: t("Ranks"), note: formatNumber(state.processes) }]
      : []),
    { key: "system", label: t("System") },
    { key: "details", label: t("Details") },
  ];
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div
      class="mlt-card mlt-alive"
      ref={card}
      role="group"
      aria-label={`${t("Run")} ${state.displayName}, ${statusWords(state.status)}`}
    >
      <div class="mlt-head">
        <Title state={state} />
        <span class="mlt-num mlt-dim">{clockWords(store)}</span>
        <span class="mlt-chip">{places(state)}</span>
        <Actions store={store} around={around} command={command} rerun={() => rerun(null)} />
      </div>
      <Problem text={command.problem} />
      <Stages state={state} />
      {state.failure && (
        <Why
          failure={state.failure}
          first={<FirstFailed state={state} />}
          open={tab !== "logs"}
          action={<MoreMemory state={state} rerun={rerun} />}
        />
      )}
      <Ended state={state} />
      <Notes lines={noteLines(state)} />
      <Tabs tabs={tabs} chosen={tab} choose={setChosen}>
        {tab === "metrics" && <MetricsTab store={store} list={metrics} series={series} around={around} />}
        {tab === "metrics" && <Logged store={store} around={around} />}
        {tab === "logs" && (
          <LogsTab store={store} logs={logs.current} around={around} chosen={log} choose={setLog} />
        )}
        {tab === "ranks" && <RanksTab store={store} around={around} openLog={openLog} />}
        {tab === "outputs" && <OutputsTab store={store} around={around} />}
        {tab === "system" && <SystemTab store={store} around={around} />}
        {tab === "details" && <DetailsTab store={store} around={around} />}
      </Tabs>
      <Foot store={store} around={around} />
    </div>
  );
}

function Actions(props: { store: RunStore; around: Surroundings; command: Command; rerun: () => void }) {
  const { store, around, command, rerun } = props;
  const { workspace, run } = store.recorded;
  const { status } = store.state;
  const stop = (keep: boolean) =>
    command.run(async () => store.take(await around.door.rest.cancel(workspace, run, keep)));
  const unreached = command.busy || store.standing === "lost";
  if (terminal(status)) {
    return (
      <Button disabled={unreached} title={t("Submits the same run again")} onClick={rerun}>
        {t("Rerun")}
      </Button>
    );
  }
  const ending = status === "CancelRequested" || status === "Finalizing";
  return ending ? null : (
    <fieldset class="mlt-actions" aria-label={t("Actions")}>
      {status === "Running" && (
        <Button
          disabled={unreached}
          title={t("Lets the script write a checkpoint, then keeps its outputs")}
          onClick={() => stop(true)}
        >
          {t("Stop and keep")}
        </Button>
      )}
      <Button disabled={unreached} title={t("Ends the run now")} onClick={() => stop(false)}>
        {t("Cancel")}
      </Button>
    </fieldset>
  );
}

/** After running out of memory: the same run with what the mend names. */
function MoreMemory({ state, rerun }: { state: RunState; rerun: (memory: number) => void }) {
  const memory = memoryMend(state);
  return memory === null ? null : (
    <Button onClick={() => rerun(memory)}>{t("Rerun with {memory} GB", { memory })}</Button>
  );
}

/** What a cancel saw end. */
function Ended({ state }: { state: RunState }) {
  const words = terminal(state.status) ? endWords(state) : "";
  return words === "" ? null : (
    <div class="mlt-ended">
      <b>{t("What ended")}</b> {words}
    </div>
  );
}

function Foot({ store, around }: { store: RunStore; around: Surroundings }) {
  const { state, standing, seen } = store;
  const [looking, setLooking] = useState<ModelId | null>(null);
  const endpoints = useMemo(() => new Endpoints(around.door.rest, store.recorded.workspace), []);
  const standingWords = {
    live: terminal(state.status) ? "" : t("live"),
    lost: t("connection lost, trying again"),
    offline: t("recorded on {date}", { date: formatDate(seen) }),
    recorded: t("recorded on {date}", { date: formatDate(seen) }),
  }[standing];
  const facts = [
    standingWords,
    state.outputs.files > 0
      ? t("{count} files, {size}", {
          count: formatNumber(state.outputs.files),
          size: formatSize(state.outputs.bytes),
        })
      : "",
  ].filter((fact) => fact !== "");
  const models = state.models.map(({ name, version }) => ({ name, version: Number(version) }));
  const [before, after] = t("registered as {model}").split("{model}");
  const same = (model: ModelId) => model.name === looking?.name && model.version === looking.version;
  return (
    <>
      {looking && (
        <VersionView
          key={`${looking.name}:${looking.version}`}
          endpoints={endpoints}
          model={looking}
          close={() => setLooking(null)}
        />
      )}
      <div class="mlt-foot">
        {facts.map((fact) => (
          <span key={fact} class="mlt-num">
            {fact}
          </span>
        ))}
        {models.map((model) => (
          <span key={`${model.name}:${model.version}`} class="mlt-num">
            {before}
            <VersionLink
              model={model}
              open={same(model)}
              toggle={() => setLooking(same(model) ? null : model)}
            />
            {after}
          </span>
        ))}
        <code class="mlt-back">{wayBack(state)}</code>
        <CopyButton text={() => wayBack(state)}>{t("Copy")}</CopyButton>
      </div>
    </>
  );
}

function clockWords({ state, arrived, standing }: RunStore): string {
  if (state.duration === null) {
    return "";
  }
  // The page counts on from the service's last word: the two clocks need not agree.
  const since = terminal(state.status) || standing !== "live" ? 0 : (Date.now() - arrived) / 1000;
  return formatClock(state.duration + since);
}

function countWords(count: number): string {
  return count > 0 ? formatNumber(count) : "";
}
