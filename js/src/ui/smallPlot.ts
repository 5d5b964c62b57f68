/**
 * The lines of a small chart as a Plotly figure, on the places where the SVG drawing has them. The words on its axes are the
 * drawing's above it: as Plotly's they cost a quarter of its time. Its colours are CSS.
 */

import {
  BOTTOM,
  type Chart,
  HEIGHT,
  type Line,
  type Marker,
  RIGHT,
  TOP,
  type View,
  WIDTH,
} from "../model/chart";

export interface Figure {
  data: object[];
  layout: object;
}

export const SMALL_CONFIG = {
  displayModeBar: false,
  doubleClick: false, // what it does is the card's: all its charts go back
  responsive: false,
  showTips: false,
  showAxisDragHandles: false,
};

/** Plotly's own thinning leaves corners in smooth lines; what comes here is thinned already. */
const STROKE = { width: 1.6, simplify: false };

/** `width` in CSS pixels; the height follows from the drawing's proportions. `drag`: a drag over the chart zooms. */
export function smallFigure(chart: Chart, view: View, width: number, drag: boolean): Figure {
  const scale = width / WIDTH;
  const { first, last, low, high, ticks, lines, logged, markers, left } = chart;
  // Only where there is such a value: a second axis costs a tenth of the drawing.
  const odd = markers.length ? [oddOnes(markers, scale)] : [];
  const base = { type: "scatter", mode: "lines", hoverinfo: "skip" };
  const behind = view.smoothing > 0 ? logged : [];
  // Plotly leaves out a grid line that falls on the edge of its chart.
  const edge = ((high - low) * 1.2) / (HEIGHT - TOP - BOTTOM);
  const axis = { zeroline: false, showline: false, ticks: "" };
  return {
    data: [
      ...behind.map((line) => ({ ...base, ...drawn(line), opacity: 0.25, line: STROKE })),
      ...lines.map((line, index) => ({
        ...base,
        ...drawn(line),
        opacity: index === 0 ? 1 : 0.45,
        line: STROKE,
      })),
      ...odd,
    ],
    layout: {
      width,
      height: (width * HEIGHT) / WIDTH,
      margin: { l: left * scale, r: RIGHT * scale, t: TOP * scale, b: BOTTOM * scale },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false,
      hovermode: false,
      dragmode: drag ? "zoom" : false,
      xaxis: {
        ...axis,
        range: last > first ? [first, last] : [first - 0.5, first + 0.5],
        showgrid: false,
        showticklabels: false,
      },
      yaxis: {
        ...axis,
        range: [low - edge, high + edge],
        fixedrange: true,
        tickvals: ticks.map(({ value }) => value),
        showticklabels: false,
        automargin: false,
      },
      ...(odd.length ? { yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false } } : {}),
    },
  };
}

/** What is no number has its place in time, on an axis of its own from the foot (0) to the top (1) of the chart. */
function oddOnes(markers: readonly Marker[], scale: number): object {
  return {
    type: "scatter",
    mode: "markers",
    yaxis: "y2",
    hoverinfo: "skip",
    cliponaxis: false,
    x: markers.map(({ step }) => step),
    y: markers.map(({ value }) => (value === Number.POSITIVE_INFINITY ? 1 : 0)),
    marker: { size: 8 * scale, symbol: markers.map(({ value }) => symbolOf(value)) },
  };
}

/** Gaps are left where a value is no finite number; markers show those. */
function drawn({ steps, values }: Line): object {
  return { x: steps, y: values };
}

export function symbolOf(value: number): string {
  return Number.isNaN(value) ? "diamond" : value > 0 ? "triangle-up" : "triangle-down";
}
