/**
 * What a run used of its nodes. It is asked for while somebody looks, and while there may be more: samples are no news that
 * a run's states bring.
 */

import type { SystemNode, SystemSeries, SystemUsage } from "../api/system";
import type { Line } from "./chart";
import { Emitter, type Schedule } from "./emitter";
import { formatNumber, formatSize } from "./formats";
import { t } from "./language";
import { Rounds, SHORTEST_PAUSE_MS } from "./rounds";

export type FetchUsage = (signal: AbortSignal) => Promise<SystemUsage>;

/** The longer a run, the rarer its samples: without a new one, the pause doubles up to this. */
const LONGEST_PAUSE_MS = 30_000;
const GB = 1e9;

export class SystemStore {
  readonly changes: Emitter;
  usage: SystemUsage | null = null;
  /** Why it could not be asked for, while nothing is known; "" otherwise. */
  problem = "";
  private looked = false;
  private growing = true;
  /** It was asked after the run's end: nothing will follow. */
  private complete = false;
  private pause = SHORTEST_PAUSE_MS;
  private readonly rounds: Rounds;

  constructor(
    private readonly fetch: FetchUsage,
    schedule?: Schedule,
    now?: () => number,
  ) {
    this.changes = new Emitter(schedule);
    this.rounds = new Rounds(
      () => this.looked && !this.complete,
      (signal) => this.load(signal),
      now,
    );
  }

  /** It is on the screen. `growing`: the run has not ended. */
  want(growing: boolean): void {
    this.looked = true;
    this.growing = growing;
    this.rounds.pump();
  }

  /** Nobody looks any more. */
  rest(): void {
    this.looked = false;
    this.rounds.rest();
  }

  dispose(): void {
    this.rest();
    this.rounds.dispose();
  }

  private async load(signal: AbortSignal): Promise<number> {
    const { growing } = this;
    try {
      const usage = await this.fetch(signal);
      if (!signal.aborted) {
        const grew = counted(usage) !== counted(this.usage);
        this.pause = grew ? SHORTEST_PAUSE_MS : Math.min(2 * this.pause, LONGEST_PAUSE_MS);
        this.complete = !growing;
        this.usage = usage;
        this.problem = "";
        this.changes.changed();
      }
    } catch (error) {
      if (!signal.aborted) {
        this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
        this.problem = this.usage === null && error instanceof Error ? error.message : "";
        this.changes.changed();
      }
    }
    return this.pause;
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
