import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { Button } from "./controls";

/** Which of many ranks are shown, so many at a time; nothing where they are all. */
export function Pager(props: { from: number; most: number; total: number; turn: (page: number) => void }) {
  const { from, most, total, turn } = props;
  return total <= most ? null : (
    <>
      <span class="mlt-num mlt-dim" role="status">
        {t("{first} to {last} of {count}", {
          first: formatNumber(from + 1),
          last: formatNumber(Math.min(total, from + most)),
          count: formatNumber(total),
        })}
      </span>
      <Button label={t("Previous ranks")} disabled={from === 0} onClick={() => turn(from / most - 1)}>
        ‹
      </Button>
      <Button label={t("Next ranks")} disabled={from + most >= total} onClick={() => turn(from / most + 1)}>
        ›
      </Button>
    </>
  );
}
