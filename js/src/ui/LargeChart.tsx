import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Metric } from "../api/payload";
import type { Window } from "../api/rest";
import { type Line, placed, smoothed, type View } from "../model/chart";
import { Detail } from "../model/detail";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import type { RunStore } from "../model/run";
import { lineOfPoints } from "../model/series";
import { Button } from "./controls";
import type { Surroundings } from "./surroundings";

const POINTS = 2000;
const HEIGHT = 320;

/** From and to on the chart's axis of steps or seconds; null: all there is. */
type Range = [number, number] | null;

/**
 * One metric, large: hover, zoom, and the level of detail of the window that is looked at, fetched for it. Plotly comes with
 * the first of these; the small charts do without it (measured: 60 ms and 170 nodes a chart, where an SVG one
 * has 21 nodes).
 */
export function LargeChart(props: {
  metrics: Metric[];
  lines: Line[];
  view: View;
  around: Surroundings;
  store: RunStore;
  close: () => void;
}) {
  const { metrics, lines, view, around, store, close } = props;
  const name = metrics[0]?.name ?? "";
  const host = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState<Range>(null);
  const [detail, setDetail] = useState<Line[] | null>(null);
  const [ready, setReady] = useState(false);
  const count = metrics.map((metric) => metric.count).join();
  const { workspace, run } = store.recorded;
  const start = lines[0]?.times?.[0] ?? 0;

  const loader = useMemo(
    () =>
      new Detail(
        (asked: Window, signal) =>
          Promise.all(
            metrics.map(async (metric) =>
              lineOfPoints(
                metric.rank,
                await around.door.rest.series(workspace, run, metric, asked, { signal }),
              ),
            ),
          ),
        setDetail,
      ),
    [],
  );
  useEffect(() => () => loader.dispose(), []);
  useEffect(() => {
    const asked: Window = { axis: view.axis === "step" ? "step" : "time", points: POINTS };
    const offset = view.axis === "relative" ? start : 0;
    loader.look(range ? { ...asked, start: range[0] + offset, stop: range[1] + offset } : asked);
  }, [range, view.axis]);
  const drawnCount = useRef(count);
  useEffect(() => {
    if (drawnCount.current !== count) {
      drawnCount.current = count;
      loader.grew();
    }
  }, [count]);

  useEffect(() => {
    const node = host.current;
    if (node === null) {
      return;
    }
    let over = false;
    void draw(node, name, detail ?? lines, start, view, range, (zoomed) => !over && setRange(zoomed)).then(
      () => {
        if (!over) {
          setReady(true);
        }
      },
    );
    return () => {
      over = true;
    };
  }, [detail, detail ? null : lines, view, range]);

  useEffect(() => {
    const node = host.current;
    return () => {
      if (node) {
        void plotly().then((drawn) => drawn.purge(node));
      }
    };
  }, []);

  return (
    <section class="mlt-large" aria-label={name}>
      <div class="mlt-title">
        <span>{name}</span>
        <span class="mlt-num">{formatNumber(metrics[0]?.last ?? null)}</span>
        <Button onClick={close}>{t("Close")}</Button>
      </div>
      {!ready && <p class="mlt-empty">{t("Loading the chart…")}</p>}
      <div ref={host} style={{ height: `${HEIGHT}px` }} />
    </section>
  );
}

/** A chunk of its own: a page that opens no large chart does not load it. */
async function plotly() {
  const { default: loaded } = await import("plotly.js-basic-dist-min");
  return loaded;
}

const wired = new WeakMap<HTMLElement, (range: Range) => void>();

async function draw(
  node: HTMLElement,
  name: string,
  lines: Line[],
  start: number,
  view: View,
  range: Range,
  zoomed: (range: Range) => void,
): Promise<void> {
  const { react } = await plotly();
  const css = getComputedStyle(node);
  const colour = (variable: string) => css.getPropertyValue(variable).trim();
  const wall = view.axis === "wall";
  const at = (step: number) => (wall ? new Date(step * 1000).toISOString() : step);
  const traces = lines.flatMap((line, index) => {
    const shown = placed(line, { ...view, log: false });
    const steps =
      view.axis === "relative" && line.times ? line.times.map((time) => time - start) : shown.steps;
    const base = {
      type: "scatter",
      mode: "lines",
      x: steps.map(at),
      line: { color: colour(`--mlt-s${(index % 4) + 1}`), width: 1.8 },
      name: `rank ${line.rank}`,
      showlegend: lines.length > 1,
    };
    const smooth = { ...base, y: smoothed(shown, view.smoothing).values };
    // What is no number has its place in time, on an axis of its own from the foot (0) to the top (1) of the chart.
    const odd = shown.values.flatMap((value, at) => (Number.isFinite(value) ? [] : [{ at, value }]));
    const markers = {
      type: "scatter",
      mode: "markers",
      yaxis: "y2",
      x: odd.map(({ at: index }) => at(steps[index] ?? 0)),
      y: odd.map(({ value }) => (value === Number.POSITIVE_INFINITY ? 1 : 0)),
      text: odd.map(({ value }) => formatNumber(value)),
      hoverinfo: "text+x",
      showlegend: false,
      cliponaxis: false,
      marker: {
        color: colour("--mlt-bad"),
        size: 9,
        symbol: odd.map(({ value }) =>
          Number.isNaN(value) ? "diamond" : value > 0 ? "triangle-up" : "triangle-down",
        ),
      },
    };
    const marked = odd.length > 0 ? [markers] : [];
    return view.smoothing > 0
      ? [...marked, { ...base, y: shown.values, opacity: 0.3, showlegend: false, hoverinfo: "skip" }, smooth]
      : [...marked, { ...base, y: shown.values }];
  });
  const axis = { gridcolor: colour("--mlt-line"), zeroline: false, linecolor: colour("--mlt-line") };
  const layout = {
    height: HEIGHT,
    margin: { l: 56, r: 12, t: 8, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--mlt-ink2"), family: css.fontFamily, size: 11 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--mlt-bg2"), font: { color: colour("--mlt-ink") } },
    dragmode: "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--mlt-ink2"), activecolor: colour("--mlt-live") },
    uirevision: `${name} ${view.axis}`,
    xaxis: {
      ...axis,
      type: wall ? "date" : "linear",
      ...(range ? { range: range.map(at), autorange: false } : { autorange: true }),
      title: {
        text: { step: t("Step"), relative: `${t("Relative time")} (s)`, wall: t("Wall time") }[view.axis],
      },
    },
    yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    yaxis: { ...axis, type: view.log ? "log" : "linear", automargin: true },
  };
  const config = {
    displaylogo: false,
    responsive: true,
    showTips: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  };
  const drawn = await react(node, traces, layout, config);
  if (!wired.has(node)) {
    drawn.on("plotly_relayout", (event) => {
      const [from, to] = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
      if (event["xaxis.autorange"]) {
        wired.get(node)?.(null);
      } else if (from !== undefined && to !== undefined) {
        // Plotly gives dates as text in UTC without saying so.
        const number = (end: number | string) =>
          typeof end === "number" ? end : Date.parse(`${end.replace(" ", "T").replace(/Z$/, "")}Z`) / 1000;
        wired.get(node)?.([number(from), number(to)]);
      }
    });
  }
  wired.set(node, zoomed);
}
