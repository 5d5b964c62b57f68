/** Which metrics of a run are charts and which are single values. */

import type { Metric, RunPayload } from "../api/payload";
import { asNumber, type Line, lineOf } from "./chart";

const MAX_CHARTS = 12;

export interface MetricChart {
  metric: Metric;
  lines: Line[];
}

/** Charts in the order of the payload's series; values are the metrics with a single point, or none saved. */
export function arrangeMetrics({ state, series }: RunPayload): { charts: MetricChart[]; values: Metric[] } {
  const lines = new Map<string, Line[]>();
  for (const one of series) {
    lines.set(one.name, [...(lines.get(one.name) ?? []), lineOf(one)]);
  }
  // One entry per name: the first rank speaks for a metric that several ranks log.
  const metrics = new Map<string, Metric>();
  for (const metric of state.metrics) {
    if (!metrics.has(metric.name)) {
      metrics.set(metric.name, metric);
    }
  }
  const charted = [...lines].filter(([, all]) => all.some((line) => line.values.length > 1));
  const names = new Set(charted.map(([name]) => name));
  return {
    charts: charted
      .slice(0, MAX_CHARTS)
      .map(([name, all]) => ({ metric: metrics.get(name) ?? unsummed(name, all), lines: all })),
    values: [...metrics.values()].filter((metric) => !names.has(metric.name)),
  };
}

function unsummed(name: string, lines: readonly Line[]): Metric {
  const last = lines[0]?.values.at(-1) ?? null;
  return {
    name,
    rank: 0,
    count: 0,
    last,
    lastStep: null,
    min: null,
    minStep: null,
    max: null,
    maxStep: null,
  };
}

/** In place of a rank: as many of them as a chart can tell apart. */
export const ALL_RANKS = -1;
export const MOST_RANKS = 16;

/** The ranks that have logged something. */
export function ranksOf(metrics: readonly Metric[]): number[] {
  return [...new Set(metrics.map(({ rank }) => rank))].sort((a, b) => a - b);
}

/** What one rank logged, or all; where nobody has chosen (null), the first's: that is what `get_metrics` gives. */
export function metricsOf(
  metrics: readonly Metric[],
  ranks: readonly number[],
  rank: number | null,
): readonly Metric[] {
  if (ranks.length < 2) {
    return metrics;
  }
  const wanted = new Set(rank === ALL_RANKS ? ranks.slice(0, MOST_RANKS) : [rank ?? ranks[0]]);
  return metrics.filter((metric) => wanted.has(metric.rank));
}

/** Metrics of a live run by name, all ranks of one together: charts, and those with a single value or text. */
export function chartsOf(
  metrics: readonly Metric[],
  filter: string,
): { charts: { name: string; metrics: Metric[] }[]; values: Metric[] } {
  const wanted = filter.toLowerCase();
  const names = new Map<string, Metric[]>();
  for (const metric of metrics) {
    const { name } = metric;
    if (wanted !== "" && !name.toLowerCase().includes(wanted)) {
      continue;
    }
    const ranks = names.get(name);
    if (ranks === undefined) {
      names.set(name, [metric]);
    } else {
      ranks.push(metric);
    }
  }
  const charts: { name: string; metrics: Metric[] }[] = [];
  const values: Metric[] = [];
  for (const [name, all] of names) {
    const [first] = all;
    if (all.some((metric) => metric.count > 1 && asNumber(metric.last) !== null)) {
      charts.push({ name, metrics: all });
    } else if (first !== undefined) {
      values.push(first);
    }
  }
  return { charts, values };
}
