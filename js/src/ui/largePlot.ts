/** A large chart as a Plotly figure: all ranks, axes with titles, a reading under the pointer. Its colours are CSS. */

import { type Line, placed, smoothed, type View } from "../model/chart";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { type Figure, symbolOf } from "./smallPlot";

export const LARGE_HEIGHT = 320;

export const LARGE_CONFIG = {
  displaylogo: false,
  doubleClick: false, // what it does is the card's: all its charts go back
  responsive: true,
  showTips: false,
  modeBarButtons: [["zoom2d", "pan2d", "toImage"]],
};

/**
 * `colours` by series: Plotly writes them into its hover labels and images. `family` is the font on the page, whose words it
 * measures to make room for them.
 */
export function largeFigure(
  lines: readonly Line[],
  view: View,
  colours: readonly string[],
  family: string,
): Figure {
  const wall = view.axis === "wall";
  const at = (step: number) => (wall ? new Date(step * 1000).toISOString() : step);
  const data = lines.flatMap((line, index) => {
    const shown = placed(line, { ...view, log: false });
    const base = {
      type: "scatter",
      mode: "lines",
      x: wall ? shown.steps.map(at) : shown.steps,
      name: lines.length > 1 ? `rank ${line.rank}` : t("Value"),
      line: { color: colours[index % colours.length], width: 1.6 },
      hovertemplate: "%{y:.6g}<extra>%{fullData.name}</extra>",
      showlegend: lines.length > 1,
    };
    const odd = shown.values
      .map((value, place) => ({ value, step: shown.steps[place] ?? 0 }))
      .filter(({ value }) => !Number.isFinite(value));
    const markers = {
      type: "scatter",
      mode: "markers",
      yaxis: "y2",
      x: odd.map(({ step }) => at(step)),
      y: odd.map(({ value }) => (value === Number.POSITIVE_INFINITY ? 1 : 0)),
      text: odd.map(({ value }) => formatNumber(value)),
      hoverinfo: "text+x",
      showlegend: false,
      cliponaxis: false,
      marker: { size: 9, symbol: odd.map(({ value }) => symbolOf(value)) },
    };
    const smooth = view.smoothing > 0;
    return [
      ...(smooth
        ? [
            {
              ...base,
              y: shown.values,
              opacity: 0.3,
              showlegend: false,
              hoverinfo: "skip",
              hovertemplate: "",
            },
          ]
        : []),
      { ...base, y: smooth ? smoothed(shown, view.smoothing).values : shown.values },
      ...(odd.length > 0 ? [markers] : []),
    ];
  });
  const axis = { zeroline: false };
  return {
    data,
    layout: {
      height: LARGE_HEIGHT,
      margin: { l: 56, r: 12, t: 8, b: 36 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family, size: 11 },
      hoverlabel: { font: { family, size: 11 } },
      hovermode: "x unified",
      dragmode: "zoom",
      modebar: { bgcolor: "rgba(0,0,0,0)" },
      xaxis: {
        ...axis,
        type: wall ? "date" : "linear",
        ...(wall ? {} : { tickformat: ",.12~g", hoverformat: ",.12~g" }),
        ...(view.range ? { range: view.range.map(at), autorange: false } : { autorange: true }),
        title: {
          text: { step: t("Step"), relative: `${t("Relative time")} (s)`, wall: t("Wall time") }[view.axis],
        },
      },
      yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
      yaxis: { ...axis, type: view.log ? "log" : "linear", automargin: true, fixedrange: true },
    },
  };
}

/** A place on the axis from what Plotly says: it gives dates as text, in UTC without saying so. */
export function placeOf(end: number | string): number {
  return typeof end === "number" ? end : Date.parse(`${end.replace(" ", "T").replace(/Z$/, "")}Z`) / 1000;
}
