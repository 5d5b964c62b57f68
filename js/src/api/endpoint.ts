/**
 * An endpoint as `parseEndpoint` leaves it, bounded and every key there, from a notebook or from the service; and the value
 * of `application/vnd.mltrain.endpoint+json`. Notebooks come from anywhere: nothing is believed about their shape.
 */

import { claimed } from "./claimed";
import { FORMAT, PayloadError } from "./payload";
import type * as wire from "./wire.gen";

export const ENDPOINT_MIME = "application/vnd.mltrain.endpoint+json";

export type Phase = wire.EndpointPhase;

export interface Tensor {
  dtype: string;
  /** null for a free dimension; null in place of it all for a free rank. */
  shape: (number | null)[] | null;
}

export interface Signature {
  inputs: { [name: string]: Tensor };
  outputs: { [name: string]: Tensor };
}

/** The input is a grey image that can be drawn; `shape`: of one sample. */
export interface ImageInput {
  input: string;
  shape: number[];
  dtype: string;
}

export interface EndpointFailure {
  title: string;
  evidence: string[];
  traceback: string;
  mend: string;
}

export interface Endpoint {
  name: string;
  state: string;
  phase: Phase;
  step: string;
  revision: number;
  serving: number | null;
  models: { id: string; name: string; version: number; format: string }[];
  entryScript: string;
  environment: string;
  framework: string;
  url: string;
  scoringUri: string;
  authEnabled: boolean;
  cpu: number | null;
  memoryGb: number | null;
  memoryBytes: number;
  created: number;
  since: number | null;
  restarts: number;
  failure: EndpointFailure | null;
  substitutions: { kind: string; asked: string; given: string; reason: string }[];
  notices: string[];
  description: string;
  tags: { [name: string]: string };
  signature: Signature | null;
  image: ImageInput | null;
  snippets: { curl: string; python: string; serve: string; deploy: string };
}

export interface Latency {
  requests: [status: string, count: number][];
  of: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface EndpointPayload {
  workspace: string;
  endpoint: string;
  recorded: number;
  state: Endpoint;
  latency: Latency | null;
  log: { name: string; tail: string } | null;
}

const PHASES: readonly Phase[] = ["deploying", "running", "restarting", "failed", "stopped", "unknown"];
const MOST = 200;
const MOST_TEXT = 20_000;

/** Raises `PayloadError` for what holds no endpoint. */
export function parseEndpointPayload(raw: unknown): EndpointPayload {
  const top = claimed<wire.SavedEndpoint>(raw);
  const state = claimed<wire.Endpoint>(top.state);
  if (number(top.format) === null || text(top.endpoint) === "" || text(state.phase) === "") {
    throw new PayloadError("This output holds no endpoint that can be shown.");
  }
  if ((number(top.format) ?? 0) > FORMAT) {
    throw new PayloadError(
      "A newer version of jupyter-mltrain saved this output; upgrade it to see the endpoint.",
    );
  }
  const log = claimed<wire.LogTail>(top.log);
  return {
    workspace: text(top.workspace),
    endpoint: text(top.endpoint),
    recorded: number(top.recorded) ?? 0,
    state: parseEndpoint(state),
    latency: top.latency ? parseLatency(top.latency) : null,
    log: text(log.tail) === "" ? null : { name: text(log.name), tail: text(log.tail) },
  };
}

export function parseEndpoint(given: unknown): Endpoint {
  const raw = claimed<wire.Endpoint>(given);
  const snippets = claimed<wire.EndpointSnippets>(raw.snippets);
  const failure = claimed<wire.EndpointFailure>(raw.failure);
  const signatures = claimed<{ [name: string]: wire.Signature }>(raw.signatures);
  const image = claimed<wire.EndpointImage>(raw.image);
  const shape = list(image.shape).flatMap((size) => number(size) ?? []);
  return {
    name: text(raw.name),
    state: text(raw.state),
    phase: PHASES.find((one) => one === raw.phase) ?? "unknown",
    step: text(raw.step),
    revision: number(raw.revision) ?? 0,
    serving: number(raw.serving),
    models: list(raw.models).map((one) => {
      const { id, name, version, format } = claimed<wire.EndpointModel>(one);
      return { id: text(id), name: text(name), version: number(version) ?? 0, format: text(format) };
    }),
    entryScript: text(raw.entry_script),
    environment: text(raw.environment),
    framework: text(raw.framework),
    url: address(raw.url),
    scoringUri: address(raw.scoring_uri),
    authEnabled: raw.auth_enabled === true,
    cpu: number(raw.cpu),
    memoryGb: number(raw.memory_gb),
    memoryBytes: number(raw.memory_bytes) ?? 0,
    created: number(raw.created) ?? 0,
    since: number(raw.since),
    restarts: number(raw.restarts) ?? 0,
    failure: raw.failure
      ? {
          title: text(failure.title),
          evidence: list(failure.evidence).map(text).filter(Boolean),
          traceback: text(failure.traceback),
          mend: text(failure.mend),
        }
      : null,
    substitutions: list(raw.substitutions).map(parseSubstitution),
    notices: list(raw.notices).map(text),
    description: text(raw.description),
    tags: texts(raw.tags),
    signature: signatureOf(signatures[text(raw.default_signature)] ?? Object.values(signatures)[0]),
    // 28×28 as the service finds it; anything else in a notebook is not drawn on.
    image:
      raw.image && shape.reduce((product, size) => product * size, 1) === 784
        ? { input: text(image.input), shape, dtype: text(image.dtype) }
        : null,
    snippets: {
      curl: text(snippets.curl),
      python: text(snippets.python),
      serve: text(snippets.serve),
      deploy: text(snippets.deploy),
    },
  };
}

export function parseLatency(raw: unknown): Latency {
  const fields = claimed<wire.EndpointLatency>(raw);
  return {
    requests: Object.entries(claimed<{ [status: string]: number }>(fields.requests))
      .slice(0, MOST)
      .map(([status, count]): [string, number] => [status, number(count) ?? 0]),
    of: number(fields.of) ?? 0,
    p50: number(fields.p50_ms),
    p95: number(fields.p95_ms),
    p99: number(fields.p99_ms),
  };
}

export function parseSubstitution(raw: unknown): Endpoint["substitutions"][number] {
  const fields = claimed<wire.Substitution>(raw);
  return {
    kind: text(fields.kind),
    asked: text(fields.asked),
    given: text(fields.given),
    reason: text(fields.reason),
  };
}

export function signatureOf(raw: unknown): Signature | null {
  const { inputs, outputs } = claimed<wire.Signature>(raw);
  const found = { inputs: tensors(inputs), outputs: tensors(outputs) };
  return Object.keys(found.inputs).length > 0 ? found : null;
}

export function tensors(raw: unknown): { [name: string]: Tensor } {
  const entries = Object.entries(claimed<{ [name: string]: unknown }>(raw)).slice(0, MOST);
  return Object.fromEntries(
    entries.map(([name, one]) => {
      const { dtype, shape } = claimed<wire.TensorSpec>(one);
      return [
        name,
        { dtype: text(dtype), shape: Array.isArray(shape) ? shape.slice(0, MOST).map(number) : null },
      ];
    }),
  );
}

/** Links go to this machine alone, whatever a notebook says. */
function address(raw: unknown): string {
  const said = text(raw);
  return /^http:\/\/(localhost|127\.0\.0\.1):\d+(\/|$)/.test(said) ? said : "";
}

function list(raw: unknown): unknown[] {
  return Array.isArray(raw) ? raw.slice(0, MOST) : [];
}

export function text(raw: unknown): string {
  return typeof raw === "string" ? raw.slice(0, MOST_TEXT) : "";
}

export function number(raw: unknown): number | null {
  return typeof raw === "number" && Number.isFinite(raw) ? raw : null;
}

export function texts(raw: unknown): { [name: string]: string } {
  const entries = Object.entries(claimed<{ [name: string]: unknown }>(raw)).slice(0, MOST);
  return Object.fromEntries(entries.map(([name, one]) => [name, text(one)]));
}
