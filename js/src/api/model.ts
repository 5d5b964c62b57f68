/** The value of `application/vnd.mltrain.model+json`. Notebooks come from anywhere: nothing is believed about its shape. */

import { claimed } from "./claimed";
import { number, text, texts } from "./endpoint";
import { FORMAT, PayloadError } from "./payload";
import type * as wire from "./wire.gen";

export const MODEL_MIME = "application/vnd.mltrain.model+json";

export interface ModelPayload {
  workspace: string;
  name: string;
  version: number;
  format: string;
  framework: string;
  bytes: number;
  /** The run it came from and the path there; "" where files of this machine were registered. */
  run: string;
  path: string;
  created: number | null;
  data: string[];
  environment: string;
  description: string;
  tags: { [name: string]: string };
  metrics: [name: string, value: number][];
  signature: unknown;
}

/** Raises `PayloadError` for what holds no model. */
export function parseModelPayload(raw: unknown): ModelPayload {
  const top = claimed<wire.SavedModelVersion>(raw);
  const model = claimed<wire.ModelVersion>(top.model);
  const version = number(model.version);
  if (number(top.format) === null || text(model.name) === "" || version === null) {
    throw new PayloadError("This output holds no model that can be shown.");
  }
  if ((number(top.format) ?? 0) > FORMAT) {
    throw new PayloadError(
      "A newer version of jupyter-mltrain saved this output; upgrade it to see the model.",
    );
  }
  return {
    workspace: text(top.workspace),
    name: text(model.name),
    version,
    format: text(model.format),
    framework: [text(model.framework), text(model.framework_version)].join(" ").trim(),
    bytes: number(model.bytes) ?? 0,
    run: text(model.run_id),
    path: text(model.run_id) === "" ? "" : text(model.path),
    created: number(model.created),
    data: Array.isArray(model.data) ? model.data.slice(0, 50).map(text) : [],
    environment: text(model.environment),
    description: text(model.description),
    tags: texts(model.tags),
    metrics: Object.entries(claimed<{ [name: string]: number }>(model.metrics))
      .slice(0, 50)
      .flatMap(([name, value]): [string, number][] => (typeof value === "number" ? [[name, value]] : [])),
    signature: model.signature ?? null,
  };
}
