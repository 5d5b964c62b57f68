import { describe, expect, it } from "vitest";

import { asMnist, DIGITS, massOf, SIDE, type Stroke, sampleOf } from "./endpointDigit";

const seven: Stroke = [
  { x: 0.05, y: 0.05 },
  { x: 0.3, y: 0.05 },
  { x: 0.15, y: 0.4 },
];
const moved = (stroke: Stroke, by: number, scale: number): Stroke =>
  stroke.map(({ x, y }) => ({ x: x * scale + by, y: y * scale + by }));

function box(image: Float32Array): { width: number; height: number } {
  const inked = Array.from(image.keys()).filter((index) => (image[index] ?? 0) > 0.4);
  const [columns, rows] = [inked.map((one) => one % SIDE), inked.map((one) => Math.floor(one / SIDE))];
  const span = (all: number[]) => Math.max(...all) - Math.min(...all) + 1;
  return { width: span(columns), height: span(rows) };
}

describe("asMnist", () => {
  it("is blank for nothing", () => {
    expect(Math.max(...asMnist([]))).toBe(0);
  });

  it("fits the drawing into 20 by 20 with its shape kept", () => {
    const { width, height } = box(asMnist([seven]));
    expect(height).toBeGreaterThanOrEqual(19);
    expect(height).toBeLessThanOrEqual(21);
    expect(width / height).toBeCloseTo((0.25 / 0.35) * 0.9 + 0.1, 1);
  });

  it("puts the centre of mass in the middle", () => {
    for (const digit of DIGITS) {
      const { x, y } = massOf(asMnist(digit));
      expect(Math.hypot(x - SIDE / 2, y - SIDE / 2)).toBeLessThan(0.5);
    }
  });

  it("is the same wherever and however large it is drawn", () => {
    const [small, large] = [asMnist([moved(seven, 0.6, 0.3)]), asMnist([moved(seven, 0.02, 2)])];
    small.forEach((ink, index) => {
      expect(ink).toBeCloseTo(large[index] ?? -1, 4);
    });
  });

  it("draws lines as thick as MNIST's", () => {
    const image = asMnist([
      [
        { x: 0.5, y: 0.1 },
        { x: 0.5, y: 0.9 },
      ],
    ]);
    const row = Array.from(image.subarray(14 * SIDE, 15 * SIDE));
    expect(row.reduce((all, ink) => all + ink, 0)).toBeCloseTo(2.3, 0);
    expect(Math.max(...row)).toBe(1);
  });

  it("keeps a dot and a long line inside", () => {
    for (const strokes of [[[{ x: 0.9, y: 0.9 }]], [moved(seven, 0, 1), [{ x: 1, y: 1 }]]] as Stroke[][]) {
      const image = asMnist(strokes);
      expect(Array.from(image).every((ink) => ink >= 0 && ink <= 1)).toBe(true);
      expect(image.reduce((all, ink) => all + ink, 0)).toBeGreaterThan(2);
    }
  });
});

describe("sampleOf", () => {
  const image = new Float32Array(784).map((_, index) => index / 784);

  it("has the model's shape", () => {
    expect(sampleOf(image, [784], 1)).toHaveLength(784);
    const rows = sampleOf(image, [28, 28], 1) as number[][];
    expect([rows.length, rows[0]?.length, rows[1]?.[0]]).toEqual([28, 28, 0.0357]);
    const deep = sampleOf(image, [28, 28, 1], 255) as number[][][];
    expect([deep.length, deep[0]?.length, deep[0]?.[0]?.length, deep[27]?.[27]]).toEqual([28, 28, 1, [255]]);
    expect(sampleOf(image, [1, 28, 28], 1)).toHaveLength(1);
  });
});
