import { useEffect, useId, useState } from "preact/hooks";

import type { Endpoint } from "../../api/endpoint";
import type { Deployment, DeploymentPlan, Endpoints, ModelId } from "../../api/endpoints";
import { nameProblem, positive, suggestedName } from "../../model/endpointName";
import { formatNumber } from "../../model/formats";
import { t } from "../../model/language";
import { Button, CopyButton, Problem } from "../controls";
import { useCommand } from "../hooks";
import { Field } from "./Field";
import { SmokeButton, SmokeResult, useSmoke } from "./Smoke";
import { VersionView } from "./Version";

const PAUSE_MS = 300;

/**
 * Deploys a registered model as it is. `replaced`: the endpoint that gets another version or other limits. `deployed` gets
 * the endpoint as the service answers.
 */
export function DeployForm(props: {
  endpoints: Endpoints;
  model: ModelId;
  replaced?: Endpoint;
  close?: () => void;
  deployed: (raw: unknown) => void;
}) {
  const { endpoints, model, replaced, close, deployed } = props;
  const id = useId();
  const [name, setName] = useState(replaced?.name ?? suggestedName(model.name));
  const [version, setVersion] = useState(model.version);
  const [versions, setVersions] = useState<number[]>([model.version]);
  const [cpu, setCpu] = useState(replaced?.cpu?.toString() ?? "");
  const [memory, setMemory] = useState(replaced?.memoryGb?.toString() ?? "");
  const [auth, setAuth] = useState(replaced?.authEnabled ?? false);
  const [replace, setReplace] = useState(replaced !== undefined);
  const [there, setThere] = useState<Endpoint[]>([]);
  const [plan, setPlan] = useState<DeploymentPlan | null>(null);
  const [cell, setCell] = useState(false);
  const [looking, setLooking] = useState(false);
  const command = useCommand();
  const chosen: ModelId = { name: model.name, version };
  const smoking = useSmoke(() => endpoints.smoke(chosen));

  const taken = there.find((one) => one.name === name);
  const wrongName = nameProblem(name);
  const [wantedCpu, wantedMemory] = [positive(cpu), positive(memory)];
  const numbers = !Number.isNaN(wantedCpu) && !Number.isNaN(wantedMemory);
  const asked: Deployment = {
    name,
    cpu: wantedCpu,
    memoryGb: wantedMemory,
    authEnabled: auth,
    overwrite: replace,
    ...(replaced ? { tags: replaced.tags, description: replaced.description } : {}),
  };

  useEffect(() => {
    const given = new AbortController();
    // Conveniences: without them the form works as well, and deploying says what is wrong.
    endpoints.names({ signal: given.signal }).then(setThere, () => {});
    endpoints.versions(model.name, { signal: given.signal }).then(
      (found) => setVersions(found.length > 0 ? found : [model.version]),
      () => {},
    );
    return () => given.abort();
  }, []);
  useEffect(() => {
    if (wrongName !== "" || !numbers) {
      return;
    }
    const given = new AbortController();
    const timer = setTimeout(() => {
      endpoints.plan(chosen, asked, { signal: given.signal }).then(setPlan, () => {
        if (!given.signal.aborted) {
          setPlan(null);
        }
      });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      given.abort();
    };
  }, [name, version, cpu, memory, auth, replace]);
  useEffect(() => smoking.forget(), [version]);

  const ready = wrongName === "" && numbers && (taken === undefined || replace);
  const submit = (event: Event) => {
    event.preventDefault();
    if (ready) {
      command.run(async () => deployed(await endpoints.deploy(chosen, asked)));
    }
  };
  const floor = plan
    ? t("At least {floor} GB: what the framework needs by itself, measured. Empty: no limit.", {
        floor: formatNumber(plan.memoryFloorGb),
      })
    : "";
  return (
    <form
      class="mlt-form mlt-deploy"
      onSubmit={submit}
      aria-label={t(replaced ? "Update endpoint" : "Deploy model")}
      onKeyDown={(event) => event.stopPropagation()}
      data-lm-suppress-shortcuts="true"
    >
      <Field label={t("Model")} for={`${id}-version`} hint={environmentWords(plan)}>
        <div class="mlt-line-of">
          <select
            id={`${id}-version`}
            value={version}
            onChange={(event) => setVersion(Number(event.currentTarget.value))}
          >
            {versions.map((one) => (
              <option key={one} value={one}>
                {model.name}:{one}
              </option>
            ))}
          </select>
          <Button pressed={looking} onClick={() => setLooking(!looking)}>
            {t("Details")}
          </Button>
        </div>
      </Field>
      {looking && (
        <VersionView
          key={`${model.name}:${version}`}
          endpoints={endpoints}
          model={chosen}
          close={() => setLooking(false)}
        />
      )}
      <Field
        label={t("Name")}
        for={`${id}-name`}
        wrong={wrongName && t(wrongName)}
        hint={t("Part of its address; 3 to 32 small letters, digits and “-”")}
      >
        <input
          id={`${id}-name`}
          required
          disabled={replaced !== undefined}
          value={name}
          aria-invalid={wrongName !== ""}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </Field>
      {taken && (
        <Field
          label={t("Replace")}
          wrong={replace ? "" : t("{name} is there and serves {model}", { name, model: servedWords(taken) })}
          hint={
            replace
              ? t(
                  "{name} serves {model} now; it goes on until the new one is healthy, and no request fails",
                  {
                    name,
                    model: servedWords(taken),
                  },
                )
              : ""
          }
        >
          <label class="mlt-check">
            <input
              type="checkbox"
              checked={replace}
              disabled={replaced !== undefined}
              onChange={(event) => setReplace(event.currentTarget.checked)}
            />
            {t("Replace what it serves")}
          </label>
        </Field>
      )}
      <Field
        label={t("Limits")}
        hint={floor}
        wrong={numbers ? "" : t("Numbers above zero, or nothing for no limit")}
      >
        <div class="mlt-pair">
          <label>
            {t("CPU")}
            <input
              inputMode="decimal"
              value={cpu}
              aria-invalid={Number.isNaN(wantedCpu)}
              placeholder={t("all")}
              onInput={(event) => setCpu(event.currentTarget.value)}
            />
          </label>
          <label>
            {t("Memory (GB)")}
            <input
              inputMode="decimal"
              value={memory}
              aria-invalid={Number.isNaN(wantedMemory)}
              placeholder={plan?.memoryGb ? formatNumber(plan.memoryGb) : t("no limit")}
              onInput={(event) => setMemory(event.currentTarget.value)}
            />
          </label>
        </div>
        {(plan?.substitutions ?? []).map(({ kind, asked: was, given, reason }) => (
          <small key={kind} class="mlt-given">
            {t("{kind}: {given} instead of {asked}: {reason}", {
              kind: kind === "memory_gb" ? t("Memory (GB)") : kind,
              given,
              asked: was,
              reason,
            })}
          </small>
        ))}
      </Field>
      <Field label={t("Key")}>
        <label class="mlt-check">
          <input type="checkbox" checked={auth} onChange={(event) => setAuth(event.currentTarget.checked)} />
          {t("Requests need a key")}
        </label>
      </Field>
      <Problem text={command.problem || (plan?.problem ?? "")} />
      <SmokeResult smoking={smoking} />
      {cell && plan && <pre class="mlt-cell">{plan.deploy}</pre>}
      <div class="mlt-row">
        <button type="submit" class="mlt-button mlt-primary" disabled={command.busy || !ready}>
          {t(command.busy ? "Deploying…" : replaced ? "Update" : "Deploy")}
        </button>
        <SmokeButton smoking={smoking} />
        {close && <Button onClick={close}>{t("Close")}</Button>}
        <span class="mlt-gap" />
        {cell && plan && <CopyButton text={() => plan.deploy}>{t("Copy")}</CopyButton>}
        <Button disabled={plan === null} onClick={() => setCell(!cell)}>
          {t(cell ? "Hide the cell" : "Show as a cell")}
        </Button>
      </div>
    </form>
  );
}

function servedWords(endpoint: Endpoint): string {
  return endpoint.models.map((one) => one.id).join(", ") || endpoint.entryScript;
}

function environmentWords(plan: DeploymentPlan | null): string {
  if (plan === null || plan.environment === "") {
    return "";
  }
  const built = plan.environmentState === "ready" ? t("built already") : t("built first");
  return `${t("Environment")} ${plan.environment} · ${built}`;
}
