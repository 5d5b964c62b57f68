/** The record of an endpoint for the notebook it is shown in: what the kernel would write, from what the service says. */

import { type Endpoint, parseEndpoint } from "../api/endpoint";
import type { Endpoints } from "../api/endpoints";
import { FORMAT } from "../api/payload";
import { type Asked, RequestError } from "../api/rest";
import { clean, type Json } from "./bounded";
import { shownLines, Terminal } from "./terminal";

/** The same as `jupyter_mltrain/widgets/endpoint_output.py`. */
const KEPT = [
  ["name", "kind", "state", "phase", "step", "revision", "serving", "models", "entry_script", "environment"],
  [
    "framework",
    "url",
    "scoring_uri",
    "auth_enabled",
    "cpu",
    "memory_gb",
    "memory_bytes",
    "created",
    "updated",
  ],
  ["since", "restarts", "failure", "substitutions", "notices", "description", "tags", "signatures"],
  ["default_signature", "image", "snippets"],
].flat();
const LOG_BYTES = 4096;
const LOG_LINES = 20;

export type JsonObject = { [key: string]: Json };

/** Where an endpoint stands, apart from figures that change all the time. */
export function standOf({ state, phase, revision, serving, models, failure }: Endpoint): string {
  return JSON.stringify([state, phase, revision, serving, models.map((one) => one.id), failure?.title]);
}

/**
 * What to save of an endpoint now, null where it stands as `saved` says or its service does not answer. `last`: what the
 * service said of it before, which is all that is known of one that was deleted; else that is what was saved.
 */
export async function endpointRecord(
  endpoints: Endpoints,
  saved: JsonObject,
  asked: Asked = {},
  last: object | null = null,
): Promise<JsonObject | null> {
  const name = String(saved.endpoint);
  const before = saved.state as JsonObject;
  let raw: unknown;
  try {
    raw = await endpoints.told(name, asked);
  } catch (error) {
    if (!(error instanceof RequestError)) {
      throw error;
    }
    if (error.status !== 404 || error.wire.code !== "not_found.endpoint") {
      return null;
    }
    raw = { ...(last ?? before), phase: "deleted", state: "deleted", serving: null, scoring_uri: null };
  }
  if (standOf(parseEndpoint(raw)) === standOf(parseEndpoint(before))) {
    return null;
  }
  const found = raw as { [key: string]: unknown };
  const there = found.phase !== "deleted";
  const [latency, log] = there ? await Promise.all([latencyOf(), tailOf()]) : [null, saved.log ?? null];
  return {
    format: FORMAT,
    workspace: endpoints.workspace,
    endpoint: name,
    recorded: typeof found.recorded === "number" ? found.recorded : Date.now() / 1000,
    state: Object.fromEntries(KEPT.flatMap((key) => (key in found ? [[key, clean(found[key], key)]] : []))),
    latency,
    log,
  };

  async function latencyOf(): Promise<Json> {
    return endpoints.toldLatency(name, asked).then(
      (told) => clean(told, ""),
      () => null,
    );
  }

  async function tailOf(): Promise<Json> {
    try {
      const { data } = await endpoints.log(name, -LOG_BYTES, false, asked);
      const whole = data.length < LOG_BYTES ? data : data.subarray(data.indexOf(0x0a) + 1);
      const lines = shownLines(new Terminal(), new TextDecoder().decode(whole)).trimEnd();
      return lines === ""
        ? null
        : { name: "endpoint", tail: clean(lines.split("\n").slice(-LOG_LINES).join("\n"), "tail") };
    } catch {
      return null; // there need not be one yet
    }
  }
}
