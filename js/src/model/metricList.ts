/**
 * All metrics of a run. Its states carry the first of them, which is all of most runs; where there are more, the whole list
 * is fetched while somebody looks at it.
 */

import type { Metric, RunState } from "../api/payload";
import { Emitter, type Schedule } from "./emitter";

export type FetchMetrics = (signal: AbortSignal) => Promise<Metric[]>;

const SHORTEST_PAUSE_MS = 2_000;
/** A pause of so many times what the last answer took: thousands of metrics are work for a service, too. */
const REST_SHARE = 5;

export class MetricList {
  readonly changes: Emitter;
  private fetched: readonly Metric[] = [];
  /** How many points the run had when `fetched` was asked for; -1: never asked. */
  private points = -1;
  private wanted: RunState | null = null;
  private known: { state: RunState; fetched: readonly Metric[]; metrics: readonly Metric[] } | null = null;
  private busy = false;
  /** Not before this time, on `now`'s clock. */
  private due = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly given = new AbortController();

  constructor(
    private readonly fetch: FetchMetrics,
    schedule?: Schedule,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.changes = new Emitter(schedule);
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
    this.pump();
  }

  /** Nobody looks any more. */
  rest(): void {
    this.wanted = null;
    clearTimeout(this.timer);
  }

  dispose(): void {
    this.rest();
    this.given.abort();
  }

  private pump(): void {
    clearTimeout(this.timer);
    const { wanted } = this;
    if (wanted === null || this.busy || carriesAll(wanted) || wanted.metricPoints === this.points) {
      return;
    }
    const pause = this.due - this.now();
    if (pause > 0) {
      this.timer = setTimeout(() => this.pump(), pause);
    } else {
      void this.load(wanted.metricPoints);
    }
  }

  private async load(points: number): Promise<void> {
    this.busy = true;
    const began = this.now();
    try {
      const fetched = await this.fetch(this.given.signal);
      if (this.given.signal.aborted) {
        return;
      }
      this.fetched = fetched;
      this.points = points;
      this.changes.changed();
    } catch {
      // What is known stays; asked again after the pause, as long as somebody looks.
    } finally {
      this.busy = false;
      this.due = this.now() + Math.max(SHORTEST_PAUSE_MS, REST_SHARE * (this.now() - began));
      this.pump();
    }
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
