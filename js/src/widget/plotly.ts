/** Stands for Plotly's bundle in the widget's: the real one is a file of its own, brought when a chart is opened large. */

import type { Plotly } from "plotly.js-basic-dist-min";

import type { Load } from "./model";

let source: Load = () => Promise.reject(new Error("no source"));
let there: Plotly | undefined;

/** Where to bring it from. */
export function plotlyFrom(load: Load): void {
  source = load;
}

async function brought(): Promise<Plotly> {
  there ??= ((await source("plotly.js")) as { default: Plotly }).default;
  return there;
}

const plotly: Plotly = {
  react: async (...given) => (await brought()).react(...given),
  purge: (node) => there?.purge(node),
  Fx: {
    hover: (...given) => there?.Fx.hover(...given),
    unhover: (node) => there?.Fx.unhover(node),
  },
};

export default plotly;
