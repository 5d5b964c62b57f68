// The widget's front end, into the package: a loader that travels in the widget's state, the card, and Plotly, which a page
// brings from the Jupyter server or over the comm.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, transformSync } from "esbuild";

const js = dirname(import.meta.dirname);
const source = join(js, "src", "widget");
const outdir = join(js, "..", "jupyter_mltrain", "widgets", "static");
const sheets = [join(js, "..", "jupyter_mltrain", "widgets", "card.css"), join(js, "style", "live.css")];
const style = sheets.map((path) => readFileSync(path, "utf-8")).join("\n");
const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  outdir,
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
};

await build({ ...common, entryPoints: [join(source, "loader.ts")] });
await build({
  ...common,
  entryPoints: [join(source, "card.tsx")],
  alias: { "plotly.js-basic-dist-min": join(source, "plotly.ts") },
  define: { STYLE: JSON.stringify(transformSync(style, { loader: "css", minify: true }).code) },
});
await build({
  ...common,
  stdin: {
    contents: 'export { default } from "plotly.js-basic-dist-min";',
    resolveDir: js,
    sourcefile: "plotly.js",
  },
  outdir: undefined,
  outfile: join(outdir, "plotly.js"),
});
