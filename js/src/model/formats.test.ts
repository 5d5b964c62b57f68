import { describe, expect, it } from "vitest";

import cases from "../../../tests/fixtures/formats.json";
import { formatClock, formatDate, formatNumber, formatSize, formatSpan } from "./formats";

const values = new Map([
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]);

// The same cases as tests/unit/widgets/test_formats.py: the static card and this one write alike.
describe("formats", () => {
  it.each(cases.number)("number %s is written %s", (raw, expected) => {
    expect(formatNumber(values.get(String(raw)) ?? raw)).toBe(expected);
  });
  it.each(cases.clock)("clock of %d is %s", (raw, expected) => {
    expect(formatClock(Number(raw))).toBe(expected);
  });
  it.each(cases.span)("span of %d is %s", (raw, expected) => {
    expect(formatSpan(Number(raw))).toBe(expected);
  });
  it.each(cases.size)("size of %d is %s", (raw, expected) => {
    expect(formatSize(Number(raw))).toBe(expected);
  });
  it.each(cases.date)("date of %d is %s", (raw, expected) => {
    expect(formatDate(Number(raw))).toBe(expected);
  });
});
