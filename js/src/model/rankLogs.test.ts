import { describe, expect, it } from "vitest";

import saved from "../../../tests/fixtures/run-ranks.json";
import { parsePayload } from "../api/parse";
import type { RunRanks } from "../api/payload";
import { lanesOf, logOf, preferredLog, rankLogs } from "./rankLogs";
import { rankOf } from "./ranks";

const { state } = parsePayload(saved);
const running = { ...state, status: "Running", failure: null, ranks: null };
const listed = [
  { name: "build.log", size: 1, rank: null },
  ...[0, 1, 2].map((rank) => ({ name: logOf(rank), size: 1, rank })),
];

describe("logs of ranks", () => {
  it("have the names that users know", () => {
    expect([logOf(0), logOf(12)]).toEqual(["user_logs/std_log.txt", "user_logs/std_log_12.txt"]);
  });

  it("are those of all ranks while the run goes on, and those that were written afterwards", () => {
    expect(rankLogs(running, listed, false).map(({ rank }) => rank)).toEqual([0, 1, 2, 3]);
    expect(rankLogs(state, listed, true).map(({ rank }) => rank)).toEqual([0, 1, 2]);
    expect(rankLogs(running, listed.slice(0, 1), false)).toEqual([]);
    expect(rankLogs({ ...running, processes: 1 }, listed.slice(0, 2), false)).toEqual([
      { rank: 0, name: logOf(0) },
    ]);
  });

  it("open with the rank that failed first, else with the first of the script", () => {
    expect(preferredLog(state, listed)).toBe("user_logs/std_log_2.txt");
    expect(preferredLog(running, listed)).toBe("user_logs/std_log.txt");
    expect(preferredLog(state, listed.slice(0, 2))).toBe("user_logs/std_log.txt");
    expect(preferredLog(running, listed.slice(0, 1))).toBe("build.log");
    expect(preferredLog(running, [])).toBeNull();
  });

  it("stand beside each other a few at a time, the first that failed before the others", () => {
    const logs = Array.from({ length: 256 }, (_, rank) => ({ rank, name: logOf(rank) }));
    const shown = (filter: string, page: number, of = state, known = of.ranks) => {
      const lanes = lanesOf(of, known, logs, filter, page);
      return [lanes.shown.map(({ rank }) => rank), lanes.from, lanes.total];
    };
    expect(shown("", 0)).toEqual([[2, 0, 1, 3], 0, 256]);
    expect(shown("", 63)).toEqual([[252, 253, 254, 255], 252, 256]);
    expect(shown("10-14", 9)).toEqual([[14], 4, 5]);
    expect(shown("gpu-box-0", 0)).toEqual([[0, 1], 0, 2]);
    expect(shown("nothing", 0)).toEqual([[], 0, 0]);
    expect(shown("gpu-box-0", 0, running)).toEqual([[], 0, 0]);
    const beyond = state.ranks && {
      ...state.ranks,
      ranks: [
        ...state.ranks.ranks,
        ...[97, 98].map((rank) => ({ ...rankOf(state.ranks, 3), rank, host: "gpu-box-9" })),
      ],
    };
    expect(shown("gpu-box-9", 0, state, beyond as RunRanks)).toEqual([[97, 98], 0, 2]);
  });
});
