import type { TargetedPointerEvent } from "preact";
import { useMemo } from "preact/hooks";

import type { Metric } from "../api/payload";
import {
  HEIGHT,
  type Chart as Layout,
  type Line,
  layOut,
  nearest,
  PLAIN_VIEW,
  placed,
  placeWords,
  type View,
  WIDTH,
} from "../model/chart";
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

/** Where a chart's pointer is, on the axis that all charts of a card share. */
interface Hover {
  hover?: number | null;
  setHover?: (at: number | null) => void;
}

/** A metric's last value, large, above its lines. `enlarge` is what the button beside it does. */
export function Chart(
  props: { chart: MetricChart; colour: string; view?: View; enlarge?: () => void } & Hover,
) {
  const { chart, colour, view = PLAIN_VIEW, enlarge, hover = null, setHover } = props;
  const { metric } = chart;
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
      <Drawing chart={chart} colour={colour} view={view} hover={hover} {...(setHover ? { setHover } : {})} />
    </div>
  );
}

function Drawing(props: { chart: MetricChart; colour: string; view: View } & Hover) {
  const { chart, colour, view, hover = null, setHover } = props;
  const { metric, lines } = chart;
  const layout = useMemo(() => layOut(lines, view), [lines, view]);
  const { left, right, ticks, paths, behind, markers, firstStep, lastStep, first, last } = layout;
  const label = t("{name}, last value {last}", { name: metric.name, last: formatNumber(metric.last) });
  const moved = (event: TargetedPointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    setHover?.(first + (Math.min(right, Math.max(left, x)) - left) * ((last - first) / (right - left)));
  };
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={label}
      {...(setHover ? { onPointerMove: moved, onPointerLeave: () => setHover(null) } : {})}
    >
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
      {hover !== null && hover >= first && hover <= last && last > first && lines[0] && (
        <Reading line={lines[0]} view={view} hover={hover} layout={layout} />
      )}
    </svg>
  );
}

/** The value at the pointer of this chart, or of the one beside it. */
function Reading(props: { line: Line; view: View; hover: number; layout: Layout }) {
  const { line, view, hover, layout } = props;
  const { first, last, left, right } = layout;
  const found = nearest(placed(line, { ...view, log: false }), hover);
  if (found === null) {
    return null;
  }
  const x = left + ((found.step - first) / (last - first)) * (right - left);
  const inLeftHalf = x < (left + right) / 2;
  return (
    <g class="mlt-reading">
      <line x1={x} x2={x} y1={6} y2={HEIGHT - 16} />
      <text x={inLeftHalf ? x + 4 : x - 4} y={14} text-anchor={inLeftHalf ? "start" : "end"}>
        {`${formatNumber(found.value)} · ${view.axis === "step" ? "step " : ""}${placeWords(found.step, view)}`}
      </text>
    </g>
  );
}
