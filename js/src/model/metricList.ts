/**
 * All metrics of a run. Its states carry the first of them, which is all of most runs; where there are more, the whole list
 * is fetched while somebody looks at it.
 */

import type { Metric, RunState } from "../api/payload";
import { Emitter, type Schedule } from "./emitter";
import { Rounds, SHORTEST_PAUSE_MS } from "./rounds";

export type FetchMetrics = (signal: AbortSignal) => Promise<Metric[]>;

export class MetricList {
  readonly changes: Emitter;
  private fetched: readonly Metric[] = [];
  /** How many points the run had when `fetched` was asked for; -1: never asked. */
  private points = -1;
  private wanted: RunState | null = null;
  private known: { state: RunState; fetched: readonly Metric[]; metrics: readonly Metric[] } | null = null;
  private readonly rounds: Rounds;

  constructor(
    private readonly fetch: FetchMetrics,
    schedule?: Schedule,
    now?: () => number,
  ) {
    this.changes = new Emitter(schedule);
    this.rounds = new Rounds(
      () => this.wanted !== null && !carriesAll(this.wanted) && this.wanted.metricPoints !== this.points,
      (signal) => this.load(signal),
      now,
    );
  }

  /** What is known of them in the order in which they were first logged; the same array as long as nothing has changed. */
  of(state: RunState): readonly Metric[] {
    if (carriesAll(state)) {
      return state.metrics;
    }
    const { fetched, known } = this;
    if (known?.state === state && known.fetched === fetched) {
      return known.metrics;
    }
    const metrics = newest(fetched, state.metrics);
    this.known = { state, fetched, metrics };
    return metrics;
  }

  /** How many names there are, also of those that are not known yet. */
  count(state: RunState): number {
    const metrics = this.of(state);
    const names = new Set(metrics.map(({ name }) => name)).size;
    return names + Math.max(0, state.metricSeries - metrics.length);
  }

  /** The list of this state is looked at: bring it up to date. */
  want(state: RunState): void {
    this.wanted = state;
    this.rounds.pump();
  }

  /** Nobody looks any more. */
  rest(): void {
    this.wanted = null;
    this.rounds.rest();
  }

  dispose(): void {
    this.rest();
    this.rounds.dispose();
  }

  private async load(signal: AbortSignal): Promise<number> {
    const points = this.wanted?.metricPoints ?? -1;
    try {
      const fetched = await this.fetch(signal);
      if (!signal.aborted) {
        this.fetched = fetched;
        this.points = points;
        this.changes.changed();
      }
    } catch {
      // What is known stays; asked again after the pause, as long as somebody looks.
    }
    return SHORTEST_PAUSE_MS;
  }
}

function carriesAll({ metrics, metricSeries }: RunState): boolean {
  return metricSeries <= metrics.length;
}

/** Of each metric what was seen last, by the list or by the state. */
function newest(list: readonly Metric[], carried: readonly Metric[]): Metric[] {
  const rest = new Map(carried.map((metric) => [keyOf(metric), metric]));
  const metrics = list.map((metric) => {
    const other = rest.get(keyOf(metric));
    rest.delete(keyOf(metric));
    return other && other.count >= metric.count ? other : metric;
  });
  return [...metrics, ...rest.values()];
}

function keyOf({ name, rank }: Metric): string {
  return `${rank}/${name}`;
}
