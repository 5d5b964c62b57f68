import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { SystemNode, SystemSeries, SystemUsage } from "../api/system";
import { layOut, PLAIN_VIEW } from "./chart";
import { speak } from "./language";
import { chartsOfNode, limitLine, nodeNotes, onAxis, SystemStore } from "./system";

const NODE: SystemNode = {
  rank: 0,
  cpus: 4,
  memoryLimit: 8e9,
  memoryTotal: 64e9,
  gpusGiven: 1,
  gpus: [{ name: "2", model: "H100", memory: 80e9 }],
  problem: "",
};
const series = (measure: SystemSeries["measure"], more: Partial<SystemSeries> = {}): SystemSeries => ({
  name: `${measure}!`,
  rank: 0,
  measure,
  gpu: measure.startsWith("gpu") ? "2" : null,
  count: 3,
  last: 40.4,
  peak: 97.6,
  mean: 50.2,
  ...more,
});
const usage = (count: number): SystemUsage => ({ nodes: [NODE], series: [series("cpu", { count })] });

describe("charts of a node", () => {
  beforeEach(() => speak("en"));

  it("have their peak, and the limit on their axis", () => {
    const bytes = { last: 1e9, peak: 7.5e9, mean: 1 };
    const all = [series("cpu"), series("memory", bytes), series("gpu"), series("gpu_memory", bytes)];
    const charts = chartsOfNode(NODE, [...all, series("cpu", { rank: 1 })]);
    expect(charts.map(({ title, peak, note, limit }) => [title, peak, note, limit])).toEqual([
      ["CPU", "98 %", "peak of 4 CPUs; mean 50 %, now 40 %", null],
      ["Memory", "7.5 GB", "peak; limit 8.0 GB, now 1.0 GB", 8],
      ["GPU 2", "98 %", "peak; mean 50 %, now 40 %", null],
      ["GPU 2 memory", "7.5 GB", "peak; limit 80.0 GB, now 1.0 GB", 80],
    ]);
    expect(chartsOfNode({ ...NODE, cpus: 1 }, [series("cpu")])[0]?.note).toBe(
      "peak of 1 CPU; mean 50 %, now 40 %",
    );
    const free = chartsOfNode({ ...NODE, memoryLimit: null }, [series("memory", bytes)]);
    expect(free.map(({ note, limit }) => [note, limit])).toEqual([["peak; now 1.0 GB", null]]);
  });

  it("say which GPUs there are, that there is none, or why they are not known", () => {
    expect(nodeNotes(NODE)).toEqual(["GPU 2: H100"]);
    expect(nodeNotes({ ...NODE, gpusGiven: 0, gpus: [] })).toEqual(["No GPU was given to this run"]);
    expect(nodeNotes({ ...NODE, gpus: [], problem: "no driver" })).toEqual(["GPUs: no driver"]);
  });

  it("begin at nothing, and show memory in GB with its limit", () => {
    expect(onAxis({ measure: "memory" }, 2.5e9)).toBe(2.5);
    expect(onAxis({ measure: "cpu" }, 2.5)).toBe(2.5);
    const line = { rank: 0, steps: [0, 1, 2], times: [10, 11, 12], values: [1, 2, 1.5] };
    const limit = limitLine(line, 4);
    expect(limit).toEqual({ rank: 0, steps: [0, 2], times: [10, 12], values: [4, 4] });
    expect(limitLine(line, 4)).toBe(limit);
    expect(limitLine(line, null)).toBeNull();
    const chart = layOut(limit ? [line, limit] : [line], { ...PLAIN_VIEW, axis: "relative", zero: true });
    expect([chart.low, chart.high >= 4, chart.paths.length]).toEqual([0, true, 2]);
    const idle = layOut([{ ...line, values: [0, 0, 0] }], { ...PLAIN_VIEW, zero: true });
    expect([idle.low, idle.high]).toEqual([0, 1]);
  });
});

describe("SystemStore", () => {
  let open: { answer: (usage: SystemUsage) => void; refuse: () => void }[];
  let asked: number;
  let store: SystemStore;

  beforeEach(() => {
    vi.useFakeTimers();
    open = [];
    asked = 0;
    store = new SystemStore(
      () => {
        asked += 1;
        return new Promise((answer, reject) =>
          open.push({ answer, refuse: () => reject(new Error("It is gone.")) }),
        );
      },
      (look) => look(),
      () => Date.now(),
    );
  });
  afterEach(() => vi.useRealTimers());

  const answer = async (count: number) => {
    open.shift()?.answer(usage(count));
    await vi.advanceTimersByTimeAsync(0);
  };

  it("asks while somebody looks, rarely where nothing comes, and once more after the end", async () => {
    store.want(true);
    await answer(1);
    await vi.advanceTimersByTimeAsync(1_999);
    expect(asked).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toBe(2);
    await answer(1);
    await vi.advanceTimersByTimeAsync(3_999);
    expect(asked).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    await answer(2);
    store.rest();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(3);
    store.want(false);
    await answer(2);
    store.want(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(4);
  });

  it("says why nothing is known, and keeps what is", async () => {
    store.want(true);
    open.shift()?.refuse();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.problem).toBe("It is gone.");
    await vi.advanceTimersByTimeAsync(4_000);
    await answer(1);
    expect(store.problem).toBe("");
    await vi.advanceTimersByTimeAsync(2_000);
    open.shift()?.refuse();
    await vi.advanceTimersByTimeAsync(0);
    expect([store.problem, store.answer?.series.length]).toEqual(["", 1]);
  });

  it("takes no answer once it is disposed of", async () => {
    const changed = vi.fn();
    store.changes.listen(changed);
    store.want(true);
    store.dispose();
    await answer(1);
    expect(changed).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(1);
  });
});
