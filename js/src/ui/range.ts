import type { TargetedKeyboardEvent } from "preact";
import { useMemo, useState } from "preact/hooks";

import type { Metric } from "../api/payload";
import { PLAIN_VIEW, type Range, type View } from "../model/chart";
import { extentOf, moved, type RangeStore, scaled, within } from "../model/range";
import { STEPS, type Step } from "./MetricsToolbar";

/**
 * What all charts of the card show, and what changes it: `pressed` takes the keys of the buttons. `started`: where relative
 * time begins.
 */
export function useRange(
  points: RangeStore,
  metrics: readonly Metric[],
  started: number | null,
  first: View = PLAIN_VIEW,
) {
  const [chosen, setChosen] = useState<View>(first);
  const origin = started ?? firstTime(points, metrics);
  const view = useMemo(() => (origin === null ? chosen : { ...chosen, origin }), [chosen, origin]);
  const put = (range: Range | null) => {
    const { range: _, ...plain } = view;
    const next = range ? { ...plain, range } : plain;
    points.look(next);
    setChosen(next);
  };
  const look = (next: View) => {
    if (next.axis === view.axis) {
      setChosen(next);
    } else {
      const { range: _, ...plain } = next; // steps are not seconds
      points.look(plain);
      setChosen(plain);
    }
  };
  const whole = () =>
    extentOf(
      metrics.map((metric) => points.whole.line(metric).line),
      view,
    );
  const step = (way: Step) => {
    const all = whole();
    if (all) {
      const now = view.range ?? all;
      const ways = {
        closer: () => scaled(now, 0.5, all),
        wider: () => scaled(now, 2, all),
        left: () => moved(now, -0.25, all),
        right: () => moved(now, 0.25, all),
        whole: () => null,
      };
      show(ways[way]());
    }
  };
  const show = (range: Range | null) => {
    const all = whole();
    const ends: Range | null =
      range && view.axis === "step" ? [Math.floor(range[0]), Math.ceil(range[1])] : range;
    put(ends && all ? within(ends, all) : null);
  };
  const pressed = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const way = STEPS[event.key];
    if (way && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      step(way);
    }
  };
  return { view, look, show, step, pressed };
}

function firstTime(points: RangeStore, metrics: readonly Metric[]): number | null {
  const times = metrics.flatMap((metric) => points.whole.line(metric).line.times?.[0] ?? []);
  return times.length ? Math.min(...times) : null;
}
