import { useEffect, useId, useMemo, useState } from "preact/hooks";

import { Endpoints } from "../api/endpoints";
import type { Inspection, ModelVersion } from "../api/rest";
import { formatNumber, formatSize } from "../model/formats";
import { t } from "../model/language";
import { type Candidate, parseTags, registerCell, SERVABLE, signatureLines } from "../model/outputs";
import type { RunStore } from "../model/run";
import { Button, CopyButton, Problem } from "./controls";
import { Deployed } from "./endpoint/EndpointView";
import { DeployForm } from "./forms/DeployForm";
import { Field } from "./forms/Field";
import { SmokeButton, SmokeResult, useSmoke } from "./forms/Smoke";
import { VersionLink, VersionView } from "./forms/Version";
import { useCommand } from "./hooks";
import type { Surroundings } from "./surroundings";

const MOST_METRICS = 6;
const NAME_PAUSE_MS = 250;

/** Registers a path of the run's outputs as the next version of a model. Nothing of the model is executed. */
export function RegisterForm(props: {
  store: RunStore;
  around: Surroundings;
  models: Candidate[];
  close: () => void;
}) {
  const { store, around, models, close } = props;
  const { state, recorded } = store;
  const { workspace, run } = recorded;
  const { rest } = around.door;
  const id = useId();
  const [path, setPath] = useState(models[0]?.path ?? "");
  const [name, setName] = useState(suggestedName(state.experiment));
  const [tags, setTags] = useState("");
  const [description, setDescription] = useState("");
  const [names, setNames] = useState<string[]>([]);
  const [versions, setVersions] = useState<ModelVersion[] | null>(null);
  const [done, setDone] = useState<ModelVersion | null>(null);
  const [cell, setCell] = useState(false);
  const [about, setAbout] = useState<Inspection | "reading" | null>(null);
  const [looking, setLooking] = useState(false);
  const [deploying, setDeploying] = useState(false);
  const [deployed, setDeployed] = useState<unknown>(null);
  const command = useCommand();
  const endpoints = useMemo(() => new Endpoints(rest, workspace), []);
  const smoking = useSmoke(() => endpoints.smokeOutput(run, path));
  const asked = { name: name.trim(), path, tags: parseTags(tags), description: description.trim() };

  useEffect(() => {
    // Completion is a convenience: without the names the form works as well.
    rest.modelNames(workspace).then(setNames, () => setNames([]));
  }, []);
  useEffect(() => {
    setVersions(null);
    const given = new AbortController();
    const timer = setTimeout(() => {
      if (asked.name !== "") {
        rest.versions(workspace, asked.name, { signal: given.signal }).then(setVersions, () => {});
      }
    }, NAME_PAUSE_MS);
    return () => {
      clearTimeout(timer);
      given.abort();
    };
  }, [asked.name, done]);

  useEffect(() => {
    const given = new AbortController();
    setAbout("reading");
    smoking.forget();
    rest.inspect(workspace, run, path, { signal: given.signal }).then(setAbout, () => {
      if (!given.signal.aborted) {
        setAbout(null); // registering says what is wrong
      }
    });
    return () => given.abort();
  }, [path]);

  const next = versions === null ? null : Math.max(0, ...versions.map((one) => one.version)) + 1;
  const hint =
    next === null ? "" : [t("will be version {version}", { version: next }), before(versions)].join(" · ");
  const metrics = state.metrics
    .filter((metric) => metric.rank === 0 && metric.last !== null)
    .map((metric) => `${metric.name} ${formatNumber(metric.last)}`);
  const submit = (event: Event) => {
    event.preventDefault();
    command.run(async () => {
      setDone(null);
      setLooking(false);
      setDeploying(false);
      setDone(await rest.register(workspace, run, asked));
    });
  };
  const servable = typeof about === "object" && about !== null && SERVABLE.has(about.format);
  return (
    <>
      <form
        class="mlt-form"
        onSubmit={submit}
        aria-label={t("Register model")}
        onKeyDown={(event) => event.stopPropagation()}
        data-lm-suppress-shortcuts="true"
      >
        <Field label={t("Model")} for={`${id}-path`}>
          <select id={`${id}-path`} value={path} onChange={(event) => setPath(event.currentTarget.value)}>
            {models.map((one) => (
              <option key={one.path} value={one.path}>
                {one.path} · {kindWords(one)} · {formatSize(one.size)}
              </option>
            ))}
          </select>
          <About about={about} />
        </Field>
        <Field label={t("Name")} for={`${id}-name`} hint={hint}>
          <input
            id={`${id}-name`}
            required
            value={name}
            list={`${id}-names`}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <datalist id={`${id}-names`}>
            {names.map((one) => (
              <option key={one} value={one} />
            ))}
          </datalist>
        </Field>
        {metrics.length > 0 && (
          <Field label={t("Metrics kept")}>
            <span class="mlt-mono">
              {metrics.slice(0, MOST_METRICS).join(", ")}
              {metrics.length > MOST_METRICS ? ", …" : ""}
            </span>
          </Field>
        )}
        <Field label={t("Tags")} for={`${id}-tags`}>
          <input
            id={`${id}-tags`}
            value={tags}
            placeholder={t("key=value, …")}
            onInput={(event) => setTags(event.currentTarget.value)}
          />
        </Field>
        <Field label={t("Description")} for={`${id}-description`}>
          <input
            id={`${id}-description`}
            value={description}
            onInput={(event) => setDescription(event.currentTarget.value)}
          />
        </Field>
        <Problem text={command.problem} />
        <SmokeResult smoking={smoking} />
        {done && <Registered model={done} open={looking} toggle={() => setLooking(!looking)} />}
        {cell && <pre class="mlt-cell">{registerCell(state.displayName, asked)}</pre>}
        <div class="mlt-row">
          <button type="submit" class="mlt-button mlt-primary" disabled={command.busy || asked.name === ""}>
            {command.busy
              ? t("Registering…")
              : next === null
                ? t("Register")
                : t("Register version {version}", { version: next })}
          </button>
          {servable && <SmokeButton smoking={smoking} />}
          {done && servable && (
            <Button pressed={deploying} onClick={() => setDeploying(!deploying)}>
              {t("Deploy")}
            </Button>
          )}
          <Button onClick={close}>{t("Close")}</Button>
          <span class="mlt-gap" />
          {cell && <CopyButton text={() => registerCell(state.displayName, asked)}>{t("Copy")}</CopyButton>}
          <Button onClick={() => setCell(!cell)}>{t(cell ? "Hide the cell" : "Show as a cell")}</Button>
        </div>
      </form>
      {looking && done && (
        <VersionView
          key={`${done.name}:${done.version}`}
          endpoints={endpoints}
          model={done}
          close={() => setLooking(false)}
        />
      )}
      {deploying && done && (
        <DeployForm
          key={`${done.name}:${done.version}`}
          endpoints={endpoints}
          model={done}
          close={() => setDeploying(false)}
          deployed={(raw) => {
            setDeploying(false);
            setDeployed(raw);
          }}
        />
      )}
      {deployed !== null && (
        <div class="mlt-inner">
          <Deployed raw={deployed} workspace={workspace} around={around} />
        </div>
      )}
    </>
  );
}

/** What the files of the chosen model say of it, before it is registered. */
function About({ about }: { about: Inspection | "reading" | null }) {
  if (about === null || about === "reading") {
    return <small class="mlt-dim">{about === null ? "" : t("Reading its signature…")}</small>;
  }
  const made = [about.framework || t("not a known model format"), about.frameworkVersion].join(" ").trim();
  const lines = signatureLines(about.signature);
  return (
    <div class="mlt-about" role="status">
      <small class="mlt-dim">
        {[made, lines.length === 0 ? t("no signature in its files") : ""].filter(Boolean).join(" · ")}
      </small>
      {lines.map((line) => (
        <div key={line} class="mlt-mono mlt-dim">
          {line}
        </div>
      ))}
      {about.problem && <small class="mlt-dim">{about.problem}</small>}
    </div>
  );
}

function Registered(props: { model: ModelVersion; open: boolean; toggle: () => void }) {
  const { model } = props;
  // The version stands where its language has it.
  const [before, after] = (
    model.sameAs === model.version
      ? t("Already registered as {model}: the content is the same.")
      : t("Registered as {model}")
  ).split("{model}");
  const same =
    model.sameAs !== null && model.sameAs !== model.version
      ? ` · ${t("The same content as version {version}.", { version: model.sameAs })}`
      : "";
  return (
    <div class="mlt-done" role="status">
      {before}
      <VersionLink {...props} />
      {after}
      {same}
      {model.framework && <span class="mlt-dim"> · {model.framework}</span>}
      {signatureLines(model.signature).map((line) => (
        <div key={line} class="mlt-mono mlt-dim">
          {line}
        </div>
      ))}
    </div>
  );
}

/** What the newest version had, or that there is none. */
function before(versions: ModelVersion[] | null): string {
  const last = versions?.at(-1);
  if (last === undefined) {
    return t("a new name");
  }
  const [metric] = Object.entries(last.metrics);
  const version = last.version;
  return metric === undefined
    ? t("version {version} is the newest", { version })
    : t("version {version} had {metric}", { version, metric: `${metric[0]} ${formatNumber(metric[1])}` });
}

function kindWords({ kind }: Candidate): string {
  return kind === "folder" ? t("folder") : kind;
}

/** A model's name from the experiment's; letters, digits, `-` and `_`. */
function suggestedName(experiment: string): string {
  return experiment.replace(/^tutorial-/, "").replace(/[^\w-]+/g, "-") || "model";
}
