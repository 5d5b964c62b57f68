/**
 * The value of `application/vnd.mltrain.run+json`, and a run's state, as `parse` leaves them: bounded, every key there. What
 * comes in is in `wire.gen`.
 */

import type * as wire from "./wire.gen";

export const MIME_TYPE = "application/vnd.mltrain.run+json";
export const FORMAT = 1;

/** A logged value: a number, the JSON name of one that JSON cannot hold ("NaN", "Infinity"), or text. */
export type Value = number | string | boolean | null;

export interface Versioned {
  name: string;
  version: string | number | null;
}

export type StageState = wire.Stage["state"];

export interface Stage {
  name: string;
  state: StageState;
  started: number | null;
  ended: number | null;
  note: string;
}

export type Progress = wire.Progress;

export interface Failure {
  title: string;
  evidence: string[];
  traceback: string;
  /** Of several processes, the first that failed. */
  rank: number | null;
  mend: string;
}

/** A metric's summary; `min` and `max` are null where no finite number was logged. */
export interface Metric {
  name: string;
  rank: number;
  count: number;
  last: Value;
  lastStep: number | null;
  min: number | null;
  minStep: number | null;
  max: number | null;
  maxStep: number | null;
}

/** Points of one metric of one rank. `steps[i]` belongs to `values[i]`. */
export interface Series {
  name: string;
  rank: number;
  total: number;
  steps: (number | null)[];
  values: Value[];
}

/** A change of status: when, why, and what was seen, in short facts. A saved payload has none. */
export interface Change {
  status: string;
  time: number;
  reason: string;
  evidence: string[];
}

/** One process of several. `behind`: seconds behind the fastest; `examples`: a second, lately; null: it has not said. */
export interface RankState {
  rank: number;
  role: string;
  host: string;
  status: RankStatus;
  step: number | null;
  behind: number | null;
  gpus: string[];
  examples: number | null;
  /** How it ended, in short; "" while it lives. */
  exit: string;
}

export type RankStatus = wire.RankStatus;

export interface RunRanks {
  ranks: RankState[];
  /** The first that failed. */
  failed: number | null;
  /** A second, of all ranks together, lately. */
  examples: number | null;
  scaling: Scaling | null;
}

/** What more processes give; `examples`: a second, of the whole run. */
export interface Scaling {
  /** Those that train. */
  processes: number;
  examples: number | null;
  /** The run of one process that it is compared with. */
  baseline: { name: string; examples: number | null } | null;
  efficiency: number | null;
}

export interface Tracking {
  state: string;
  pending: number;
  message: string;
}

export interface RunState {
  id: string;
  experiment: string;
  displayName: string;
  status: string;
  /** How its processes ended, while what they left is still collected. */
  outcome: wire.OutcomeName | null;
  revision: number;
  pinned: boolean;
  history: Change[];
  started: number | null;
  ended: number | null;
  duration: number | null;
  target: string;
  environment: (Versioned & { key: string }) | null;
  data: Versioned[];
  arguments: string[];
  command: string;
  stages: Stage[];
  progress: Progress | null;
  failure: Failure | null;
  tracking: Tracking;
  /** The first of them. */
  metrics: Metric[];
  /** How many there are. */
  metricSeries: number;
  metricPoints: number;
  substitutions: Omit<wire.Substitution, "kind">[];
  notices: string[];
  tags: [string, string][];
  git: [string, string][];
  resources: [string, string][];
  /** Of its nodes, once it is over, in words. */
  used: [string, string][];
  notes: string;
  snapshot: wire.SnapshotSummary | null;
  outputs: wire.OutputsSummary;
  models: Versioned[];
  queuePosition: number | null;
  /** How many it has, which are its ranks. */
  processes: number;
  /** Those of several processes, the first of them; null where there is one. */
  ranks: RunRanks | null;
}

export interface RunPayload {
  workspace: string;
  run: string;
  /** When this state was seen, in seconds since the epoch. */
  recorded: number;
  state: RunState;
  series: Series[];
  log: { name: string; tail: string } | null;
  /** Runs that were started again from this output, oldest first; they have none themselves. */
  reruns: RunPayload[];
  /** The output holds a view of widgets with these runs in it: that goes first while its kernel knows it. */
  beside: boolean;
}

/** A payload that cannot be shown, and why, in words for a reader. */
export class PayloadError extends Error {}
