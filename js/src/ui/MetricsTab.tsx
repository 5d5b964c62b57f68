import { useEffect, useMemo, useState } from "preact/hooks";

import type { Metric } from "../api/payload";
import { PLAIN_VIEW, type View } from "../model/chart";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { chartsOf } from "../model/metrics";
import { type RunStore, terminal } from "../model/run";
import type { SeriesStore } from "../model/series";
import { Button } from "./controls";
import { useChanges } from "./hooks";
import { LargeChart } from "./LargeChart";
import { Chart, MetricValues } from "./MetricCharts";
import type { Surroundings } from "./surroundings";

const CHARTS_AT_FIRST = 12;

/** Charts of everything that the run logs; one of them large, with zoom. */
export function MetricsTab(props: { store: RunStore; series: SeriesStore; around: Surroundings }) {
  const { store, series, around } = props;
  const { state } = store;
  useChanges(series.changes);
  const [filter, setFilter] = useState("");
  const [view, setView] = useState<View>(PLAIN_VIEW);
  const [most, setMost] = useState(CHARTS_AT_FIRST);
  const [hover, setHover] = useState<number | null>(null);
  const [large, setLarge] = useState<string | null>(null);
  const { charts, values } = useMemo(() => chartsOf(state.metrics, filter), [state.metrics, filter]);
  const shown = charts.slice(0, most);
  // A pointer that moves over the charts must not lay all of them out again.
  const drawn = useMemo(
    () =>
      shown.map(({ name, metrics }) => {
        const found = metrics.map((one) => series.line(one));
        const chart = { metric: metrics[0] as Metric, lines: found.map(({ line }) => line) };
        return { name, metrics, found, chart };
      }),
    [charts, most, series.version],
  );
  useEffect(() => series.want(shown.flatMap((chart) => chart.metrics)));
  if (state.metrics.length === 0) {
    return <p class="mlt-empty">{t(terminal(state.status) ? "No metrics were logged" : "No metrics yet")}</p>;
  }
  const enlarged = large === null ? undefined : drawn.find((chart) => chart.name === large);
  return (
    <>
      {charts.length > 0 || filter !== "" ? (
        <Toolbar
          filter={filter}
          setFilter={setFilter}
          view={view}
          setView={setView}
          shown={sum(drawn.flatMap((chart) => chart.found.map(({ line }) => line.values.length)))}
          total={sum(drawn.flatMap((chart) => chart.found.map(({ total }) => total)))}
        />
      ) : null}
      {charts.length + values.length === 0 && <p class="mlt-empty">{t("No metric matches")}</p>}
      {values.length > 0 && <MetricValues metrics={values} />}
      {enlarged && (
        <LargeChart
          key={`${view.axis} ${enlarged.name}`}
          metrics={enlarged.metrics}
          lines={enlarged.found.map(({ line }) => line)}
          view={view}
          around={around}
          store={store}
          close={() => setLarge(null)}
        />
      )}
      {drawn.length > 0 && (
        <div class="mlt-grid">
          {drawn.map(({ name, chart }, index) => (
            <Chart
              key={name}
              chart={chart}
              colour={`var(--mlt-s${(index % 4) + 1})`}
              view={view}
              hover={hover}
              setHover={setHover}
              enlarge={() => setLarge(name)}
            />
          ))}
        </div>
      )}
      {charts.length > most && (
        <div class="mlt-row">
          <Button onClick={() => setMost(most + CHARTS_AT_FIRST)}>
            {t("Show {count} more", { count: Math.min(CHARTS_AT_FIRST, charts.length - most) })}
          </Button>
        </div>
      )}
    </>
  );
}

function Toolbar(props: {
  filter: string;
  setFilter: (filter: string) => void;
  view: View;
  setView: (view: View) => void;
  shown: number;
  total: number;
}) {
  const { filter, setFilter, view, setView, shown, total } = props;
  return (
    <div class="mlt-tools">
      <input
        type="search"
        placeholder={t("Filter metrics")}
        aria-label={t("Filter metrics")}
        value={filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
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
      <span class="mlt-num mlt-dim">
        {t("{shown} of {total} points", {
          shown: formatNumber(shown),
          total: formatNumber(Math.max(shown, total)),
        })}
      </span>
    </div>
  );
}

function sum(counts: number[]): number {
  return counts.reduce((a, b) => a + b, 0);
}
