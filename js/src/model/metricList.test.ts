import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { parseState } from "../api/parse";
import type { Metric } from "../api/payload";
import { MetricList } from "./metricList";

const CARRIED = 50;
const raw = (name: string, count: number) => ({ name, rank: 0, count, last: count, last_step: count - 1 });
const names = (metrics: readonly Metric[]) => metrics.map(({ name }) => name);
const numbered = (many: number, count = 1) =>
  Array.from({ length: many }, (_, index) => raw(`m${index}`, count));
const parsed = (metrics: object[]) => parseState({ status: "Running", metrics }, "r").metrics;

/** A state of a run with so many metrics, each logged `count` times. */
const state = (many: number, count = 1) =>
  parseState(
    {
      status: "Running",
      metrics: numbered(Math.min(many, CARRIED), count),
      metric_series: many,
      metric_points: many * count,
    },
    "r",
  );

let open: { answer: (metrics: Metric[]) => void; refuse: () => void }[];
let list: MetricList;

beforeEach(() => {
  vi.useFakeTimers();
  open = [];
  list = new MetricList(
    () => new Promise((answer, reject) => open.push({ answer, refuse: () => reject(new Error("cut")) })),
    (look) => look(),
    () => Date.now(),
  );
});

afterEach(() => vi.useRealTimers());

async function answer(metrics: object[]): Promise<void> {
  open.shift()?.answer(parsed(metrics));
  await vi.advanceTimersByTimeAsync(0);
}

describe("MetricList", () => {
  it("asks for nothing where the state carries all", () => {
    const small = state(3);
    list.want(small);
    expect(open).toHaveLength(0);
    expect(list.of(small)).toBe(small.metrics);
    expect(list.count(small)).toBe(3);
  });

  it("has all in their order, and says how many there are before it knows them", async () => {
    const many = state(120);
    expect(list.count(many)).toBe(120);
    expect(list.of(many)).toHaveLength(CARRIED);
    list.want(many);
    await answer(numbered(120));
    expect(names(list.of(many))).toEqual(names(parsed(numbered(120))));
    expect(list.count(many)).toBe(120);
    expect(list.of(many)).toBe(list.of(many));
  });

  it("counts the ranks of a metric as one", async () => {
    const ranks = Array.from({ length: 60 }, (_, index) => ({
      ...raw(`m${index % 20}`, 1),
      rank: index % 3,
    }));
    const many = { ...state(60), metrics: parsed(ranks.slice(0, CARRIED)) };
    list.want(many);
    await answer(ranks);
    expect(list.count(many)).toBe(20);
  });

  it("takes the newer of what the state and the list say", async () => {
    list.want(state(60, 1));
    await answer(numbered(60, 2));
    const last = (metrics: readonly Metric[]) => [metrics[0]?.last, metrics[59]?.last];
    expect(last(list.of(state(60, 1)))).toEqual([2, 2]);
    expect(last(list.of(state(60, 5)))).toEqual([5, 2]);
  });

  it("shows a metric that the list does not know yet", async () => {
    list.want(state(60));
    await answer(numbered(60).slice(1));
    expect(names(list.of(state(60))).at(-1)).toBe("m0");
  });

  it("asks every 2 s at most, and only when more was logged", async () => {
    list.want(state(60, 1));
    await answer(numbered(60, 1));
    list.want(state(60, 1));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(open).toHaveLength(0);
    list.want(state(60, 2));
    expect(open).toHaveLength(1);
    await answer(numbered(60, 2));
    for (let count = 3; count < 13; count++) {
      list.want(state(60, count));
      await vi.advanceTimersByTimeAsync(190);
      expect(open).toHaveLength(0);
    }
    await vi.advanceTimersByTimeAsync(100);
    expect(open).toHaveLength(1);
  });

  it("asks less often where the answers are slow", async () => {
    list.want(state(60, 1));
    await vi.advanceTimersByTimeAsync(1000);
    await answer(numbered(60, 1));
    list.want(state(60, 2));
    await vi.advanceTimersByTimeAsync(4_900);
    expect(open).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(open).toHaveLength(1);
  });

  it("asks for nothing while nobody looks", async () => {
    list.want(state(60, 1));
    await answer(numbered(60, 1));
    list.want(state(60, 2));
    list.rest();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(open).toHaveLength(0);
    list.want(state(60, 3));
    expect(open).toHaveLength(1);
  });

  it("asks again after an answer that did not come", async () => {
    list.want(state(60));
    open.shift()?.refuse();
    await vi.advanceTimersByTimeAsync(1_900);
    expect(open).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(100);
    expect(open).toHaveLength(1);
    await answer(numbered(60));
    expect(list.of(state(60))).toHaveLength(60);
  });
});
