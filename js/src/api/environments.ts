/** Questions and commands about environments, to the door. */

import { claimed } from "./claimed";
import { number, text } from "./endpoint";
import type { Asked, Rest } from "./rest";
import type * as wire from "./wire.gen";

/** Resolving downloads what an index says of each package. */
const RESOLVE_MS = 300_000;

export interface EnvironmentEntry {
  name: string;
  version: number | null;
  state: string;
  description: string;
  python: string;
  pip: string[];
  packages: string[];
}

/** What a form asks for. `specification`: a conda file's text, in place of python and pip. */
export interface EnvironmentAsked {
  name: string;
  python?: string;
  pip?: string[];
  specification?: string;
  baseImage?: string;
  /** Whether a target that runs containers makes an image of it. */
  build?: boolean;
}

export interface Preview {
  packages: string[];
  lock: string;
  dockerfile: string;
  log: string[];
  substitutions: { kind: string; asked: string; given: string; reason: string }[];
}

export interface BuildState {
  state: wire.Build["state"];
  error: string;
  seconds: number | null;
}

export class Environments {
  constructor(
    private readonly rest: Rest,
    readonly workspace: string,
  ) {}

  /** Those that are there without being defined. */
  async curated(asked: Asked = {}): Promise<EnvironmentEntry[]> {
    const { environments } = claimed<wire.EnvironmentList>(
      await this.rest.json("GET", `${this.path("environments")}?curated=true`, undefined, asked),
    );
    return strings(environments, entry);
  }

  /** What a definition would come to; stores nothing. Raises `RequestError` with what is wrong, and its line. */
  async preview(asked: EnvironmentAsked, how: Asked = {}): Promise<Preview> {
    const raw = claimed<wire.EnvironmentPreview>(
      await this.rest.json("POST", this.path("environments", "preview"), requestOf(asked), {
        timeoutMs: RESOLVE_MS,
        ...how,
      }),
    );
    return {
      packages: strings(raw.packages, text),
      lock: typeof raw.lock === "string" ? raw.lock : "",
      dockerfile: text(raw.dockerfile),
      log: strings(raw.log, text),
      substitutions: strings(raw.substitutions, (one) => {
        const { kind, asked: was, given, reason } = claimed<wire.Substitution>(one);
        return { kind: text(kind), asked: text(was), given: text(given), reason: text(reason) };
      }),
    };
  }

  /** Store it as a version; the same content is the same version. */
  async register(asked: EnvironmentAsked): Promise<{ name: string; version: number }> {
    const { name, version } = claimed<wire.EnvironmentDefinition>(
      await this.rest.json("POST", this.path("environments"), requestOf(asked), { timeoutMs: RESOLVE_MS }),
    );
    return { name: text(name), version: number(version) ?? 0 };
  }

  async build(name: string): Promise<BuildState> {
    return buildOf(await this.rest.json("POST", this.path("environments", name, "build"), {}));
  }

  async state(name: string, asked: Asked = {}): Promise<BuildState> {
    return buildOf(await this.rest.json("GET", this.path("environments", name, "build"), undefined, asked));
  }

  async log(name: string, offset: number, asked: Asked = {}) {
    const path = `${this.path("environments", name, "log")}?${new URLSearchParams({ offset: String(offset) })}`;
    const response = await this.rest.request("GET", path, undefined, asked);
    const data = new Uint8Array(await response.arrayBuffer());
    return {
      data,
      offset,
      next: offset + data.length,
      complete: response.headers.get("x-complete") === "1",
    };
  }

  private path(...parts: string[]): string {
    return ["workspaces", this.workspace, ...parts].map(encodeURIComponent).join("/");
  }
}

function requestOf(asked: EnvironmentAsked): wire.EnvironmentRequest {
  const { name, python, pip, specification, baseImage, build } = asked;
  const docker = {
    ...(baseImage ? { base_image: baseImage } : {}),
    ...(build ? { image: "build" as const } : {}),
  };
  return {
    name,
    ...(specification === undefined ? { python: python || null, pip: pip ?? [] } : { specification }),
    ...(baseImage || build ? { docker: { enabled: true, ...docker } } : {}),
  };
}

function entry(raw: unknown): EnvironmentEntry {
  const one = claimed<wire.Environment>(raw);
  return {
    name: text(one.name),
    version: number(one.version),
    state: text(one.state),
    description: text(one.description),
    python: text(one.python),
    pip: strings(one.pip, text),
    packages: strings(one.packages, text),
  };
}

function buildOf(raw: unknown): BuildState {
  const { state, error, seconds } = claimed<wire.Build>(raw);
  const { message, mend } = claimed<wire.WireError>(error);
  const known = (["idle", "building", "ready", "failed"] as const).find((one) => one === state);
  return {
    state: known ?? "idle",
    error: [text(message), text(mend)].filter(Boolean).join(" "),
    seconds: number(seconds),
  };
}

function strings<T>(raw: unknown, of: (one: unknown) => T): T[] {
  return Array.isArray(raw) ? raw.slice(0, 2000).map(of) : [];
}
