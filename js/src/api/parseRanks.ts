/** Ranks of a run, from a notebook or from the service: nothing is believed about their shape. */

import { claimed } from "./claimed";
import type { RankState, RankStatus, RunRanks, Scaling } from "./payload";
import type * as wire from "./wire.gen";

const MOST_RANKS = 4096;
const MOST_GPUS = 32;
const STATUSES: readonly RankStatus[] = [
  "waiting",
  "starting",
  "running",
  "completed",
  "failed",
  "ended",
  "lost",
];

export function parseRanks(raw: unknown): RunRanks {
  const fields = claimed<wire.RunRanks>(raw);
  return {
    ranks: list(fields.ranks, MOST_RANKS).map(rankOf),
    failed: number(fields.failed),
    examples: number(fields.examples),
    scaling: fields.scaling ? scalingOf(fields.scaling) : null,
  };
}

function scalingOf(raw: unknown): Scaling {
  const fields = claimed<wire.Scaling>(raw);
  const baseline = claimed<wire.Baseline>(fields.baseline);
  return {
    processes: number(fields.processes) ?? 1,
    examples: number(fields.examples),
    baseline: fields.baseline
      ? { name: text(baseline.name) || text(baseline.run_id), examples: number(baseline.examples) }
      : null,
    efficiency: number(fields.efficiency),
  };
}

function rankOf(raw: unknown): RankState {
  const fields = claimed<wire.RankState>(raw);
  return {
    rank: number(fields.rank) ?? 0,
    role: text(fields.role),
    host: text(fields.host),
    status: STATUSES.find((one) => one === fields.status) ?? "waiting",
    step: number(fields.step),
    behind: number(fields.behind),
    gpus: list(fields.gpus, MOST_GPUS).map(text),
    examples: number(fields.examples),
    exit: text(fields.exit),
  };
}

function list(raw: unknown, limit: number): unknown[] {
  return Array.isArray(raw) ? raw.slice(0, limit) : [];
}

function text(raw: unknown): string {
  return typeof raw === "string" ? raw : "";
}

function number(raw: unknown): number | null {
  return typeof raw === "number" && Number.isFinite(raw) ? raw : null;
}
