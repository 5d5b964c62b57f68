/** The part of the horizontal axis that all charts of a card show, and the points for it. */

import type { Metric } from "../api/payload";
import type { Window } from "../api/rest";
import { type Line, placed, type Range, type View } from "./chart";
import { Emitter, type Schedule } from "./emitter";
import { type FetchPoints, SeriesStore } from "./series";

/** Asked for in quick succession (keys held, a wheel), a window is fetched when it rests. */
const REST_MS = 80;

/** All that the lines hold, on the view's axis; null without points. */
export function extentOf(lines: readonly Line[], view: View): Range | null {
  const plain = { ...view, log: false };
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const line of lines) {
    for (const step of placed(line, plain).steps) {
      low = Math.min(low, step);
      high = Math.max(high, step);
    }
  }
  return low <= high ? [low, high] : null;
}

/** `factor` below 1: closer. `at` stays where it is; the result stays within `all`, and is null for the whole. */
export function scaled(
  range: Range,
  factor: number,
  all: Range,
  at = (range[0] + range[1]) / 2,
): Range | null {
  const width = (range[1] - range[0]) * factor;
  const share = range[1] > range[0] ? (at - range[0]) / (range[1] - range[0]) : 0.5;
  return within([at - width * share, at + width * (1 - share)], all);
}

/** By a share of its width, to the right or (negative) to the left, never beyond `all`. */
export function moved(range: Range, share: number, all: Range): Range | null {
  const width = range[1] - range[0];
  const from = Math.min(Math.max(range[0] + share * width, all[0]), Math.max(all[0], all[1] - width));
  return within([from, from + width], all);
}

/** The part of `range` that `all` has; null if that is the whole. */
export function within(range: Range, all: Range): Range | null {
  const from = Math.max(range[0], all[0]);
  const to = Math.min(range[1], all[1]);
  const whole = from <= all[0] && to >= all[1];
  return whole || !(to > from) ? null : [from, to];
}

/** What the service is asked for, for a range of the view's axis. */
export function windowOf({ axis, origin = 0, range }: View): Omit<Window, "points"> {
  const start = axis === "relative" ? origin : 0;
  return {
    axis: axis === "step" ? "step" : "time",
    ...(range ? { start: range[0] + start, stop: range[1] + start } : {}),
  };
}

/**
 * The points of a card's charts: of the whole run, and, looked at closer, of the window that all of them show. Of a
 * window that is no longer looked at no answer is taken.
 */
export class RangeStore {
  readonly changes: Emitter;
  private part: SeriesStore | null = null;
  private view: View | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private looked = Number.NEGATIVE_INFINITY;
  private stop: () => void;
  private readonly wanted = new Map<string, Metric>();
  private readonly merged = new Map<string, { whole: Line; part: Line; view: View; line: Line }>();

  constructor(
    readonly whole: SeriesStore,
    private readonly fetch: FetchPoints,
    private readonly points: number,
    private readonly schedule?: Schedule,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.changes = new Emitter((look) => look()); // the stores below have waited for their turn
    this.stop = whole.changes.listen(() => this.changes.changed());
  }

  /** All charts show this range of this axis from now on. */
  look(view: View): void {
    clearTimeout(this.timer);
    this.part?.dispose();
    this.part = null;
    this.wanted.clear();
    this.merged.clear();
    this.view = view.range ? view : null;
    if (!view.range) {
      return;
    }
    const rest = REST_MS - (this.now() - this.looked);
    this.looked = this.now();
    if (rest <= 0) {
      this.open(view);
    } else {
      this.timer = setTimeout(() => this.open(view), REST_MS);
    }
  }

  /** These metrics are on the screen: bring them up to date. */
  want(metrics: readonly Metric[]): void {
    this.whole.want(metrics);
    for (const metric of metrics) {
      this.wanted.set(`${metric.rank}/${metric.name}`, metric);
    }
    this.part?.want(metrics.filter((metric) => this.grows(metric)));
  }

  line(metric: Metric): { line: Line; total: number } {
    const found = this.whole.line(metric);
    const { view, part } = this;
    if (view === null || !part?.has(metric)) {
      return found;
    }
    const key = `${metric.rank}/${metric.name}`;
    const closer = part.points(metric);
    const known = this.merged.get(key);
    if (known && known.whole === found.line && known.part === closer && known.view === view) {
      return { line: known.line, total: found.total };
    }
    const line = joined(found.line, closer, view);
    this.merged.set(key, { whole: found.line, part: closer, view, line });
    return { line, total: found.total };
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.stop();
    this.part?.dispose();
    this.part = null;
  }

  private open(view: View): void {
    const part = new SeriesStore(this.fetch, this.points, this.schedule, this.now, windowOf(view));
    part.changes.listen(() => this.changes.changed());
    this.part = part;
    part.want([...this.wanted.values()]);
  }

  /** Whether the window may hold more of a metric than was fetched: what lies behind a run does not change. */
  private grows(metric: Metric): boolean {
    const { view, part } = this;
    if (view?.range === undefined || !part?.has(metric)) {
      return true;
    }
    const { steps } = placed(this.whole.line(metric).line, { ...view, log: false });
    return (steps.at(-1) ?? Number.NEGATIVE_INFINITY) <= view.range[1];
  }
}

/** The window's points in place of the coarse ones there; beside it the coarse ones, so that lines run to its edges. */
function joined(whole: Line, part: Line, view: View): Line {
  const { range } = view;
  const steps = placed(whole, { ...view, log: false }).steps;
  const comparable = view.axis === "step" || whole.times !== undefined;
  if (!range || !comparable || steps.some((step, index) => index > 0 && step < (steps[index - 1] ?? step))) {
    return part; // of points out of order none is before or after
  }
  const from = steps.findIndex((step) => step >= range[0]);
  const before = from < 0 ? steps.length : from;
  const to = steps.findIndex((step) => step > range[1]);
  const after = to < 0 ? steps.length : to;
  const join = (all: readonly number[], own: readonly number[]) => [
    ...all.slice(0, before),
    ...own,
    ...all.slice(after),
  ];
  return {
    rank: whole.rank,
    steps: join(whole.steps, part.steps),
    values: join(whole.values, part.values),
    ...(whole.times && part.times ? { times: join(whole.times, part.times) } : {}),
  };
}
