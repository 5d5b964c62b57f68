import { describe, expect, it } from "vitest";

import { asNumber, HEIGHT, layOut, lineOf, looksLike, niceTicks, PLAIN_VIEW, WIDTH } from "./chart";

const line = (values: number[]) => ({ rank: 0, steps: values.map((_, i) => i), values });

describe("niceTicks", () => {
  it.each([
    [0.06, 0.97, [0, 0.5, 1]],
    [0.86, 0.99, [0.85, 0.9, 0.95, 1]],
    [-3, 3, [-4, -2, 0, 2, 4]],
    [1e-7, 9e-7, [0, 2e-7, 4e-7, 6e-7, 8e-7, 1e-6]],
    [0, 120_000, [0, 50_000, 100_000, 150_000]],
  ])("from %d to %d", (low, high, expected) => {
    expect(niceTicks(low, high)).toEqual(expected);
  });

  it("covers its range for any size of number", () => {
    for (let power = -12; power <= 12; power++) {
      const ticks = niceTicks(1.3 * 10 ** power, 7.7 * 10 ** power);
      expect(ticks[0]).toBeLessThanOrEqual(1.3 * 10 ** power);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(7.7 * 10 ** power);
      expect(ticks.length).toBeLessThan(10);
    }
  });
});

describe("looksLike", () => {
  const drawn = (values: number[], view = PLAIN_VIEW) => layOut([line(values)], view);

  it("tells whether a line that was fetched again is the one on the screen", () => {
    expect(looksLike(drawn([1, 2, Number.NaN]), drawn([1, 2, Number.NaN]))).toBe(true);
  });

  it.each([
    ["another point", [1, 2, Number.NaN, 1]],
    ["another value", [1, 1.5, Number.NaN]],
    ["another scale", [10, 20, Number.NaN]],
    ["another value that is no number", [1, 2, Number.POSITIVE_INFINITY]],
  ])("sees %s", (_, values) => {
    expect(looksLike(drawn([1, 2, Number.NaN]), drawn(values))).toBe(false);
  });

  it("sees what lies behind smoothed lines", () => {
    const smooth = { ...PLAIN_VIEW, smoothing: 0.5 };
    expect(looksLike(drawn([2, 2]), drawn([2, 2], smooth))).toBe(false);
  });
});

describe("layOut", () => {
  const numbersIn = (path: string) => Array.from(path.matchAll(/-?\d+(?:\.\d+)?/g), ([text]) => Number(text));

  it("keeps every point inside the picture", () => {
    const { paths } = layOut([line([3, -8, 1e9, 12])]);
    const points = numbersIn((paths[0] ?? "").replaceAll("h.1", ""));
    for (let i = 0; i < points.length; i += 2) {
      expect(points[i]).toBeGreaterThanOrEqual(0);
      expect(points[i]).toBeLessThanOrEqual(WIDTH);
      expect(points[i + 1]).toBeGreaterThanOrEqual(0);
      expect(points[i + 1]).toBeLessThanOrEqual(HEIGHT);
    }
  });

  it("lifts the pen where a value is not a number, and marks the place", () => {
    const chart = layOut([
      line([1, Number.NaN, 2, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 4]),
    ]);
    expect(chart.paths[0]?.match(/M/g)).toHaveLength(3);
    expect(chart.markers.map((marker) => marker.title)).toEqual([
      "NaN at step 1",
      "∞ at step 4",
      "−∞ at step 5",
    ]);
  });

  it.each([
    ["nothing", []],
    ["one point", [5]],
    ["a constant", [2, 2, 2]],
    ["zeros", [0, 0]],
    ["no finite number", [Number.NaN, Number.POSITIVE_INFINITY]],
    ["numbers too far apart for their difference", [-1.7e308, 1.7e308]],
  ])("draws %s without NaN in the geometry", (_, values) => {
    const chart = layOut([line(values)]);
    expect(
      JSON.stringify([
        chart.paths,
        chart.markers.map((marker) => marker.path),
        chart.ticks.map((tick) => tick.y),
      ]),
    ).not.toMatch(/NaN[^ ]|null|Infinity/);
  });
});

describe("lineOf", () => {
  it("leaves text out, keeps names of numbers, and numbers points that have no step", () => {
    const series = {
      name: "x",
      rank: 2,
      total: 4,
      steps: [null, 10, 20, 30],
      values: [1, "NaN", "text", true],
    };
    expect(lineOf(series)).toEqual({ rank: 2, steps: [0, 10], values: [1, Number.NaN] });
  });

  it("knows no number for a flag", () => {
    expect(asNumber(true)).toBeNull();
    expect(asNumber("-Infinity")).toBe(Number.NEGATIVE_INFINITY);
  });
});
