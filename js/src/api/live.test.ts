import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { LiveDoor, type LogListener, SILENCE_MS, type Socket, type StateListener } from "./live";

class FakeSocket implements Socket {
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  sent: { [key: string]: unknown }[] = [];
  closed = false;

  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
    this.onclose?.(undefined as never);
  }
  open() {
    this.onopen?.(undefined as never);
  }
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

let sockets: FakeSocket[];
let live: LiveDoor;
const last = () => sockets.at(-1) as FakeSocket;

function stateListener() {
  return { state: vi.fn(), offline: vi.fn(), lost: vi.fn(), failed: vi.fn() } satisfies StateListener;
}

function logListener() {
  return { bytes: vi.fn(), failed: vi.fn() } satisfies LogListener;
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  live = new LiveDoor(() => {
    sockets.push(new FakeSocket());
    return last();
  });
});

afterEach(() => vi.useRealTimers());

describe("LiveDoor", () => {
  it("carries all subscriptions of a page over one socket", () => {
    live.watch("w", "a", null, stateListener());
    live.watch("w", "b", 7, stateListener());
    live.follow("w", "a", "user_logs/std_log.txt", -100, logListener());
    expect(sockets).toHaveLength(1);
    expect(last().sent).toEqual([]);
    last().open();
    expect(last().sent).toEqual([
      { op: "watch", id: "s0", workspace: "w", run: "a" },
      { op: "watch", id: "s1", workspace: "w", run: "b", after: 7 },
      { op: "log", id: "s2", workspace: "w", run: "a", name: "user_logs/std_log.txt", offset: -100 },
    ]);
  });

  it("goes on where it stood after the connection broke", () => {
    const watcher = stateListener();
    const reader = logListener();
    live.watch("w", "a", null, watcher);
    live.follow("w", "a", "log", 0, reader);
    last().open();
    last().say({ id: "s0", type: "state", state: { revision: 41, status: "Running" } });
    last().say({ id: "s1", type: "log", offset: 0, next: 5, data: btoa("hello"), complete: false });
    last().close();
    expect(watcher.lost).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(1000);
    expect(sockets).toHaveLength(2);
    last().open();
    expect(last().sent.map(({ after, offset }) => after ?? offset)).toEqual([41, 5]);
  });

  it("tries again with growing pauses, and at once quickly after it was connected", () => {
    live.watch("w", "a", null, stateListener());
    const dials: number[] = [];
    for (let second = 0; second < 120; second++) {
      if (!last().closed) {
        last().close();
        dials.push(second);
      }
      vi.advanceTimersByTime(1000);
    }
    const pauses = dials.slice(1).map((at, index) => at - (dials[index] ?? 0));
    expect(Math.max(...pauses)).toBeGreaterThan(8);
    expect(dials.length).toBeLessThan(20);
    vi.advanceTimersByTime(20_000);
    last().open();
    last().say({ type: "alive" });
    const before = sockets.length;
    last().close();
    vi.advanceTimersByTime(700);
    expect(sockets).toHaveLength(before + 1);
  });

  it("takes a connection that says nothing for dead", () => {
    const watcher = stateListener();
    live.watch("w", "a", null, watcher);
    last().open();
    vi.advanceTimersByTime(SILENCE_MS - 1);
    last().say({ type: "alive" });
    vi.advanceTimersByTime(SILENCE_MS - 1);
    expect(watcher.lost).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2);
    expect(watcher.lost).toHaveBeenCalledOnce();
    expect(sockets[0]?.closed).toBe(true);
  });

  it("ends a subscription at the door and then the socket that nobody needs", () => {
    const stop = live.watch("w", "a", null, stateListener());
    last().open();
    stop();
    expect(last().sent.at(-1)).toEqual({ op: "stop", id: "s0" });
    expect(last().closed).toBe(false);
    vi.advanceTimersByTime(5000);
    expect(last().closed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
    live.watch("w", "b", null, stateListener());
    expect(sockets).toHaveLength(2);
  });

  it("tells errors to whom they concern and does not ask again", () => {
    const watcher = stateListener();
    const other = stateListener();
    live.watch("w", "gone", null, watcher);
    live.watch("w", "here", null, other);
    last().open();
    last().say({ id: "s0", type: "error", error: { code: "not_found.run", message: "no such run" } });
    expect(watcher.failed).toHaveBeenCalledWith({ code: "not_found.run", message: "no such run", mend: "" });
    last().close();
    expect(watcher.lost).not.toHaveBeenCalled();
    expect(other.lost).toHaveBeenCalledOnce();
    vi.advanceTimersByTime(1000);
    last().open();
    expect(last().sent.map(({ run }) => run)).toEqual(["here"]);
  });

  it("ends with a complete log, and hands bytes over as they are", () => {
    const reader = logListener();
    live.follow("w", "a", "log", 0, reader);
    last().open();
    last().say({ id: "s0", type: "log", offset: 0, next: 3, data: btoa("\u00ff\u0000a"), complete: true });
    expect(reader.bytes).toHaveBeenCalledWith(new Uint8Array([255, 0, 97]), 0, 3, true);
    vi.advanceTimersByTime(5000);
    expect(last().closed).toBe(true);
  });
});
