/**
 * One run as a card shows it: what the notebook recorded, and from there on what the service says, while somebody looks.
 * Showing never starts a service and never asks for a workspace that is not the user's: such a run stays as recorded.
 */

import type { LiveDoor, WireError } from "../api/live";
import { parseState } from "../api/parse";
import type { RunPayload, RunState } from "../api/payload";
import { Emitter, type Schedule } from "./emitter";
import type { Registered } from "./registered";

/**
 * `recorded`: as the notebook says, no service is asked. `live`: as the service says. `offline`: the workspace is known, no
 * service runs; it starts with an action. `lost`: was live, the server does not answer, it is tried again.
 */
export type Standing = "recorded" | "live" | "offline" | "lost";

const TERMINAL: readonly string[] = ["Completed", "Failed", "Canceled"];

export function terminal(status: string): boolean {
  return TERMINAL.includes(status);
}

export class RunStore {
  readonly changes: Emitter;
  standing: Standing = "recorded";
  state: RunState;
  /** The state as the service wrote it; null while only the recorded one is known. */
  raw: unknown = null;
  /** When `state` was true, in seconds since the epoch. */
  seen: number;
  /** When it came here, by this page's clock in milliseconds. */
  arrived = 0;
  /** Why the service ended the subscription. */
  error: WireError | null = null;
  private stop: (() => void) | null = null;
  /** Whether somebody sees the card. */
  attached = false;
  /** Runs that were started again from this one's output, oldest first: their cards stand below it, and end with it. */
  readonly reruns: RunStore[] = [];

  constructor(
    public recorded: RunPayload,
    private readonly live: Pick<LiveDoor, "watch">,
    private readonly registered: Registered,
    private readonly schedule?: Schedule,
    private readonly parent: RunStore | null = null,
  ) {
    this.state = recorded.state;
    this.seen = recorded.recorded;
    this.changes = new Emitter(schedule);
    this.know(recorded.reruns);
  }

  /** The run whose output this is: itself, or the one that was started again. */
  get root(): RunStore {
    return this.parent ?? this;
  }

  /** A newer record of the same run, which the kernel or another view has put into the notebook. */
  record(payload: RunPayload): void {
    this.recorded = payload;
    // What is followed is told the same by the service, at once: the card stays, with what is open in it.
    const followed = this.stop !== null && this.standing === "live";
    const newer = payload.state.revision > this.state.revision;
    if (!followed && (newer || (this.raw === null && payload.recorded > this.seen))) {
      this.state = payload.state;
      this.seen = payload.recorded;
      this.raw = null;
    }
    this.know(payload.reruns);
    this.changes.changed();
  }

  /** Take in a run that was started again from this output, as the service answered. */
  rerun(raw: unknown): void {
    const { workspace } = this.recorded;
    const run = String((raw as { id?: unknown } | null)?.id ?? "");
    const state = parseState(raw, run);
    const recorded = Date.now() / 1000;
    this.know([{ workspace, run, recorded, state, series: [], log: null, reruns: [], beside: false }]);
    this.reruns.find((one) => one.recorded.run === run)?.take(raw);
  }

  private know(reruns: RunPayload[]): void {
    for (const payload of reruns) {
      const known = this.reruns.find((one) => one.recorded.run === payload.run);
      if (known) {
        known.record(payload);
        continue;
      }
      const store = new RunStore(payload, this.live, this.registered, this.schedule, this);
      store.changes.listen(() => this.changes.changed());
      this.reruns.push(store);
      if (this.attached) {
        void store.attach();
      }
    }
  }

  /** Somebody sees the card: go live, where that can be. */
  async attach(): Promise<void> {
    for (const one of this.reruns) {
      void one.attach();
    }
    if (this.attached) {
      return;
    }
    this.attached = true;
    const known = await this.registered.has(this.recorded.workspace);
    if (!known || !this.attached || this.stop) {
      this.attached &&= known;
      return;
    }
    // Without `after`: also a run that is over answers, and says by it that a service runs.
    this.stop = this.live.watch(this.recorded.workspace, this.recorded.run, null, {
      state: (raw) => this.take(raw),
      offline: () => this.stand("offline"),
      lost: () => this.stand(this.standing === "recorded" ? "recorded" : "lost"),
      failed: (error) => {
        this.error = error;
        this.stop = null;
        this.stand("recorded");
      },
    });
  }

  /** Nobody sees it. */
  detach(): void {
    this.attached = false;
    this.changes.changed();
    this.stop?.();
    this.stop = null;
    for (const one of this.reruns) {
      one.detach();
    }
  }

  /** A state of this run, as a command's answer or the socket brought it; an older one changes nothing. */
  take(raw: unknown): void {
    const state = parseState(raw, this.recorded.run);
    this.error = null;
    this.standing = "live";
    if (state.status !== "" && state.revision >= this.state.revision) {
      this.state = state;
      this.raw = raw;
      this.seen = recordedAt(raw) ?? this.seen;
      this.arrived = Date.now();
    }
    this.changes.changed();
  }

  private stand(standing: Standing): void {
    if (this.standing !== standing) {
      this.standing = standing;
      this.changes.changed();
    }
  }
}

function recordedAt(raw: unknown): number | null {
  const at = (raw as { recorded?: unknown } | null)?.recorded;
  return typeof at === "number" ? at : null;
}
