/** The part of Plotly's basic bundle that the large chart uses; the package brings no types. */
declare module "plotly.js-basic-dist-min" {
  export interface Zoomed {
    "xaxis.range[0]"?: number | string;
    "xaxis.range[1]"?: number | string;
    "xaxis.autorange"?: boolean;
  }
  export type PlotlyNode = HTMLElement & {
    on(event: "plotly_relayout", heard: (zoomed: Zoomed) => void): void;
  };
  export function react(
    node: HTMLElement,
    data: object[],
    layout: object,
    config?: object,
  ): Promise<PlotlyNode>;
  export function purge(node: HTMLElement): void;
  const plotly: { react: typeof react; purge: typeof purge };
  export default plotly;
}
