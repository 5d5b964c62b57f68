/** The renderer of an endpoint's output in JupyterLab and Notebook. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Widget } from "@lumino/widgets";
import { render } from "preact";

import { ENDPOINT_MIME, type EndpointPayload, parseEndpointPayload } from "../api/endpoint";
import { PayloadError } from "../api/payload";
import type { EndpointStore } from "../model/endpoint";
import { speak } from "../model/language";
import { EndpointView, endpointStore } from "../ui/endpoint/EndpointView";
import { keepKeys } from "../ui/keys";
import { Unreadable } from "../ui/RunCard";
import { surroundings } from "./page";
import { SavedEndpoint } from "./savedEndpoint";

const RANK = -20;

class EndpointOutput extends Widget implements IRenderMime.IRenderer {
  private store: EndpointStore | null = null;
  private saved: SavedEndpoint | null = null;

  constructor() {
    super();
    this.addClass("mlt-output");
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    let payload: EndpointPayload;
    try {
      payload = parseEndpointPayload(model.data[ENDPOINT_MIME]);
    } catch (error) {
      if (!(error instanceof PayloadError)) {
        throw error;
      }
      render(<Unreadable reason={error.message} />, this.node);
      return;
    }
    const known = this.store?.recorded;
    if (known?.endpoint === payload.endpoint && known.workspace === payload.workspace && this.saved) {
      this.saved.output = model;
      this.store?.record(payload);
      return;
    }
    this.saved?.dispose();
    const around = surroundings();
    this.store = endpointStore(payload, around);
    this.saved = new SavedEndpoint(this.store, around, model);
    render(<EndpointView key={payload.endpoint} store={this.store} around={around} />, this.node);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      this.saved?.dispose();
      render(null, this.node);
    }
    super.dispose();
  }
}

const extension: IRenderMime.IExtension = {
  id: "jupyter-mltrain:endpoint",
  description: "Shows the endpoint card of jupyter_mltrain.",
  dataType: "json",
  rank: RANK,
  rendererFactory: {
    // Only text is ever rendered, and nothing is asked of an endpoint without a click or a drawing.
    safe: true,
    mimeTypes: [ENDPOINT_MIME],
    defaultRank: RANK,
    createRenderer: (options) => {
      keepKeys();
      speak(options.translator?.languageCode ?? document.documentElement.lang);
      return new EndpointOutput();
    },
  },
};

export default extension;
