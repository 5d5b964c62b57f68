// The widget's front end, into the package: a loader that travels in the widget's state, and the card, which a page brings
// from the Jupyter server or over the comm. So it does with Plotly, of which exports have the bundle already.
import { dirname, join } from "node:path";
import { build } from "esbuild";

const js = dirname(import.meta.dirname);
const source = join(js, "src", "widget");
const outdir = join(js, "..", "jupyter_mltrain", "widgets", "static");
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

// The renderer's style sheets, and what a widget needs beside them.
const { outputFiles } = await build({
  ...common,
  stdin: { contents: 'import "./index.js"; import "./widget.css";', resolveDir: join(js, "style") },
  write: false,
});
const style = outputFiles.find(({ path }) => path.endsWith(".css")).text;

await build({ ...common, entryPoints: [join(source, "loader.ts")] });
await build({
  ...common,
  entryPoints: [join(source, "card.tsx")],
  alias: { "plotly.js-basic-dist-min": join(source, "plotly.ts") },
  define: { STYLE: JSON.stringify(style) },
});
