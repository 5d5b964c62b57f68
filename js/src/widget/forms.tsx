/** The forms as widgets' views (`jupyter_mltrain/widgets/forms.py`). */

import { useState } from "preact/hooks";

import { Endpoints, type ModelId } from "../api/endpoints";
import { Environments } from "../api/environments";
import { t } from "../model/language";
import { Deployed } from "../ui/endpoint/EndpointView";
import { DeployForm } from "../ui/forms/DeployForm";
import { EnvironmentForm } from "../ui/forms/EnvironmentForm";
import type { Surroundings } from "../ui/surroundings";

/** `given`: what the kernel says of the form. */
export function Form(props: {
  form: string;
  workspace: string;
  given: { model?: ModelId };
  around: Surroundings;
}) {
  const { form, workspace, given, around } = props;
  if (form === "deploy" && given.model) {
    return <Deploying workspace={workspace} model={given.model} around={around} />;
  }
  return (
    <div class="mlt-card mlt-alive">
      <div class="mlt-head">
        <div class="mlt-name">{t("Environment")}</div>
      </div>
      <EnvironmentForm environments={new Environments(around.door.rest, workspace)} />
    </div>
  );
}

function Deploying(props: { workspace: string; model: ModelId; around: Surroundings }) {
  const { workspace, model, around } = props;
  const [raw, setRaw] = useState<unknown>(null);
  return raw !== null ? (
    <Deployed raw={raw} workspace={workspace} around={around} />
  ) : (
    <div class="mlt-card mlt-alive">
      <div class="mlt-head">
        <div class="mlt-name">
          <span>{t("Deploy")}</span> {model.name}:{model.version}
        </div>
      </div>
      <DeployForm endpoints={new Endpoints(around.door.rest, workspace)} model={model} deployed={setRaw} />
    </div>
  );
}
