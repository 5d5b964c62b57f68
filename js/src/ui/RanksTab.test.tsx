// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import ranked from "../../../tests/fixtures/run-ranks.json";
import { LiveDoor, type Socket } from "../api/live";
import { parsePayload } from "../api/parse";
import { Rest } from "../api/rest";
import { speak } from "../model/language";
import { Registered } from "../model/registered";
import { RunStore } from "../model/run";
import { RunView } from "./LiveCard";

/** What is on the screen: all but the charts, so that none of them loads Plotly. */
let onScreen = "";

class Observer {
  constructor(private readonly told: (seen: object[]) => void) {}
  observe(target: Element): void {
    this.told([{ target, isIntersecting: target.matches(onScreen) }]);
  }
  unobserve(): void {}
}
vi.stubGlobal("IntersectionObserver", Observer);

const LOGS = [0, 1, 2, 3].map((rank) => ({
  name: rank ? `user_logs/std_log_${rank}.txt` : "user_logs/std_log.txt",
  size: 10,
  rank,
}));
let host: HTMLElement;
let store: RunStore;
let asked: string[];
let followed: string[];

beforeEach(() => {
  speak("en");
  onScreen = ".mlt-metrics, .mlt-ranks";
  host = document.createElement("div");
  document.body.append(host);
});
afterEach(() => {
  render(null, host);
  host.remove();
});

async function show(answers: { ranks?: object; state?: object } = {}): Promise<void> {
  asked = [];
  followed = [];
  const rest = new Rest(async (path) => {
    asked.push(path.replace(/^.*\/runs\/[^/]+\/?/, "") || "state");
    const found = path.endsWith("/ranks")
      ? answers.ranks
      : path.endsWith("/logs")
        ? { logs: LOGS }
        : undefined;
    return new Response(JSON.stringify(found ?? {}), { status: found ? 200 : 404 });
  });
  const socket = { send: (said: string) => note(JSON.parse(said)), close() {} } as unknown as Socket;
  const note = ({ op, name }: { op: string; name: string }) => op === "log" && followed.push(name);
  const live = new LiveDoor(() => {
    queueMicrotask(() => socket.onopen?.({} as never));
    return socket;
  });
  const registered = new Registered(async () => new Set([ranked.workspace]));
  const around = { door: { rest, live, link: (path: string) => `/base/${path}` }, registered };
  store = new RunStore(parsePayload(ranked), live, registered, (look) => look());
  await act(() => render(<RunView store={store} around={around} />, host));
  await act(() => store.attach());
  await act(() => store.take({ ...ranked.state, ...answers.state }));
  await settle();
}

const settle = () => act(() => new Promise((resolve) => setTimeout(resolve)));
const texts = (selector: string) =>
  Array.from(host.querySelectorAll(selector), (node) => node.textContent?.trim());
const tab = async (key: string) => {
  await act(() => host.querySelector<HTMLElement>(`[data-key=${key}]`)?.click());
  await settle();
};
const choose = (label: string, value: string) =>
  act(() => {
    const field = host.querySelector<HTMLSelectElement>(`[aria-label="${label}"]`) as HTMLSelectElement;
    field.value = value;
    field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
  });

describe("a run of several processes", () => {
  it("has a row for each, the first that failed on top and named above the tabs", async () => {
    await show({ ranks: ranked.state.ranks });
    expect(texts(".mlt-why .mlt-first")).toEqual(["First to fail: ▲Rank 2 · worker 2 · gpu-box-1"]);
    expect(texts("[role=tab]").at(-3)).toBe("Ranks 4");
    expect(asked).not.toContain("ranks");
    await tab("ranks");
    expect(asked.filter((path) => path === "ranks")).toHaveLength(1);
    expect(texts("thead th")).toEqual([
      ..."Rank,Role,Host,Status,Step,Behind,GPU,Examples/s,Exit".split(","),
    ]);
    const row = texts("tbody tr:first-child > *").map((cell) => cell?.replace(/\s+/g, " "));
    expect(row).toEqual([
      "▲Rank 2",
      "worker 2",
      "gpu-box-1",
      "failed first to fail",
      "Step 38",
      "Behind 0.8 s",
      "GPU 0 NVIDIA L4, 83 %",
      "Examples/s 120",
      "Exit exit code 1",
    ]);
    expect(texts("tbody tr .mlt-mark")).toEqual(["▲Rank 2", "●Rank 0", "■Rank 1", "◆Rank 3"]);
    expect(texts(".mlt-speed")[0]).toMatch(/^481 examples\/s in all/);
  });

  it("is asked for its ranks only while they are on the screen", async () => {
    onScreen = ".mlt-metrics";
    await show({ ranks: ranked.state.ranks });
    await tab("ranks");
    expect(host.querySelectorAll("tbody tr")).toHaveLength(4);
    expect(asked).not.toContain("ranks");
  });

  it("shows what its state carries where its ranks cannot be asked for", async () => {
    await show();
    await tab("ranks");
    expect(host.querySelectorAll("tbody tr")).toHaveLength(4);
  });

  it("stays small with hundreds of ranks, each of which is found", async () => {
    const [one] = ranked.state.ranks.ranks;
    const ranks = Array.from({ length: 256 }, (_, rank) => ({ ...one, rank, host: `box-${rank >> 3}` }));
    await show({ ranks: { ...ranked.state.ranks, ranks }, state: { processes: 256 } });
    await tab("ranks");
    expect(host.querySelectorAll("tbody tr")).toHaveLength(32);
    expect(host.querySelectorAll("*").length).toBeLessThan(1_000);
    await act(() => host.querySelector<HTMLElement>('[aria-label="Next ranks"]')?.click());
    expect(texts("tbody tr .mlt-mark")[0]?.slice(1)).toBe("Rank 32");
    expect(texts(".mlt-tools [role=status]")).toEqual(["33 to 64 of 256"]);
    await choose("Filter ranks", "box-31");
    expect(texts("tbody tr .mlt-mark").map((mark) => mark?.slice(1))).toEqual(
      Array.from({ length: 8 }, (_, index) => `Rank ${248 + index}`),
    );
    await choose("Filter ranks", "none of them");
    expect(texts(".mlt-ranks .mlt-empty")).toEqual(["No rank matches"]);
  });

  it("opens the log of the rank that failed first, and another's from its row", async () => {
    await show();
    expect(host.querySelector("[aria-selected=true]")?.textContent).toBe("Logs");
    expect(followed).toEqual(["user_logs/std_log_2.txt"]);
    await tab("ranks");
    await act(() => host.querySelector<HTMLElement>("tbody tr:last-child button")?.click());
    await settle();
    expect(followed.at(-1)).toBe("user_logs/std_log_3.txt");
    expect(texts(".mlt-tools .mlt-mark")).toEqual(["◆Rank 3"]);
  });

  it("has lanes of its logs, marked and filtered by rank", async () => {
    await show();
    await choose("Log", "*");
    await settle();
    expect(texts(".mlt-lane .mlt-mark")).toEqual(["▲Rank 2", "●Rank 0", "■Rank 1", "◆Rank 3"]);
    expect(new Set(followed).size).toBe(4);
    await choose("Filter ranks", "1, 3");
    expect(texts(".mlt-lane .mlt-mark")).toEqual(["■Rank 1", "◆Rank 3"]);
    expect(texts(".mlt-lane .mlt-state")).toEqual(["ended", "lost"]);
    await act(() => host.querySelector<HTMLElement>(".mlt-lane button")?.click());
    expect(host.querySelectorAll(".mlt-lane")).toHaveLength(0);
    expect(host.querySelector<HTMLSelectElement>("[aria-label=Log]")?.value).toBe("user_logs/std_log_1.txt");
  });

  it("draws the metrics of the first rank, of any that is chosen, or of all", async () => {
    await show();
    await tab("metrics");
    const count = () => texts(".mlt-tools .mlt-num").at(-1);
    expect(count()).toBe("40 of 40 points");
    const label = 'select[aria-label="Rank"] option';
    expect(texts(label)).toEqual(["Rank 0", "Rank 1", "Rank 2", "Rank 3", "All ranks"]);
    await choose("Rank", "3");
    expect(count()).toBe("0 of 40 points");
    await choose("Rank", "-1");
    expect(count()).toBe("40 of 160 points");
  });
});
