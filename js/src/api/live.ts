/**
 * Live data of all cards of a page over one WebSocket: states and logs of runs, as `jupyter_mltrain/server/live.py` sends
 * them. A connection that breaks is made again with growing pauses; each subscription goes on where it stood, by the
 * revision or the offset that it saw last. Nothing is sent twice, and a page without subscriptions has no socket.
 */

import { type Claimed, claimed } from "./claimed";
import type * as wire from "./wire.gen";

/** The part of `WebSocket` that is used; a test brings its own. */
export interface Socket {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: never) => void) | null;
  send(text: string): void;
  close(): void;
}

export type WireError = Omit<wire.WireError, "details">;

type Message = Claimed<
  wire.StateMessage | wire.LogMessage | wire.OfflineMessage | wire.ErrorMessage | wire.AliveMessage
>;

export interface StateListener {
  /** A newer state of the run, as the service wrote it. */
  state(raw: unknown, revision: number): void;
  /** No service runs; `state` follows when one does. */
  offline(): void;
  /** The connection to the server is down and is being made again; `state` or `offline` follows. */
  lost(): void;
  /** The subscription has ended. */
  failed(error: WireError): void;
}

export interface LogListener {
  /** Bytes of the log from `offset` on; an offset beyond the last `next` means that some were left out. */
  bytes(data: Uint8Array, offset: number, next: number, complete: boolean): void;
  failed(error: WireError): void;
}

/** The page has heard nothing for so long: the connection is taken for dead. The door says something every 10 s. */
export const SILENCE_MS = 25_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A socket without subscriptions is kept for a moment: scrolling ends one and begins the next. */
const IDLE_MS = 3_000;

interface Subscription {
  ask(): object;
  hear(message: Message): boolean;
  lost(): void;
  failed(error: WireError): void;
}

export class LiveDoor {
  private readonly subscriptions = new Map<string, Subscription>();
  private socket: Socket | null = null;
  private open = false;
  private pause = FIRST_PAUSE_MS;
  private retry: Timer | undefined;
  private silence: Timer | undefined;
  private idle: Timer | undefined;
  private count = 0;

  /** `connect` makes a socket to the door; it may fail by closing at once. */
  constructor(private readonly connect: () => Socket) {}

  /** Hear of every newer state of a run, from `after` (a revision) on. Returns what ends it. */
  watch(workspace: string, run: string, after: number | null, listener: StateListener): () => void {
    let revision = after;
    return this.subscribe({
      ask: () => ({ op: "watch", workspace, run, ...(revision === null ? {} : { after: revision }) }),
      hear(message) {
        if (message.type === "offline") {
          listener.offline();
        } else if (message.type === "state") {
          const seen = claimed<wire.RunState>(message.state).revision;
          revision = typeof seen === "number" ? seen : revision;
          listener.state(message.state, revision ?? 0);
        }
        return true;
      },
      lost: () => listener.lost(),
      failed: (error) => listener.failed(error),
    });
  }

  /** Follow a log from byte `offset` (negative: from its end) until it is complete. Returns what ends it. */
  follow(workspace: string, run: string, name: string, offset: number, listener: LogListener): () => void {
    let from = offset;
    return this.subscribe({
      ask: () => ({ op: "log", workspace, run, name, offset: from }),
      hear(message) {
        const { offset: start, next, data, complete } = message;
        if (message.type !== "log" || typeof start !== "number" || typeof next !== "number") {
          return true;
        }
        from = next;
        listener.bytes(decoded(data), start, next, complete === true);
        return complete !== true;
      },
      lost: () => {},
      failed: (error) => listener.failed(error),
    });
  }

  private subscribe(subscription: Subscription): () => void {
    const id = `s${this.count++}`;
    this.subscriptions.set(id, subscription);
    clearTimeout(this.idle);
    if (this.open) {
      this.ask(id, subscription);
    } else if (this.socket === null && this.retry === undefined) {
      this.dial();
    }
    return () => {
      if (this.subscriptions.delete(id)) {
        if (this.open) {
          this.socket?.send(JSON.stringify({ op: "stop", id }));
        }
        this.restIfIdle();
      }
    };
  }

  private ask(id: string, subscription: Subscription): void {
    this.socket?.send(JSON.stringify({ id, ...subscription.ask() }));
  }

  private dial(): void {
    this.retry = undefined;
    if (this.subscriptions.size === 0) {
      return;
    }
    const socket = this.connect();
    this.socket = socket;
    socket.onopen = () => {
      this.open = true;
      for (const [id, subscription] of this.subscriptions) {
        this.ask(id, subscription);
      }
      this.listen();
    };
    socket.onmessage = (event) => {
      // Only what was heard proves that the door works: a proxy may open a socket and drop it.
      this.pause = FIRST_PAUSE_MS;
      this.listen();
      this.hear(String(event.data));
    };
    socket.onclose = () => this.closed(socket);
    this.listen();
  }

  private hear(text: string): void {
    const message: Message = claimed(JSON.parse(text));
    const id = String(message.id);
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) {
      return;
    }
    if (message.type === "error") {
      this.subscriptions.delete(id);
      subscription.failed(wireError(message.error));
    } else if (!subscription.hear(message)) {
      this.subscriptions.delete(id);
    }
    this.restIfIdle();
  }

  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const { socket } = this;
      if (socket !== null) {
        this.closed(socket);
        socket.close();
      }
    }, SILENCE_MS);
  }

  private closed(socket: Socket): void {
    if (socket !== this.socket) {
      return;
    }
    clearTimeout(this.silence);
    this.socket = null;
    this.open = false;
    if (this.subscriptions.size === 0) {
      return;
    }
    for (const subscription of [...this.subscriptions.values()]) {
      subscription.lost();
    }
    // A little apart, so that the pages of a server that comes back do not all ask in the same moment.
    this.retry = setTimeout(() => this.dial(), this.pause * (0.75 + Math.random() / 2));
    this.pause = Math.min(LONGEST_PAUSE_MS, this.pause * 2);
  }

  private restIfIdle(): void {
    clearTimeout(this.idle);
    if (this.subscriptions.size > 0) {
      return;
    }
    this.idle = setTimeout(() => {
      const { socket } = this;
      clearTimeout(this.retry);
      this.retry = undefined;
      if (socket !== null) {
        this.closed(socket);
        socket.close();
      }
    }, IDLE_MS);
  }
}

type Timer = ReturnType<typeof setTimeout>;

export function wireError(raw: unknown): WireError {
  const { code, message, mend } = claimed<wire.WireError>(raw);
  return { code: String(code ?? "error"), message: String(message ?? ""), mend: String(mend ?? "") };
}

function decoded(data: unknown): Uint8Array {
  return Uint8Array.from(atob(String(data ?? "")), (letter) => letter.charCodeAt(0));
}
