import { useState } from "preact/hooks";
import type { Endpoint } from "../../api/endpoint";
import { busy, type EndpointStore } from "../../model/endpoint";
import { curlOf } from "../../model/endpointAnswer";
import { formatClock, formatDate, formatNumber, formatSize } from "../../model/formats";
import { t } from "../../model/language";
import { Button, CopyButton, Problem } from "../controls";
import { Facts } from "../Facts";
import { DeployForm } from "../forms/DeployForm";
import { VersionLink, VersionView } from "../forms/Version";
import { type Command, useChanges, useCommand } from "../hooks";
import { Notes, Why } from "../RunCard";
import { Tabs } from "../Tabs";
import { EndpointLog } from "./EndpointLog";
import { RequestTester } from "./RequestTester";
import { Try } from "./Try";
import { Uses } from "./Uses";

export const TONES: { readonly [phase: string]: string } = {
  running: "mlt-ok",
  failed: "mlt-bad",
  deploying: "mlt-live",
  restarting: "mlt-warn",
};

/** An endpoint: live where its service answers, as recorded where not. `open` starts the service, on a click alone. */
export function EndpointCard({ store, open }: { store: EndpointStore; open: () => Promise<void> }) {
  useChanges(store.changes);
  const { state, standing } = store;
  const [chosen, setChosen] = useState<string | null>(null);
  const [asking, setAsking] = useState<"update" | "delete" | null>(null);
  const command = useCommand();
  const live = standing === "live" || standing === "lost";
  const answers = live && state.serving !== null;
  const tabs = [
    { key: "try", label: t("Try it") },
    ...(state.image ? [{ key: "request", label: t("Request") }] : []),
    { key: "use", label: t("Use") },
    { key: "logs", label: t("Logs") },
    { key: "details", label: t("Details") },
  ];
  const tab = chosen ?? (busy(state.phase) || state.phase === "failed" ? "logs" : "try");
  const curl = () => curlOf(state);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div
      class={`mlt-card mlt-endpoint${live ? " mlt-alive" : ""}`}
      role="group"
      aria-label={`${t("Endpoint")} ${state.name}, ${standing === "gone" ? t("deleted") : state.state}`}
    >
      <div class="mlt-head">
        <div class="mlt-name">{state.name}</div>
        <span class={`mlt-pill ${standing === "gone" ? "" : (TONES[state.phase] ?? "")}`} role="status">
          {standing === "gone" ? t("deleted") : t(state.state)}
        </span>
        {busy(state.phase) && <span class="mlt-dim">{stepWords(state)}</span>}
        <span class="mlt-chip">{state.models.map((one) => one.id).join(" · ") || state.entryScript}</span>
        {state.scoringUri && standing !== "gone" && <CopyButton text={curl}>{t("Copy curl")}</CopyButton>}
        {live && <Commands store={store} command={command} asking={asking} ask={setAsking} />}
      </div>
      <Problem text={command.problem} />
      {asking === "delete" && (
        <Confirm
          words={t("Delete {name}? Requests to it fail from then on; its models stay.", { name: state.name })}
          action={t("Delete")}
          busy={command.busy}
          yes={() =>
            command.run(async () => {
              await store.endpoints.remove(state.name);
              setAsking(null);
              store.removed();
            })
          }
          no={() => setAsking(null)}
        />
      )}
      {asking === "update" && state.models[0] && (
        <DeployForm
          endpoints={store.endpoints}
          model={state.models[0]}
          replaced={state}
          close={() => setAsking(null)}
          deployed={() => {
            setAsking(null);
            void store.again();
          }}
        />
      )}
      {state.failure && standing !== "gone" && <Why failure={state.failure} />}
      {state.failure && state.serving !== null && (
        <div class="mlt-ended">{t("Revision {revision} goes on serving.", { revision: state.serving })}</div>
      )}
      <Notes lines={noteLines(state)} />
      {standing !== "gone" && (
        <Tabs tabs={tabs} chosen={tab} choose={setChosen}>
          {tab === "try" && <Try store={store} answers={answers} />}
          {tab === "request" && <RequestTester store={store} answers={answers} />}
          {tab === "use" && <Uses state={state} />}
          {tab === "logs" && <EndpointLog store={store} live={live} />}
          {tab === "details" && <Details store={store} live={live} />}
        </Tabs>
      )}
      <div class="mlt-foot">
        <span class="mlt-num">{standingWords(store)}</span>
        {standing === "offline" && (
          <Button
            disabled={command.busy}
            onClick={() =>
              command.run(async () => {
                await open();
                await store.again();
              })
            }
          >
            {t("Show live")}
          </Button>
        )}
        <code class="mlt-back">{wayBack(state)}</code>
        <CopyButton text={() => wayBack(state)}>{t("Copy")}</CopyButton>
      </div>
    </div>
  );
}

function Commands(props: {
  store: EndpointStore;
  command: Command;
  asking: "update" | "delete" | null;
  ask: (what: "update" | "delete" | null) => void;
}) {
  const { store, command, asking, ask } = props;
  const toggle = (what: "update" | "delete") => ask(asking === what ? null : what);
  return (
    <fieldset class="mlt-actions" aria-label={t("Actions")}>
      {store.state.entryScript === "" && (
        <Button disabled={command.busy} pressed={asking === "update"} onClick={() => toggle("update")}>
          {t("Update")}
        </Button>
      )}
      <Button
        disabled={command.busy}
        title={t("A new process with the same model")}
        onClick={() =>
          command.run(async () => {
            await store.endpoints.reload(store.state.name);
            await store.again();
          })
        }
      >
        {t("Restart")}
      </Button>
      <Button disabled={command.busy} pressed={asking === "delete"} onClick={() => toggle("delete")}>
        {t("Delete")}
      </Button>
    </fieldset>
  );
}

/** A question where it was asked, instead of a dialog over the page. */
function Confirm(props: { words: string; action: string; busy: boolean; yes: () => void; no: () => void }) {
  const { words, action, busy, yes, no } = props;
  return (
    <div class="mlt-confirm" role="alertdialog" aria-label={words}>
      <span>{words}</span>
      <Button disabled={busy} onClick={yes}>
        {action}
      </Button>
      <Button disabled={busy} onClick={no}>
        {t("Keep it")}
      </Button>
    </div>
  );
}

function Details({ store, live }: { store: EndpointStore; live: boolean }) {
  const { state } = store;
  const [looking, setLooking] = useState<Endpoint["models"][number] | null>(null);
  const rows: [string, string][] = [
    [t("Entry script"), state.entryScript],
    [t("Environment"), state.environment],
    [t("Framework"), state.framework],
    [t("CPU"), state.cpu === null ? t("no limit") : formatNumber(state.cpu)],
    [t("Memory"), state.memoryGb === null ? t("no limit") : `${formatNumber(state.memoryGb)} GB`],
    [t("Key"), t(state.authEnabled ? "needed for each request" : "not needed")],
    [t("Revision"), String(state.revision)],
    [t("Restarts"), String(state.restarts)],
    [t("Created"), formatDate(state.created)],
    [t("Description"), state.description],
    [
      t("Tags"),
      Object.entries(state.tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(", "),
    ],
    [t("Signature"), signatureWords(state)],
    [
      t("Asked for"),
      state.substitutions
        .map(({ kind, asked, given, reason }) => `${kind} ${asked} → ${given}: ${reason}`)
        .join("; "),
    ],
  ];
  return (
    <>
      <dl class="mlt-kv">
        {state.models.flatMap((one) => [
          <dt key={one.id}>{t("Model")}</dt>,
          <dd key={`${one.id} value`}>
            {live ? (
              <VersionLink
                model={one}
                open={looking?.id === one.id}
                toggle={() => setLooking(looking?.id === one.id ? null : one)}
              />
            ) : (
              one.id
            )}{" "}
            ({one.format})
          </dd>,
        ])}
        <Facts rows={rows} />
      </dl>
      {looking && (
        <VersionView
          key={looking.id}
          endpoints={store.endpoints}
          model={looking}
          close={() => setLooking(null)}
        />
      )}
    </>
  );
}

function signatureWords({ signature }: Endpoint): string {
  if (signature === null) {
    return "";
  }
  const side = (tensors: { [name: string]: { dtype: string; shape: (number | null)[] | null } }) =>
    Object.entries(tensors)
      .map(
        ([name, { dtype, shape }]) =>
          `${name} ${dtype}${shape === null ? "" : ` [${shape.map((one) => one ?? "–").join(", ")}]`}`,
      )
      .join(", ");
  return `${side(signature.inputs)} → ${side(signature.outputs)}`;
}

export function noteLines(state: Endpoint): string[] {
  const given = state.substitutions.map(({ kind, asked, given: got, reason }) =>
    t("{kind}: {given} instead of {asked}: {reason}", {
      kind: kind === "memory_gb" ? t("Memory (GB)") : kind,
      given: got,
      asked,
      reason,
    }),
  );
  return [...given, ...state.notices];
}

function stepWords({ step }: Endpoint): string {
  return step === "starting" ? t("loading the model…") : step;
}

function standingWords({ standing, state, recorded }: EndpointStore): string {
  if (standing === "live") {
    const up = state.since === null ? "" : formatClock(Date.now() / 1000 - state.since);
    return up === ""
      ? t("live")
      : `${t("live")} · ${t("up {time}", { time: up })} · ${formatSize(state.memoryBytes)}`;
  }
  return standing === "lost"
    ? t("connection lost, trying again")
    : standing === "gone"
      ? t("This endpoint is no more; its models stay.")
      : t("recorded on {date}", { date: formatDate(recorded.recorded) });
}

export function wayBack({ name }: Endpoint): string {
  return `Webservice(Workspace.from_config(), "${name}")`;
}
