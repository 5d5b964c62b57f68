/** The part of Plotly's basic bundle that the charts use; the package brings no types. */
declare module "plotly.js-basic-dist-min" {
  export interface Zoomed {
    "xaxis.range[0]"?: number | string;
    "xaxis.range[1]"?: number | string;
    "xaxis.autorange"?: boolean;
  }
  export interface Hovered {
    points: { x: number | string }[];
  }
  export type PlotlyNode = HTMLElement & {
    on(event: "plotly_relayout", heard: (zoomed: Zoomed) => void): void;
    on(event: "plotly_hover", heard: (hovered: Hovered) => void): void;
    on(event: "plotly_unhover" | "plotly_doubleclick", heard: () => void): void;
  };
  export interface Plotly {
    react(node: HTMLElement, data: object[], layout: object, config?: object): Promise<PlotlyNode>;
    purge(node: HTMLElement): void;
    Fx: {
      hover(node: HTMLElement, at: { xval: number | string }, subplot: string): void;
      unhover(node: HTMLElement): void;
    };
  }
  const plotly: Plotly;
  export default plotly;
}
