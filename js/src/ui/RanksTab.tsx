import { useMemo, useRef, useState } from "preact/hooks";

import type { RankState, RunRanks } from "../api/payload";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import {
  arranged,
  behindWords,
  countedWords,
  type Order,
  rankStatusWords,
  rankTone,
  rateWords,
  speedWords,
} from "../model/ranks";
import { type RunStore, terminal } from "../model/run";
import { Pager } from "./Pager";
import { RankFilter } from "./RankFilter";
import { RankMark } from "./RankMark";
import type { Surroundings } from "./surroundings";
import { useRanks } from "./useRanks";

/** At a time: a page that lays out hundreds of rows again and again is slow. */
const ROWS = 32;

/** Each process of a run, the first that failed on top. `openLog`: show the log of a rank. */
export function RanksTab(props: { store: RunStore; around: Surroundings; openLog: (rank: number) => void }) {
  const { store, around, openLog } = props;
  const { state } = store;
  const node = useRef<HTMLDivElement>(null);
  const { known, problem } = useRanks(store, around, node);
  return (
    <div class="mlt-ranks" ref={node}>
      {known !== null && known.ranks.length > 0 ? (
        <Ranks known={known} processes={state.processes} openLog={openLog} />
      ) : (
        <p class="mlt-empty">
          {problem || t(terminal(state.status) ? "No rank was started" : "No rank yet")}
        </p>
      )}
    </div>
  );
}

/** What is said of each rank besides its number and how it stands; a column where nothing is said of any is left out. */
interface Column {
  heading: string;
  of(row: RankState): string;
}

function columnsOf(rows: readonly RankState[]): { before: Column[]; after: Column[] } {
  const some = (columns: Column[]) => columns.filter(({ of }) => rows.some((row) => of(row) !== ""));
  const before = [
    { heading: t("Role"), of: ({ role }: RankState) => role },
    { heading: t("Host"), of: ({ host }: RankState) => host },
  ];
  const after = [
    { heading: t("Step"), of: ({ step }: RankState) => (step === null ? "" : formatNumber(step)) },
    { heading: t("Behind"), of: ({ behind }: RankState) => behindWords(behind) },
    { heading: t("GPU"), of: ({ gpus }: RankState) => gpus.join("; ") },
    {
      heading: t("Examples/s"),
      of: ({ examples }: RankState) => (examples === null ? "" : rateWords(examples)),
    },
    { heading: t("Exit"), of: ({ exit }: RankState) => exit },
  ];
  return { before: some(before), after: some(after) };
}

function Ranks(props: { known: RunRanks; processes: number; openLog: (rank: number) => void }) {
  const { known, processes, openLog } = props;
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<Order>("rank");
  const [page, setPage] = useState(0);
  const rows = useMemo(() => arranged(known, order, filter), [known, order, filter]);
  const from = Math.min(page, Math.max(0, Math.ceil(rows.length / ROWS) - 1)) * ROWS;
  const { before, after } = useMemo(() => columnsOf(known.ranks), [known]);
  return (
    <>
      <div class="mlt-tools">
        <RankFilter
          value={filter}
          change={(value) => {
            setFilter(value);
            setPage(0);
          }}
        />
        <select
          aria-label={t("Order")}
          value={order}
          onChange={(event) => setOrder(event.currentTarget.value === "behind" ? "behind" : "rank")}
        >
          <option value="rank">{t("By rank")}</option>
          <option value="behind">{t("Furthest behind first")}</option>
        </select>
        <Pager from={from} most={ROWS} total={rows.length} turn={setPage} />
        <span class="mlt-num mlt-dim">{countedWords(known, processes)}</span>
      </div>
      <p class="mlt-speed mlt-num">{speedWords(known)}</p>
      {rows.length === 0 ? (
        <p class="mlt-empty">{t("No rank matches")}</p>
      ) : (
        <table class="mlt-rank-table" aria-label={t("Ranks")}>
          <thead>
            <tr>
              {[t("Rank"), ...before.map(named), t("Status"), ...after.map(named)].map((heading) => (
                <th key={heading} scope="col">
                  {heading}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(from, from + ROWS).map((row) => (
              <Row
                key={row.rank}
                row={row}
                before={before}
                after={after}
                first={row.rank === known.failed}
                openLog={openLog}
              />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function named({ heading }: Column): string {
  return heading;
}

function Row(props: {
  row: RankState;
  before: readonly Column[];
  after: readonly Column[];
  first: boolean;
  openLog: (rank: number) => void;
}) {
  const { row, before, after, first, openLog } = props;
  const { rank, status } = row;
  return (
    <tr class={first ? "mlt-first-row" : undefined}>
      <th scope="row">
        <button
          type="button"
          class="mlt-plain"
          title={t("Log of rank {rank}", { rank })}
          onClick={() => openLog(rank)}
        >
          <RankMark rank={rank} />
        </button>
      </th>
      {before.map(({ heading, of }) => (
        <td key={heading}>{of(row)}</td>
      ))}
      <td>
        <span class={`mlt-state ${rankTone(status)}`}>{rankStatusWords(status)}</span>
        {first && <small> {t("first to fail")}</small>}
      </td>
      {after.map(({ heading, of }) => (
        <td key={heading} class={of(row) === "" ? "mlt-none mlt-num" : "mlt-num"}>
          <span class="mlt-of" aria-hidden="true">
            {heading}{" "}
          </span>
          {of(row)}
        </td>
      ))}
    </tr>
  );
}
