/** The geometry of one metric's chart, without a DOM; `jupyter_mltrain/widgets/chart_svg.py` draws the same picture. */

import type { Series, Value } from "../api/payload";
import { formatNumber, formatSpan } from "./formats";
import { t } from "./language";

export const WIDTH = 390;
export const HEIGHT = 118;
export const TOP = 6;
export const BOTTOM = 16;
export const RIGHT = 4;
/** Larger values are drawn at this size: beyond it the difference of two finite numbers need not be finite. */
const LARGEST = 1e307;
const MAX_LINES = 8;
const MAX_MARKERS = 40;

export interface Line {
  rank: number;
  steps: number[];
  /** Seconds since the epoch; a saved payload has none. */
  times?: number[];
  /** NaN and ±Inf included. */
  values: number[];
}

export interface Tick {
  y: number;
  label: string;
  value: number;
}

export interface Marker {
  path: string;
  title: string;
  step: number;
  value: number;
}

export interface Chart {
  left: number;
  right: number;
  ticks: Tick[];
  /** SVG path data, a line per rank. */
  paths: string[];
  /** The lines as logged, behind smoothed ones. */
  behind: string[];
  markers: Marker[];
  /** Lines on the chart's axes (of a logarithmic one, the logarithms), smoothed where that is asked for, and as logged. */
  lines: Line[];
  logged: Line[];
  /** Of the drawing area, on the vertical axis. */
  low: number;
  high: number;
  /** Of the drawing area, on the horizontal axis. */
  first: number;
  last: number;
  firstStep: string;
  lastStep: string;
}

/** From and to on the horizontal axis: steps, seconds since `origin`, or seconds since the epoch. */
export type Range = readonly [number, number];

/** How lines are looked at. `smoothing`: 0 (as logged) to below 1, the weight of what was before. */
export interface View {
  axis: "step" | "relative" | "wall";
  log: boolean;
  smoothing: number;
  /** Where relative time begins, in seconds since the epoch; without it, each line's own first point. */
  origin?: number;
  /** The vertical axis begins at 0. */
  zero?: boolean;
  /** The part that is looked at; without it, all there is. */
  range?: Range;
}

export const PLAIN_VIEW: View = { axis: "step", log: false, smoothing: 0 };

/** The number a payload's value stands for ("NaN", "Infinity" are names of numbers there), or null for text. */
export function asNumber(value: Value): number | null {
  if (typeof value === "number") {
    return value;
  }
  const named = new Map([
    ["NaN", Number.NaN],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["-Infinity", Number.NEGATIVE_INFINITY],
  ]);
  return typeof value === "string" ? (named.get(value) ?? null) : null;
}

export function lineOf(series: Series): Line {
  const line: Line = { rank: series.rank, steps: [], values: [] };
  series.values.forEach((raw, index) => {
    const value = asNumber(raw);
    if (value !== null) {
      line.steps.push(series.steps[index] ?? index);
      line.values.push(value);
    }
  });
  return line;
}

export function layOut(all: readonly Line[], view: View = PLAIN_VIEW): Chart {
  const logged = all.slice(0, MAX_LINES).map((line) => placed(line, view));
  const lines = view.smoothing > 0 ? logged.map((line) => smoothed(line, view.smoothing)) : logged;
  const [first, last] =
    view.range ??
    extent(
      logged.flatMap((line) => line.steps),
      [0, 1],
    );
  const inside = (step: number) => step >= first && step <= last;
  const finite = logged.flatMap(({ steps, values }) =>
    values.filter((value, index) => Number.isFinite(value) && inside(steps[index] ?? 0)).map(drawable),
  );
  const seen = extent(finite, [0, 1]);
  const [from, to] = view.zero ? [0, seen[1] > 0 ? seen[1] : 1] : padded(...seen);
  const values = niceTicks(from, to);
  const low = values[0] ?? from;
  const high = values.at(-1) ?? to;
  const labels = values.map((value) => formatNumber(view.log ? 10 ** value : value));
  const left = 8 + 5.6 * Math.max(1, ...labels.map((label) => label.length));
  const x = (step: number) =>
    left + (last > first ? (step - first) / (last - first) : 0.5) * (WIDTH - RIGHT - left);
  const y = (value: number) =>
    HEIGHT - BOTTOM - ((drawable(value) - low) / (high - low)) * (HEIGHT - BOTTOM - TOP);
  return {
    left,
    right: WIDTH - RIGHT,
    ticks: values.map((value, index) => ({ y: y(value), label: labels[index] ?? "", value })),
    paths: lines.map((line) => pathOf(line, x, y)),
    behind: view.smoothing > 0 ? logged.map((line) => pathOf(line, x, y)) : [],
    markers: markersOf(
      view.log ? all.slice(0, MAX_LINES).map((line) => placed(line, { ...view, log: false })) : logged,
      x,
      inside,
    ),
    lines,
    logged,
    low,
    high,
    first,
    last,
    firstStep: placeWords(first, view),
    lastStep: view.axis === "step" ? t("step {step}", { step: formatNumber(last) }) : placeWords(last, view),
  };
}

/** Whether two charts are the same picture. */
export function looksLike(one: Chart, other: Chart): boolean {
  const same = (mine: readonly string[], yours: readonly string[]) =>
    mine.length === yours.length && mine.every((part, index) => part === yours[index]);
  const words = ({ ticks, markers, firstStep, lastStep }: Chart) => [
    ...ticks.map(({ label }) => label),
    ...markers.map(({ title }) => title),
    firstStep,
    lastStep,
  ];
  return same(one.paths, other.paths) && same(one.behind, other.behind) && same(words(one), words(other));
}

/** What was placed last of each line, and how: a line is looked at many times, and Plotly tells by identity what is new. */
const knownLog = new WeakMap<Line, { way: string; line: Line }>();
const knownPlain = new WeakMap<Line, { way: string; line: Line }>();

/** A line on the view's axes: `steps` are what is on the horizontal one. The same object for the same line and axes. */
export function placed(line: Line, view: View): Line {
  const way = `${view.axis} ${view.origin}`;
  const cache = view.log ? knownLog : knownPlain;
  const found = cache.get(line);
  if (found?.way === way) {
    return found.line;
  }
  const { times } = line;
  const start = view.origin ?? times?.[0] ?? 0;
  const steps =
    view.axis === "step" || !times ? line.steps : times.map((at) => (view.axis === "wall" ? at : at - start));
  // What has no logarithm leaves a gap.
  const values = view.log
    ? line.values.map((value) => (value > 0 ? Math.log10(value) : Number.NaN))
    : line.values;
  const made = { ...line, steps, values };
  cache.set(line, { way, line: made });
  return made;
}

/** The point of a placed line that is nearest to `at` on the horizontal axis; null for a line without points. */
export function nearest(line: Line, at: number): { step: number; value: number } | null {
  const { steps, values } = line;
  let best = -1;
  // Steps come in the order of logging, which need not be theirs.
  for (let index = 0; index < steps.length; index++) {
    if (best < 0 || Math.abs((steps[index] ?? 0) - at) < Math.abs((steps[best] ?? 0) - at)) {
      best = index;
    }
  }
  return best < 0 ? null : { step: steps[best] ?? 0, value: values[best] ?? Number.NaN };
}

const knownSmooth = new WeakMap<Line, { weight: number; line: Line }>();

/** An exponential moving average, corrected for its start; values that are no numbers stay as they are. */
export function smoothed(line: Line, weight: number): Line {
  const found = knownSmooth.get(line);
  if (found?.weight === weight) {
    return found.line;
  }
  let sum = 0;
  let share = 0;
  const values = line.values.map((value) => {
    if (!Number.isFinite(value)) {
      return value;
    }
    sum = sum * weight + value * (1 - weight);
    share = share * weight + (1 - weight);
    return sum / share;
  });
  const made = { ...line, values };
  knownSmooth.set(line, { weight, line: made });
  return made;
}

/** A place on the horizontal axis, in words. */
export function placeWords(at: number, { axis }: View): string {
  if (axis === "step") {
    return formatNumber(at);
  }
  return axis === "relative" ? formatSpan(at) : new Date(at * 1000).toLocaleTimeString();
}

/** Round numbers, 1, 2 or 5 times a power of ten apart, about so many; the first ≤ `low`, the last ≥ `high`. */
export function niceTicks(low: number, high: number, about = 4): number[] {
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((multiple) => multiple * power >= rough * 0.999) ?? 10) * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const digits = Math.min(100, Math.max(0, -Math.floor(Math.log10(step))));
  return Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toFixed(digits)),
  );
}

function drawable(value: number): number {
  return Math.min(LARGEST, Math.max(-LARGEST, value));
}

function extent(values: readonly number[], otherwise: [number, number]): [number, number] {
  return values.length
    ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))]
    : otherwise;
}

function padded(low: number, high: number): [number, number] {
  if (high > low) {
    return [low, high];
  }
  const room = Math.abs(low) * 0.05 || 0.5;
  return [low - room, low + room];
}

type Scale = (value: number) => number;

function pathOf(line: Line, x: Scale, y: Scale): string {
  // A gap (not a number) lifts the pen; a lone point between gaps is drawn as a dot by its zero-length line.
  let pen = false;
  return line.values
    .map((value, index) => {
      const drawn = Number.isFinite(value);
      const at = drawn ? `${x(line.steps[index] ?? 0).toFixed(1)} ${y(value).toFixed(1)}` : "";
      const part = !drawn ? "" : pen ? `L${at}` : `M${at}h.1`;
      pen = drawn;
      return part;
    })
    .join("");
}

function markersOf(lines: readonly Line[], x: Scale, inside: (step: number) => boolean): Marker[] {
  const found = lines.flatMap((line) =>
    line.values
      .map((value, index) => ({ step: line.steps[index] ?? 0, value }))
      .filter(({ step, value }) => !Number.isFinite(value) && inside(step)),
  );
  const stride = Math.max(1, Math.ceil(found.length / MAX_MARKERS));
  return found
    .filter((_, index) => index % stride === 0)
    .map(({ step, value }) => ({
      path: shapeOf(x(step).toFixed(1), value),
      title: t("{value} at step {step}", { value: formatNumber(value), step: formatNumber(step) }),
      step,
      value,
    }));
}

/** +Inf points up at the top, −Inf down at the bottom, NaN is a diamond on the axis. */
function shapeOf(x: string, value: number): string {
  const bottom = HEIGHT - BOTTOM;
  if (value === Number.POSITIVE_INFINITY) {
    return `M${x} ${TOP - 5}l4 7h-8z`;
  }
  return value === Number.NEGATIVE_INFINITY
    ? `M${x} ${bottom + 4}l4 -7h-8z`
    : `M${x} ${bottom - 4.5}l4 4l-4 4l-4 -4z`;
}
