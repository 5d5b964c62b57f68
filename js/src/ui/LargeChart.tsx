import type { Plotly } from "plotly.js-basic-dist-min";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Metric } from "../api/payload";
import type { Window } from "../api/rest";
import { chartBudget } from "../model/budget";
import type { Line, Range, View } from "../model/chart";
import { Detail } from "../model/detail";
import { formatNumber } from "../model/formats";
import type { Hover } from "../model/hover";
import { t } from "../model/language";
import { type RangeStore, windowOf } from "../model/range";
import type { RunStore } from "../model/run";
import { lineOfPoints } from "../model/series";
import { Button } from "./controls";
import { useChanges, useSame, useTheme } from "./hooks";
import { LARGE_CONFIG, LARGE_HEIGHT, largeFigure, placeOf } from "./largePlot";
import { loadPlotly, plotlyAtHand } from "./loadPlotly";
import type { Surroundings } from "./surroundings";

const POINTS = 2000;

/** One metric, large: all its ranks, and the level of detail of the window that is looked at, fetched for its size. */
export function LargeChart(props: {
  metrics: Metric[];
  points: RangeStore;
  view: View;
  around: Surroundings;
  store: RunStore;
  hover: Hover;
  show: (range: Range | null) => void;
  close: () => void;
}) {
  const { metrics, points, view, hover, show, close } = props;
  const name = metrics[0]?.name ?? "";
  const host = useRef<HTMLDivElement>(null);
  const [standing, setStanding] = useState<"loading" | "drawn" | "missing">("loading");
  const detail = useDetail(props);
  const key = useRef({}).current;
  const theme = useTheme();
  const looked = useRef<View | null>(null);
  useChanges(points.changes);
  const lines = useSame(metrics.map((metric) => points.line(metric).line));
  const drawn = detail ?? lines;

  useEffect(() => {
    const draw = () => {
      void loadPlotly().then(async (plotly) => {
        const node = host.current;
        if (node && plotly) {
          await plot(plotly, node, drawn, view, { hover, show });
        }
        setStanding(plotly ? "drawn" : "missing");
      });
    };
    // What a person did is drawn now; what the run said, in its turn.
    if (looked.current === view) {
      chartBudget().news(key, draw);
    } else {
      chartBudget().asked(key, draw);
    }
    looked.current = view;
  }, [drawn, view, theme]);

  useEffect(() => {
    const read = () => {
      const { current } = host;
      const plotly = plotlyAtHand();
      if (plotly && current && heard.has(current) && !current.matches(":hover")) {
        if (hover.at === null) {
          plotly.Fx.unhover(current);
        } else {
          const xval = view.axis === "wall" ? hover.at * 1000 : hover.at;
          plotly.Fx.hover(current, { xval }, "xy");
        }
      }
    };
    return hover.changes.listen(read);
  }, [view.axis]);

  useEffect(() => {
    const node = host.current;
    return () => {
      chartBudget().forget(key);
      if (node && heard.delete(node)) {
        plotlyAtHand()?.purge(node);
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
      {standing === "loading" && <p class="mlt-empty">{t("Loading the chart…")}</p>}
      {standing === "missing" && (
        <p class="mlt-empty" role="alert">
          {t("The large chart could not be loaded")}
        </p>
      )}
      <div ref={host} class="mlt-plotted-large" style={{ height: `${LARGE_HEIGHT}px` }} />
    </section>
  );
}

/** The points of the window, fetched for it and when the run has logged more; null until the first are there. */
function useDetail(props: {
  metrics: Metric[];
  view: View;
  around: Surroundings;
  store: RunStore;
}): Line[] | null {
  const { metrics, view, around, store } = props;
  const [detail, setDetail] = useState<Line[] | null>(null);
  const { workspace, run } = store.recorded;
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
  useEffect(
    () => loader.look({ ...windowOf(view), points: POINTS }),
    [view.range?.[0], view.range?.[1], view.axis],
  );
  const count = metrics.map((metric) => metric.count).join();
  const fetched = useRef(count);
  useEffect(() => {
    if (fetched.current !== count) {
      fetched.current = count;
      loader.grew();
    }
  }, [count]);
  return detail;
}

interface Heard {
  hover: Hover;
  show: (range: Range | null) => void;
}

const heard = new WeakMap<HTMLElement, Heard>();

async function plot(
  plotly: Plotly,
  node: HTMLElement,
  lines: readonly Line[],
  view: View,
  hear: Heard,
): Promise<void> {
  const colours = [1, 2, 3, 4].map((series) => colourOf(node, `var(--mlt-s${series})`));
  const { data, layout } = largeFigure(lines, view, colours, getComputedStyle(node).fontFamily);
  const known = heard.has(node);
  heard.set(node, hear);
  const drawn = await plotly.react(node, data, layout, LARGE_CONFIG);
  if (known) {
    return;
  }
  drawn.on("plotly_relayout", (event) => {
    const [from, to] = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    if (from !== undefined && to !== undefined) {
      heard.get(node)?.show([placeOf(from), placeOf(to)]);
    }
  });
  drawn.on("plotly_doubleclick", () => heard.get(node)?.show(null));
  drawn.on("plotly_hover", ({ points }) => {
    const x = points[0]?.x;
    if (x !== undefined && node.matches(":hover")) {
      heard.get(node)?.hover.move(placeOf(x));
    }
  });
  drawn.on("plotly_unhover", () => {
    if (node.matches(":hover")) {
      heard.get(node)?.hover.move(null);
    }
  });
}

/** A colour as Plotly reads it: a variable's own value may hold one for each colour scheme. */
function colourOf(node: HTMLElement, css: string): string {
  const probe = document.createElement("i");
  probe.style.color = css;
  node.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
