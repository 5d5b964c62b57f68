/** Questions about the ranks of a run, to the door. */

import { parseRanks } from "./parseRanks";
import type { RunRanks } from "./payload";
import { type Asked, type Rest, runPath } from "./rest";

/** All of them; a run's states carry the first of them alone. */
export async function runRanks(
  rest: Pick<Rest, "json">,
  workspace: string,
  run: string,
  asked: Asked = {},
): Promise<RunRanks> {
  return parseRanks(await rest.json("GET", runPath(workspace, run, "ranks"), undefined, asked));
}
