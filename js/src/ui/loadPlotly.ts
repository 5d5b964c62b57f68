/** Plotly, one copy for the page: a chunk of its own, loaded when the first live chart is seen. */

import type { Plotly } from "plotly.js-basic-dist-min";

/** After a chunk that did not come (the server is gone, a proxy is in the way), charts do without it for so long. */
const AGAIN_MS = 30_000;

let loading: Promise<Plotly | null> | undefined;
let loaded: Plotly | null = null;

/** Null where it cannot be loaded: the charts are then drawn without it. */
export function loadPlotly(): Promise<Plotly | null> {
  loading ??= import("plotly.js-basic-dist-min").then(
    (module) => {
      loaded = module.default;
      return loaded;
    },
    (error: unknown) => {
      console.warn("jupyter-mltrain: Plotly could not be loaded, charts are drawn without it.", error);
      setTimeout(() => {
        loading = undefined;
      }, AGAIN_MS);
      return null;
    },
  );
  return loading;
}

/** It, if it is there already. */
export function plotlyAtHand(): Plotly | null {
  return loaded;
}
