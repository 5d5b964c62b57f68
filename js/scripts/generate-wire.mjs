/**
 * Makes `src/api/wire.gen.ts`: TypeScript types of the documents in the service's OpenAPI.
 *
 *     npm run wire               writes it
 *     npm run wire -- --check    fails where the file differs from what it would write
 *
 * The OpenAPI comes from `python -m jupyter_mltrain.service.openapi`, with the Python that `hatch_build.py` runs in.
 */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { compile } from "json-schema-to-typescript";

const FILE = "src/api/wire.gen.ts";
const HEAD =
  "/** Generated from the service's OpenAPI (`hatch_build.py run wire`); what is said here is said in `jupyter_mltrain/core/wire*.py`. */";

const openapi = JSON.parse(
  execFileSync(process.env.PYTHON ?? "python3", ["-m", "jupyter_mltrain.service.openapi"], {
    cwd: "..",
    encoding: "utf8",
    maxBuffer: 1 << 26,
  }),
);

const documents = local(openapi.components.schemas);
// An object without keys needs no name.
const names = Object.keys(documents).filter((name) => !empty(documents[name]));
const types = await compile(
  {
    $defs: documents,
    description: "All of them, by name.",
    type: "object",
    properties: Object.fromEntries(names.map((name) => [name, { $ref: `#/$defs/${name}` }])),
    required: names,
    additionalProperties: false,
  },
  "Documents",
  { bannerComment: HEAD, format: false },
);
const wanted = execFileSync(
  process.execPath,
  ["node_modules/@biomejs/biome/bin/biome", "format", `--stdin-file-path=${FILE}`],
  { input: types, encoding: "utf8", maxBuffer: 1 << 26 },
);

if (process.argv.includes("--check")) {
  if (readFileSync(FILE, "utf8") !== wanted) {
    console.error(
      `${FILE} is not what the service answers: run \`hatch_build.py run wire\` and look at what changed.`,
    );
    process.exit(1);
  }
} else {
  writeFileSync(FILE, wanted);
}

/** The same with references within itself, and without titles: a type is named for its document. */
function local(schema) {
  if (Array.isArray(schema)) {
    return schema.map(local);
  }
  if (typeof schema !== "object" || schema === null) {
    return schema;
  }
  if (typeof schema.$ref === "string") {
    return { $ref: schema.$ref.replace("#/components/schemas/", "#/$defs/") };
  }
  const kept = Object.entries(schema).filter(([key, value]) => key !== "title" || typeof value !== "string");
  return Object.fromEntries(kept.map(([key, value]) => [key, local(value)]));
}

function empty(schema) {
  return schema.type === "object" && Object.keys(schema.properties ?? {}).length === 0;
}
