/** The renderer of a run's output in JupyterLab and Notebook: an adapter between Lumino's widgets and the card. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Panel, Widget } from "@lumino/widgets";
import { render } from "preact";

import { parsePayload } from "../api/parse";
import { MIME_TYPE, PayloadError, type RunPayload } from "../api/payload";
import { speak } from "../model/language";
import type { RunStore } from "../model/run";
import { keepKeys } from "../ui/keys";
import { RunView } from "../ui/LiveCard";
import { Unreadable } from "../ui/RunCard";
import { storeOf } from "../ui/surroundings";
import endpoint from "./endpoint";
import model from "./model";
import { surroundings } from "./page";
import { SavedOutput } from "./saved";
import { WidgetView } from "./widgetView";

/** A card that was scrolled away is followed a little longer: scrolling back is common. */
const HIDDEN_MS = 1_000;

class RunOutput extends Panel implements IRenderMime.IRenderer {
  private store: RunStore | null = null;
  private saved: SavedOutput | null = null;
  private readonly cards = new Widget();
  private view: WidgetView | null = null;
  private seen = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly observer = new IntersectionObserver((entries) =>
    this.look(entries.some((entry) => entry.isIntersecting)),
  );

  constructor() {
    super();
    this.cards.addClass("mlt-output");
    this.addWidget(this.cards);
    this.observer.observe(this.cards.node);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    let payload: RunPayload;
    try {
      payload = parsePayload(model.data[MIME_TYPE]);
    } catch (error) {
      if (!(error instanceof PayloadError)) {
        throw error;
      }
      this.leave();
      render(<Unreadable reason={error.message} />, this.cards.node);
      return;
    }
    const same =
      this.store?.recorded.run === payload.run && this.store.recorded.workspace === payload.workspace;
    if (same && this.saved) {
      this.saved.model = model;
      this.store?.record(payload);
      return;
    }
    this.leave();
    const around = surroundings();
    const store = storeOf(payload, around);
    const saved = new SavedOutput(store, around, model);
    store.changes.listen(() => saved.check());
    this.store = store;
    this.saved = saved;
    render(<RunView key={payload.run} store={store} around={around} />, this.cards.node);
    if (payload.beside) {
      this.view = new WidgetView(this, model, (drawn) => this.cards.setHidden(drawn));
    }
    if (this.seen) {
      void store.attach();
    }
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.observer.disconnect();
      clearTimeout(this.timer);
      this.leave();
      render(null, this.cards.node);
    }
    super.dispose();
  }

  /** Only what is seen is followed. */
  private look(seen: boolean): void {
    clearTimeout(this.timer);
    this.seen = seen;
    if (seen) {
      void this.store?.attach();
    } else {
      this.timer = setTimeout(() => this.store?.detach(), HIDDEN_MS);
    }
  }

  private leave(): void {
    this.store?.detach();
    this.saved?.dispose();
    this.view?.dispose();
    this.cards.show();
    this.view = null;
    this.store = null;
    this.saved = null;
  }
}

const RANK = -20;

const extension: IRenderMime.IExtension = {
  id: "jupyter-mltrain:run",
  description: "Shows the run card of jupyter_mltrain.",
  dataType: "json",
  // Before the widget manager's (-10): an output that is a RunWidget too shows this card, which outlives the kernel.
  rank: RANK,
  rendererFactory: {
    // Only text is ever rendered, so the card shows in notebooks that are not trusted too.
    safe: true,
    mimeTypes: [MIME_TYPE],
    defaultRank: RANK,
    createRenderer: (options) => {
      keepKeys();
      speak(options.translator?.languageCode ?? document.documentElement.lang);
      return new RunOutput();
    },
  },
};

export default [extension, endpoint, model];
