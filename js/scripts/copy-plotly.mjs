// Exported notebooks carry Plotly's basic bundle (line, bar, pie; 1.2 MB); the package ships it beside the exporter.
import { copyFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const bundle = createRequire(import.meta.url).resolve("plotly.js-basic-dist-min/plotly-basic.min.js");
const target = join(dirname(import.meta.dirname), "..", "jupyter_mltrain", "export", "plotly-basic.min.js");
copyFileSync(bundle, target);
