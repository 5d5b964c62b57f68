/** What a card needs of whatever answers it: a Jupyter server's door, or a kernel behind a comm. */

import type { LiveDoor } from "./live";
import type { Rest } from "./rest";

export interface Door {
  rest: Rest;
  live: Pick<LiveDoor, "watch" | "follow">;
  /** The address of a file of a run, for a link that the browser follows with the page's own cookie. */
  link(path: string): string;
}

/** Changed when doors of two versions of this package could not stand for each other. */
const SHARED = Symbol.for("jupyter-mltrain.door.1");

/** The page's one door: renderers and widgets are bundles of their own, and share its socket. */
export function sharedDoor(make: () => Door): Door {
  const page = globalThis as { [SHARED]?: Door };
  page[SHARED] ??= make();
  return page[SHARED];
}
