/**
 * Reads a payload out of a notebook. Notebooks come from anywhere, so nothing is believed about its shape: what has the
 * wrong type counts as absent, and only what a card cannot do without makes it a `PayloadError`.
 */

import { type Claimed, claimed } from "./claimed";
import { parseRanks } from "./parseRanks";
import {
  type Change,
  type Failure,
  FORMAT,
  type Metric,
  PayloadError,
  type Progress,
  type RunPayload,
  type RunState,
  type Series,
  type Stage,
  type StageState,
  type Value,
  type Versioned,
} from "./payload";
import type * as wire from "./wire.gen";

const MAX_ITEMS = 200;
const MAX_POINTS = 4000;
const MAX_METRICS = 50_000;
const MAX_RERUNS = 20;
const STAGE_STATES: readonly StageState[] = ["pending", "active", "done", "failed", "skipped"];
const OUTCOMES: readonly wire.OutcomeName[] = ["Completed", "Failed", "Canceled"];

export function parsePayload(raw: unknown): RunPayload {
  const top = claimed<wire.SavedRun>(raw);
  const state = claimed<wire.RunState>(top.state);
  if (number(top.format) === null || text(top.run) === "" || text(state.status) === "") {
    throw new PayloadError("This output holds no run that can be shown.");
  }
  if ((number(top.format) ?? 0) > FORMAT) {
    throw new PayloadError(
      "A newer version of jupyter-mltrain saved this output; upgrade it to see the run.",
    );
  }
  return {
    workspace: text(top.workspace),
    run: text(top.run),
    recorded: number(top.recorded) ?? 0,
    state: parseState(state, text(top.run)),
    series: list(top.series).map(parseSeries),
    log: top.log ? parseLog(claimed<wire.LogTail>(top.log)) : null,
    reruns: list(top.reruns, MAX_RERUNS).flatMap(parseRerun),
    beside: top.beside === true,
  };
}

/** What cannot be shown of it is left out: the run above it can. */
function parseRerun(raw: unknown): RunPayload[] {
  try {
    return [parsePayload({ ...claimed<wire.SavedRun>(raw), reruns: [] })];
  } catch (error) {
    if (error instanceof PayloadError) {
      return [];
    }
    throw error;
  }
}

/** A state of a run, from a notebook or from the service. */
export function parseState(given: unknown, run: string): RunState {
  const raw = claimed<wire.RunState>(given);
  const environment = claimed<wire.RunEnvironment>(raw.environment);
  const tracking = claimed<wire.TrackingState>(raw.tracking);
  const outputs = claimed<wire.OutputsSummary>(raw.outputs);
  const snapshot = claimed<wire.SnapshotSummary>(raw.snapshot);
  const metrics = list(raw.metrics).map(parseMetric);
  return {
    id: run,
    experiment: text(raw.experiment),
    displayName: text(raw.display_name) || run,
    status: text(raw.status),
    outcome: oneOf(OUTCOMES, raw.outcome),
    revision: number(raw.revision) ?? 0,
    pinned: raw.pinned === true,
    history: list(raw.history).map(parseChange),
    started: number(raw.started),
    ended: number(raw.ended),
    duration: number(raw.duration),
    target: text(raw.target) || "local",
    environment: text(environment.name) ? { ...versioned(environment), key: text(environment.key) } : null,
    data: list(raw.data).map(versioned),
    arguments: list(raw.arguments).map(text),
    command: Array.isArray(raw.command) ? list(raw.command).map(text).join(" ") : text(raw.command),
    stages: list(raw.stages).map(parseStage),
    progress: raw.progress ? parseProgress(claimed<wire.Progress>(raw.progress)) : null,
    failure: raw.failure ? parseFailure(claimed<wire.Failure>(raw.failure)) : null,
    tracking: {
      state: text(tracking.state),
      pending: number(tracking.pending) ?? 0,
      message: text(tracking.message),
    },
    metrics,
    metricSeries: Math.max(number(raw.metric_series) ?? 0, metrics.length),
    metricPoints: number(raw.metric_points) ?? 0,
    substitutions: list(raw.substitutions).map((one) => {
      const fields = claimed<wire.Substitution>(one);
      return { asked: text(fields.asked), given: text(fields.given), reason: text(fields.reason) };
    }),
    notices: list(raw.notices).map(text),
    tags: pairs(raw.tags),
    git: pairs(raw.git),
    resources: pairs(raw.resources),
    used: pairs(raw.used),
    notes: text(raw.notes),
    snapshot: raw.snapshot
      ? {
          files: number(snapshot.files) ?? 0,
          bytes: number(snapshot.bytes) ?? 0,
          digest: text(snapshot.digest),
        }
      : null,
    outputs: { files: number(outputs.files) ?? 0, bytes: number(outputs.bytes) ?? 0 },
    models: list(raw.models).map(versioned),
    queuePosition: number(raw.queue_position),
    processes: number(raw.processes) ?? 1,
    ranks: raw.ranks ? parseRanks(raw.ranks) : null,
  };
}

/** All metrics of a run, as the service lists them. */
export function parseMetrics(given: unknown): Metric[] {
  return list(claimed<wire.MetricList>(given).series, MAX_METRICS).map(parseMetric);
}

function parseLog(fields: Claimed<wire.LogTail>): { name: string; tail: string } {
  return { name: text(fields.name), tail: text(fields.tail) };
}

function parseChange(raw: unknown): Change {
  const fields = claimed<wire.Change>(raw);
  return {
    status: text(fields.status),
    time: number(fields.time) ?? 0,
    reason: text(fields.reason),
    evidence: evidenceOf(claimed<Fields>(fields.evidence)),
  };
}

/** What an engine saw, as short facts: `rank 0: exit code 0`, `SIGTERM sent`, `ended 4711 python`. */
function evidenceOf(evidence: Fields): string[] {
  const exits = list(evidence.exits).map((raw) => {
    const exit = claimed<Fields>(raw);
    const how =
      text(exit.error) ||
      (number(exit.signal) === null ? `exit code ${text(exit.code)}` : `signal ${text(exit.signal)}`);
    const why = text(exit.stopped) ? `, ${text(exit.stopped)}` : "";
    return `rank ${text(exit.rank)}: ${how}${why}`;
  });
  const stop = claimed<Fields>(evidence.stop);
  const plain = Object.entries(evidence)
    .filter(([key, one]) => !["exits", "stop"].includes(key) && text(one) !== "")
    .map(([key, one]) => [key.replaceAll("_", " "), key === "memory" ? megabytes(one) : text(one)].join(" "));
  return [
    ...exits,
    ...list(stop.signals).map((signal) => `${text(signal)} sent`),
    ...list(stop.ended).map((process) => `ended ${text(process)}`),
    ...list(stop.remaining).map((process) => `still there: ${text(process)}`),
    ...plain,
  ];
}

function megabytes(bytes: unknown): string {
  return `${((number(bytes) ?? 0) / 1e6).toFixed(0)} MB`;
}

function parseStage(raw: unknown): Stage {
  const fields = claimed<wire.Stage>(raw);
  return {
    name: text(fields.name),
    state: oneOf(STAGE_STATES, fields.state) ?? "pending",
    started: number(fields.started),
    ended: number(fields.ended),
    note: text(fields.note),
  };
}

function parseProgress(fields: Claimed<wire.Progress>): Progress | null {
  const value = number(fields.value);
  return value === null
    ? null
    : {
        label: text(fields.label) || "step",
        value,
        total: number(fields.total),
        eta: number(fields.eta),
      };
}

function parseFailure(fields: Claimed<wire.Failure>): Failure {
  return {
    title: text(fields.title),
    evidence: list(fields.evidence).map(text),
    traceback: text(fields.traceback),
    rank: number(fields.rank),
    mend: text(fields.mend),
  };
}

function parseMetric(raw: unknown): Metric {
  const fields = claimed<wire.Metric>(raw);
  return {
    name: text(fields.name),
    rank: number(fields.rank) ?? 0,
    count: number(fields.count) ?? 0,
    last: value(fields.last),
    lastStep: number(fields.last_step),
    min: number(fields.min),
    minStep: number(fields.min_step),
    max: number(fields.max),
    maxStep: number(fields.max_step),
  };
}

function parseSeries(raw: unknown): Series {
  const fields = claimed<wire.SavedSeries>(raw);
  const steps = list(fields.steps, MAX_POINTS).map(number);
  const values = list(fields.values, MAX_POINTS).map(value);
  const count = Math.min(steps.length, values.length);
  return {
    name: text(fields.name),
    rank: number(fields.rank) ?? 0,
    total: number(fields.total) ?? count,
    steps: steps.slice(0, count),
    values: values.slice(0, count),
  };
}

/** An object with keys of its own: what an engine saw, tags. */
type Fields = { readonly [key: string]: unknown };

function list(raw: unknown, limit = MAX_ITEMS): unknown[] {
  return Array.isArray(raw) ? raw.slice(0, limit) : [];
}

function text(raw: unknown): string {
  return typeof raw === "string" ? raw : typeof raw === "number" ? String(raw) : "";
}

function number(raw: unknown): number | null {
  return typeof raw === "number" && Number.isFinite(raw) ? raw : null;
}

function value(raw: unknown): Value {
  return typeof raw === "number" || typeof raw === "string" || typeof raw === "boolean" ? raw : null;
}

function oneOf<T extends string>(known: readonly T[], raw: unknown): T | null {
  return known.find((one) => one === raw) ?? null;
}

function versioned(raw: unknown): Versioned {
  const fields = claimed<wire.RunData | wire.RunEnvironment | wire.ModelName>(raw);
  return { name: text(fields.name), version: text(fields.version) || null };
}

function pairs(raw: unknown): [string, string][] {
  return Object.entries(claimed<Fields>(raw))
    .slice(0, MAX_ITEMS)
    .map(([key, one]): [string, string] => [key, typeof one === "boolean" ? String(one) : text(one)])
    .filter(([, one]) => one !== "");
}
