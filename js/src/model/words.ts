/** What the card says about a run, as plain text; `jupyter_mltrain/widgets/card_html.py` says the same. */

import type { Metric, Progress, RunPayload, RunState, Stage, Tracking, Versioned } from "../api/payload";
import { formatClock, formatCount, formatDate, formatNumber, formatSize, formatSpan } from "./formats";
import { t } from "./language";

const LOWER_IS_BETTER = /loss|err|mse|mae|rmse|perplexity|latency|seconds|time/i;
const STATUS: { readonly [status: string]: string } = {
  NotStarted: "Not started",
  NotResponding: "Not responding",
  CancelRequested: "Cancel requested",
};
const TONE: { readonly [status: string]: string } = {
  Completed: "mlt-ok",
  Failed: "mlt-bad",
  Canceled: "",
  NotResponding: "mlt-warn",
};

export function statusWords(status: string): string {
  return t(STATUS[status] ?? status);
}

export function tone(status: string): string {
  return TONE[status] ?? "mlt-live";
}

export function versionedWords(item: Versioned): string {
  return item.version === null ? item.name : `${item.name}:${item.version}`;
}

/** What runs where: target, environment, data. */
export function places(state: RunState): string {
  const named = [...(state.environment ? [state.environment] : []), ...state.data];
  return [state.target, ...named.map(versionedWords)].join(" · ");
}

export function lengthWords({ state, recorded }: RunPayload): string {
  const seconds =
    state.duration ?? (state.started === null ? null : (state.ended ?? recorded) - state.started);
  return seconds === null ? "" : formatClock(seconds);
}

/** How much of a stage's bar is filled, 0 to 100. */
export function stageShare(stage: Stage, progress: Progress | null): number {
  if (stage.state === "done") {
    return 100;
  }
  if (stage.state !== "active" && stage.state !== "failed") {
    return 0;
  }
  return stage.name === "Running" && progress?.total
    ? Math.round(100 * Math.min(1, Math.max(0, progress.value / progress.total)))
    : 100;
}

export function stageWords(stage: Stage, state: RunState): string {
  return stageParts(stage, state).join(" · ");
}

function stageParts(stage: Stage, state: RunState): string[] {
  const progress = stage.name === "Running" && stage.state !== "done" ? state.progress : null;
  // What Finalizing notes is the state of tracking, which goes on after it.
  let said = stage.note && stage.name !== "Finalizing" ? [stage.note] : [];
  if (stage.state === "pending" || stage.state === "skipped") {
    return said;
  }
  if (progress) {
    const place = progressWords(progress);
    said = [stage.state === "failed" ? t("stopped at {place}", { place }) : place];
    if (stage.state === "active" && progress.eta) {
      said.push(t("{time} left", { time: formatSpan(progress.eta) }));
    }
  } else if (stage.state === "active" && stage.name === "Queued" && state.queuePosition) {
    said.push(t("position {position}", { position: state.queuePosition }));
  }
  if (stage.started !== null && stage.ended !== null && !(progress && stage.state === "failed")) {
    const length = formatSpan(stage.ended - stage.started);
    // "cached 0.1 s" reads as one thing.
    said = said.length ? [`${said[0]} ${length}`, ...said.slice(1)] : [length];
  }
  return stage.name === "Finalizing" ? [...said, ...trackingWords(state.tracking)] : said;
}

function progressWords(progress: Progress): string {
  const { label, total } = progress;
  const value = formatNumber(progress.value);
  return total
    ? t("{label} {value} of {total}", { label, value, total: formatNumber(total) })
    : `${label} ${value}`;
}

function trackingWords(tracking: Tracking): string[] {
  switch (tracking.state) {
    case "synced":
      return ["MLflow synced"];
    case "pending":
      return [tracking.pending ? `MLflow: ${formatNumber(tracking.pending)} to send` : "MLflow: sending"];
    case "error":
      return ["MLflow: not sent"];
    default:
      return [];
  }
}

/** What a reader should know beside the result: substitutions, notices, a copy that was not sent. */
export function noteLines(state: RunState): string[] {
  const lines = state.substitutions.map((one) => `Asked for ${one.asked}, given ${one.given}: ${one.reason}`);
  lines.push(...state.notices);
  if (state.tracking.state === "error") {
    const message = state.tracking.message || "not reachable";
    lines.push(`MLflow: ${message}. The run's own record is complete.`);
  }
  return lines;
}

/** The best value of a metric and where: `max 0.9786 at step 10,308`, for losses and errors the minimum. */
export function bestWords(metric: Metric): string {
  const lower = LOWER_IS_BETTER.test(metric.name);
  const best = lower ? metric.min : metric.max;
  const step = lower ? metric.minStep : metric.maxStep;
  if (best === null) {
    return "";
  }
  const words = { best: formatNumber(best), step: formatNumber(step ?? 0) };
  return step === null
    ? t(lower ? "min {best}" : "max {best}", words)
    : t(lower ? "min {best} at step {step}" : "max {best} at step {step}", words);
}

/** Where a run comes from, as label and text: what is needed to tell it from others and to repeat it. */
export function detailRows(state: RunState): [string, string][] {
  const { environment, snapshot } = state;
  const rows: [string, string][] = [
    ["Run", state.id],
    ["Arguments", state.arguments.join(" ")],
    ["Command", state.command],
    ["Environment", environment ? `${versionedWords(environment)} · lock ${environment.key}` : ""],
    ["Data", state.data.map(versionedWords).join(", ")],
    [
      "Snapshot",
      snapshot?.files
        ? `${formatCount(snapshot.files, "file")} · ${formatSize(snapshot.bytes)} · ${snapshot.digest}`
        : "",
    ],
    ["Git", pairWords(state.git)],
    ["Resources", pairWords(state.resources)],
    ["Used", pairWords(state.used)],
    ["Tags", pairWords(state.tags)],
    ["Notes", state.notes],
  ];
  return rows.filter(([, value]) => value !== "").map(([label, value]) => [t(label), value]);
}

function pairWords(pairs: readonly [string, string][]): string {
  return pairs.map(([key, value]) => `${key} ${value}`).join(", ");
}

/** The facts at the foot of the card; the first says that this is a record, and from when. */
export function footFacts({ state, recorded }: RunPayload): string[] {
  const facts = [t("recorded on {date}", { date: formatDate(recorded) })];
  if (state.metricPoints) {
    facts.push(formatCount(state.metricPoints, "metric point"));
  }
  if (state.outputs.files) {
    facts.push(`${formatCount(state.outputs.files, "output file")}, ${formatSize(state.outputs.bytes)}`);
  }
  return [
    ...facts,
    ...state.models.map((model) => t("registered as {model}", { model: versionedWords(model) })),
  ];
}

/** The line that gives the run's object back in any kernel of the workspace. */
export function wayBack(state: RunState): string {
  return `run = mltrain.run(${JSON.stringify(state.displayName)})`;
}

/** What a run's end was seen to be: the reasons and facts of the changes since it was asked to stop. */
export function endWords(state: RunState): string {
  const asked = state.history.findIndex((change) => change.status === "CancelRequested");
  return asked < 0
    ? ""
    : state.history
        .slice(asked)
        .flatMap((change) => [change.reason, ...change.evidence])
        .filter((fact, index, all) => fact !== "" && all.indexOf(fact) === index)
        .join(" · ");
}

/** The memory that the mend of a failure names, in GB; null where it names none. */
export function memoryMend(state: RunState): number | null {
  const named = /--memory (\d+(?:\.\d+)?)/.exec(state.failure?.mend ?? "");
  return named ? Number(named[1]) : null;
}
