/**
 * What of a run's state may be saved in a notebook: an allow-list, bounded, without paths of the machine or secrets. The
 * same as `jupyter_mltrain/widgets/bounds.py`, which writes the first record.
 */

import { FORMAT } from "../api/payload";

const KEPT = [
  "id",
  "experiment",
  "display_name",
  "status",
  "revision",
  "created",
  "started",
  "ended",
  "duration",
  "target",
  "environment",
  "data",
  "arguments",
  "command",
  "stages",
  "progress",
  "failure",
  "tracking",
  "metrics",
  "metric_points",
  "substitutions",
  "tags",
  "notes",
  "git",
  "resources",
  "used",
  "snapshot",
  "outputs",
  "models",
  "queue_position",
  "processes",
  "ranks",
  "notices",
  "workspace",
  "recorded",
];
/** What names things is kept as it is: `a//b` and `/loss` are good names of metrics. */
const NAMES = new Set(["id", "name", "key", "experiment", "display_name", "target"]);
const TEXT_LIMIT = 2000;
const LIST_LIMIT = 50;
const TRACEBACK_LIMIT = 8000;

const PATH = /(?<![\w:/.<…])~?\/(?:[^\s/:'"()<>|,;]+\/)+([^\s/:'"()<>|,;]*)/g;
const RUN_FOLDER = /.*\/\.mltrain\/runs\/[^/]+\/(?:work\/)?/;
const USERINFO = /(?<=:\/\/)[^/@\s]+@/g;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The payload to save for a state as the service wrote it, with the points and the end of the log that the page has. */
export function boundedPayload(
  raw: unknown,
  identity: { workspace: string; run: string },
  series: Json[],
  log: { name: string; tail: string } | null,
): { [key: string]: Json } {
  const state = raw as { [key: string]: unknown };
  const kept: { [key: string]: Json } = {};
  for (const key of KEPT) {
    if (key in state) {
      kept[key] = clean(state[key], key);
    }
  }
  const failure = kept.failure;
  const traceback = (state.failure as { traceback?: unknown } | null | undefined)?.traceback;
  if (isObject(failure) && typeof traceback === "string") {
    // The end of a traceback is the part that says what happened.
    failure.traceback = shortPaths(traceback).slice(-TRACEBACK_LIMIT);
  }
  if (isObject(kept.environment)) {
    delete kept.environment.variables;
    delete kept.environment.python;
  }
  return {
    format: FORMAT,
    workspace: identity.workspace,
    run: identity.run,
    recorded: typeof kept.recorded === "number" ? kept.recorded : Date.now() / 1000,
    state: kept,
    series,
    log: log && { name: log.name, tail: shortPaths(log.tail) },
  };
}

/** `value` as it may be saved under `key`. */
export function clean(value: unknown, key: string): Json {
  if (typeof value === "string") {
    return (NAMES.has(key) ? value : shortPaths(value)).slice(0, TEXT_LIMIT);
  }
  if (Array.isArray(value)) {
    return value.slice(0, LIST_LIMIT).map((one) => clean(one, key));
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).slice(0, LIST_LIMIT);
    return Object.fromEntries(entries.map(([k, one]) => [k.slice(0, TEXT_LIMIT), clean(one, k)]));
  }
  return typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** `text` without absolute paths and without user names in URLs. */
export function shortPaths(text: string): string {
  return text.replace(USERINFO, "").replace(PATH, (path: string, last: string) => {
    const inside = path.replace(RUN_FOLDER, "");
    if (inside !== path) {
      return inside || ".";
    }
    for (const folder of ["/site-packages/", "/dist-packages/"]) {
      if (path.includes(folder)) {
        return `…/${path.slice(path.lastIndexOf(folder) + folder.length)}`;
      }
    }
    return `…/${last || path.replace(/\/+$/, "").split("/").at(-1)}`;
  });
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
