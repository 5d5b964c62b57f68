/** Questions about what a run used of its nodes, to the door. */

import { claimed } from "./claimed";
import { number, text } from "./endpoint";
import { type Asked, type Points, type Rest, runPath, type Window } from "./rest";
import type * as wire from "./wire.gen";

/** What one rank was given; memory in bytes. */
export interface SystemNode {
  rank: number;
  cpus: number;
  memoryLimit: number | null;
  memoryTotal: number;
  gpusGiven: number;
  gpus: { name: string; model: string; memory: number }[];
  /** Why nothing is known of its GPUs; "" otherwise. */
  problem: string;
}

/** One thing that was measured, in percent or bytes. */
export interface SystemSeries {
  name: string;
  rank: number;
  measure: wire.SystemSeries["measure"];
  gpu: string | null;
  count: number;
  last: number;
  peak: number;
  mean: number;
}

export interface SystemUsage {
  nodes: SystemNode[];
  series: SystemSeries[];
}

const MEASURES: readonly unknown[] = ["cpu", "memory", "gpu", "gpu_memory"];
const MOST_NODES = 64;
const MOST_SERIES = 512;

export async function systemUsage(
  rest: Pick<Rest, "json">,
  workspace: string,
  run: string,
  asked: Asked = {},
): Promise<SystemUsage> {
  const raw = await rest.json("GET", runPath(workspace, run, "system"), undefined, asked);
  const { nodes, series } = claimed<wire.SystemUsage>(raw);
  return {
    nodes: list(nodes).slice(0, MOST_NODES).map(node),
    series: list(series)
      .slice(0, MOST_SERIES)
      .flatMap((one) => measured(one) ?? []),
  };
}

/** Points of one of the series; bytes as they are. */
export function systemPoints(
  rest: Pick<Rest, "series">,
  workspace: string,
  run: string,
  series: { name: string; rank: number },
  window: Window,
  asked: Asked = {},
): Promise<Points> {
  return rest.series(workspace, run, series, window, asked, "system/series");
}

function node(raw: unknown): SystemNode {
  const fields = claimed<wire.SystemNode>(raw);
  return {
    rank: number(fields.rank) ?? 0,
    cpus: number(fields.cpus) ?? 1,
    memoryLimit: number(fields.memory_limit),
    memoryTotal: number(fields.memory_total) ?? 0,
    gpusGiven: number(fields.gpus_given) ?? 0,
    gpus: list(fields.gpus).map((one) => {
      const gpu = claimed<wire.SystemGpu>(one);
      return { name: text(gpu.name), model: text(gpu.model), memory: number(gpu.memory) ?? 0 };
    }),
    problem: text(fields.problem),
  };
}

function measured(raw: unknown): SystemSeries | null {
  const fields = claimed<wire.SystemSeries>(raw);
  const measure = fields.measure as SystemSeries["measure"];
  const last = number(fields.last);
  if (!MEASURES.includes(measure) || last === null) {
    return null;
  }
  return {
    name: text(fields.name),
    rank: number(fields.rank) ?? 0,
    measure,
    gpu: typeof fields.gpu === "string" ? fields.gpu : null,
    count: number(fields.count) ?? 0,
    last,
    peak: number(fields.peak) ?? last,
    mean: number(fields.mean) ?? last,
  };
}

function list(raw: unknown): unknown[] {
  return Array.isArray(raw) ? raw : [];
}
