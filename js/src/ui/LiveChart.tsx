import type { Plotly } from "plotly.js-basic-dist-min";
import type { ComponentChildren, RefObject, TargetedPointerEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Metric } from "../api/payload";
import { chartBudget } from "../model/budget";
import {
  type Chart,
  HEIGHT,
  type Line,
  layOut,
  looksLike,
  nearest,
  placed,
  placeWords,
  type Range,
  type View,
  WIDTH,
} from "../model/chart";
import { formatNumber } from "../model/formats";
import type { Hover } from "../model/hover";
import { t } from "../model/language";
import type { RangeStore } from "../model/range";
import { Drawing } from "./Drawing";
import { useChanges, useSame } from "./hooks";
import { loadPlotly, plotlyAtHand } from "./loadPlotly";
import { ChartTitle, chartLabel } from "./MetricCharts";
import { useSeen, useWidth } from "./seen";
import { SMALL_CONFIG, smallFigure } from "./smallPlot";

/** Scrolled away for so long, a chart gives back what Plotly holds for it. */
const KEPT_MS = 10_000;

/** What a chart shows at the moment, which may be older than what is known: drawing is rationed. */
interface Shown {
  layout: Chart;
  lines: readonly Line[];
  view: View;
  /** Plotly draws it; else it is SVG. */
  plotted: boolean;
}

/**
 * One metric of a live run, all ranks in one chart. It is SVG at once and Plotly as soon as that is there and somebody
 * sees it. `show`: all charts of the card show this range, or all (null). `title` and `label` say what it is where that is
 * no metric; `beside`: a line that goes with the first one.
 */
export function LiveChart(props: {
  metrics: Metric[];
  points: RangeStore;
  view: View;
  colour: string;
  hover: Hover;
  show: (range: Range | null) => void;
  enlarge?: () => void;
  title?: ComponentChildren;
  label?: string;
  beside?: (line: Line) => Line | null;
}) {
  const { metrics, points, view, colour, hover, show, enlarge, title, label, beside } = props;
  const metric = metrics[0] as Metric;
  useChanges(points.changes);
  const logged = metrics.map((one) => points.line(one).line);
  const other = logged[0] && beside ? beside(logged[0]) : null;
  const lines = useSame(other ? [...logged, other] : logged);
  const frame = useRef<HTMLDivElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const seen = useSeen(frame);
  useEffect(() => {
    if (seen) {
      points.want(metrics);
    }
  }, [metrics, view, seen]);
  const shown = useDrawn({ lines, view, seen, frame, host, show });
  const { layout } = shown;
  const moved = (event: TargetedPointerEvent<HTMLElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const { left, right, first, last } = layout;
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    hover.move(first + (Math.min(right, Math.max(left, x)) - left) * ((last - first) / (right - left)));
  };
  return (
    <div class="mlt-chart">
      {title ?? <ChartTitle metric={metric} {...(enlarge ? { enlarge } : {})} />}
      <div
        class="mlt-frame"
        ref={frame}
        style={{ "--mlt-colour": colour }}
        role="img"
        aria-label={label ?? chartLabel(metric)}
        onPointerMove={moved}
        onPointerLeave={() => hover.move(null)}
      >
        <div class="mlt-plotted" ref={host} aria-hidden="true" />
        <Drawing layout={layout} colour={colour} label="" bare={shown.plotted}>
          <Reading shown={shown} hover={hover} />
        </Drawing>
      </div>
    </div>
  );
}

function useDrawn(props: {
  lines: readonly Line[];
  view: View;
  seen: boolean;
  frame: RefObject<HTMLDivElement | null>;
  host: RefObject<HTMLDivElement | null>;
  show: (range: Range | null) => void;
}): Shown {
  const { lines, view, seen, frame, host, show } = props;
  const [shown, setShown] = useState<Shown>(() => ({
    layout: layOut(lines, view),
    lines,
    view,
    plotted: false,
  }));
  const width = useWidth(frame);
  const plotly = usePlotly(seen);
  const key = useRef({}).current;
  const way = useRef<unknown[]>([]);
  const latest = useRef(show);
  const onScreen = useRef(shown);
  onScreen.current = shown;
  latest.current = show;
  useLayoutEffect(() => {
    if (!seen) {
      return;
    }
    const node = host.current;
    const plotted = plotly !== null && node !== null && width > 0;
    const draw = (always: boolean) => {
      const layout = layOut(lines, view);
      if (!always && plotted === onScreen.current.plotted && looksLike(layout, onScreen.current.layout)) {
        return;
      }
      if (plotted) {
        plot(plotly, node, layout, view, width, (range) => latest.current(range));
      }
      onScreen.current = { layout, lines, view, plotted };
      setShown(onScreen.current);
    };
    // What a person did is drawn now; what the run said, in its turn.
    const now = [view, width, seen, plotly];
    const same = now.every((one, index) => one === way.current[index]);
    way.current = now;
    if (same) {
      // Fetched points of a run that the states have told of already are no news.
      chartBudget().news(key, () => draw(false));
    } else {
      chartBudget().asked(key, () => draw(true));
    }
  }, [lines, view, width, seen, plotly]);
  useEffect(() => {
    if (seen || !shown.plotted) {
      return;
    }
    const timer = setTimeout(() => {
      way.current = [];
      setShown((before) => ({ ...before, plotted: false }));
      purge(host.current);
    }, KEPT_MS);
    return () => clearTimeout(timer);
  }, [seen, shown.plotted]);
  useEffect(() => {
    const node = host.current;
    return () => {
      chartBudget().forget(key);
      purge(node);
    };
  }, []);
  return shown;
}

/** Null until it is there, and where it cannot be loaded. */
function usePlotly(wanted: boolean): Plotly | null {
  const [plotly, setPlotly] = useState(plotlyAtHand);
  useEffect(() => {
    if (!wanted || plotly) {
      return;
    }
    let over = false;
    void loadPlotly().then((loaded) => !over && setPlotly(() => loaded));
    return () => {
      over = true;
    };
  }, [wanted, plotly]);
  return plotly;
}

const heard = new WeakMap<HTMLElement, (range: Range | null) => void>();

function plot(
  plotly: Plotly,
  node: HTMLElement,
  layout: Chart,
  view: View,
  width: number,
  show: (range: Range | null) => void,
): void {
  // A drag with a finger scrolls the page; zooming is a matter of the buttons there.
  const { data, layout: placing } = smallFigure(
    layout,
    view,
    width,
    !matchMedia("(pointer: coarse)").matches,
  );
  const known = heard.has(node);
  heard.set(node, show);
  void plotly.react(node, data, placing, SMALL_CONFIG).then((drawn) => {
    if (known) {
      return;
    }
    drawn.on("plotly_relayout", (event) => {
      const [from, to] = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
      if (typeof from === "number" && typeof to === "number") {
        heard.get(node)?.([from, to]);
      }
    });
    drawn.on("plotly_doubleclick", () => heard.get(node)?.(null));
  });
}

function purge(node: HTMLElement | null): void {
  if (node && heard.delete(node)) {
    plotlyAtHand()?.purge(node);
  }
}

/** The value at the pointer of this chart, or of the one beside it. */
function Reading({ shown, hover }: { shown: Shown; hover: Hover }) {
  useChanges(hover.changes);
  const { layout, lines, view } = shown;
  const { first, last, left, right } = layout;
  const { at } = hover;
  const found =
    at !== null && at >= first && at <= last && last > first && lines[0]
      ? nearest(placed(lines[0], { ...view, log: false }), at)
      : null;
  if (found === null || found.step < first || found.step > last) {
    return null;
  }
  const x = left + ((found.step - first) / (last - first)) * (right - left);
  const place = placeWords(found.step, view);
  const inLeftHalf = x < (left + right) / 2;
  return (
    <g class="mlt-reading">
      <line x1={x} x2={x} y1={6} y2={HEIGHT - 16} />
      <text x={inLeftHalf ? x + 4 : x - 4} y={14} text-anchor={inLeftHalf ? "start" : "end"}>
        {`${formatNumber(found.value)} · ${view.axis === "step" ? t("step {step}", { step: place }) : place}`}
      </text>
    </g>
  );
}
