import { useMemo } from "preact/hooks";

import type { Metric } from "../api/payload";
import { layOut } from "../model/chart";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import type { MetricChart } from "../model/metrics";
import { bestWords } from "../model/words";
import { Drawing } from "./Drawing";

export function MetricValues({ metrics }: { metrics: Metric[] }) {
  return (
    <div class="mlt-values">
      {metrics.map((metric) => (
        <div key={metric.name}>
          <span>{metric.name}</span>
          <b class="mlt-num">{formatNumber(metric.last)}</b>
        </div>
      ))}
    </div>
  );
}

/** The charts of a recorded card. */
export function MetricCharts({ charts }: { charts: MetricChart[] }) {
  return (
    <div class="mlt-grid">
      {charts.map((chart, index) => (
        <RecordedChart key={chart.metric.name} chart={chart} colour={colourOf(index)} />
      ))}
    </div>
  );
}

function RecordedChart({ chart, colour }: { chart: MetricChart; colour: string }) {
  const { metric, lines } = chart;
  const layout = useMemo(() => layOut(lines), [lines]);
  return (
    <div class="mlt-chart">
      <ChartTitle metric={metric} />
      <Drawing layout={layout} colour={colour} label={chartLabel(metric)} />
    </div>
  );
}

/** A metric's name, its best value, and, the largest thing of all, its last one. */
export function ChartTitle({ metric, enlarge }: { metric: Metric; enlarge?: () => void }) {
  return (
    <div class="mlt-title">
      <span>{metric.name}</span>
      <small>{bestWords(metric)}</small>
      <span class="mlt-num">{formatNumber(metric.last)}</span>
      {enlarge && (
        <button
          type="button"
          class="mlt-icon"
          title={t("Enlarge {name}", { name: metric.name })}
          aria-label={t("Enlarge {name}", { name: metric.name })}
          onClick={enlarge}
        >
          ⤢
        </button>
      )}
    </div>
  );
}

export function chartLabel(metric: Metric): string {
  return t("{name}, last value {last}", { name: metric.name, last: formatNumber(metric.last) });
}

/** Of the chart at this place of a card. */
export function colourOf(index: number): string {
  return `var(--mlt-s${(index % 4) + 1})`;
}
