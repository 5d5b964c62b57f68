/** The record of a live run for the notebook it is shown in: what the kernel would write, from what the service says. */

import { parseState } from "../api/parse";
import type { Metric } from "../api/payload";
import type { Asked, Rest } from "../api/rest";
import { boundedPayload, type Json } from "./bounded";
import { logOf } from "./rankLogs";
import { firstFailed } from "./ranks";
import { shownLines, Terminal } from "./terminal";

const MOST_SERIES = 12;
const MOST_POINTS = 200;
const LOG_BYTES = 4096;
const LOG_LINES = 20;

/** Fetches the points of the charts and the end of the log; what cannot be fetched is left out. */
export async function record(
  rest: Pick<Rest, "series" | "log">,
  workspace: string,
  run: string,
  raw: unknown,
  asked: Asked = {},
): Promise<{ [key: string]: Json }> {
  const state = parseState(raw, run);
  const metrics = firstOfEach(state.metrics).slice(0, MOST_SERIES);
  const found = await Promise.all(metrics.map((metric) => seriesOf(rest, workspace, run, metric, asked)));
  const log = logOf(firstFailed(state) ?? 0);
  const tail = await logTail(rest, workspace, run, log, asked);
  return boundedPayload(
    raw,
    { workspace, run },
    found.filter((one) => one !== null),
    tail === "" ? null : { name: log, tail },
  );
}

/** Of a metric that several ranks log, the first's. */
function firstOfEach(metrics: readonly Metric[]): Metric[] {
  const first = new Map<string, Metric>();
  for (const metric of metrics) {
    const known = first.get(metric.name);
    if (known === undefined || metric.rank < known.rank) {
      first.set(metric.name, metric);
    }
  }
  return metrics.filter((metric) => first.get(metric.name) === metric);
}

async function seriesOf(
  rest: Pick<Rest, "series">,
  workspace: string,
  run: string,
  metric: { name: string; rank: number },
  asked: Asked,
): Promise<Json> {
  try {
    const all = { axis: "step" as const, points: MOST_POINTS };
    const { total, steps, values } = await rest.series(workspace, run, metric, all, asked);
    // The service keeps the extremes of its buckets, and so may give some points more than asked for.
    const stride = steps.length <= 2 * MOST_POINTS ? 1 : Math.ceil(steps.length / MOST_POINTS);
    const kept = <T>(all: T[]) => all.filter((_, index) => index % stride === 0);
    return {
      name: metric.name,
      rank: metric.rank,
      total,
      steps: kept(steps),
      values: kept(values).map((value) =>
        typeof value === "number" || typeof value === "string" || typeof value === "boolean" ? value : null,
      ),
    };
  } catch {
    return null; // the state itself still shows the last value
  }
}

async function logTail(
  rest: Pick<Rest, "log">,
  workspace: string,
  run: string,
  log: string,
  asked: Asked,
): Promise<string> {
  let data: Uint8Array;
  try {
    data = await rest.log(workspace, run, log, -LOG_BYTES, LOG_BYTES, asked);
  } catch {
    return ""; // there need not be one yet
  }
  const whole = data.length < LOG_BYTES ? data : data.subarray(data.indexOf(0x0a) + 1);
  const lines = shownLines(new Terminal(), new TextDecoder().decode(whole)).trimEnd();
  return lines.split("\n").slice(-LOG_LINES).join("\n");
}
