/** The view of widgets that an output holds beside a run's data, drawn by whoever draws widgets on this page. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import type { Panel } from "@lumino/widgets";

import { rendererFor } from "./page";

const WIDGET_VIEW = "application/vnd.jupyter.widget-view+json";
/** A renderer that was made before the notebook had its widgets' manager never gets one: another is made after so long. */
const AGAIN_MS = 1_500;
const MOST_TRIES = 20;

export class WidgetView {
  private renderer: IRenderMime.IRenderer | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private drawn = false;
  private readonly observer = new MutationObserver(() => this.look());

  /** `shown` is told whether the widgets stand in `panel`: after a restart their kernel does not know them any more. */
  constructor(
    private readonly panel: Panel,
    private readonly model: IRenderMime.IMimeModel,
    private readonly shown: (drawn: boolean) => void,
  ) {
    if (model.trusted && WIDGET_VIEW in model.data) {
      this.draw();
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.observer.disconnect();
    this.renderer?.dispose();
  }

  private draw(): void {
    this.observer.disconnect();
    this.renderer?.dispose();
    this.renderer = rendererFor(this.model, WIDGET_VIEW);
    if (this.renderer === null) {
      return;
    }
    this.renderer.hide();
    this.panel.insertWidget(0, this.renderer);
    this.observer.observe(this.renderer.node, { childList: true });
    void this.renderer.renderModel(this.model);
    this.tries += 1;
    if (this.tries < MOST_TRIES) {
      this.timer = setTimeout(() => {
        if (!this.drawn) {
          this.draw();
        }
      }, AGAIN_MS * this.tries);
    }
  }

  private look(): void {
    // Until there are widgets, and when there are none, it holds words.
    const drawn = this.renderer?.node.firstElementChild !== null;
    if (this.renderer && drawn !== this.drawn) {
      this.drawn = drawn;
      this.renderer.setHidden(!drawn);
      this.shown(drawn);
    }
  }
}
