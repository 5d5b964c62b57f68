import type { RunState } from "../api/payload";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { arranged, countedWords, firstFailed, rankPlace, rankStatusWords, speedWords } from "../model/ranks";
import { RankMark } from "./RankMark";

/** So many are shown in a record; `jupyter_mltrain/widgets/ranks_html.py` shows the same. */
const ROWS = 16;

/** The ranks of a recorded run, in short. */
export function RecordedRanks({ state }: { state: RunState }) {
  const { ranks, processes } = state;
  if (ranks === null || processes < 2) {
    return null;
  }
  const shown = arranged({ ...ranks, failed: firstFailed(state) }, "rank", "").slice(0, ROWS);
  return (
    <details>
      <summary>
        {t("Ranks")} <span class="mlt-num">{countedWords(ranks, processes)}</span>
      </summary>
      {(ranks.examples ?? ranks.scaling?.examples ?? null) !== null && (
        <p class="mlt-speed mlt-num">{speedWords(ranks)}</p>
      )}
      <ul class="mlt-few">
        {shown.map((one) => (
          <li key={one.rank}>
            <RankMark rank={one.rank} />
            {[
              rankPlace(one),
              rankStatusWords(one.status),
              one.step === null ? "" : t("step {step}", { step: formatNumber(one.step) }),
              one.exit,
            ]
              .filter((word) => word !== "")
              .map((word) => ` · ${word}`)}
          </li>
        ))}
      </ul>
    </details>
  );
}
