import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

import { type Chart, HEIGHT, WIDTH } from "../model/chart";

/**
 * A chart as SVG: what a recorded card shows, what a live one shows first, and where Plotly cannot be loaded. `bare`: Plotly
 * draws the lines below, this is the words on the axes. `label` is empty where what is around has one.
 */
export function Drawing(props: {
  layout: Chart;
  colour: string;
  label: string;
  bare?: boolean;
  children?: ComponentChildren;
}) {
  const { layout, colour, label, bare = false, children } = props;
  const { left, right, ticks, firstStep, lastStep } = layout;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} aria-hidden={label === ""}>
      {ticks.map(({ y, label: words }) => (
        <text key={words} x={left - 5} y={y + 3} text-anchor="end">
          {words}
        </text>
      ))}
      {!bare && <Lines layout={layout} colour={colour} />}
      <text class="mlt-from" x={left} y={HEIGHT - 3}>
        {firstStep}
      </text>
      <text class="mlt-to" x={right} y={HEIGHT - 3} text-anchor="end">
        {lastStep}
      </text>
      {children}
    </svg>
  );
}

function Lines({ layout, colour }: { layout: Chart; colour: string }) {
  const { left, right, ticks, paths, behind, markers } = layout;
  const clip = useId();
  return (
    <>
      <clipPath id={clip}>
        <rect x={left - 1} y={0} width={right - left + 2} height={HEIGHT} />
      </clipPath>
      {ticks.map(({ y, label }) => (
        <line key={label} class="mlt-rule" x1={left} x2={right} y1={y} y2={y} />
      ))}
      <g clip-path={`url(#${clip})`}>
        {behind.map((path, index) => (
          <path key={`behind ${index}`} class="mlt-line" stroke={colour} opacity={0.25} d={path} />
        ))}
        {paths.map((path, index) => (
          <path key={index} class="mlt-line" stroke={colour} opacity={index === 0 ? 1 : 0.45} d={path} />
        ))}
      </g>
      {markers.map(({ path, title }) => (
        <path key={title} class="mlt-odd" d={path}>
          <title>{title}</title>
        </path>
      ))}
    </>
  );
}
