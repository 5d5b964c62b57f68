/** The renderer of a run's output in JupyterLab and Notebook: an adapter between Lumino's widgets and the card. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Widget } from "@lumino/widgets";
import { render } from "preact";

import { parsePayload } from "../api/parse";
import { MIME_TYPE, PayloadError, type RunPayload } from "../api/payload";
import { RunCard, Unreadable } from "../ui/RunCard";

class RunOutput extends Widget implements IRenderMime.IRenderer {
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    render(cardOf(model.data[MIME_TYPE]), this.node);
  }

  override dispose(): void {
    if (!this.isDisposed) {
      render(null, this.node);
    }
    super.dispose();
  }
}

function cardOf(raw: unknown) {
  let payload: RunPayload;
  try {
    payload = parsePayload(raw);
  } catch (error) {
    if (!(error instanceof PayloadError)) {
      throw error;
    }
    return <Unreadable reason={error.message} />;
  }
  return <RunCard payload={payload} />;
}

const extension: IRenderMime.IExtension = {
  id: "jupyter-mltrain:run",
  description: "Shows the run card of jupyter_mltrain.",
  dataType: "json",
  rank: 0,
  rendererFactory: {
    // Only text is ever rendered, so the card shows in notebooks that are not trusted too.
    safe: true,
    mimeTypes: [MIME_TYPE],
    defaultRank: 0,
    createRenderer: () => new RunOutput(),
  },
};

export default extension;
