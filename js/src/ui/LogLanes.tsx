import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { RankState } from "../api/payload";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import type { LogStore } from "../model/log";
import { LANES, lanesOf, type RankLog } from "../model/rankLogs";
import { rankOf, rankPlace, rankStatusWords, rankTone } from "../model/ranks";
import type { RunStore } from "../model/run";
import { Button, Problem, SearchField } from "./controls";
import { useFollowed } from "./followLog";
import { LogBody } from "./LogBody";
import { Pager } from "./Pager";
import { RankFilter } from "./RankFilter";
import { RankMark } from "./RankMark";
import type { Surroundings } from "./surroundings";
import { useRanks } from "./useRanks";

const HEIGHT = 216;

interface Place {
  store: RunStore;
  around: Surroundings;
  choose: (name: string) => void;
}

/** Logs of ranks beside each other, a few at a time: what a process prints has no times to sort it by. */
export function LogLanes(
  props: Place & { logs: readonly RankLog[]; logOf: (name: string) => LogStore; picker: ComponentChildren },
) {
  const { store, around, choose, logs, logOf, picker } = props;
  const [filter, setFilter] = useState("");
  const [page, setPage] = useState(0);
  const [follow, setFollow] = useState(true);
  const [query, setQuery] = useState("");
  const node = useRef<HTMLDivElement>(null);
  const { state } = store;
  const { known } = useRanks(store, around, node, (state.ranks?.ranks.length ?? 0) < state.processes);
  const { shown, from, total } = lanesOf(state, known, logs, filter, page);
  return (
    <>
      <div class="mlt-tools">
        {picker}
        <RankFilter
          value={filter}
          change={(value) => {
            setFilter(value);
            setPage(0);
          }}
        />
        <SearchField
          label={t("Search")}
          value={query}
          change={(value) => {
            setQuery(value);
            setFollow(value === "");
          }}
        />
        <Pager from={from} most={LANES} total={total} turn={setPage} />
        <span class="mlt-gap" />
        <Button pressed={follow} onClick={() => setFollow(!follow)}>
          {t("Follow")}
        </Button>
      </div>
      {total === 0 && <p class="mlt-empty">{t("No rank matches")}</p>}
      <div class="mlt-lanes" ref={node}>
        {shown.map(({ rank, name }) => (
          <Lane
            key={name}
            store={store}
            around={around}
            choose={choose}
            known={rankOf(known, rank)}
            rank={rank}
            name={name}
            log={logOf(name)}
            wanted={follow}
            query={query}
          />
        ))}
      </div>
    </>
  );
}

function Lane(
  props: Place & {
    known: RankState | null;
    rank: number;
    name: string;
    log: LogStore;
    wanted: boolean;
    query: string;
  },
) {
  const { store, around, choose, known, rank, name, log, wanted, query } = props;
  const [follow, setFollow] = useState(wanted);
  useEffect(() => setFollow(wanted), [wanted]);
  const problem = useFollowed(store, log, name, around);
  const found = useMemo(() => log.find(query), [query, log.count]);
  return (
    <section class="mlt-lane" aria-label={t("Rank {rank}", { rank })}>
      <div class="mlt-lane-head">
        <RankMark rank={rank} />
        {known && (
          <>
            <span class="mlt-dim">{rankPlace(known)}</span>
            <span class={`mlt-state ${rankTone(known.status)}`}>{rankStatusWords(known.status)}</span>
          </>
        )}
        {query !== "" && (
          <span class="mlt-num mlt-dim">{t("{count} found", { count: formatNumber(found.length) })}</span>
        )}
        <span class="mlt-gap" />
        <button
          type="button"
          class="mlt-icon"
          title={name}
          aria-label={t("Log of rank {rank}", { rank })}
          onClick={() => choose(name)}
        >
          ⤢
        </button>
      </div>
      <Problem text={problem} />
      <LogBody
        problem={problem}
        log={log}
        name={name}
        follow={follow}
        setFollow={setFollow}
        found={new Set(found)}
        at={found.at(-1) ?? null}
        height={HEIGHT}
      />
    </section>
  );
}
