/** Questions and commands about endpoints and the models that they serve, to the door. The key of an endpoint stays with the service. */

import { claimed } from "./claimed";
import {
  type Endpoint,
  type EndpointFailure,
  type Latency,
  number,
  parseEndpoint,
  parseLatency,
  parseSubstitution,
  type Signature,
  signatureOf,
  type Tensor,
  tensors,
  text,
} from "./endpoint";
import { type Asked, filesOf, type Rest, type RunFile } from "./rest";
import type * as wire from "./wire.gen";

/** A smoke prediction may build an environment first; ending an endpoint waits for its processes. */
const LONG_MS = 600_000;
const TEST_MS = 90_000;

export interface Answer {
  status: number;
  milliseconds: number;
  body: unknown;
}

export interface LogPart {
  data: Uint8Array;
  offset: number;
  next: number;
}

export interface Smoke {
  ok: boolean;
  outputs: unknown;
  shapes: { [name: string]: Tensor };
  framework: string;
  seconds: number;
  predictMs: number | null;
  network: boolean;
  failure: EndpointFailure | null;
}

/** What a form asks for; null is left to the model's registration and this machine. */
export interface Deployment {
  name: string;
  cpu: number | null;
  memoryGb: number | null;
  authEnabled: boolean | null;
  overwrite: boolean;
  tags?: { [name: string]: string };
  description?: string;
}

export interface DeploymentPlan {
  exists: boolean;
  environment: string;
  environmentState: string;
  memoryGb: number | null;
  memoryFloorGb: number;
  substitutions: Endpoint["substitutions"];
  signature: Signature | null;
  servable: boolean;
  problem: string;
  deploy: string;
}

export interface ModelId {
  name: string;
  version: number;
}

export class Endpoints {
  constructor(
    private readonly rest: Rest,
    readonly workspace: string,
  ) {}

  async names(asked: Asked = {}): Promise<Endpoint[]> {
    const { endpoints } = claimed<wire.EndpointList>(
      await this.rest.json("GET", this.path("endpoints"), undefined, asked),
    );
    return Array.isArray(endpoints) ? endpoints.map(parseEndpoint) : [];
  }

  /** The versions of a model's name, oldest first. */
  async versions(name: string, asked: Asked = {}): Promise<number[]> {
    return (await this.rest.versions(this.workspace, name, asked)).map((one) => one.version);
  }

  /** A registered version, as the service says it. */
  async version({ name, version }: ModelId, asked: Asked = {}): Promise<unknown> {
    return this.rest.json("GET", this.path("models", name, String(version)), undefined, asked);
  }

  /** Its files. The first look may bring them from a team's server. */
  async files({ name, version }: ModelId, asked: Asked = {}): Promise<RunFile[]> {
    const path = this.path("models", name, String(version), "files");
    const { files } = claimed<wire.FileList>(
      await this.rest.json("GET", path, undefined, { timeoutMs: TEST_MS, ...asked }),
    );
    return filesOf(files);
  }

  async state(name: string, asked: Asked = {}): Promise<Endpoint> {
    return parseEndpoint(await this.told(name, asked));
  }

  /** The endpoint as the service says it, to be saved. */
  async told(name: string, asked: Asked = {}): Promise<unknown> {
    return this.rest.json("GET", this.path("endpoints", name), undefined, asked);
  }

  async latency(name: string, asked: Asked = {}): Promise<Latency> {
    return parseLatency(await this.toldLatency(name, asked));
  }

  async toldLatency(name: string, asked: Asked = {}): Promise<unknown> {
    return this.rest.json("GET", this.path("endpoints", name, "latency"), undefined, asked);
  }

  /** Bytes of the log from `offset` (negative: from its end), of its environment's build where asked for. */
  async log(name: string, offset: number, build: boolean, asked: Asked = {}): Promise<LogPart> {
    const query = new URLSearchParams({ offset: String(offset), build: String(build) });
    const response = await this.rest.request(
      "GET",
      `${this.path("endpoints", name, "log")}?${query}`,
      undefined,
      asked,
    );
    const data = new Uint8Array(await response.arrayBuffer());
    const start = Number(response.headers.get("x-offset") ?? 0);
    return { data, offset: start, next: start + data.length };
  }

  /** Ask the endpoint through the service, which adds the key. `body`: JSON as text. */
  async test(name: string, body: string, asked: Asked = {}): Promise<Answer> {
    const request: wire.TestRequest = { path: "/score", text: body };
    const answer = claimed<wire.EndpointAnswer>(
      await this.rest.json("POST", this.path("endpoints", name, "test"), request, {
        timeoutMs: TEST_MS,
        ...asked,
      }),
    );
    return {
      status: number(answer.status) ?? 0,
      milliseconds: number(answer.milliseconds) ?? 0,
      body: answer.body,
    };
  }

  async reload(name: string): Promise<Endpoint> {
    return parseEndpoint(
      await this.rest.json("POST", this.path("endpoints", name, "reload"), {}, { timeoutMs: LONG_MS }),
    );
  }

  async remove(name: string): Promise<void> {
    await this.rest.json("DELETE", this.path("endpoints", name), undefined, { timeoutMs: LONG_MS });
  }

  async smoke(model: ModelId): Promise<Smoke> {
    return smokeOf(await this.rest.json("POST", this.modelPath(model, "smoke"), {}, { timeoutMs: LONG_MS }));
  }

  /** The same with what a run left, before it is registered. */
  async smokeOutput(run: string, path: string): Promise<Smoke> {
    const request: wire.OutputSmokeRequest = { path };
    return smokeOf(
      await this.rest.json("POST", this.path("runs", run, "smoke"), request, { timeoutMs: LONG_MS }),
    );
  }

  async plan(model: ModelId, deployment: Deployment, asked: Asked = {}): Promise<DeploymentPlan> {
    const raw = claimed<wire.EndpointPlan>(
      await this.rest.json("POST", this.modelPath(model, "deployment-plan"), requestOf(deployment), asked),
    );
    return {
      exists: raw.exists === true,
      environment: text(raw.environment),
      environmentState: text(raw.environment_state),
      memoryGb: number(raw.memory_gb),
      memoryFloorGb: number(raw.memory_floor_gb) ?? 0,
      substitutions: Array.isArray(raw.substitutions) ? raw.substitutions.map(parseSubstitution) : [],
      signature: signatureOf(Object.values(claimed<{ [name: string]: unknown }>(raw.signatures))[0]),
      servable: raw.servable === true,
      problem: text(raw.problem),
      deploy: text(raw.deploy),
    };
  }

  /** The endpoint as the service answers, to be saved and shown. */
  async deploy(model: ModelId, deployment: Deployment): Promise<unknown> {
    return this.rest.json("POST", this.modelPath(model, "deploy"), requestOf(deployment), {
      timeoutMs: LONG_MS,
    });
  }

  private modelPath({ name, version }: ModelId, what: string): string {
    return this.path("models", name, String(version), what);
  }

  private path(...parts: string[]): string {
    return ["workspaces", this.workspace, ...parts].map(encodeURIComponent).join("/");
  }
}

function requestOf(deployment: Deployment): wire.ModelDeployment {
  const { name, cpu, memoryGb, authEnabled, overwrite, tags, description } = deployment;
  return {
    name,
    overwrite,
    deployment: {
      cpu,
      memory_gb: memoryGb,
      auth_enabled: authEnabled,
      ...(tags ? { tags } : {}),
      ...(description ? { description } : {}),
    },
  };
}

function smokeOf(answer: unknown): Smoke {
  const raw = claimed<wire.SmokePrediction>(answer);
  const failure = claimed<wire.EndpointFailure>(raw.failure);
  return {
    ok: raw.ok === true,
    outputs: raw.outputs ?? null,
    shapes: tensors(raw.shapes),
    framework: text(raw.framework),
    seconds: number(raw.seconds) ?? 0,
    predictMs: number(raw.predict_ms),
    network: raw.network === true,
    failure: raw.failure
      ? {
          title: text(failure.title),
          evidence: Array.isArray(failure.evidence) ? failure.evidence.map(text) : [],
          traceback: text(failure.traceback),
          mend: text(failure.mend),
        }
      : null,
  };
}
