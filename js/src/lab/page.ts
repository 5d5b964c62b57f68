/** What the renderer of outputs and the notebooks' plugin share: one door, the runs that are shown, the open notebooks. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";

import { door } from "../api/server";
import { Registered } from "../model/registered";
import type { RunStore } from "../model/run";
import type { Surroundings } from "../ui/surroundings";

/** A notebook that is open on this page, as what keeps an output true sees it. */
export interface Writer {
  holds(output: IRenderMime.IMimeModel): boolean;
  /** Put this into an output while nobody saves; false where another page does it for this notebook. */
  write(output: IRenderMime.IMimeModel, data: MimeData): boolean;
  /** A renderer of this notebook for a mime type; null where nothing renders it. */
  rendererFor(mime: string): IRenderMime.IRenderer | null;
}

export type MimeData = IRenderMime.IMimeModel["data"];

/** The run that an output shows, for those that are shown now. */
export const shown = new Map<IRenderMime.IMimeModel, RunStore>();
export const notebooks = new Set<Writer>();

let shared: Surroundings | undefined;

export function surroundings(): Surroundings {
  if (shared === undefined) {
    const { rest } = door();
    shared = { door: door(), registered: new Registered(() => rest.workspaces()) };
  }
  return shared;
}

/** What the notebook that holds the output has for a mime type; null for an output elsewhere. */
export function rendererFor(output: IRenderMime.IMimeModel, mime: string): IRenderMime.IRenderer | null {
  const notebook = [...notebooks].find((one) => one.holds(output));
  return notebook?.rendererFor(mime) ?? null;
}

/** Write an output that follows its run; false where another page writes this notebook. */
export function write(output: IRenderMime.IMimeModel, data: MimeData): boolean {
  for (const notebook of notebooks) {
    if (notebook.holds(output)) {
      return notebook.write(output, data);
    }
  }
  output.setData({ data });
  return true;
}
