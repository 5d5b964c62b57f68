import { describe, expect, it } from "vitest";

import failed from "../../../tests/fixtures/run-failed.json";
import running from "../../../tests/fixtures/run-running.json";
import { parsePayload } from "./parse";
import { PayloadError } from "./payload";

describe("parsePayload", () => {
  it("reads what the kernel saved", () => {
    const { state, series, log } = parsePayload(running);
    expect(state.displayName).toBe("brave-otter-7");
    expect(state.stages.map((stage) => stage.state)).toEqual(["done", "done", "done", "active", "pending"]);
    expect(state.progress).toEqual({ label: "epoch", value: 12, total: 20, eta: 27 });
    expect(state.environment).toEqual({ name: "tensorflow", version: "3", key: "9f2c4e1a7b60d853" });
    expect(series.map((one) => one.name)).toEqual(["val_accuracy", "loss"]);
    expect(series[0]?.steps).toHaveLength(72);
    expect(log?.tail).toContain("epoch 11 accuracy");
  });

  it("keeps values that JSON has no number for", () => {
    const { series } = parsePayload(failed);
    expect(series[0]?.values.slice(20, 22)).toEqual(["NaN", "Infinity"]);
  });

  it.each([
    ["no object", 7],
    ["a list", [running]],
    ["no format", { ...running, format: undefined }],
    ["no state", { ...running, state: null }],
    ["a run that is no text", { ...running, run: {} }],
  ])("refuses %s", (_, raw) => {
    expect(() => parsePayload(raw)).toThrow(PayloadError);
  });

  it("refuses what a newer version saved and says what to do", () => {
    expect(() => parsePayload({ ...running, format: 2 })).toThrow(/upgrade/);
  });

  it("takes wrong types for absent and never throws for them", () => {
    const odd = {
      format: 1,
      run: "r1",
      state: {
        status: "Running",
        stages: [null, 3, { name: ["x"], state: "exploded" }],
        metrics: { not: "a list" },
        progress: { value: "many" },
        failure: "yes",
        notices: [{}, null, "kept"],
        environment: [],
        tags: { a: 1, b: null, c: { deep: true } },
      },
      series: [{ name: "loss", steps: [0, 1, 2], values: [0.5, { html: "<b>" }] }],
    };
    const { state, series } = parsePayload(odd);
    expect(state.stages.map((stage) => stage.state)).toEqual(["pending", "pending", "pending"]);
    expect(state.metrics).toEqual([]);
    expect(state.progress).toBeNull();
    expect(state.environment).toBeNull();
    expect(state.notices.at(-1)).toBe("kept");
    expect(state.tags).toEqual([["a", "1"]]);
    expect(series[0]?.values).toEqual([0.5, null]);
    expect(series[0]?.steps).toEqual([0, 1]);
  });

  it("is bounded, whatever a notebook holds", () => {
    const many = { ...running, series: Array.from({ length: 5000 }, () => running.series[0]) };
    expect(parsePayload(many).series.length).toBeLessThanOrEqual(200);
  });
});
