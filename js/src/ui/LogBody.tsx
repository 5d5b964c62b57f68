import type { ComponentProps } from "preact";

import { t } from "../model/language";
import { LogLines } from "./LogLines";

/** The lines of a log, or why there is none. `problem`: it is told elsewhere why none can be had. */
export function LogBody({ problem, ...lines }: ComponentProps<typeof LogLines> & { problem: string }) {
  const { log } = lines;
  if (log.count === 0 && problem === "") {
    return <p class="mlt-empty">{t(log.complete ? "Nothing was logged" : "The log is empty so far")}</p>;
  }
  return <LogLines {...lines} />;
}
