// An exported notebook carries two scripts, which the package ships beside the exporter: Plotly's basic bundle (lines,
// bars, pies; 1.2 MB) and what draws with it.
import { copyFileSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const js = dirname(import.meta.dirname);
const target = join(js, "..", "jupyter_mltrain", "export", "static");
const plotly = createRequire(import.meta.url).resolve("plotly.js-basic-dist-min/plotly-basic.min.js");

mkdirSync(target, { recursive: true });
copyFileSync(plotly, join(target, "plotly-basic.min.js"));
copyFileSync(join(js, "lib", "export", "plots.js"), join(target, "plots.js"));
