/**
 * The door over a widget's comm (`jupyter_mltrain/widgets/comm_door.py`), for pages that no Jupyter server of ours serves. A
 * kernel that runs a cell may hear nothing until its end: what was asked is then said to wait, never lost. States come from
 * a thread of the kernel's, also while it is busy, and with them the points of the charts that the widget records.
 */

import type { Door } from "../api/door";
import { type LogListener, type StateListener, wireError } from "../api/live";
import { Rest } from "../api/rest";
import { Emitter, type Schedule } from "../model/emitter";
import { t } from "../model/language";
import { terminal } from "../model/run";
import type { Model, Told } from "./model";

/** A kernel that has not said that it heard is busy, or gone. */
export const BUSY_MS = 2_000;
/** The kernel says something of a live run every 10 s. */
export const SILENCE_MS = 25_000;
/** So much waits in a busy kernel at most. */
const MOST_WAITING = 30;
const PIECE = 1 << 20;
export const GONE =
  "The kernel says nothing of this run any more: it was restarted, or has ended. Show the run again.";
export const MOST_BYTES = 64 << 20;

type Hear = (told: Told, bytes: Uint8Array<ArrayBuffer>) => void;
type Fields = { readonly [key: string]: unknown };

export class CommDoor implements Door {
  readonly rest = new Rest((path, init) => this.request(path, init));
  readonly live = {
    watch: (_workspace: string, run: string, _after: number | null, listener: StateListener) =>
      this.watch(run, listener),
    follow: (_workspace: string, run: string, name: string, offset: number, listener: LogListener) =>
      this.follow(run, name, offset, listener),
  };
  readonly changes: Emitter;
  /** Whether something waits for the kernel. */
  busy = false;
  /** A run goes on and the kernel says nothing of it: it was restarted. One that is only busy does. */
  gone = false;
  private readonly page = Math.random().toString(36).slice(2);
  private readonly asked = new Map<string, Hear>();
  private readonly unheard = new Map<string, Timer>();
  private readonly listeners = new Map<string, Set<StateListener>>();
  private readonly silences = new Map<string, Timer>();
  private count = 0;

  constructor(
    private readonly model: Model,
    schedule?: Schedule,
  ) {
    this.changes = new Emitter(schedule);
    model.on("msg:custom", this.hear);
  }

  dispose(): void {
    this.model.off("msg:custom", this.hear);
    for (const timer of [...this.unheard.values(), ...this.silences.values()]) {
      clearTimeout(timer);
    }
  }

  /** A file of a run has no address here: see `download`. */
  link(path: string): string {
    return `#mltrain/${path}`;
  }

  /** The file that a link of this door names, all of it. */
  async download(link: string): Promise<Blob> {
    const headers = { Range: `bytes=0-${MOST_BYTES - 1}` };
    const response = await this.request(link.slice("#mltrain/".length), { method: "GET", headers });
    if (!response.ok) {
      throw new Error(wireError(((await response.json()) as Fields).error).message);
    }
    const { size, blob } = { size: sizeOf(response), blob: await response.blob() };
    if (size > blob.size) {
      throw new Error(t("The file is too large for this page: run.download_file() copies it."));
    }
    return blob;
  }

  private readonly hear = (told: Told, buffers: DataView[]): void => {
    this.stand(this.busy, false);
    if (told.type === "state") {
      this.state(String(told.run), told.state);
      return;
    }
    const { key = "" } = told;
    this.heard(key);
    const [view] = buffers ?? [];
    const bytes = view
      ? new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength)
      : new Uint8Array(0);
    if (told.type !== "taken") {
      this.asked.get(key)?.(told, bytes);
    }
  };

  /** Ask the kernel; `late` when it does not say within a moment that it heard. */
  private ask(content: object, hear: Hear, late: () => void): string {
    const key = `${this.page}.${this.count++}`;
    this.asked.set(key, hear);
    const unheard = () => {
      this.stand(true, this.gone);
      late();
    };
    this.unheard.set(key, setTimeout(unheard, BUSY_MS));
    this.model.send({ ...content, key });
    return key;
  }

  private heard(key: string): void {
    const timer = this.unheard.get(key);
    if (timer !== undefined) {
      clearTimeout(timer);
      this.unheard.delete(key);
      this.stand(false, false);
    }
  }

  private stand(busy: boolean, gone: boolean): void {
    if (this.busy !== busy || this.gone !== gone) {
      this.busy = busy;
      this.gone = gone;
      this.changes.changed();
    }
  }

  private async request(path: string, init: RequestInit): Promise<Response> {
    const range = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("Range") ?? "");
    const first = await this.once(path, init, range ? `bytes=${range[1]}-${range[2]}` : undefined);
    if (range === null || first.status !== 206) {
      return first;
    }
    // The kernel gives a piece at a time.
    const size = sizeOf(first);
    const end = Math.min(Number(range[2]) + 1, size);
    const pieces = [await first.blob()];
    let at = Number(range[1]) + (pieces[0]?.size ?? 0);
    while (at < end) {
      const next = await this.once(path, init, `bytes=${at}-${Math.min(end, at + PIECE) - 1}`);
      const piece = next.ok ? await next.blob() : null;
      if (piece === null || piece.size === 0) {
        return next;
      }
      pieces.push(piece);
      at += piece.size;
    }
    const type = first.headers.get("content-type") ?? "";
    const headers = { "Content-Type": type, "Content-Range": first.headers.get("content-range") ?? "" };
    return new Response(new Blob(pieces, { type }), { status: 206, headers });
  }

  private once(path: string, init: RequestInit, range: string | undefined): Promise<Response> {
    const method = init.method ?? "GET";
    const known = method === "GET" ? this.recorded(path) : null;
    if (this.busy && known) {
      return Promise.resolve(known);
    }
    if (this.unheard.size >= MOST_WAITING) {
      return Promise.resolve(this.refusal(method));
    }
    return new Promise((resolve, reject) => {
      init.signal?.throwIfAborted();
      const key = this.ask(
        {
          op: "request",
          method,
          path,
          ...(init.body ? { body: init.body } : {}),
          ...(range ? { range } : {}),
        },
        (told, bytes) => {
          this.asked.delete(key);
          const { status, headers } = told;
          const body = new Blob([bytes]);
          resolve(new Response(body, { status: Number(status), headers: headers as Record<string, string> }));
        },
        () => resolve(known ?? this.refusal(method)),
      );
      init.signal?.addEventListener("abort", () => {
        this.asked.delete(key);
        reject(init.signal?.reason);
      });
    });
  }

  /** A command waits in the kernel and is done; a question is asked again. */
  private refusal(method: string): Response {
    const waits = t("The kernel is busy; this is done as soon as its cell has ended.");
    const message = this.gone ? t(GONE) : method === "GET" ? t("The kernel is busy.") : waits;
    return Response.json({ error: { code: "kernel.busy", message, mend: "" } }, { status: 504 });
  }

  /** The points that the widget has recorded: in place of an answer from a kernel that is busy. */
  private recorded(path: string): Response | null {
    const [route = "", query = ""] = path.split("?");
    const record = this.record();
    if (!route.endsWith(`/runs/${encodeURIComponent(String(record.run))}/series`)) {
      return null;
    }
    const asked = new URLSearchParams(query);
    const found = (record.series as Fields[] | undefined)?.find(
      (one) => one.name === asked.get("name") && String(one.rank) === (asked.get("rank") ?? "0"),
    );
    return found ? Response.json({ ...found, times: [] }) : null;
  }

  private record(): Fields {
    return (this.model.get("_recorded") ?? {}) as Fields;
  }

  private watch(run: string, listener: StateListener): () => void {
    const all = this.listeners.get(run) ?? new Set();
    this.listeners.set(run, all.add(listener));
    const record = this.record();
    if (record.run === run) {
      // The kernel keeps it up to date, also for a page that it does not hear.
      queueMicrotask(() => this.state(run, record.state));
    }
    const failed: Hear = (told) => listener.failed(wireError(told.error));
    const key = this.ask({ op: "watch", run }, failed, () => {});
    return () => {
      this.asked.delete(key);
      all.delete(listener);
    };
  }

  private state(run: string, raw: unknown): void {
    const { revision, status } = raw as { revision?: number; status?: string };
    for (const listener of this.listeners.get(run) ?? []) {
      listener.state(raw, revision ?? 0);
    }
    // A kernel that was restarted says no more; one that is busy does, until the run's end.
    clearTimeout(this.silences.get(run));
    if (!terminal(status ?? "")) {
      this.silences.set(
        run,
        setTimeout(() => this.lost(run), SILENCE_MS),
      );
    }
  }

  private lost(run: string): void {
    this.stand(this.busy, true);
    for (const listener of this.listeners.get(run) ?? []) {
      listener.lost();
    }
  }

  private follow(run: string, name: string, offset: number, listener: LogListener): () => void {
    const key = this.ask(
      { op: "log", run, name, offset },
      (told, bytes) => {
        if (told.type === "error") {
          listener.failed(wireError(told.error));
        } else {
          listener.bytes(bytes, Number(told.offset), Number(told.next), told.complete === true);
        }
      },
      () => {},
    );
    return () => {
      this.asked.delete(key);
      this.model.send({ op: "stop", key });
    };
  }
}

type Timer = ReturnType<typeof setTimeout>;

/** How large the whole file is. */
function sizeOf(response: Response): number {
  const whole = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1];
  return Number(whole ?? response.headers.get("content-length") ?? 0);
}
