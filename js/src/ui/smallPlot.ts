/** A small chart as a Plotly figure: the picture that the SVG drawing shows, on the same places. Its colours are CSS. */

import { BOTTOM, type Chart, HEIGHT, type Line, RIGHT, TOP, type View, WIDTH } from "../model/chart";

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
      {
        type: "scatter",
        mode: "markers",
        yaxis: "y2",
        hoverinfo: "skip",
        cliponaxis: false,
        x: markers.map(({ step }) => step),
        y: markers.map(({ value }) => (value === Number.POSITIVE_INFINITY ? 1 : 0)),
        marker: { size: 8 * scale, symbol: markers.map(({ value }) => symbolOf(value)) },
      },
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
        ticktext: ticks.map(({ label }) => label),
        tickfont: { size: 10 * scale },
        ticklabelstandoff: 2 * scale,
        automargin: false,
      },
      yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    },
  };
}

/** Gaps are left where a value is no finite number; markers show those. */
function drawn({ steps, values }: Line): object {
  return { x: steps, y: values };
}

export function symbolOf(value: number): string {
  return Number.isNaN(value) ? "diamond" : value > 0 ? "triangle-up" : "triangle-down";
}
