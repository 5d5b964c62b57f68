/** The ranks of a run of several processes, as the card says them. */

import type { RankState, RankStatus, RunRanks, RunState, Scaling } from "../api/payload";
import type { Schedule } from "./emitter";
import { formatNumber } from "./formats";
import { t } from "./language";
import { Polled } from "./polled";

/** A rank that hangs is news as soon as it is seen to. */
const LONGEST_PAUSE_MS = 6_000;
const STATUS: { readonly [status in RankStatus]: string } = {
  waiting: "waiting",
  starting: "starting",
  running: "running",
  completed: "completed",
  failed: "failed",
  ended: "ended",
  lost: "lost",
};
const TONE: { readonly [status in RankStatus]: string } = {
  waiting: "",
  starting: "mlt-live",
  running: "mlt-live",
  completed: "mlt-ok",
  failed: "mlt-bad",
  ended: "",
  lost: "mlt-warn",
};
/** Shapes, so that ranks are told apart without their colours: five of them by four colours. */
const SHAPES = "●■▲◆▼";
const COLOURS = 4;

export class RanksStore extends Polled<RunRanks> {
  constructor(fetch: (signal: AbortSignal) => Promise<RunRanks>, schedule?: Schedule, now?: () => number) {
    const news = (before: RunRanks | null, ranks: RunRanks) =>
      JSON.stringify(before) !== JSON.stringify(ranks);
    super(fetch, news, schedule, now, LONGEST_PAUSE_MS);
  }
}

/** How a rank's number is marked wherever it stands. */
export function markOf(rank: number): { shape: string; colour: string } {
  return { shape: SHAPES[rank % SHAPES.length] ?? "", colour: `var(--mlt-s${(rank % COLOURS) + 1})` };
}

/**
 * All that is known of a run's ranks: what was asked for, or the first of them that the state carries. A state of a run
 * that is over knows more than an answer from before its end.
 */
export function knownRanks(
  state: RunState,
  asked: { answer: RunRanks | null; complete: boolean },
  over: boolean,
): RunRanks | null {
  const { answer } = asked;
  if (answer === null || !over || asked.complete || state.ranks === null) {
    return answer ?? state.ranks;
  }
  const newer = new Map(state.ranks.ranks.map((one) => [one.rank, one]));
  return { ...state.ranks, ranks: answer.ranks.map((one) => newer.get(one.rank) ?? one) };
}

export type Order = "rank" | "behind";

/** The first that failed leads; then by number, or who is furthest behind first. `filter`: numbers, role, host or status. */
export function arranged(known: RunRanks, order: Order, filter: string): RankState[] {
  const shown = known.ranks.filter(matching(filter));
  const lead = (one: RankState) => (one.rank === known.failed ? 0 : 1);
  const behind = (one: RankState) => (order === "behind" ? -(one.behind ?? -1) : 0);
  return shown.sort((a, b) => lead(a) - lead(b) || behind(a) - behind(b) || a.rank - b.rank);
}

function matching(filter: string): (one: RankState) => boolean {
  const wanted = filter.trim().toLowerCase();
  const numbers = rankNumbers(wanted);
  return ({ rank, role, host, status }) =>
    numbers === null
      ? [role, host, status, t(STATUS[status])].some((one) => one.toLowerCase().includes(wanted))
      : numbers(rank);
}

/** The same for what knows a rank's number alone. */
export function rankFilter(filter: string, known: RunRanks | null): (rank: number) => boolean {
  const numbers = rankNumbers(filter.trim());
  if (numbers !== null) {
    return numbers;
  }
  const found = new Set(known?.ranks.filter(matching(filter)).map(({ rank }) => rank));
  return (rank) => found.has(rank);
}

/** Which ranks `0, 3-5` means; null where the text is no list of numbers. An empty one means all. */
export function rankNumbers(text: string): ((rank: number) => boolean) | null {
  const parts = text.split(/[\s,、]+/).filter((part) => part !== "");
  const ranges = parts.map((part) => /^(\d+)(?:[-–](\d*))?$/.exec(part));
  if (!ranges.every((range) => range !== null)) {
    return null;
  }
  const bounds = ranges.map(([whole, from, to]) => {
    const last = to === undefined ? from : to || Number.POSITIVE_INFINITY;
    return whole ? [Number(from), Number(last)] : [0, 0];
  });
  return (rank) => bounds.length === 0 || bounds.some(([from = 0, to = 0]) => from <= rank && rank <= to);
}

export function rankStatusWords(status: RankStatus): string {
  return t(STATUS[status]);
}

export function rankTone(status: RankStatus): string {
  return TONE[status];
}

/** `worker 1 · gpu-box`: who a rank is, besides its number. */
export function rankPlace({ role, host }: Pick<RankState, "role" | "host">): string {
  return [role, host].filter((one) => one !== "").join(" · ");
}

/** `fastest`, `0.4 s`; "" while it has said nothing. */
export function behindWords(behind: number | null): string {
  if (behind === null) {
    return "";
  }
  return behind < 0.05
    ? t("level")
    : t("{seconds} s", { seconds: formatNumber(Math.round(behind * 10) / 10) });
}

/** How many of a run's ranks stand how: `3 running, 1 failed`. */
export function countedWords(known: RunRanks, processes: number): string {
  const counts = new Map<RankStatus, number>();
  for (const { status } of known.ranks) {
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  const said = (Object.keys(STATUS) as RankStatus[])
    .filter((status) => counts.has(status))
    .map((status) =>
      t("{count} {status}", { count: formatNumber(counts.get(status) ?? 0), status: t(STATUS[status]) }),
    );
  const rest = processes - known.ranks.length;
  return [...said, ...(rest > 0 ? [t("{count} more", { count: formatNumber(rest) })] : [])].join(", ");
}

/** Examples a second of all ranks, and what that is of as many times one process; or why it is not known. */
export function speedWords({ examples, scaling }: RunRanks): string {
  const speed = examples ?? scaling?.examples ?? null;
  if (speed === null) {
    return t("No examples/s: not every rank has counted its examples");
  }
  const count = rateWords(speed);
  return `${t("{count} examples/s in all", { count })} · ${efficiencyWords(scaling)}`;
}

/** Examples a second. */
export function rateWords(speed: number): string {
  return formatNumber(speed < 100 ? speed : Math.round(speed));
}

function efficiencyWords(scaling: Scaling | null): string {
  if (scaling === null || scaling.examples === null) {
    return t("efficiency: once every rank has counted");
  }
  const { baseline, efficiency, processes } = scaling;
  if (baseline === null) {
    return t("no efficiency: no run of one process to compare with");
  }
  const run = baseline.name;
  return efficiency === null
    ? t("no efficiency: {run} counted no examples", { run })
    : t("{share} % of {processes} times {run}, one process", {
        share: formatNumber(Math.round(100 * efficiency)),
        processes,
        run,
      });
}

/** The rank whose failure is the run's; null where none failed, or there is only one. */
export function firstFailed(state: RunState): number | null {
  return state.processes < 2 ? null : (state.failure?.rank ?? state.ranks?.failed ?? null);
}

export function rankOf(known: RunRanks | null, rank: number): RankState | null {
  return known?.ranks.find((one) => one.rank === rank) ?? null;
}
