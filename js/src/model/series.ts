/**
 * Points of a run's metrics, at the level of detail that a chart draws. A metric is fetched again when the run has logged
 * more of it: as often as the answers come, and never more than a few requests at a time.
 */

import type { Metric, Series, Value } from "../api/payload";
import type { Points, Window } from "../api/rest";
import { asNumber, type Line } from "./chart";
import { Emitter, type Schedule } from "./emitter";

export type FetchPoints = (
  metric: { name: string; rank: number },
  window: Window,
  signal: AbortSignal,
) => Promise<Points>;

const AT_ONCE = 4;
/** A pause of so many times what the last answer took: the charts never take more than a share of a service. */
const REST_SHARE = 3;
/** The run's states bring the newest point meanwhile; what a fast run logs between two of them is fetched. */
const SHORTEST_PAUSE_MS = 1_000;
const FAILED_PAUSE_MS = 3_000;
const MOST_FAILURES = 5;

interface Entry {
  line: Line;
  /** `line` and what the run's states have said since it was fetched. */
  ahead: { of: Line; count: number; line: Line } | null;
  total: number;
  /** Up to which of the metric's points `line` goes; -1: nothing fetched yet. */
  count: number;
  wanted: number;
  /** Not before this time, on `now`'s clock. */
  due: number;
  failures: number;
}

export class SeriesStore {
  readonly changes: Emitter;
  /** Grows with every change of the points. */
  version = 0;
  private readonly entries = new Map<string, Entry>();
  private readonly busy = new Set<string>();
  private readonly queue = new Map<string, { name: string; rank: number }>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly given = new AbortController();

  constructor(
    private readonly fetch: FetchPoints,
    private readonly most: number,
    schedule?: Schedule,
    private readonly now: () => number = () => performance.now(),
    private readonly within: Omit<Window, "points"> = { axis: "step" },
    /** When the run's newest state was true, in seconds since the epoch. */
    private readonly seen: () => number = () => 0,
  ) {
    this.changes = new Emitter(schedule);
  }

  /** What the notebook recorded, to begin with. */
  seed(series: readonly Series[], line: (series: Series) => Line): void {
    for (const one of series) {
      const key = keyOf(one);
      if (!this.entries.has(key)) {
        this.entries.set(key, {
          line: line(one),
          ahead: null,
          total: one.total,
          count: -1,
          wanted: 0,
          due: 0,
          failures: 0,
        });
      }
    }
  }

  /** These metrics are on the screen: bring them up to date. */
  want(metrics: readonly Metric[]): void {
    for (const metric of metrics) {
      const entry = this.entry(metric);
      if (entry.wanted !== metric.count) {
        entry.wanted = metric.count;
        entry.failures = 0;
      }
      if (entry.count !== metric.count && entry.failures < MOST_FAILURES) {
        this.queue.set(keyOf(metric), { name: metric.name, rank: metric.rank });
      }
    }
    this.pump();
  }

  /**
   * The metric's points, its newest one included as soon as it is known; empty until the first are there. The same object
   * as long as nothing has changed.
   */
  line(metric: Metric): { line: Line; total: number } {
    const entry = this.entry(metric);
    const { line } = entry;
    const last = asNumber(metric.last);
    const step = metric.lastStep;
    const known = entry.ahead?.of === line ? entry.ahead : { of: line, count: entry.count, line };
    if (entry.count < 0 || metric.count <= entry.count || step === null || last === null) {
      return { line, total: Math.max(entry.total, metric.count) };
    }
    if (metric.count > known.count && step > (known.line.steps.at(-1) ?? Number.NEGATIVE_INFINITY)) {
      entry.ahead = { of: line, count: metric.count, line: longer(known.line, step, this.seen(), last) };
      return { line: entry.ahead.line, total: metric.count };
    }
    return { line: known.line, total: metric.count };
  }

  /** Whether the service has answered for it. */
  has(metric: Metric): boolean {
    return (this.entries.get(keyOf(metric))?.count ?? -1) >= 0;
  }

  /** The points as the service gave them. */
  points(metric: Metric): Line {
    return this.entry(metric).line;
  }

  dispose(): void {
    this.given.abort();
    clearTimeout(this.timer);
    this.queue.clear();
  }

  private entry(metric: { name: string; rank: number }): Entry {
    const key = keyOf(metric);
    let entry = this.entries.get(key);
    if (entry === undefined) {
      const line = { rank: metric.rank, steps: [], times: [], values: [] };
      entry = { line, ahead: null, total: 0, count: -1, wanted: 0, due: 0, failures: 0 };
      this.entries.set(key, entry);
    }
    return entry;
  }

  private pump(): void {
    clearTimeout(this.timer);
    let next = Number.POSITIVE_INFINITY;
    for (const [key, metric] of this.queue) {
      if (this.given.signal.aborted || this.busy.size >= AT_ONCE) {
        return; // who ends pumps again
      }
      if (this.busy.has(key)) {
        continue;
      }
      const { due, count, wanted } = this.entry(metric);
      if (count === wanted) {
        this.queue.delete(key); // asked for again while the answer was on its way
        continue;
      }
      if (due > this.now()) {
        next = Math.min(next, due);
        continue;
      }
      this.queue.delete(key);
      void this.load(key, metric);
    }
    if (next < Number.POSITIVE_INFINITY) {
      this.timer = setTimeout(() => this.pump(), Math.max(1, next - this.now()));
    }
  }

  private async load(key: string, metric: { name: string; rank: number }): Promise<void> {
    this.busy.add(key);
    const entry = this.entry(metric);
    const { wanted } = entry;
    const began = this.now();
    try {
      const points = await this.fetch(metric, { ...this.within, points: this.most }, this.given.signal);
      if (this.given.signal.aborted) {
        return;
      }
      entry.line = lineOfPoints(metric.rank, points);
      entry.total = points.total;
      entry.count = wanted;
      entry.failures = 0;
      entry.due = this.now() + Math.max(SHORTEST_PAUSE_MS, REST_SHARE * (this.now() - began));
      this.version += 1;
      this.changes.changed();
    } catch {
      // The chart stays as it is and says how many of the points it has. Tried again, for a while and with the next state.
      entry.due = this.now() + FAILED_PAUSE_MS;
      entry.failures += 1;
      if (entry.failures < MOST_FAILURES) {
        this.queue.set(key, metric);
      }
    } finally {
      this.busy.delete(key);
      this.pump();
    }
  }
}

export function lineOfPoints(rank: number, points: Points): Line {
  const line = { rank, steps: [] as number[], times: [] as number[], values: [] as number[] };
  points.values.forEach((raw, index) => {
    const value = asNumber(raw as Value);
    if (value !== null) {
      line.steps.push(points.steps[index] ?? index);
      line.times.push(points.times[index] ?? 0);
      line.values.push(value);
    }
  });
  return line;
}

function longer(line: Line, step: number, time: number, value: number): Line {
  return {
    rank: line.rank,
    steps: [...line.steps, step],
    times: [...(line.times ?? []), Math.max(time, line.times?.at(-1) ?? 0)],
    values: [...line.values, value],
  };
}

function keyOf({ name, rank }: { name: string; rank: number }): string {
  return `${rank}/${name}`;
}
