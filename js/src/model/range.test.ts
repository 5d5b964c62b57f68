import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Metric } from "../api/payload";
import type { Points, Window } from "../api/rest";
import { PLAIN_VIEW, type View } from "./chart";
import { extentOf, moved, RangeStore, scaled, windowOf, within } from "./range";
import { SeriesStore } from "./series";

describe("ranges", () => {
  const all = [0, 100] as const;

  it("come closer around a place that stays where it is", () => {
    expect(scaled(all, 0.5, all)).toEqual([25, 75]);
    expect(scaled([20, 40], 0.5, all, 20)).toEqual([20, 30]);
  });

  it("go back to the whole, which is no range", () => {
    expect(scaled([25, 75], 2, all)).toBeNull();
    expect(scaled([0, 40], 2, all)).toEqual([0, 60]);
  });

  it("move, and stop at the ends", () => {
    expect(moved([20, 40], 0.25, all)).toEqual([25, 45]);
    expect(moved([10, 30], -1, all)).toEqual([0, 20]);
    expect(moved([75, 95], 1, all)).toEqual([80, 100]);
    expect(moved(all, 1, all)).toBeNull();
  });

  it("do not leave what there is, and are not empty", () => {
    expect(within([-10, 50], all)).toEqual([0, 50]);
    expect(within([50, 50], all)).toBeNull();
    expect(within([200, 300], all)).toBeNull();
  });

  it("are asked for on the service's axes", () => {
    const view: View = { ...PLAIN_VIEW, origin: 1000, range: [10, 20] };
    expect(windowOf(view)).toEqual({ axis: "step", start: 10, stop: 20 });
    expect(windowOf({ ...view, axis: "relative" })).toEqual({ axis: "time", start: 1010, stop: 1020 });
    expect(windowOf({ ...view, axis: "wall" })).toEqual({ axis: "time", start: 10, stop: 20 });
  });
});

const COUNT = 1000;
const metric = (count = COUNT, name = "loss"): Metric => ({
  name,
  rank: 0,
  count,
  last: count - 1,
  lastStep: count - 1,
  min: 0,
  minStep: 0,
  max: count - 1,
  maxStep: count - 1,
});

/** Every hundredth point of the whole, every point of a window. */
function points({ start = 0, stop = COUNT - 1 }: Partial<Window>): Points {
  const stride = stop - start > 500 ? 100 : 1;
  const steps: number[] = [];
  for (let step = Math.ceil(start); step <= stop; step += stride) {
    steps.push(step);
  }
  return {
    total: COUNT,
    steps,
    times: steps.map((step) => 5000 + step),
    values: steps.map((step) => (step === 250 ? "NaN" : step)),
  };
}

let asked: { name: string; window: Window; signal: AbortSignal; answer: () => void }[];
let store: RangeStore;

beforeEach(async () => {
  vi.useFakeTimers();
  asked = [];
  const fetch = ({ name }: { name: string }, window: Window, signal: AbortSignal) =>
    new Promise<Points>((resolve) => {
      asked.push({ name, window, signal, answer: () => resolve(points(window)) });
    });
  const now = () => Date.now();
  const look = (work: () => void) => work();
  store = new RangeStore(new SeriesStore(fetch, 600, look, now), fetch, 800, look, now);
  store.want([metric()]);
  await answer();
});

afterEach(() => vi.useRealTimers());

async function answer(): Promise<void> {
  for (const { answer: give } of asked.splice(0)) {
    give();
  }
  await vi.advanceTimersByTimeAsync(0);
}

const looking = (from: number, to: number): View => ({ ...PLAIN_VIEW, range: [from, to] });

describe("RangeStore", () => {
  it("shows the coarse points until the window's own are there, and those between the coarse ones beside it", async () => {
    store.look(looking(200, 300));
    store.want([metric()]);
    expect(store.line(metric()).line.steps).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    expect(asked.map(({ window }) => window)).toEqual([{ axis: "step", start: 200, stop: 300, points: 800 }]);
    await answer();
    const { line, total } = store.line(metric());
    expect(line.steps.slice(0, 4)).toEqual([0, 100, 200, 201]);
    expect(line.steps.slice(-8)).toEqual([298, 299, 300, 400, 500, 600, 700, 800, 900].slice(-8));
    expect(line.values[line.steps.indexOf(250)]).toBeNaN();
    expect(line.times?.[2]).toBe(5200);
    expect(total).toBe(COUNT);
    expect(store.line(metric()).line).toBe(line);
  });

  it("takes no answer for a window that is no longer looked at", async () => {
    store.look(looking(200, 300));
    store.want([metric()]);
    const [stale] = asked.splice(0);
    store.look(looking(400, 500));
    store.want([metric()]);
    await vi.advanceTimersByTimeAsync(100);
    expect(stale?.signal.aborted).toBe(true);
    await answer();
    stale?.answer();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.line(metric()).line.steps).not.toContain(201);
    expect(store.line(metric()).line.steps).toContain(401);
  });

  it("asks once when a key is held", async () => {
    store.look(looking(0, 500));
    await answer();
    for (let from = 10; from < 200; from += 10) {
      store.look(looking(from, from + 100));
      store.want([metric()]);
      await vi.advanceTimersByTimeAsync(30);
    }
    await vi.advanceTimersByTimeAsync(200);
    expect(asked.map(({ window }) => window.start)).toEqual([190]);
  });

  it("asks anew when the window may have grown, and only then", async () => {
    store.look(looking(200, 300));
    store.want([metric()]);
    await answer();
    store.want([metric(COUNT + 1)]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked.filter(({ window }) => window.start !== undefined)).toEqual([]);
    await answer();
    store.look(looking(950, 1100));
    store.want([metric(COUNT + 1)]);
    await vi.advanceTimersByTimeAsync(200);
    await answer();
    store.want([metric(COUNT + 2)]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked.filter(({ window }) => window.start === 950)).toHaveLength(1);
  });

  it("is the whole again", async () => {
    store.look(looking(200, 300));
    await answer();
    store.look(PLAIN_VIEW);
    expect(store.line(metric()).line.steps).toHaveLength(10);
  });

  it("shows a window of points out of order as it came", async () => {
    const mixed = { total: 3, steps: [5, 3, 4], times: [1, 2, 3], values: [1, 2, 3] };
    const fetch = async () => mixed;
    const look = (work: () => void) => work();
    const disordered = new RangeStore(new SeriesStore(fetch, 600, look), fetch, 800, look);
    disordered.want([metric(3)]);
    await vi.advanceTimersByTimeAsync(0);
    disordered.look(looking(3, 5));
    disordered.want([metric(3)]);
    await vi.advanceTimersByTimeAsync(0);
    expect(disordered.line(metric(3)).line.steps).toEqual([5, 3, 4]);
  });

  it("asks for nothing once it is disposed of", async () => {
    store.look(looking(200, 300));
    store.look(looking(300, 400));
    store.dispose();
    asked.splice(0);
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toEqual([]);
  });
});

describe("extentOf", () => {
  it("is that of all lines on the view's axis", () => {
    const lines = [
      { rank: 0, steps: [3, 1], times: [103, 101], values: [0, Number.NaN] },
      { rank: 1, steps: [7], times: [107], values: [0] },
    ];
    expect(extentOf(lines, PLAIN_VIEW)).toEqual([1, 7]);
    expect(extentOf(lines, { ...PLAIN_VIEW, axis: "relative", origin: 100 })).toEqual([1, 7]);
    expect(extentOf([], PLAIN_VIEW)).toBeNull();
  });
});
