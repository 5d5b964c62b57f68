/**
 * Draws the charts of an exported notebook. A classic script without imports: it stands in the page behind Plotly's
 * bundle. Each `.mlt-plot` holds its figure as JSON; what else is in it (an SVG, text) shows until, or unless, this runs.
 */

interface PlotlyFigure {
  data: object[];
  layout?: object;
  config?: object;
}

interface PlotlyBundle {
  newPlot(node: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
}

/** A metric of a run: its lines, and which of the card's series colours it has. */
interface MetricFigure {
  metric: string;
  colour: number;
  lines: { rank: number; steps: number[]; values: (number | string | null)[] }[];
}

(() => {
  const plotly = (globalThis as unknown as { Plotly: PlotlyBundle }).Plotly;
  const config = {
    displaylogo: false,
    responsive: true,
    modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d"],
  };

  function draw(node: HTMLElement): Promise<unknown> {
    const source = node.querySelector(":scope > script");
    const figure = JSON.parse(source?.textContent ?? "{}") as PlotlyFigure | MetricFigure;
    const target = document.createElement("div");
    const { data, layout } = "metric" in figure ? metricPlot(figure, node) : figure;
    for (const old of node.querySelectorAll<HTMLElement>(":scope > :not(script)")) {
      old.remove();
    }
    node.append(target);
    return plotly.newPlot(target, data, { ...layout }, config);
  }

  function metricPlot({ metric, colour, lines }: MetricFigure, node: HTMLElement): PlotlyFigure {
    const token = (name: string) => colourOf(node, `var(--mlt-${name})`);
    const axis = { gridcolor: token("line"), zeroline: false, automargin: true, color: token("ink2") };
    return {
      data: lines.flatMap(({ rank, steps, values }, index) => {
        const name = lines.length > 1 ? `rank ${rank}` : metric;
        const line = { color: token(`s${(colour % 4) + 1}`), width: 1.8 };
        const drawn = {
          x: steps,
          y: values.map(finite),
          name,
          line,
          mode: "lines",
          opacity: index === 0 ? 1 : 0.45,
        };
        return [drawn, notFinite(steps, values, token("bad"))];
      }),
      layout: {
        height: 190,
        margin: { l: 8, r: 8, t: 8, b: 8 },
        showlegend: false,
        hovermode: "x",
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: getComputedStyle(node).fontFamily, size: 11, color: token("ink2") },
        xaxis: { ...axis, showgrid: false, title: { text: "step" } },
        yaxis: axis,
      },
    };
  }

  /** A colour as Plotly reads it: a variable's own value may hold one for each colour scheme. */
  function colourOf(near: HTMLElement, css: string): string {
    const probe = document.createElement("i");
    probe.style.color = css;
    near.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  function finite(value: number | string | null): number | null {
    return typeof value === "number" ? value : null;
  }

  /** Markers on the axis, where a value was NaN or infinite: a line alone would hide them. */
  function notFinite(steps: number[], values: (number | string | null)[], color: string): object {
    const odd = steps
      .map((step, i) => ({ step, value: values[i] }))
      .filter(({ value }) => typeof value === "string");
    const lowest = values.reduce<number>(
      (low, value) => (typeof value === "number" ? Math.min(low, value) : low),
      Infinity,
    );
    return {
      x: odd.map(({ step }) => step),
      y: odd.map(() => (Number.isFinite(lowest) ? lowest : 0)),
      text: odd.map(({ value }) => String(value)),
      mode: "markers",
      marker: { symbol: "diamond", size: 8, color },
      hovertemplate: "%{text} at step %{x}<extra></extra>",
      cliponaxis: false,
    };
  }

  const drawAll = () => Promise.all(Array.from(document.querySelectorAll<HTMLElement>(".mlt-plot"), draw));
  void drawAll();
  // The charts' colours are computed from the page's, which follow the reader's scheme.
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void drawAll());
})();
