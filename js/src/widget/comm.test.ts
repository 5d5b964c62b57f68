import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { BUSY_MS, CommDoor, SILENCE_MS } from "./comm";
import type { Model } from "./model";

type Sent = { op: string; key: string; [name: string]: unknown };

/** A model whose kernel a test plays. */
class FakeModel implements Model {
  sent: Sent[] = [];
  private readonly heard = new Set<(told: object, buffers: DataView[]) => void>();

  constructor(private readonly recorded: object = { run: "r", state: { revision: 1 }, series: [] }) {}

  get(name: string): unknown {
    return name === "_recorded" ? this.recorded : undefined;
  }

  on(_event: string, heard: (...given: never[]) => void): void {
    this.heard.add(heard as (told: object, buffers: DataView[]) => void);
  }

  off(_event: string, heard: (...given: never[]) => void): void {
    this.heard.delete(heard as (told: object, buffers: DataView[]) => void);
  }

  send(content: object): void {
    this.sent.push(content as Sent);
  }

  get last(): Sent {
    return this.sent.at(-1) as Sent;
  }

  tell(told: object, bytes?: Uint8Array<ArrayBuffer>): void {
    for (const heard of this.heard) {
      heard(told, bytes ? [new DataView(bytes.buffer)] : []);
    }
  }

  answer(key: string, body: unknown, status = 200, headers = {}): void {
    this.tell({ key, type: "taken" });
    const bytes =
      body instanceof Uint8Array
        ? (body as Uint8Array<ArrayBuffer>)
        : new TextEncoder().encode(JSON.stringify(body));
    this.tell({ key, type: "answer", status, headers }, bytes);
  }
}

const now = (look: () => void) => look();

describe("CommDoor", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("asks and is answered", async () => {
    const model = new FakeModel();
    const { rest } = new CommDoor(model, now);
    const asked = rest.change("w", "r", { notes: "x" });
    await vi.advanceTimersByTimeAsync(0);
    expect(model.last).toMatchObject({ op: "request", method: "PATCH", path: "workspaces/w/runs/r" });
    expect(model.last.body).toBe('{"notes":"x"}');
    model.answer("another page's", { notes: "no" });
    model.answer(model.last.key, { notes: "x" });
    await expect(asked).resolves.toEqual({ notes: "x" });
    const refused = rest.cancel("w", "r", false).catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(0);
    model.answer(model.last.key, { error: { code: "c", message: "It has ended.", mend: "" } }, 409);
    await expect(refused).resolves.toBe("It has ended.");
  });

  it("says that a busy kernel does it later, and when it hears again", async () => {
    const model = new FakeModel();
    const door = new CommDoor(model, now);
    const asked = door.rest.cancel("w", "r", false).catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(BUSY_MS);
    await expect(asked).resolves.toMatch(/busy; this is done as soon as its cell has ended/);
    expect(door.busy).toBe(true);
    model.answer(model.sent[0]?.key ?? "", {});
    expect(door.busy).toBe(false);
  });

  it("sends a busy kernel only so much", async () => {
    const model = new FakeModel();
    const { rest } = new CommDoor(model, now);
    const asked = Array.from({ length: 100 }, () =>
      rest.files("w", "r").catch((error: Error) => error.message),
    );
    await vi.advanceTimersByTimeAsync(BUSY_MS);
    expect(model.sent.length).toBe(30);
    expect(new Set(await Promise.all(asked))).toEqual(new Set(["The kernel is busy."]));
  });

  it("draws what the widget records while the kernel is busy", async () => {
    const series = [{ name: "a&b", rank: 0, total: 9, steps: [1, 2], values: [3, "NaN"] }];
    const model = new FakeModel({ run: "r", state: {}, series });
    const { rest } = new CommDoor(model, now);
    const window = { axis: "step", points: 100 } as const;
    const asked = rest.series("w", "r", { name: "a&b", rank: 0 }, window);
    await vi.advanceTimersByTimeAsync(BUSY_MS);
    await expect(asked).resolves.toEqual({ total: 9, steps: [1, 2], times: [], values: [3, "NaN"] });
    await expect(rest.series("w", "r", { name: "a&b", rank: 0 }, window)).resolves.toMatchObject({
      total: 9,
    });
    expect(model.sent.length).toBe(1);
  });

  it("fetches a file piece by piece", async () => {
    const whole = Uint8Array.from({ length: 2_500_000 }, (_, index) => index % 251);
    const model = new FakeModel();
    const { rest } = new CommDoor(model, now);
    const asked = rest.file("w", "r", "outputs/a.png", 20 << 20);
    for (let at = 0; at < whole.length; ) {
      await vi.advanceTimersByTimeAsync(0);
      await vi.waitFor(() => expect(model.last.range).toMatch(new RegExp(`^bytes=${at}-`)));
      const piece = whole.slice(at, at + (1 << 20));
      const range = `bytes ${at}-${at + piece.length - 1}/${whole.length}`;
      model.answer(model.last.key, piece, 206, { "content-type": "image/png", "content-range": range });
      at += piece.length;
    }
    const blob = await asked;
    expect(blob.size).toBe(whole.length);
    const got = new Uint8Array(await blob.arrayBuffer());
    expect(got.every((byte, index) => byte === whole[index])).toBe(true);
  });

  it("hears states of the widget's run at once and unasked, until nothing is heard", async () => {
    const model = new FakeModel();
    const door = new CommDoor(model, now);
    const listener = { state: vi.fn(), offline: vi.fn(), lost: vi.fn(), failed: vi.fn() };
    const stop = door.live.watch("w", "r", null, listener);
    await vi.advanceTimersByTimeAsync(0);
    expect(listener.state).toHaveBeenLastCalledWith({ revision: 1 }, 1);
    model.tell({ type: "state", run: "r", state: { revision: 5 } });
    model.tell({ type: "state", run: "another", state: { revision: 6 } });
    expect(listener.state).toHaveBeenLastCalledWith({ revision: 5 }, 5);
    await vi.advanceTimersByTimeAsync(SILENCE_MS);
    expect(listener.lost).toHaveBeenCalledTimes(1);
    expect(door.gone).toBe(true);
    const refused = door.rest.cancel("w", "r", false).catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(BUSY_MS);
    await expect(refused).resolves.toMatch(/it was restarted/);
    model.tell({ type: "state", run: "r", state: { revision: 6, status: "Completed" } });
    expect(door.gone).toBe(false);
    await vi.advanceTimersByTimeAsync(2 * SILENCE_MS);
    expect(listener.lost).toHaveBeenCalledTimes(1);
    stop();
    model.tell({ type: "state", run: "r", state: { revision: 7 } });
    expect(listener.state).toHaveBeenCalledTimes(3);
  });

  it("follows a log", async () => {
    const model = new FakeModel();
    const door = new CommDoor(model, now);
    const listener = { bytes: vi.fn(), failed: vi.fn() };
    const stop = door.live.follow("w", "r", "std", -100, listener);
    expect(model.last).toMatchObject({ op: "log", run: "r", name: "std", offset: -100 });
    const { key } = model.last;
    model.tell({ key, type: "taken" });
    model.tell({ key, type: "log", offset: 7, next: 9, complete: false }, new Uint8Array([104, 105]));
    expect(listener.bytes).toHaveBeenCalledWith(new Uint8Array([104, 105]), 7, 9, false);
    model.tell({ key, type: "error", error: { message: "gone" } });
    expect(listener.failed).toHaveBeenCalledWith({ code: "error", message: "gone", mend: "" });
    stop();
    expect(model.last).toEqual({ op: "stop", key });
  });
});
