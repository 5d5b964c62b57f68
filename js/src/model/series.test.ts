import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Metric } from "../api/payload";
import type { Points } from "../api/rest";
import { SeriesStore } from "./series";

const metric = (name: string, count: number, last = count): Metric => ({
  name,
  rank: 0,
  count,
  last,
  lastStep: count - 1,
  min: 0,
  minStep: 0,
  max: last,
  maxStep: 0,
});

const points = (count: number): Points => ({
  total: count,
  steps: Array.from({ length: count }, (_, index) => index),
  times: Array.from({ length: count }, (_, index) => 1000 + index),
  values: Array.from({ length: count }, (_, index) => index),
});

let open: { name: string; answer: (points: Points) => void; refuse: () => void }[];
let store: SeriesStore;
/** When the run's newest state was true. */
let seen: number;

beforeEach(() => {
  vi.useFakeTimers();
  open = [];
  seen = 0;
  store = new SeriesStore(
    ({ name }) =>
      new Promise((resolve, reject) => {
        open.push({ name, answer: resolve, refuse: () => reject(new Error("cut")) });
      }),
    600,
    (look) => look(),
    () => Date.now(),
    undefined,
    () => seen,
  );
});

afterEach(() => vi.useRealTimers());

async function answer(count: number, index = 0): Promise<void> {
  open.splice(index, 1)[0]?.answer(points(count));
  await vi.advanceTimersByTimeAsync(0);
}

describe("SeriesStore", () => {
  it("fetches what is on the screen, a few at a time", async () => {
    store.want(Array.from({ length: 10 }, (_, index) => metric(`m${index}`, 3)));
    expect(open.map(({ name }) => name)).toEqual(["m0", "m1", "m2", "m3"]);
    await answer(3);
    expect(open.map(({ name }) => name)).toEqual(["m1", "m2", "m3", "m4"]);
  });

  it("does not ask again for what has not grown", async () => {
    store.want([metric("loss", 3)]);
    await answer(3);
    store.want([metric("loss", 3)]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveLength(0);
    expect(store.line(metric("loss", 3)).line.values).toEqual([0, 1, 2]);
  });

  it("does not ask again for what is on its way", async () => {
    store.want([metric("loss", 3)]);
    store.want([metric("loss", 3)]);
    await answer(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveLength(0);
  });

  it("has one request under way for a metric, however fast it grows, and then asks for the newest", async () => {
    store.want([metric("loss", 3)]);
    for (let count = 4; count < 50; count++) {
      store.want([metric("loss", count)]);
    }
    expect(open).toHaveLength(1);
    await answer(3);
    await vi.advanceTimersByTimeAsync(900);
    expect(open).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(200);
    expect(open).toHaveLength(1);
    await answer(49);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(open).toHaveLength(0);
    expect(store.line(metric("loss", 49)).line.values).toHaveLength(49);
  });

  it("rests longer after a slow answer", async () => {
    store.want([metric("loss", 3)]);
    await vi.advanceTimersByTimeAsync(1000);
    await answer(3);
    store.want([metric("loss", 4)]);
    await vi.advanceTimersByTimeAsync(2900);
    expect(open).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(200);
    expect(open).toHaveLength(1);
  });

  it("draws the newest point before its fetch is answered", async () => {
    store.want([metric("loss", 3)]);
    await answer(3);
    const { line, total } = store.line(metric("loss", 5, 0.25));
    expect([line.steps.at(-1), line.values.at(-1), total]).toEqual([4, 0.25, 5]);
    expect(store.line(metric("loss", 3)).line.values).toHaveLength(3);
  });

  it("puts a point where its state was seen, and never before the one before it", async () => {
    store.want([metric("loss", 3)]);
    await answer(3);
    seen = 1007.5;
    expect(store.line(metric("loss", 4)).line.times).toEqual([1000, 1001, 1002, 1007.5]);
    seen = 1003;
    expect(store.line(metric("loss", 5)).line.times?.at(-1)).toBe(1007.5);
  });

  it("draws every point that a slow run's states bring, and the same line until there is another", async () => {
    store.want([metric("loss", 3)]);
    await answer(3);
    for (let count = 4; count <= 6; count++) {
      store.want([metric("loss", count)]);
      const { line } = store.line(metric("loss", count));
      expect(line.steps).toEqual(Array.from({ length: count }, (_, index) => index));
      expect(store.line(metric("loss", count)).line).toBe(line);
    }
  });

  it("tries again after a failure, and not for ever", async () => {
    store.want([metric("loss", 3)]);
    for (let attempt = 0; attempt < 20; attempt++) {
      open.splice(0, 1)[0]?.refuse();
      store.want([metric("loss", 3)]); // the card is drawn again
      await vi.advanceTimersByTimeAsync(4000);
    }
    expect(open).toHaveLength(0);
    store.want([metric("loss", 4)]);
    expect(open).toHaveLength(1);
  });

  it("asks nothing once it is disposed of", async () => {
    store.want([metric("loss", 3)]);
    store.want([metric("loss", 4)]);
    store.dispose();
    await answer(3);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveLength(0);
  });
});
