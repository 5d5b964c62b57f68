/** The three forms of a run in a notebook's output, made anew from what the service says. */

import { render } from "preact";

import { parsePayload, parseState } from "../api/parse";
import { MIME_TYPE, PayloadError, type RunPayload } from "../api/payload";
import { type Asked, RequestError } from "../api/rest";
import { boundedPayload, type Json } from "../model/bounded";
import { inEnglish } from "../model/language";
import { record } from "../model/record";
import { type RunStore, terminal } from "../model/run";
import { RunCard } from "../ui/RunCard";
import type { Surroundings } from "../ui/surroundings";
import type { MimeData } from "./page";

/** So many of an output's later runs are saved in it, the newest. */
const MOST_RERUNS = 5;

type JsonObject = { [key: string]: Json };

/** What an output's data become; null where they are true already. `store`: its run as this page shows it. */
export type Renewal = (data: MimeData, store: RunStore | null) => MimeData | null | Promise<MimeData | null>;

/** From what this page knows, without asking anybody: the points of the charts stay those that were recorded. */
export function fromMemory(data: MimeData, store: RunStore | null): MimeData | null {
  const runs = runsOf(data, store);
  const renewed = runs.map(({ saved, raw, identity }) =>
    saved !== null && !newer(raw, saved)
      ? saved
      : boundedPayload(raw, identity, (saved?.series as Json[] | undefined) ?? [], logOf(saved)),
  );
  return bundle(data, runs, renewed);
}

/** From the service: the points of the charts and the end of the log too. Runs that are over and known are not asked for. */
export async function fromService(
  around: Surroundings,
  data: MimeData,
  store: RunStore | null,
  asked: Asked & { states?: boolean } = {},
): Promise<MimeData | null> {
  const { rest } = around.door;
  const runs = runsOf(data, store);
  const renewed = await Promise.all(
    runs.map(async ({ saved, raw: known, followed, identity: { workspace, run } }) => {
      const ask = asked.states && !followed && !settled(saved);
      const raw = (ask ? await stateOf(workspace, run) : null) ?? known;
      const stands = saved !== null && (raw === null || (settled(saved) && !newer(raw, saved)));
      return stands ? saved : await record(rest, workspace, run, raw, asked);
    }),
  );
  return bundle(data, runs, renewed);

  async function stateOf(workspace: string, run: string): Promise<unknown> {
    try {
      return (await around.registered.has(workspace)) ? await rest.state(workspace, run, asked) : null;
    } catch (error) {
      if (error instanceof RequestError) {
        return null; // no service runs, or it does not know this run: what is recorded stays
      }
      throw error;
    }
  }
}

interface Known {
  identity: { workspace: string; run: string };
  /** As the output holds it, without its reruns. */
  saved: JsonObject | null;
  /** As the service said it to this page; null where only `saved` is known. */
  raw: unknown;
  /** The service says every change to this page: `raw` is how the run stands. */
  followed: boolean;
}

/** The output's run and those that were started again from it. */
function runsOf(data: MimeData, store: RunStore | null): Known[] {
  const { reruns, beside: _, ...first } = data[MIME_TYPE] as JsonObject;
  const saved = [first, ...(Array.isArray(reruns) ? (reruns as JsonObject[]) : [])];
  const stores = store === null ? [] : [store, ...store.reruns];
  const ids = new Set([...saved.map((one) => String(one.run)), ...stores.map((one) => one.recorded.run)]);
  return [...ids].map((run) => {
    const found = stores.find((one) => one.recorded.run === run);
    return {
      identity: { workspace: String(first.workspace), run },
      saved: saved.find((one) => one.run === run) ?? null,
      raw: found?.raw ?? null,
      followed: found?.attached === true && found.standing === "live",
    };
  });
}

function newer(raw: unknown, saved: JsonObject): boolean {
  return raw !== null && revisionOf(raw) > revisionOf(saved.state);
}

function revisionOf(state: unknown): number {
  return parseState(state, "").revision;
}

/** Nothing more comes of the run by itself. */
function settled(saved: JsonObject | null): boolean {
  if (saved === null) {
    return false;
  }
  const { status, tracking } = parseState(saved.state, "");
  return terminal(status) && tracking.state !== "pending";
}

function logOf(saved: JsonObject | null): RunPayload["log"] {
  const log = saved?.log as JsonObject | null | undefined;
  return log ? { name: String(log.name), tail: String(log.tail) } : null;
}

function bundle(data: MimeData, runs: Known[], renewed: (JsonObject | null)[]): MimeData | null {
  if (runs.every(({ saved }, index) => saved !== null && renewed[index] === saved)) {
    return null;
  }
  const [first, ...others] = renewed.filter((one) => one !== null);
  const reruns = others.slice(-MOST_RERUNS);
  const { beside } = data[MIME_TYPE] as JsonObject;
  const payload: JsonObject = {
    ...first,
    ...(reruns.length > 0 ? { reruns } : {}),
    ...(beside === true ? { beside } : {}),
  };
  const shown = parsePayload(payload);
  return {
    ...data,
    [MIME_TYPE]: payload,
    ...htmlOf(data["text/html"], shown),
    ...plainOf(data["text/plain"], shown.state.status),
  };
}

/** Whether an output is one of ours that can be read. */
export function readable(data: MimeData): boolean {
  try {
    return MIME_TYPE in data && parsePayload(data[MIME_TYPE]).run !== "";
  } catch (error) {
    if (error instanceof PayloadError) {
      return false;
    }
    throw error;
  }
}

/** The static card for viewers without this extension, in the style sheet that the kernel wrote. */
function htmlOf(before: unknown, payload: RunPayload): { "text/html"?: string } {
  const style = typeof before === "string" ? /^<style>[^<]*<\/style>/.exec(before)?.[0] : undefined;
  if (style === undefined) {
    return {};
  }
  const host = document.createElement("div");
  const cards = [payload, ...payload.reruns];
  inEnglish(() =>
    render(
      cards.map((one) => <RunCard key={one.run} payload={one} />),
      host,
    ),
  );
  const html = style + host.innerHTML;
  render(null, host);
  return { "text/html": html };
}

function plainOf(before: unknown, status: string): { "text/plain"?: string } {
  return typeof before === "string"
    ? { "text/plain": before.replace(/^Status: .*\)$/m, () => `Status: ${status})`) }
    : {};
}
