// @vitest-environment happy-dom
import { render } from "preact";
import { beforeEach, describe, expect, it } from "vitest";

import completed from "../../../tests/fixtures/run-completed.json";
import failed from "../../../tests/fixtures/run-failed.json";
import ranked from "../../../tests/fixtures/run-ranks.json";
import running from "../../../tests/fixtures/run-running.json";
import { parsePayload } from "../api/parse";
import { RunCard } from "./RunCard";

let host: HTMLElement;

beforeEach(() => {
  host = document.createElement("div");
});

function show(raw: unknown): HTMLElement {
  render(<RunCard payload={parsePayload(raw)} />, host);
  return host;
}

const texts = (selector: string) =>
  Array.from(host.querySelectorAll(selector), (node) => node.textContent?.trim());

describe("RunCard", () => {
  it("says in one line what runs where and how it stands", () => {
    show(running);
    expect(texts(".mlt-head > *")).toEqual([
      "tutorial-tf-mnist / brave-otter-7",
      "Running",
      "0:42",
      "local · tensorflow:3 · mnist:1",
    ]);
  });

  it("has the stages as a ruler of time", () => {
    show(running);
    expect(texts(".mlt-stage")).toEqual([
      "Preparing cached 0.1 s",
      "Queued 0 s",
      "Starting 0.4 s",
      "Running epoch 12 of 20 · 27 s left",
      "Finalizing",
    ]);
    expect(host.querySelector<HTMLElement>(".mlt-now i")?.style.width).toBe("60%");
  });

  it("leads with the cause of a failure, its evidence and the mend", () => {
    show(failed);
    expect(texts(".mlt-why > *")).toEqual([
      "Out of memory on rank 1: the process used 4.0 GB of its 4 GB limit and was killed.",
      "signal 9 · oom_kill counter 0 → 1 · last heartbeat 0.8 s before · 2,811 metric points kept",
      "Rerun with `--memory 8`.",
    ]);
    expect(texts(".mlt-x")).toEqual(["Running stopped at epoch 3 of 20"]);
    expect(texts(".mlt-notes")).toEqual(["Asked for STANDARD_NC6, given cpu: this machine has no GPU"]);
    expect(host.querySelectorAll(".mlt-odd")).toHaveLength(2);
    expect(host.querySelector("details[open] pre")?.textContent).toContain("MemoryError");
  });

  it("shows a single value large and a series as a chart with its last value", () => {
    show(completed);
    expect(texts(".mlt-values div")).toEqual(["test_accuracy0.9786"]);
    expect(texts(".mlt-title")).toEqual([
      "val_accuracymax 0.989 at step 1,1000.9835",
      "lossmin 0.04145 at step 1,1000.07972",
    ]);
    expect(host.querySelector("svg")?.getAttribute("aria-label")).toBe("val_accuracy, last value 0.9835");
  });

  it("tells what the run used among its details", () => {
    show(completed);
    expect(texts(".mlt-kv > *").join(" ")).toContain("Used memory 2.0 GB, CPU 93 s");
  });

  it("says when it was recorded and how to get the run back", () => {
    show(completed);
    expect(texts(".mlt-foot > *")).toEqual([
      "recorded on 23 Nov 2026, 06:41 UTC",
      "11,244 metric points",
      "3 output files, 412 KB",
      'run = mltrain.run("brave-otter-7")',
    ]);
  });

  it("renders every name as text", () => {
    const evil = '<img src=x onerror="alert(1)">';
    show({
      ...completed,
      state: { ...completed.state, display_name: evil, experiment: evil, notices: [evil] },
    });
    expect(host.querySelector("img")).toBeNull();
    expect(host.textContent).toContain(evil);
  });

  it("follows a change of the saved state", () => {
    show(running);
    show(completed);
    expect(texts(".mlt-pill")).toEqual(["Completed"]);
  });

  it("tells several ranks, the one that failed first before the others", () => {
    show(ranked);
    expect(texts(".mlt-first")).toEqual(["First to fail: ▲Rank 2 · worker 2 · gpu-box-1"]);
    expect(texts(".mlt-few li").map((line) => line?.slice(0, 22))).toEqual(
      [
        "▲Rank 2 · worker 2 · gpu",
        "●Rank 0 · worker 0 · gpu",
        "■Rank 1 · worker 1 · gpu",
        "◆Rank 3 · worker 3 · gpu",
      ].map((line) => line.slice(0, 22)),
    );
    expect(texts(".mlt-speed")).toEqual(["481 examples/s in all · 92 % of 4 times calm-wren-1, one process"]);
    show(failed);
    expect(texts(".mlt-first, .mlt-few")).toEqual([]);
  });
});
