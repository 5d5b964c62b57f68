import { useEffect, useMemo, useState } from "preact/hooks";

import { Endpoints } from "../../api/endpoints";
import type { ModelPayload } from "../../api/model";
import { formatSize } from "../../model/formats";
import { t } from "../../model/language";
import { SERVABLE } from "../../model/outputs";
import { Button } from "../controls";
import { Deployed } from "../endpoint/EndpointView";
import type { Surroundings } from "../surroundings";
import { DeployForm } from "./DeployForm";
import { SmokeButton, SmokeResult, useSmoke } from "./Smoke";
import { VersionFacts } from "./Version";

/** A registered version: what it is, a prediction, a deployment. */
export function ModelCard({ model, around }: { model: ModelPayload; around: Surroundings }) {
  const { workspace, name, version } = model;
  const endpoints = useMemo(() => new Endpoints(around.door.rest, workspace), []);
  const [known, setKnown] = useState(false);
  const [deploying, setDeploying] = useState(false);
  const [deployed, setDeployed] = useState<unknown>(null);
  const smoking = useSmoke(() => endpoints.smoke({ name, version }));
  useEffect(() => {
    around.registered.has(workspace).then(setKnown);
  }, []);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div
      class={`mlt-card${known ? " mlt-alive" : ""}`}
      role="group"
      aria-label={`${t("Model")} ${name}:${version}`}
    >
      <div class="mlt-head">
        <div class="mlt-name">
          {name}:{version}
        </div>
        <span class="mlt-chip">{formatSize(model.bytes)}</span>
        {known && SERVABLE.has(model.format) && (
          <fieldset class="mlt-actions" aria-label={t("Actions")}>
            <SmokeButton smoking={smoking} />
            <Button pressed={deploying} onClick={() => setDeploying(!deploying)}>
              {t("Deploy")}
            </Button>
          </fieldset>
        )}
      </div>
      <VersionFacts model={model} endpoints={known ? endpoints : null} />
      <SmokeResult smoking={smoking} />
      {deploying && (
        <DeployForm
          endpoints={endpoints}
          model={{ name, version }}
          close={() => setDeploying(false)}
          deployed={(raw) => {
            setDeploying(false);
            setDeployed(raw);
          }}
        />
      )}
      {deployed !== null && (
        <div class="mlt-inner">
          <Deployed raw={deployed} workspace={workspace} around={around} />
        </div>
      )}
    </div>
  );
}
