/** The renderer of a registered model's output in JupyterLab and Notebook. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { Widget } from "@lumino/widgets";
import { render } from "preact";

import { MODEL_MIME, parseModelPayload } from "../api/model";
import { PayloadError } from "../api/payload";
import { speak } from "../model/language";
import { ModelCard } from "../ui/forms/ModelCard";
import { keepKeys } from "../ui/keys";
import { Unreadable } from "../ui/RunCard";
import { surroundings } from "./page";

const RANK = -20;

class ModelOutput extends Widget implements IRenderMime.IRenderer {
  constructor() {
    super();
    this.addClass("mlt-output");
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    try {
      const shown = parseModelPayload(model.data[MODEL_MIME]);
      const key = `${shown.workspace} ${shown.name}:${shown.version}`;
      render(<ModelCard key={key} model={shown} around={surroundings()} />, this.node);
    } catch (error) {
      if (!(error instanceof PayloadError)) {
        throw error;
      }
      render(<Unreadable reason={error.message} />, this.node);
    }
  }

  override dispose(): void {
    if (!this.isDisposed) {
      render(null, this.node);
    }
    super.dispose();
  }
}

const extension: IRenderMime.IExtension = {
  id: "jupyter-mltrain:model",
  description: "Shows the registered models of jupyter_mltrain.",
  dataType: "json",
  rank: RANK,
  rendererFactory: {
    // Only text is ever rendered, and nothing is done without a click.
    safe: true,
    mimeTypes: [MODEL_MIME],
    defaultRank: RANK,
    createRenderer: (options) => {
      keepKeys();
      speak(options.translator?.languageCode ?? document.documentElement.lang);
      return new ModelOutput();
    },
  },
};

export default extension;
