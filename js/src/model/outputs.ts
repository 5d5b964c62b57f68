/** The files of a run as a tree, and which of them are models. */

import type { RunFile } from "../api/rest";

export interface Folder {
  name: string;
  path: string;
  folders: Folder[];
  files: RunFile[];
  count: number;
  size: number;
}

export interface Candidate {
  path: string;
  kind: "SavedModel" | "Keras" | "HDF5" | "ONNX" | "folder" | "file";
  size: number;
}

export function treeOf(files: readonly RunFile[]): Folder {
  const root = folder("", "");
  for (const file of files) {
    const parts = file.path.split("/");
    let at = root;
    add(at, file);
    parts.slice(0, -1).forEach((name, depth) => {
      let below = at.folders.find((one) => one.name === name);
      if (below === undefined) {
        below = folder(name, parts.slice(0, depth + 1).join("/"));
        at.folders.push(below);
      }
      at = below;
      add(at, file);
    });
    at.files.push(file);
  }
  return root;
}

function folder(name: string, path: string): Folder {
  return { name, path, folders: [], files: [], count: 0, size: 0 };
}

function add(to: Folder, file: RunFile): void {
  to.count += 1;
  to.size += file.size;
}

const KINDS: readonly [RegExp, Candidate["kind"]][] = [
  [/\.keras$/i, "Keras"],
  [/\.(?:h5|hdf5)$/i, "HDF5"],
  [/\.onnx$/i, "ONNX"],
];

/** What may be registered: recognised models first, then the other folders and files below `outputs/`. */
export function candidates(files: readonly RunFile[]): Candidate[] {
  const outputs = files.filter((file) => file.path.startsWith("outputs/"));
  const saved = outputs
    .filter((file) => file.path.endsWith("/saved_model.pb") && file.path.split("/").length > 2)
    .map((file) => file.path.slice(0, -"/saved_model.pb".length));
  const folders = (treeOf(outputs).folders[0]?.folders ?? []).flatMap((one) => below(one));
  const inside = (path: string) => saved.some((model) => path.startsWith(`${model}/`));
  const found: Candidate[] = folders.map(({ path, size }) => ({
    path,
    size,
    kind: saved.includes(path) ? "SavedModel" : "folder",
  }));
  for (const { path, size } of outputs) {
    found.push({ path, size, kind: KINDS.find(([pattern]) => pattern.test(path))?.[1] ?? "file" });
  }
  const rank = ({ kind }: Candidate) => (kind === "folder" ? 1 : kind === "file" ? 2 : 0);
  return found
    .filter(({ path }) => !inside(path))
    .sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path));
}

function below(one: Folder): Folder[] {
  return [one, ...one.folders.flatMap(below)];
}

/** `a=1, b=2` as tags; a word without `=` is a tag without a value. */
export function parseTags(text: string): { [key: string]: string } {
  const tags: { [key: string]: string } = {};
  for (const part of text.split(",").map((one) => one.trim())) {
    if (part !== "") {
      const at = part.indexOf("=");
      tags[at < 0 ? part : part.slice(0, at).trim()] = at < 0 ? "" : part.slice(at + 1).trim();
    }
  }
  return tags;
}

/** `serving_default: images float32 [–, 784] → probabilities float32 [–, 10]`, a line per function of the model. */
export function signatureLines(signature: unknown): string[] {
  return Object.entries(fields(signature)).map(([name, one]) => {
    const { inputs, outputs } = fields(one);
    return `${name}: ${tensors(inputs)} → ${tensors(outputs)}`;
  });
}

function tensors(specs: unknown): string {
  const all = Object.entries(fields(specs)).map(([name, spec]) => {
    const { dtype, shape } = fields(spec);
    const sizes = Array.isArray(shape) ? ` [${shape.map((size) => size ?? "–").join(", ")}]` : "";
    return `${name} ${typeof dtype === "string" ? dtype : "?"}${sizes}`;
  });
  return all.join(", ") || "–";
}

function fields(raw: unknown): { readonly [key: string]: unknown } {
  return typeof raw === "object" && raw !== null ? (raw as { readonly [key: string]: unknown }) : {};
}

/** The Python that registers the same. */
export function registerCell(
  run: string,
  model: { name: string; path: string; tags: { [key: string]: string }; description: string },
): string {
  const text = (value: string) => pythonText(value);
  const tags = Object.entries(model.tags).map(([key, value]) => `${text(key)}: ${text(value)}`);
  return [
    "import jupyter_mltrain as mltrain",
    "",
    `run = mltrain.run(${text(run)})`,
    "model = run.register_model(",
    `    model_name=${text(model.name)},`,
    `    model_path=${text(model.path)},`,
    ...(tags.length > 0 ? [`    tags={${tags.join(", ")}},`] : []),
    ...(model.description === "" ? [] : [`    description=${text(model.description)},`]),
    ")",
  ].join("\n");
}

/** A Python string literal: JSON's escapes are Python's, but for pairs of surrogates. */
export function pythonText(value: string): string {
  return JSON.stringify(value);
}

/** Formats that are served without an entry script (`core.deployment.SERVABLE`). */
export const SERVABLE: ReadonlySet<string> = new Set(["SavedModel", "Keras", "HDF5"]);
