/** What a run used of its nodes. */

import type { SystemNode, SystemSeries, SystemUsage } from "../api/system";
import type { Line } from "./chart";
import type { Schedule } from "./emitter";
import { formatNumber, formatSize } from "./formats";
import { t } from "./language";
import { Polled } from "./polled";

export type FetchUsage = (signal: AbortSignal) => Promise<SystemUsage>;

const GB = 1e9;

export class SystemStore extends Polled<SystemUsage> {
  constructor(fetch: FetchUsage, schedule?: Schedule, now?: () => number) {
    super(fetch, (before, usage) => counted(usage) !== counted(before), schedule, now);
  }
}

function counted(usage: SystemUsage | null): number {
  return usage === null ? 0 : usage.series.reduce((sum, { count }) => sum + count, 0);
}

/** A chart of the System tab: what it is called, its peak as the largest thing, and the rest in few words. */
export interface SystemChart {
  series: SystemSeries;
  title: string;
  note: string;
  peak: string;
  /** A line across the chart, on its axis; null without one. */
  limit: number | null;
}

/** The charts of one node, in order. */
export function chartsOfNode(node: SystemNode, all: readonly SystemSeries[]): SystemChart[] {
  return all.filter(({ rank }) => rank === node.rank).map((series) => chartOf(node, series));
}

function chartOf(node: SystemNode, series: SystemSeries): SystemChart {
  const { measure, gpu, last, peak, mean } = series;
  if (measure === "cpu" || measure === "gpu") {
    return {
      series,
      title: measure === "gpu" ? t("GPU {name}", { name: gpu ?? "" }) : t("CPU"),
      note:
        measure === "gpu"
          ? t("peak; mean {mean}, now {last}", { mean: percent(mean), last: percent(last) })
          : t("peak of {cpus}; mean {mean}, now {last}", {
              cpus: node.cpus === 1 ? t("1 CPU") : t("{count} CPUs", { count: formatNumber(node.cpus) }),
              mean: percent(mean),
              last: percent(last),
            }),
      peak: percent(peak),
      limit: null,
    };
  }
  const device = node.gpus.find(({ name }) => name === gpu);
  const limit = measure === "memory" ? node.memoryLimit : (device?.memory ?? null);
  const now = { last: formatSize(last), limit: limit === null ? "" : formatSize(limit) };
  return {
    series,
    title: measure === "memory" ? t("Memory") : t("GPU {name} memory", { name: gpu ?? "" }),
    note: limit === null ? t("peak; now {last}", now) : t("peak; limit {limit}, now {last}", now),
    peak: formatSize(peak),
    limit: limit === null ? null : limit / GB,
  };
}

/** What a node says besides its charts, a line each. */
export function nodeNotes(node: SystemNode): string[] {
  if (node.gpusGiven === 0) {
    return [t("No GPU was given to this run")];
  }
  const known = node.gpus.map(({ name, model }) => `${t("GPU {name}", { name })}: ${model}`);
  return node.problem === "" ? known : [...known, t("GPUs: {problem}", { problem: node.problem })];
}

/** On a chart's axis: percent as it is, memory in GB. */
export function onAxis({ measure }: Pick<SystemSeries, "measure">, value: unknown): unknown {
  const bytes = measure === "memory" || measure === "gpu_memory";
  return bytes && typeof value === "number" ? value / GB : value;
}

const limits = new WeakMap<Line, { limit: number; line: Line }>();

/** The limit as a line as long as `of`; null where there is none, or no length yet. The same object for the same. */
export function limitLine(of: Line, limit: number | null): Line | null {
  const { steps, times } = of;
  if (limit === null || steps.length < 2) {
    return null;
  }
  const found = limits.get(of);
  if (found?.limit === limit) {
    return found.line;
  }
  const ends = <T>(all: readonly T[]) => [all[0], all.at(-1)] as T[];
  const line: Line = {
    rank: of.rank,
    steps: ends(steps),
    ...(times ? { times: ends(times) } : {}),
    values: [limit, limit],
  };
  limits.set(of, { limit, line });
  return line;
}

function percent(value: number): string {
  return `${formatNumber(Math.round(value))} %`;
}
