/** How an endpoint stands: as it was recorded, then as its service says, asked for now and then while the card is seen. */

import {
  type Endpoint,
  type EndpointPayload,
  type Latency,
  type Phase,
  parseEndpoint,
} from "../api/endpoint";
import type { Endpoints } from "../api/endpoints";
import { RequestError } from "../api/rest";
import { Emitter, type Schedule } from "./emitter";
import type { Registered } from "./registered";

/** `offline`: no service runs; `gone`: it was deleted; `lost`: not answered for now. */
export type Standing = "recorded" | "live" | "offline" | "gone" | "lost";

const BUSY_MS = 600;
const CALM_MS = 3_000;
const AWAY_MS = 8_000;

export class EndpointStore {
  readonly changes: Emitter;
  state: Endpoint;
  latency: Latency | null;
  standing: Standing = "recorded";
  /** What the service said last, word for word; null before it was asked. */
  told: object | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private given: AbortController | null = null;

  constructor(
    public recorded: EndpointPayload,
    readonly endpoints: Endpoints,
    private readonly registered: Registered,
    schedule?: Schedule,
  ) {
    this.changes = new Emitter(schedule);
    this.state = recorded.state;
    this.latency = recorded.latency;
  }

  /** Follow it; nothing is started by this. */
  async attach(): Promise<void> {
    if (this.given !== null) {
      return;
    }
    const given = new AbortController();
    this.given = given;
    if (await this.registered.has(this.recorded.workspace)) {
      if (!given.signal.aborted) {
        await this.look(given);
      }
    } else {
      this.given = null;
    }
  }

  detach(): void {
    this.given?.abort();
    this.given = null;
    clearTimeout(this.timer);
  }

  /** Ask now: something was done to it. */
  async again(): Promise<void> {
    this.detach();
    await this.attach();
  }

  /** What the kernel recorded anew. */
  record(payload: EndpointPayload): void {
    this.recorded = payload;
    if (this.standing === "recorded" || this.standing === "offline") {
      this.state = payload.state;
      this.latency = payload.latency;
    }
    this.changes.changed();
  }

  /** It was deleted from here. */
  removed(): void {
    this.detach();
    this.standing = "gone";
    this.changes.changed();
  }

  private async look(given: AbortController): Promise<void> {
    const { endpoint } = this.recorded;
    try {
      const asked = { signal: given.signal };
      const told = await this.endpoints.told(endpoint, asked);
      const state = parseEndpoint(told);
      const latency = busy(state.phase) ? this.latency : await this.endpoints.latency(endpoint, asked);
      [this.state, this.latency, this.standing, this.told] = [state, latency, "live", told as object];
    } catch (error) {
      if (given.signal.aborted) {
        return;
      }
      if (!(error instanceof RequestError)) {
        throw error;
      }
      this.standing = error.offline
        ? "offline"
        : error.status === 404
          ? "gone"
          : this.standing === "recorded"
            ? "recorded"
            : "lost";
    }
    if (given.signal.aborted) {
      return;
    }
    this.changes.changed();
    const pause = this.standing !== "live" ? AWAY_MS : busy(this.state.phase) ? BUSY_MS : CALM_MS;
    this.timer = setTimeout(() => void this.look(given), pause);
  }
}

export function busy(phase: Phase): boolean {
  return phase === "deploying" || phase === "restarting";
}
