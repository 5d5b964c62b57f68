import { beforeEach, describe, expect, it, vi } from "vitest";

import running from "../../../tests/fixtures/run-running.json";
import type { StateListener } from "../api/live";
import { parsePayload } from "../api/parse";
import { DrawBudget, inTurn } from "./budget";
import { Registered } from "./registered";
import { RunStore } from "./run";

let frames: (() => void)[];
let heard: StateListener;
let stopped: number;
let asked: number;
const watch = vi.fn((_workspace: string, _run: string, _after: number | null, listener: StateListener) => {
  heard = listener;
  return () => {
    stopped += 1;
  };
});

beforeEach(() => {
  frames = [];
  stopped = 0;
  asked = 0;
  watch.mockClear();
});

const frame = () => {
  for (const look of frames.splice(0)) {
    look();
  }
};

function store(workspaces: Set<string> | null = new Set([running.workspace])): RunStore {
  const registered = new Registered(async () => {
    asked += 1;
    return workspaces;
  });
  return new RunStore(parsePayload(running), { watch }, registered, (look) => frames.push(look));
}

const said = (revision: number, status = "Running") => ({
  ...running.state,
  revision,
  status,
  recorded: 2e9,
});

describe("RunStore", () => {
  it("stays as recorded where the server has no door, and where the workspace is not the user's", async () => {
    for (const known of [null, new Set(["another"])]) {
      const one = store(known);
      await one.attach();
      expect(one.standing).toBe("recorded");
    }
    expect(watch).not.toHaveBeenCalled();
  });

  it("goes live with the first state, and keeps what the service wrote for the record", async () => {
    const one = store();
    await one.attach();
    expect(one.standing).toBe("recorded");
    heard.state(said(5e12, "Completed"), 5e12);
    expect([one.standing, one.state.status, one.seen]).toEqual(["live", "Completed", 2e9]);
    expect(one.raw).toMatchObject({ revision: 5e12 });
  });

  it("tells of a burst of states once a frame, with the newest", async () => {
    const one = store();
    const seen: number[] = [];
    one.changes.listen(() => seen.push(one.state.revision));
    await one.attach();
    frame();
    seen.length = 0;
    for (let revision = 100; revision < 600; revision++) {
      heard.state(said(revision), revision);
    }
    // A page that is slow, or hidden, has no frame yet: nothing piles up but the newest.
    expect(frames).toHaveLength(1);
    frame();
    expect(seen).toEqual([599]);
  });

  it("is not put back by an answer that was overtaken", async () => {
    const one = store();
    await one.attach();
    heard.state(said(900, "Completed"), 900);
    one.take(said(800, "CancelRequested"));
    expect(one.state.status).toBe("Completed");
  });

  it("says that no service runs, and is lost only when it was live", async () => {
    const one = store();
    await one.attach();
    heard.lost();
    expect(one.standing).toBe("recorded");
    heard.offline();
    expect(one.standing).toBe("offline");
    heard.state(said(900), 900);
    heard.lost();
    expect(one.standing).toBe("lost");
    expect(one.state.revision).toBe(900);
  });

  it("stays as recorded when the service knows no such run", async () => {
    const one = store();
    await one.attach();
    heard.failed({ code: "not_found.run", message: "gone", mend: "" });
    expect([one.standing, one.error?.message]).toEqual(["recorded", "gone"]);
  });

  it("does not subscribe for a card that was scrolled away while it asked", async () => {
    const one = store();
    const attaching = one.attach();
    one.detach();
    await attaching;
    expect(watch).not.toHaveBeenCalled();
    await one.attach();
    one.detach();
    expect([watch.mock.calls.length, stopped, asked]).toEqual([1, 1, 1]);
  });

  it("takes a newer record from the notebook, and not an older one", async () => {
    const one = store();
    one.record(parsePayload({ ...running, state: said(10, "Finalizing"), recorded: 3e9 }));
    expect(one.state.status).toBe("Finalizing");
    heard = undefined as never;
    await one.attach();
    heard.state(said(900, "Completed"), 900);
    one.record(parsePayload({ ...running, state: said(20, "Running"), recorded: 4e9 }));
    expect(one.state.status).toBe("Completed");
  });

  it("stays live when the kernel's record is ahead of the service's news", async () => {
    const one = store();
    await one.attach();
    heard.state(said(900), 900);
    one.record(parsePayload({ ...running, state: said(901, "Finalizing"), recorded: 3e9 }));
    expect([one.standing, one.state.revision, one.raw]).toEqual(["live", 900, said(900)]);
    one.detach();
    one.record(parsePayload({ ...running, state: said(902, "Completed"), recorded: 3e9 }));
    expect([one.state.status, one.raw]).toEqual(["Completed", null]);
  });

  it("takes its reruns from what was saved and from a command, each once, and follows them with itself", async () => {
    const one = store();
    const again = { ...running, run: "r2", state: { ...said(5), id: "r2" } };
    one.record(parsePayload({ ...running, reruns: [again, { format: 1 }] }));
    expect(one.reruns.map((each) => [each.recorded.run, each.root === one])).toEqual([["r2", true]]);
    await one.attach();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(watch).toHaveBeenCalledTimes(2);
    one.rerun({ ...said(1, "Queued"), id: "r3" });
    one.record(parsePayload({ ...running, reruns: [{ ...again, state: { ...said(9), id: "r2" } }] }));
    expect(one.reruns.map(({ recorded, state }) => [recorded.run, state.status])).toEqual([
      ["r2", "Running"],
      ["r3", "Queued"],
    ]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(watch).toHaveBeenCalledTimes(3);
    one.detach();
    expect(stopped).toBe(3);
  });
});

describe("the news of a run and of its reruns", () => {
  it("are looked at both, also when they come in the same turn", async () => {
    const later = (work: () => void) => void setTimeout(work, 0);
    const budget = new DrawBudget(1, { now: () => 0, frame: later, later, painted: later });
    const live = { watch: () => () => {} };
    const known = new Registered(async () => new Set());
    const one = new RunStore(parsePayload(running), live, known, inTurn(budget));
    const heard = vi.fn();
    one.changes.listen(heard);
    one.changes.changed();
    one.rerun({ ...said(1, "Queued"), id: "r2" });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(heard).toHaveBeenCalledTimes(2);
    one.changes.changed();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(heard).toHaveBeenCalledTimes(3);
  });
});

describe("Registered", () => {
  it("asks once, and again for a workspace that may be new, not for each card", async () => {
    let now = 0;
    const ask = vi.fn(async () => new Set(["old"]));
    const registered = new Registered(ask, () => now);
    expect(await registered.has("old")).toBe(true);
    await Promise.all([registered.has("new"), registered.has("new")]);
    expect(ask).toHaveBeenCalledTimes(1);
    now = 6000;
    ask.mockResolvedValue(new Set(["old", "new"]));
    expect(await registered.has("new")).toBe(true);
    expect(ask).toHaveBeenCalledTimes(2);
  });
});
