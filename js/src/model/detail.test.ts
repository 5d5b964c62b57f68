import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Detail } from "./detail";

let asked: { window: string; signal: AbortSignal; answer: (points: string) => void; refuse: () => void }[];
let shown: string[];
let detail: Detail<string, string>;

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  shown = [];
  detail = new Detail(
    (window, signal) =>
      new Promise((resolve, reject) => {
        asked.push({ window, signal, answer: resolve, refuse: () => reject(new Error("cut")) });
      }),
    (points) => shown.push(points),
  );
});

afterEach(() => vi.useRealTimers());

const settle = () => vi.advanceTimersByTimeAsync(0);

describe("Detail", () => {
  it("shows the newest window, whatever order the answers come in", async () => {
    detail.look("a");
    detail.look("b");
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    asked[1]?.answer("B");
    await settle();
    asked[0]?.answer("A");
    await settle();
    expect(shown).toEqual(["B"]);
  });

  it("draws a run that logs faster than its service answers", async () => {
    detail.look("a");
    for (let round = 0; round < 30; round++) {
      detail.grew();
      await vi.advanceTimersByTimeAsync(100);
      if (round % 8 === 7) {
        asked.at(-1)?.answer(`${round}`);
      }
    }
    expect(shown.length).toBeGreaterThanOrEqual(2);
    expect(asked.every(({ signal }) => !signal.aborted)).toBe(true);
    expect(asked.length).toBeLessThan(8);
  });

  it("asks once more for what came while it asked, and then rests", async () => {
    detail.look("a");
    detail.grew();
    asked[0]?.answer("1");
    await vi.advanceTimersByTimeAsync(1000);
    asked[1]?.answer("2");
    await vi.advanceTimersByTimeAsync(60_000);
    expect([asked.length, shown]).toEqual([2, ["1", "2"]]);
  });

  it("keeps what is drawn when a request fails, and is silent once disposed of", async () => {
    detail.look("a");
    asked[0]?.refuse();
    await settle();
    detail.grew();
    await vi.advanceTimersByTimeAsync(1000);
    expect(asked).toHaveLength(2);
    detail.dispose();
    asked[1]?.answer("late");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(shown).toEqual([]);
  });
});
