import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import type { LogFile } from "../api/rest";
import { runPath } from "../api/rest";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { LogStore } from "../model/log";
import { preferredLog, rankLogs } from "../model/rankLogs";
import { type RunStore, terminal } from "../model/run";
import { Button, CopyButton, Problem, SearchField } from "./controls";
import { useFollowed } from "./followLog";
import { useCommand } from "./hooks";
import { LogBody } from "./LogBody";
import { LogLanes } from "./LogLanes";
import { RankMark } from "./RankMark";
import type { Surroundings } from "./surroundings";

const EARLIER_BYTES = 256 << 10;

const MOST_LOGS = 16;
/** What is chosen where all ranks are shown beside each other. */
const ALL = "*";

/**
 * The logs of a run as they are written: the script's, one per rank, and that of its environment's build. `chosen`: the name
 * of one; null where nobody has chosen.
 */
export function LogsTab(props: {
  store: RunStore;
  logs: Map<string, LogStore>;
  around: Surroundings;
  chosen: string | null;
  choose: (name: string) => void;
}) {
  const { store, logs, around, chosen, choose } = props;
  const { workspace, run } = store.recorded;
  const { status } = store.state;
  const over = terminal(status);
  const [listed, setListed] = useState<LogFile[] | null>(null);
  const command = useCommand();

  useEffect(() => {
    const given = new AbortController();
    command.run(async () => setListed(await around.door.rest.logs(workspace, run)));
    return () => given.abort();
  }, [status, store.standing]);

  const name = chosen ?? preferredLog(store.state, listed ?? []);
  if (name === null) {
    return (
      <>
        <Problem text={command.problem} />
        {listed !== null && <p class="mlt-empty">{t(over ? "Nothing was logged" : "No log yet")}</p>}
      </>
    );
  }
  const ofRanks = rankLogs(store.state, listed ?? [], over);
  const others = (listed ?? []).filter(({ rank }) => rank === null).map((one) => one.name);
  const names = [...others, ...ofRanks.map((one) => one.name)];
  const several = ofRanks.length > 1;
  const picker = names.length > 1 && (
    <select aria-label={t("Log")} value={name} onChange={(event) => choose(event.currentTarget.value)}>
      {several && <option value={ALL}>{t("All ranks")}</option>}
      {names.map((one) => (
        <option key={one}>{one}</option>
      ))}
    </select>
  );
  const storeOf = (one: string) => {
    const log = logs.get(one) ?? new LogStore();
    // The last that was shown goes last: those of hundreds of ranks are not all kept.
    logs.delete(one);
    for (const oldest of [...logs.keys()].slice(0, Math.max(0, logs.size + 1 - MOST_LOGS))) {
      logs.delete(oldest);
    }
    logs.set(one, log);
    return log;
  };
  if (name === ALL) {
    return (
      <LogLanes
        store={store}
        around={around}
        logs={ofRanks}
        logOf={storeOf}
        choose={choose}
        picker={picker}
      />
    );
  }
  const rank = several ? ofRanks.find((one) => one.name === name)?.rank : undefined;
  return (
    <LogView
      key={name}
      store={store}
      log={storeOf(name)}
      name={name}
      picker={picker}
      rank={rank ?? null}
      around={around}
    />
  );
}

function LogView(props: {
  store: RunStore;
  log: LogStore;
  name: string;
  picker: ComponentChildren;
  rank: number | null;
  around: Surroundings;
}) {
  const { store, log, name, picker, rank, around } = props;
  const { workspace, run } = store.recorded;
  const [follow, setFollow] = useState(true);
  const [query, setQuery] = useState("");
  const [hit, setHit] = useState(0);
  const earlier = useCommand();
  const problem = useFollowed(store, log, name, around);

  const found = useMemo(() => log.find(query), [query, log.count]);
  const at = found.length > 0 ? (found[Math.min(hit, found.length - 1)] ?? null) : null;
  const go = (by: number) => {
    setFollow(false);
    setHit((hit + by + found.length) % found.length);
  };
  const showEarlier = async () => {
    const start = Math.max(0, log.begins - EARLIER_BYTES);
    const data = await around.door.rest.log(workspace, run, name, start, log.begins - start);
    setFollow(false);
    log.prepend(data, start);
  };
  const link = around.door.link(`${runPath(workspace, run, "file")}?${new URLSearchParams({ path: name })}`);
  return (
    <>
      <div class="mlt-tools">
        {picker}
        {rank !== null && <RankMark rank={rank} />}
        <SearchField
          label={t("Search")}
          value={query}
          change={(value) => {
            setQuery(value);
            setHit(0);
            setFollow(value === "");
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && found.length > 0) {
              go(event.shiftKey ? -1 : 1);
            }
          }}
        />
        {query !== "" && (
          <>
            <span class="mlt-num mlt-dim" role="status">
              {found.length > 0
                ? t("{at} of {count}", {
                    at: formatNumber(Math.min(hit, found.length - 1) + 1),
                    count: formatNumber(found.length),
                  })
                : t("none")}
            </span>
            <Button label={t("Previous")} disabled={found.length === 0} onClick={() => go(-1)}>
              ↑
            </Button>
            <Button label={t("Next")} disabled={found.length === 0} onClick={() => go(1)}>
              ↓
            </Button>
          </>
        )}
        <span class="mlt-gap" />
        <Button pressed={follow} onClick={() => setFollow(!follow)}>
          {t("Follow")}
        </Button>
        <CopyButton text={() => log.text}>{t("Copy")}</CopyButton>
        <a class="mlt-button" href={link} download={name.split("/").at(-1)}>
          {t("Download")}
        </a>
      </div>
      <Problem text={problem || earlier.problem} />
      {log.begins > 1 && (
        <div class="mlt-row">
          <Button disabled={earlier.busy} onClick={() => earlier.run(showEarlier)}>
            {t("Show earlier lines")}
          </Button>
        </div>
      )}
      <LogBody
        problem={problem}
        log={log}
        name={name}
        follow={follow}
        setFollow={setFollow}
        found={new Set(found)}
        at={at}
      />
    </>
  );
}
