import type { Metric } from "../api/payload";
import { HEIGHT, layOut, WIDTH } from "../model/chart";
import { formatNumber } from "../model/formats";
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

function Chart({ chart: { metric, lines }, colour }: { chart: MetricChart; colour: string }) {
  const { left, right, ticks, paths, markers, firstStep, lastStep } = layOut(lines);
  const last = formatNumber(metric.last);
  return (
    <div class="mlt-chart">
      <div class="mlt-title">
        <span>{metric.name}</span>
        <small>{bestWords(metric)}</small>
        <span class="mlt-num">{last}</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${metric.name}, last value ${last}`}>
        {ticks.map(({ y, label }) => (
          <g key={label}>
            <line class="mlt-rule" x1={left} x2={right} y1={y} y2={y} />
            <text x={left - 5} y={y + 3} text-anchor="end">
              {label}
            </text>
          </g>
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
          step {lastStep}
        </text>
      </svg>
    </div>
  );
}
