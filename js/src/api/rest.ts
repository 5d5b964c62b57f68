/**
 * Questions and commands to the door (`jupyter_mltrain/server/routes.py`), below `<base url>mltrain/`. Each request has an
 * id, ends after a timeout and can be given up. Credentials are the caller's: `send` is JupyterLab's own `makeRequest`.
 */

import { claimed } from "./claimed";
import { type WireError, wireError } from "./live";
import { parseMetrics } from "./parse";
import type { Metric } from "./payload";
import type * as wire from "./wire.gen";

export type Send = (path: string, init: RequestInit) => Promise<Response>;

const REFUSED = Symbol.for("jupyter-mltrain.request-error");

/** What a request came to when it did not succeed: the service's words, or why it was not reached. */
export class RequestError extends Error {
  readonly [REFUSED] = true;

  /** The renderer's and the widget's bundles share a door, each with a class of its own of this name. */
  static override [Symbol.hasInstance](one: unknown): boolean {
    return typeof one === "object" && one !== null && REFUSED in one;
  }

  constructor(
    readonly id: number,
    readonly status: number,
    readonly wire: WireError,
  ) {
    super(wire.mend ? `${wire.message} ${wire.mend}` : wire.message);
  }

  /** No service runs in the workspace; nothing was done. */
  get offline(): boolean {
    return this.status === 503;
  }
}

export interface Asked {
  signal?: AbortSignal;
  timeoutMs?: number;
}

export interface Points {
  total: number;
  steps: number[];
  times: number[];
  values: unknown[];
}

export interface Window {
  axis: "step" | "time";
  start?: number;
  stop?: number;
  points: number;
}

export type RunFile = wire.RunFile;
export type LogFile = wire.LogFile;

export interface ModelVersion {
  name: string;
  version: number;
  sameAs: number | null;
  framework: string;
  /** Functions by name, each with `inputs` and `outputs`: `{dtype, shape}` by name. */
  signature: unknown;
  metrics: { [name: string]: number };
}

/** What the files of a model say of it, read without running any. */
export interface Inspection {
  format: string;
  framework: string;
  frameworkVersion: string;
  signature: unknown;
  /** Why a part could not be read. */
  problem: string;
}

const TIMEOUT_MS = 20_000;
/** Registering copies a model and may wait for MLflow to start. */
const REGISTER_MS = 90_000;

export class Rest {
  private count = 0;

  constructor(private readonly send: Send) {}

  /** The ids of the user's workspaces; null where the server has no door. */
  async workspaces(): Promise<Set<string> | null> {
    try {
      const { workspaces } = claimed<wire.WorkspaceList>(await this.json("GET", "workspaces"));
      return new Set(list(workspaces).map((one) => String(claimed<wire.WorkspaceName>(one).id)));
    } catch (error) {
      if (error instanceof RequestError && error.status === 404) {
        return null;
      }
      throw error;
    }
  }

  /** Start the workspace's service: somebody asked for it. */
  async open(workspace: string): Promise<void> {
    await this.json("POST", `workspaces/${encodeURIComponent(workspace)}/open`, {}, { timeoutMs: 60_000 });
  }

  async state(workspace: string, run: string, asked: Asked = {}): Promise<unknown> {
    return this.json("GET", runPath(workspace, run), undefined, asked);
  }

  async cancel(workspace: string, run: string, keep: boolean): Promise<unknown> {
    const body: wire.CancelRequest = { keep };
    return this.json("POST", runPath(workspace, run, "cancel"), body);
  }

  /** A new run like this one, with more memory where asked for, shown in the output of `output`. Returns its state. */
  async rerun(workspace: string, run: string, memoryGb: number | null, output: string): Promise<unknown> {
    const resources = memoryGb === null ? {} : { resources: { memory_gb: memoryGb } };
    const body: wire.RerunRequest = { output, ...resources };
    return this.json("POST", runPath(workspace, run, "rerun"), body);
  }

  async change(workspace: string, run: string, changes: RunChanges): Promise<unknown> {
    return this.json("PATCH", runPath(workspace, run), changes);
  }

  async series(
    workspace: string,
    run: string,
    metric: { name: string; rank: number },
    window: Window,
    asked: Asked = {},
    what: "series" | "system/series" = "series",
  ): Promise<Points> {
    const query = new URLSearchParams({
      name: metric.name,
      rank: String(metric.rank),
      axis: window.axis,
      points: String(window.points),
    });
    for (const side of ["start", "stop"] as const) {
      const at = window[side];
      if (at !== undefined) {
        query.set(side, String(at));
      }
    }
    const path = `${runPath(workspace, run, what)}?${query}`;
    const { total, steps, times, values } = claimed<wire.SeriesWindow>(
      await this.json("GET", path, undefined, asked),
    );
    return {
      total: Number(total ?? 0),
      steps: list(steps).map(Number),
      times: list(times).map(Number),
      values: list(values),
    };
  }

  /** All metrics of a run; its state has the first of them. */
  async metrics(workspace: string, run: string, asked: Asked = {}): Promise<Metric[]> {
    return parseMetrics(await this.json("GET", runPath(workspace, run, "metrics"), undefined, asked));
  }

  async logs(workspace: string, run: string, asked: Asked = {}): Promise<LogFile[]> {
    const { logs } = claimed<wire.LogList>(
      await this.json("GET", runPath(workspace, run, "logs"), undefined, asked),
    );
    return list(logs).map((one) => {
      const { name, size, rank } = claimed<wire.LogFile>(one);
      return { name: String(name), size: Number(size ?? 0), rank: typeof rank === "number" ? rank : null };
    });
  }

  /** Bytes of a log; a negative offset counts from its end. */
  async log(
    workspace: string,
    run: string,
    name: string,
    offset: number,
    limit: number,
    asked: Asked = {},
  ): Promise<Uint8Array> {
    const query = new URLSearchParams({ name, offset: String(offset), limit: String(limit) });
    const response = await this.request(
      "GET",
      `${runPath(workspace, run, "log")}?${query}`,
      undefined,
      asked,
    );
    return new Uint8Array(await response.arrayBuffer());
  }

  async files(workspace: string, run: string, asked: Asked = {}): Promise<RunFile[]> {
    const { files } = claimed<wire.FileList>(
      await this.json("GET", runPath(workspace, run, "files"), undefined, asked),
    );
    return filesOf(files);
  }

  /** The first `bytes` of a file. */
  async file(workspace: string, run: string, path: string, bytes: number, asked: Asked = {}): Promise<Blob> {
    const query = new URLSearchParams({ path });
    const response = await this.request("GET", `${runPath(workspace, run, "file")}?${query}`, undefined, {
      ...asked,
      range: `bytes=0-${bytes - 1}`,
    });
    return response.blob();
  }

  /** The versions of a model's name, oldest first; none where the name is new. */
  async versions(workspace: string, name: string, asked: Asked = {}): Promise<ModelVersion[]> {
    const path = `workspaces/${encodeURIComponent(workspace)}/models/${encodeURIComponent(name)}`;
    try {
      const { versions } = claimed<wire.NewestModel>(await this.json("GET", path, undefined, asked));
      return list(versions).map(modelVersion);
    } catch (error) {
      if (error instanceof RequestError && error.status === 404) {
        return [];
      }
      throw error;
    }
  }

  /** What a file or folder of a run's outputs is. */
  async inspect(workspace: string, run: string, path: string, asked: Asked = {}): Promise<Inspection> {
    const query = new URLSearchParams({ path });
    const raw = claimed<wire.Inspection>(
      await this.json("GET", `${runPath(workspace, run, "inspect")}?${query}`, undefined, {
        timeoutMs: REGISTER_MS,
        ...asked,
      }),
    );
    return {
      format: text(raw.format),
      framework: text(raw.framework),
      frameworkVersion: text(raw.framework_version),
      signature: raw.signature ?? null,
      problem: text(raw.problem),
    };
  }

  async modelNames(workspace: string, asked: Asked = {}): Promise<string[]> {
    const path = `workspaces/${encodeURIComponent(workspace)}/models`;
    const { models } = claimed<wire.ModelList>(
      await this.json("GET", path, undefined, { timeoutMs: 60_000, ...asked }),
    );
    return [...new Set(list(models).map((one) => String(claimed<wire.ModelVersion>(one).name)))];
  }

  async register(workspace: string, run: string, model: ModelRequest): Promise<ModelVersion> {
    const path = runPath(workspace, run, "models");
    return modelVersion(await this.json("POST", path, model, { timeoutMs: REGISTER_MS }));
  }

  /** Any request whose answer is JSON; topics of their own (`endpoints.ts`, `environments.ts`) are made of it. */
  async json(method: string, path: string, body?: object, asked: Asked = {}): Promise<unknown> {
    const response = await this.request(method, path, body, asked);
    return response.json();
  }

  /** Any request. Raises `RequestError` for an answer that is an error. */
  async request(
    method: string,
    path: string,
    body: object | undefined,
    asked: Asked & { range?: string },
  ): Promise<Response> {
    const id = ++this.count;
    const timeout = AbortSignal.timeout(asked.timeoutMs ?? TIMEOUT_MS);
    const init: RequestInit = {
      method,
      signal: asked.signal ? AbortSignal.any([asked.signal, timeout]) : timeout,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(asked.range ? { headers: { Range: asked.range } } : {}),
    };
    let response: Response;
    try {
      response = await this.send(path, init);
    } catch (error) {
      if (asked.signal?.aborted) {
        throw error;
      }
      const message = timeout.aborted
        ? "The server took too long to answer."
        : "The server cannot be reached.";
      throw new RequestError(id, 0, { code: "unreachable", message, mend: "" });
    }
    if (!response.ok) {
      throw new RequestError(id, response.status, await errorOf(response));
    }
    return response;
  }
}

export type RunChanges = wire.RunChanges;
export type ModelRequest = wire.ModelRequest;

export function runPath(workspace: string, run: string, what = ""): string {
  const path = `workspaces/${encodeURIComponent(workspace)}/runs/${encodeURIComponent(run)}`;
  return what ? `${path}/${what}` : path;
}

export function filesOf(files: unknown): RunFile[] {
  return list(files).map((one) => {
    const { path, size, modified } = claimed<wire.RunFile>(one);
    return { path: String(path), size: Number(size ?? 0), modified: Number(modified ?? 0) };
  });
}

async function errorOf(response: Response): Promise<WireError> {
  const said: unknown = await response.json().catch(() => ({}));
  const { error } = claimed<wire.ErrorAnswer>(said);
  return error
    ? wireError(error)
    : { code: `http.${response.status}`, message: `The server answered ${response.status}.`, mend: "" };
}

function modelVersion(raw: unknown): ModelVersion {
  const { name, version, same_as, framework, signature, metrics } = claimed<wire.ModelVersion>(raw);
  return {
    name: String(name),
    version: Number(version),
    sameAs: typeof same_as === "number" ? same_as : null,
    framework: typeof framework === "string" ? framework : "",
    signature: signature ?? null,
    metrics: Object.fromEntries(
      Object.entries(claimed<{ [name: string]: number }>(metrics)).filter(
        (one): one is [string, number] => typeof one[1] === "number",
      ),
    ),
  };
}

function text(raw: unknown): string {
  return typeof raw === "string" ? raw : "";
}

function list(raw: unknown): unknown[] {
  return Array.isArray(raw) ? raw : [];
}
