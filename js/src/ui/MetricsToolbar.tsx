import type { ComponentChildren } from "preact";
import type { Metric } from "../api/payload";
import type { View } from "../model/chart";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import type { RangeStore } from "../model/range";
import { SearchField } from "./controls";
import { useChanges } from "./hooks";

/** What a person can do to the range that all charts of a card show. */
export type Step = "closer" | "wider" | "left" | "right" | "whole";

/** Keys on a chart; the buttons say them. */
export const STEPS: { readonly [key: string]: Step } = {
  "+": "closer",
  "=": "closer",
  "-": "wider",
  ArrowLeft: "left",
  ArrowRight: "right",
  "0": "whole",
};

export function MetricsToolbar(props: {
  filter: string;
  setFilter: (filter: string) => void;
  view: View;
  setView: (view: View) => void;
  step: (step: Step) => void;
  points: RangeStore;
  metrics: readonly Metric[];
  picker: ComponentChildren;
}) {
  const { filter, setFilter, view, setView, step, points, metrics, picker } = props;
  return (
    <div class="mlt-tools">
      <SearchField label={t("Filter metrics")} value={filter} change={setFilter} />
      {picker}
      <label>
        {t("Smoothing")}
        <input
          type="range"
          min={0}
          max={0.95}
          step={0.05}
          value={view.smoothing}
          onInput={(event) => setView({ ...view, smoothing: Number(event.currentTarget.value) })}
        />
      </label>
      <select
        aria-label={t("Axis")}
        value={view.axis}
        onChange={(event) => setView({ ...view, axis: event.currentTarget.value as View["axis"] })}
      >
        <option value="step">{t("Step")}</option>
        <option value="relative">{t("Relative time")}</option>
        <option value="wall">{t("Wall time")}</option>
      </select>
      <select
        aria-label={t("Scale")}
        value={view.log ? "log" : "linear"}
        onChange={(event) => setView({ ...view, log: event.currentTarget.value === "log" })}
      >
        <option value="linear">{t("Linear")}</option>
        <option value="log">{t("Logarithmic")}</option>
      </select>
      <ZoomButtons zoomed={view.range !== undefined} step={step} />
      <Count points={points} metrics={metrics} />
    </div>
  );
}

/** How much of what was logged the charts show. */
export function Count({ points, metrics }: { points: RangeStore; metrics: readonly Metric[] }) {
  useChanges(points.changes);
  const found = metrics.map((metric) => points.line(metric));
  const shown = found.reduce((sum, { line }) => sum + line.values.length, 0);
  const total = found.reduce((sum, one) => sum + one.total, 0);
  return (
    <span class="mlt-num mlt-dim">
      {t("{shown} of {total} points", {
        shown: formatNumber(shown),
        total: formatNumber(Math.max(shown, total)),
      })}
    </span>
  );
}

/** What a drag over a chart and a double click do, for those who have no pointer. */
export function ZoomButtons({ zoomed, step }: { zoomed: boolean; step: (step: Step) => void }) {
  const button = (way: Step, sign: string, label: string, key: string) => (
    <button
      type="button"
      class="mlt-icon mlt-zoom"
      title={`${label} (${key})`}
      aria-label={label}
      aria-keyshortcuts={key}
      onClick={() => step(way)}
    >
      {sign}
    </button>
  );
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <span class="mlt-zooms" role="group" aria-label={t("Zoom")}>
      {button("closer", "+", t("Zoom in"), "+")}
      {zoomed && (
        <>
          {button("wider", "−", t("Zoom out"), "-")}
          {button("left", "‹", t("Earlier"), "ArrowLeft")}
          {button("right", "›", t("Later"), "ArrowRight")}
          <button
            type="button"
            class="mlt-button"
            title={`${t("Reset zoom")} (0)`}
            aria-keyshortcuts="0"
            onClick={() => step("whole")}
          >
            {t("Reset zoom")}
          </button>
        </>
      )}
    </span>
  );
}
