import type { Metric } from "../api/payload";
import { HEIGHT, layOut, PLAIN_VIEW, type View, WIDTH } from "../model/chart";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import type { MetricChart } from "../model/metrics";
import { bestWords } from "../model/words";

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

export function MetricCharts({ charts }: { charts: MetricChart[] }) {
  return (
    <div class="mlt-grid">
      {charts.map((chart, index) => (
        <Chart key={chart.metric.name} chart={chart} colour={`var(--mlt-s${(index % 4) + 1})`} />
      ))}
    </div>
  );
}

/** A metric's last value, large, above its lines. With `enlarge`, a click on the chart does that. */
export function Chart(props: { chart: MetricChart; colour: string; view?: View; enlarge?: () => void }) {
  const { chart, colour, view = PLAIN_VIEW, enlarge } = props;
  const { metric } = chart;
  const drawing = <Drawing chart={chart} colour={colour} view={view} />;
  return (
    <div class="mlt-chart">
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
      {drawing}
    </div>
  );
}

function Drawing({
  chart: { metric, lines },
  colour,
  view,
}: {
  chart: MetricChart;
  colour: string;
  view: View;
}) {
  const { left, right, ticks, paths, behind, markers, firstStep, lastStep } = layOut(lines, view);
  const label = t("{name}, last value {last}", { name: metric.name, last: formatNumber(metric.last) });
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      {ticks.map(({ y, label: said }) => (
        <g key={said}>
          <line class="mlt-rule" x1={left} x2={right} y1={y} y2={y} />
          <text x={left - 5} y={y + 3} text-anchor="end">
            {said}
          </text>
        </g>
      ))}
      {behind.map((path, index) => (
        <path key={`behind ${index}`} class="mlt-line" stroke={colour} opacity={0.25} d={path} />
      ))}
      {paths.map((path, index) => (
        <path key={index} class="mlt-line" stroke={colour} opacity={index === 0 ? 1 : 0.45} d={path} />
      ))}
      {markers.map(({ path, title }) => (
        <path key={title} class="mlt-odd" d={path}>
          <title>{title}</title>
        </path>
      ))}
      <text x={left} y={HEIGHT - 3}>
        {firstStep}
      </text>
      <text x={right} y={HEIGHT - 3} text-anchor="end">
        {lastStep}
      </text>
    </svg>
  );
}
