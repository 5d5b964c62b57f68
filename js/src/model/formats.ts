/** Numbers, durations and dates as the run card writes them; `jupyter_mltrain/widgets/formats.py` writes the same. */

import type { Value } from "../api/payload";

const NAMES: { readonly [name: string]: string } = { NaN: "NaN", Infinity: "∞", "-Infinity": "−∞" };

/** A value with four significant digits, `12,345` above a thousand; NaN and ±Inf by name. */
export function formatNumber(value: Value): string {
  if (typeof value !== "number") {
    return value === null ? "" : (NAMES[String(value)] ?? String(value));
  }
  if (!Number.isFinite(value)) {
    return NAMES[String(value)] ?? "NaN";
  }
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) {
    return value.toLocaleString("en-US");
  }
  if (size >= 1000 && size < 1e6) {
    return value.toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  }
  return general(value);
}

/** C's `%.4g`: four significant digits, an exponent of at least two digits below 1e-4 and from 1e4 on. */
function general(value: number): string {
  const [mantissa = "", exponent = "0"] = value.toExponential(3).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 4) {
    return String(Number(value.toPrecision(4)));
  }
  return `${Number(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** A run's length as `0:42`, `1:09:30`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (part: number) => String(part).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** A stage's length: `0.3 s`, `12 s`, `1:08`. */
export function formatSpan(seconds: number): string {
  if (seconds < 0.05) {
    return "0 s";
  }
  if (seconds < 10) {
    return `${seconds.toFixed(1)} s`;
  }
  return seconds < 60 ? `${seconds.toFixed(0)} s` : formatClock(seconds);
}

/** Bytes in decimal units: `412 KB`, `4.0 GB`. */
export function formatSize(bytes: number): string {
  let count = bytes;
  for (const unit of ["bytes", "KB", "MB", "GB"]) {
    if (count < 1000) {
      return `${count.toFixed(unit === "bytes" || unit === "KB" ? 0 : 1)} ${unit}`;
    }
    count /= 1000;
  }
  return `${count.toFixed(1)} TB`;
}

/** `1 file`, `1,204 files`. */
export function formatCount(count: number, what: string): string {
  return `${formatNumber(count)} ${what}${count === 1 ? "" : "s"}`;
}

/** When, in a form that means the same everywhere: `23 Nov 2026, 06:40 UTC`. */
export function formatDate(epoch: number): string {
  const date = new Date(epoch * 1000);
  if (Number.isNaN(date.getTime())) {
    return "an unknown date";
  }
  const month = date.toLocaleString("en-US", { month: "short", timeZone: "UTC" });
  const two = (part: number) => String(part).padStart(2, "0");
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return `${date.getUTCDate()} ${month} ${date.getUTCFullYear()}, ${time} UTC`;
}
