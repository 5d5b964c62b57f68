import { beforeEach, describe, expect, it, vi } from "vitest";

import saved from "../../../tests/fixtures/run-ranks.json";
import { parsePayload } from "../api/parse";
import type { RankState, RunRanks, RunState } from "../api/payload";
import { speak } from "./language";
import {
  arranged,
  behindWords,
  countedWords,
  firstFailed,
  knownRanks,
  markOf,
  RanksStore,
  rankNumbers,
  speedWords,
} from "./ranks";

let state: RunState;
let known: RunRanks;

beforeEach(() => {
  speak("en");
  state = parsePayload(saved).state;
  known = state.ranks as RunRanks;
});

const numbers = (rows: readonly RankState[]) => rows.map(({ rank }) => rank);

describe("ranks", () => {
  it("have the first that failed on top, then go by number or by who is furthest behind", () => {
    expect(numbers(arranged(known, "rank", ""))).toEqual([2, 0, 1, 3]);
    expect(numbers(arranged(known, "behind", ""))).toEqual([2, 1, 0, 3]);
    expect(numbers(arranged({ ...known, failed: null }, "rank", ""))).toEqual([0, 1, 2, 3]);
  });

  it("are found by number, host, role and status in either language", () => {
    expect(numbers(arranged(known, "rank", "0, 3-9"))).toEqual([0, 3]);
    expect(numbers(arranged(known, "rank", "GPU-box-0"))).toEqual([0, 1]);
    expect(numbers(arranged(known, "rank", "worker 3"))).toEqual([3]);
    expect(numbers(arranged(known, "rank", "lost"))).toEqual([3]);
    speak("ja");
    expect(numbers(arranged(known, "rank", "失敗"))).toEqual([2]);
  });

  it.each([
    ["", [0, 1, 7]],
    ["1", [1]],
    ["0-1", [0, 1]],
    ["1-", [1, 7]],
    ["7、0", [0, 7]],
  ])("%j means %j", (text, wanted) => {
    const means = rankNumbers(text);
    expect([0, 1, 7].filter((rank) => means?.(rank))).toEqual(wanted);
  });

  it("takes no name for numbers", () => {
    expect(rankNumbers("gpu-1")).toBeNull();
    expect(rankNumbers("1x")).toBeNull();
  });

  it("are marked so that neighbours differ in shape and in colour", () => {
    const marks = Array.from({ length: 20 }, (_, rank) => markOf(rank));
    expect(new Set(marks.map(({ shape, colour }) => shape + colour)).size).toBe(20);
    for (const [rank, mark] of marks.entries()) {
      const next = markOf(rank + 1);
      expect(next.shape).not.toBe(mark.shape);
      expect(next.colour).not.toBe(mark.colour);
    }
  });

  it("are counted by how they stand, with those that are not known", () => {
    expect(countedWords(known, 4)).toBe("1 failed, 2 ended, 1 lost");
    expect(countedWords(known, 1004)).toBe("1 failed, 2 ended, 1 lost, 1,000 more");
  });

  it("say their speed together, and why there is no efficiency", () => {
    expect(speedWords(known)).toBe("481 examples/s in all · 92 % of 4 times calm-wren-1, one process");
    const scaling = known.scaling as NonNullable<RunRanks["scaling"]>;
    const without = { ...scaling, efficiency: null };
    const end = (changed: typeof scaling | null) =>
      speedWords({ ...known, scaling: changed }).replace("481 examples/s in all · ", "");
    expect(end({ ...without, baseline: null })).toBe("no efficiency: no run of one process to compare with");
    expect(end({ ...without, baseline: { name: "calm-wren-1", examples: null } })).toBe(
      "no efficiency: calm-wren-1 counted no examples",
    );
    expect(end({ ...without, examples: null })).toBe("efficiency: once every rank has counted");
    expect(end(null)).toBe("efficiency: once every rank has counted");
    expect(speedWords({ ...known, examples: null, scaling: null })).toMatch(/^No examples\/s/);
    expect(speedWords({ ...known, examples: null })).toMatch(/^478 examples/);
    expect(speedWords({ ...known, examples: 4.25 })).toMatch(/^4.25 examples/);
  });

  it("say how far behind the fastest they are", () => {
    expect([null, 0, 0.04, 0.43, 12].map(behindWords)).toEqual(["", "level", "level", "0.4 s", "12 s"]);
  });

  it("lead with a failure only where there are several", () => {
    expect(firstFailed(state)).toBe(2);
    expect(firstFailed({ ...state, failure: null })).toBe(2);
    expect(firstFailed({ ...state, processes: 1 })).toBeNull();
  });

  it("of a run that is over are as its state says, until they were asked for again", () => {
    const before: RunRanks = {
      ...known,
      failed: null,
      ranks: Array.from({ length: 6 }, (_, rank) => ({
        ...(known.ranks[0] as RankState),
        rank,
        status: "running" as const,
      })),
    };
    const asked = { answer: before, complete: false };
    const statuses = (over: boolean, complete = false) =>
      knownRanks(state, { ...asked, complete }, over)?.ranks.map(({ status }) => status);
    expect(statuses(false)).toEqual(Array(6).fill("running"));
    expect(statuses(true)).toEqual(["ended", "ended", "failed", "lost", "running", "running"]);
    expect(statuses(true, true)).toEqual(Array(6).fill("running"));
    expect(knownRanks(state, asked, true)?.failed).toBe(2);
    expect(knownRanks(state, { answer: null, complete: false }, false)).toBe(known);
  });

  it("are nothing that a notebook can break", () => {
    const broken = {
      ranks: [{ rank: "x", status: "gone", gpus: 3, step: {} }, null, 7],
      failed: "2",
      scaling: [],
    };
    const read = parsePayload({ ...saved, state: { ...saved.state, ranks: broken } }).state.ranks;
    expect(read?.ranks.map(({ rank, status, gpus, step }) => [rank, status, gpus, step])).toEqual(
      Array(3).fill([0, "waiting", [], null]),
    );
    expect(speedWords(read as RunRanks)).toMatch(/^No examples/);
  });
});

describe("RanksStore", () => {
  it("asks every few seconds at most while somebody looks, and once after the end", async () => {
    vi.useFakeTimers();
    let asked = 0;
    const store = new RanksStore(
      async () => {
        asked += 1;
        return known;
      },
      (look) => look(),
      () => Date.now(),
    );
    store.want(true);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([asked > 8, asked < 14]).toEqual([true, true]);
    store.rest();
    const before = asked;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toBe(before);
    store.want(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([asked, store.complete]).toEqual([before + 1, true]);
    store.dispose();
    vi.useRealTimers();
  });
});
