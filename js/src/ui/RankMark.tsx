import type { RunState } from "../api/payload";
import { t } from "../model/language";
import { firstFailed, markOf, rankOf, rankPlace } from "../model/ranks";

/** A rank's number, the same wherever it stands: shape and colour beside it tell one lane from the next. */
export function RankMark({ rank }: { rank: number }) {
  const { shape, colour } = markOf(rank);
  return (
    <span class="mlt-mark mlt-num">
      <i aria-hidden="true" style={{ color: colour }}>
        {shape}
      </i>
      {t("Rank {rank}", { rank })}
    </span>
  );
}

/** Of several processes, the one whose failure ended the run; the others only lost touch with it. */
export function FirstFailed({ state }: { state: RunState }) {
  const rank = firstFailed(state);
  if (rank === null) {
    return null;
  }
  const known = rankOf(state.ranks, rank);
  const place = known === null ? "" : rankPlace(known);
  return (
    <span class="mlt-first">
      {t("First to fail")}: <RankMark rank={rank} />
      {place && ` · ${place}`}
    </span>
  );
}
