// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import completed from "../../../tests/fixtures/run-completed.json";
import failed from "../../../tests/fixtures/run-failed.json";
import running from "../../../tests/fixtures/run-running.json";
import { LiveDoor, type Socket } from "../api/live";
import { parsePayload } from "../api/parse";
import { Rest } from "../api/rest";
import { speak } from "../model/language";
import { Registered } from "../model/registered";
import { RunStore } from "../model/run";
import { RunView } from "./LiveCard";
import type { Surroundings } from "./surroundings";

/** The tab of metrics is on the screen; its charts are not, so that none of them loads Plotly. */
class Observer {
  constructor(private readonly told: (seen: object[]) => void) {}
  observe(target: Element): void {
    this.told([{ target, isIntersecting: target.matches(".mlt-metrics") }]);
  }
  unobserve(): void {}
}
vi.stubGlobal("IntersectionObserver", Observer);

let host: HTMLElement;
let requests: { method: string; path: string; body: unknown }[];
let answers: Map<string, unknown>;
let store: RunStore;
let around: Surroundings;

beforeEach(() => {
  host = document.createElement("div");
  document.body.append(host);
  requests = [];
  answers = new Map();
  speak("en");
});

afterEach(() => {
  render(null, host);
  host.remove();
});

async function show(raw: typeof running | typeof completed | typeof failed): Promise<void> {
  const rest = new Rest(async (path, init) => {
    const method = init.method ?? "GET";
    requests.push({ method, path, body: init.body ? JSON.parse(String(init.body)) : null });
    const found = [...answers].find(([key]) => `${method} ${path}`.includes(key));
    return new Response(JSON.stringify(found?.[1] ?? {}), { status: found ? 200 : 404 });
  });
  const live = new LiveDoor(() => ({ send() {}, close() {} }) as unknown as Socket);
  const registered = new Registered(async () => new Set([raw.workspace]));
  around = { door: { rest, live, link: (path) => `/base/mltrain/${path}` }, registered };
  store = new RunStore(parsePayload(raw), live, registered, (look) => look());
  await act(() => render(<RunView store={store} around={around} />, host));
}

const say = (raw: object) => act(() => store.take(raw));
const texts = (selector: string) =>
  Array.from(host.querySelectorAll(selector), (node) => node.textContent?.trim());
const button = (name: string) =>
  Array.from(host.querySelectorAll("button")).find(
    (one) => one.textContent?.trim() === name,
  ) as HTMLButtonElement;
const settle = (ms = 0) => act(() => new Promise((resolve) => setTimeout(resolve, ms)));

describe("RunView", () => {
  it("is the recorded card until a service has spoken", async () => {
    await show(running);
    expect(host.querySelector(".mlt-alive")).toBeNull();
    expect(texts(".mlt-foot span")[0]).toMatch(/^recorded on/);
    expect(button("Show live")).toBeUndefined();
  });

  it("starts a service on a click alone", async () => {
    await show(completed);
    await act(() => {
      store.standing = "offline";
      store.changes.changed();
    });
    expect(requests).toEqual([]);
    await act(() => button("Show live").click());
    expect(requests).toEqual([{ method: "POST", path: `workspaces/${completed.workspace}/open`, body: {} }]);
    await say(completed.state);
    expect(document.activeElement?.textContent).toBe("Metrics 3");
  });

  it("goes live, and says so", async () => {
    await show(running);
    await say(running.state);
    expect(texts(".mlt-alive .mlt-pill")).toEqual(["Running"]);
    expect(texts("[role=tab]")).toEqual(["Metrics 2", "Logs", "Outputs", "System", "Details"]);
    expect(texts(".mlt-foot span")[0]).toBe("live");
    await say({ ...running.state, revision: running.state.revision + 1, status: "Completed" });
    expect(texts(".mlt-pill")).toEqual(["Completed"]);
    expect(button("Cancel")).toBeUndefined();
  });

  it("fetches the metrics that a state does not carry, and looks for a name in all of them", async () => {
    const series = Array.from({ length: 200 }, (_, index) => ({
      ...running.state.metrics[0],
      name: index === 150 ? "deep/needle" : `m${index}`,
    }));
    const state = { ...running.state, metrics: series.slice(0, 50), metric_series: 200 };
    await show(running);
    answers.set("/metrics", { series });
    await say(state);
    expect(texts("[role=tab]")[0]).toBe("Metrics 200");
    await settle(60);
    const search = host.querySelector("input[type=search]") as HTMLInputElement;
    search.value = "NEEDLE";
    await act(() => void search.dispatchEvent(new Event("input", { bubbles: true })));
    expect(texts(".mlt-title > span:first-child")).toEqual(["deep/needle"]);
    expect(requests.filter(({ path }) => path.endsWith("/metrics"))).toHaveLength(1);
  });

  it("shows some of many single values, and more on a click", async () => {
    const series = Array.from({ length: 130 }, (_, index) => ({
      ...running.state.metrics[0],
      name: `m${index}`,
      count: 1,
    }));
    await show(running);
    answers.set("/metrics", { series });
    await say({ ...running.state, metrics: series.slice(0, 50), metric_series: 130 });
    await settle(60);
    expect(texts(".mlt-values span")).toHaveLength(60);
    await act(() => button("Show 60 more values").click());
    expect(texts(".mlt-values span")).toHaveLength(120);
    await act(() => button("Show 10 more values").click());
    expect(texts(".mlt-values span").at(-1)).toBe("m129");
    expect(button("Show 10 more values")).toBeUndefined();
  });

  it("cancels on a click, and shows what the service answers", async () => {
    await show(running);
    await say(running.state);
    const revision = running.state.revision + 1;
    answers.set("/cancel", { ...running.state, revision, status: "CancelRequested" });
    await act(() => button("Cancel").click());
    await settle();
    expect(requests.filter(({ method }) => method === "POST")).toEqual([
      {
        method: "POST",
        path: `workspaces/w/runs/r/cancel`
          .replace("/w/", `/${running.workspace}/`)
          .replace("/r/", `/${running.run}/`),
        body: { keep: false },
      },
    ]);
    expect(texts(".mlt-pill")).toEqual(["Cancel requested"]);
  });

  it("shows why a command was refused", async () => {
    await show(running);
    await say(running.state);
    await act(() => button("Stop and keep").click());
    await settle();
    expect(texts("[role=alert]")).toEqual(["The server answered 404."]);
  });

  it("says what a cancel saw end", async () => {
    await show(running);
    const stop = { signals: ["SIGTERM", "SIGKILL"], ended: ["7 python"], remaining: [] };
    const history = [
      { status: "Running", time: 1, reason: "", evidence: {} },
      { status: "CancelRequested", time: 2, reason: "cancel requested", evidence: {} },
      {
        status: "Finalizing",
        time: 3,
        reason: "canceled",
        evidence: { exits: [{ rank: 0, code: null, signal: 9 }], stop },
      },
      { status: "Canceled", time: 4, reason: "", evidence: {} },
    ];
    await say({ ...running.state, revision: running.state.revision + 1, status: "Canceled", history });
    expect(texts(".mlt-ended")).toEqual([
      "What ended cancel requested · canceled · rank 0: signal 9 · SIGTERM sent · SIGKILL sent · ended 7 python",
    ]);
  });

  it("opens a failure on why, and offers the memory that would do", async () => {
    await show(failed);
    await say(failed.state);
    expect(host.querySelector("[aria-selected=true]")?.textContent).toBe("Logs");
    expect(texts(".mlt-why b")[0]).toMatch(/^Out of memory/);
    await act(() => button("Rerun with 8 GB").click());
    const rerun = requests.find(({ path }) => path.endsWith("/rerun"));
    expect(rerun?.body).toEqual({ output: failed.run, resources: { memory_gb: 8 } });
  });

  it("moves between its tabs by keyboard", async () => {
    await show(running);
    await say(running.state);
    const press = (key: string) =>
      act(() => {
        document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      });
    host.querySelector<HTMLElement>("[role=tab]")?.focus();
    await press("End");
    expect(document.activeElement?.textContent).toBe("Details");
    await press("ArrowRight");
    expect(document.activeElement?.textContent).toBe("Metrics 2");
    expect(host.querySelectorAll("[role=tab][tabindex='0']")).toHaveLength(1);
  });

  it("keeps a metric's newest value on the screen before its points are there", async () => {
    await show(running);
    const [first] = running.state.metrics;
    const metrics = [{ ...first, count: 99, last: 0.5, last_step: 99 }];
    await say({ ...running.state, revision: running.state.revision + 1, metrics });
    expect(host.querySelector("[role=img]")?.getAttribute("aria-label")).toBe("val_accuracy, last value 0.5");
  });

  it("renders every name as text", async () => {
    const evil = "<img src=x onerror=alert(1)>";
    await show(completed);
    const metrics = [
      { name: evil, count: 2, last: 1 },
      { name: `${evil}2`, count: 1, last: evil },
    ];
    const history = [{ status: "Running", time: 1, reason: evil, evidence: { note: evil } }];
    await say({ ...completed.state, display_name: evil, notes: evil, metrics, history, notices: [evil] });
    await act(() => host.querySelector<HTMLElement>("[data-key=details]")?.click());
    expect(host.querySelector("img")).toBeNull();
    expect(texts(".mlt-history")[0]).toContain(evil);
  });

  it("speaks Japanese", async () => {
    speak("ja_JP");
    await show(running);
    await say(running.state);
    expect(texts("[role=tab]")).toEqual(["メトリック 2", "ログ", "出力", "システム", "詳細"]);
    expect(texts(".mlt-pill")).toEqual(["実行中"]);
    expect(button("中止")).toBeDefined();
  });
});

describe("the System tab", () => {
  const GB = 1e9;
  const node = {
    rank: 0,
    cpus: 2,
    memory_limit: 4 * GB,
    memory_total: 8 * GB,
    gpus_given: 0,
    gpus: [],
    problem: "",
  };
  const one = (name: string, measure: string, peak: number) => ({
    name,
    rank: 0,
    measure,
    gpu: null,
    unit: "%",
    count: 2,
    last: peak / 2,
    peak,
    mean: peak / 2,
  });
  const open = async () => {
    await act(() => host.querySelector<HTMLElement>("[data-key=system]")?.click());
    await settle(60);
  };

  it("shows what the run uses, its peak as the largest thing", async () => {
    answers.set("/system/series", { total: 2, steps: [0, 1], times: [1, 3], values: [GB, 2 * GB] });
    answers.set("/system", {
      nodes: [node],
      series: [one("cpu_percent", "cpu", 90), one("memory_bytes", "memory", 2 * GB)],
    });
    await show(running);
    await say(running.state);
    await open();
    expect(texts(".mlt-title > span:first-child")).toEqual(["CPU", "Memory"]);
    expect(texts(".mlt-title .mlt-num")).toEqual(["90 %", "2.0 GB"]);
    expect(texts(".mlt-panel .mlt-row")).toEqual(["No GPU was given to this run"]);
    const names = Array.from(host.querySelectorAll("[role=img]"), (node) => node.getAttribute("aria-label"));
    expect(names).toContain("Memory, peak 2.0 GB");
  });

  it("says in a line why there is nothing", async () => {
    answers.set("/system", { nodes: [], series: [] });
    await show(completed);
    await say({ ...completed.state, duration: 0.8 });
    await open();
    expect(texts(".mlt-panel p")).toEqual(["This run was too short to be sampled"]);
    await say({ ...completed.state, revision: completed.state.revision + 1, duration: 80 });
    expect(texts(".mlt-panel p")).toEqual(["This run was not sampled"]);
  });

  it("says so in Japanese, and why a run of the kernel's has none", async () => {
    speak("ja");
    answers.set("/system", { nodes: [], series: [] });
    await show(completed);
    await say({ ...completed.state, target: "notebook" });
    await open();
    expect(texts(".mlt-panel p")).toEqual(["この実行には測定する独自のプロセスがありません"]);
  });
});
