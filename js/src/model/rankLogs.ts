/** Which log is a rank's, and which of them are shown beside each other. */

import type { RunRanks, RunState } from "../api/payload";
import type { LogFile } from "../api/rest";
import { firstFailed, rankFilter } from "./ranks";

/** So many logs are followed beside each other. */
export const LANES = 4;

export interface RankLog {
  rank: number;
  name: string;
}

export function logOf(rank: number): string {
  return rank === 0 ? "user_logs/std_log.txt" : `user_logs/std_log_${rank}.txt`;
}

/** The logs of all ranks: those that are listed and, while a run of several goes on, those that are still to come. */
export function rankLogs(state: RunState, listed: readonly LogFile[], over: boolean): RankLog[] {
  const found = listed.flatMap(({ name, rank }) => (rank === null ? [] : [{ rank, name }]));
  if (over || found.length === 0 || state.processes < 2) {
    return found;
  }
  return Array.from({ length: state.processes }, (_, rank) => ({ rank, name: logOf(rank) }));
}

/** What is opened where nobody has chosen: on failure the log of the rank that failed first. */
export function preferredLog(state: RunState, listed: readonly LogFile[]): string | null {
  const failed = firstFailed(state);
  const scripts = listed.filter(({ rank }) => rank !== null);
  const first = scripts.find(({ rank }) => rank === failed) ?? scripts[0] ?? listed[0];
  return first?.name ?? null;
}

/** One page of the logs that the filter leaves, the first that failed before the others. `known`: all that is of ranks. */
export function lanesOf(
  state: RunState,
  known: RunRanks | null,
  logs: readonly RankLog[],
  filter: string,
  page: number,
): { shown: RankLog[]; from: number; total: number } {
  const failed = firstFailed(state);
  const wanted = rankFilter(filter, known);
  const left = logs.filter(({ rank }) => wanted(rank));
  const ordered = [
    ...left.filter(({ rank }) => rank === failed),
    ...left.filter(({ rank }) => rank !== failed),
  ];
  const last = Math.max(0, Math.ceil(ordered.length / LANES) - 1);
  const from = Math.min(page, last) * LANES;
  return { shown: ordered.slice(from, from + LANES), from, total: ordered.length };
}
