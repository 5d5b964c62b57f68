import { t } from "../model/language";
import { SearchField } from "./controls";

export function RankFilter({ value, change }: { value: string; change: (value: string) => void }) {
  return (
    <SearchField
      wide
      label={t("Filter ranks")}
      hint={t("Ranks, such as 0, 3-5, or a host")}
      value={value}
      change={change}
    />
  );
}
