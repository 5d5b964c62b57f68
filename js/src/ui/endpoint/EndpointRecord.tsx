import type { EndpointPayload } from "../../api/endpoint";
import { formatDate, formatNumber, formatSize } from "../../model/formats";
import { Facts } from "../Facts";
import { Notes, Why } from "../RunCard";
import { noteLines, TONES, wayBack } from "./EndpointCard";

/** The card of an endpoint as it was recorded, for viewers without this extension: no buttons, nothing asked. */
export function EndpointRecord({ payload }: { payload: EndpointPayload }) {
  const { state, latency, log, recorded } = payload;
  const requests = latency?.requests ?? [];
  const sum = (some: typeof requests) => some.reduce((total, [, count]) => total + count, 0);
  const milliseconds = (value: number | null | undefined) =>
    typeof value === "number" ? `${formatNumber(value)} ms` : "–";
  const rows: [string, string][] = [
    ["URL", state.scoringUri || "–"],
    ["p50", milliseconds(latency?.p50)],
    ["p95", milliseconds(latency?.p95)],
    ["p99", milliseconds(latency?.p99)],
    ["requests", formatNumber(sum(requests))],
    ["errors", formatNumber(sum(requests.filter(([status]) => Number(status) >= 400)))],
    ["memory", formatSize(state.memoryBytes)],
    ["environment", state.environment],
    ["framework", state.framework],
  ];
  const { curl, python, serve } = state.snippets;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div class="mlt-card" role="group" aria-label={`Endpoint ${state.name}, ${state.state}`}>
      <div class="mlt-head">
        <div class="mlt-name">{state.name}</div>
        <span class={`mlt-pill ${TONES[state.phase] ?? ""}`}>{state.state}</span>
        <span class="mlt-chip">{state.models.map((one) => one.id).join(" · ") || state.entryScript}</span>
      </div>
      {state.failure && <Why failure={state.failure} open={false} />}
      <Notes lines={noteLines(state)} />
      <dl class="mlt-kv">
        <Facts rows={rows} />
      </dl>
      <Folded label="Use" text={[curl, python, serve].filter(Boolean).join("\n\n")} />
      <Folded label="Last lines of its log" text={log?.tail ?? ""} />
      <div class="mlt-foot">
        <span class="mlt-num">recorded on {formatDate(recorded)}</span>
        <code class="mlt-back">{wayBack(state)}</code>
      </div>
    </div>
  );
}

function Folded({ label, text }: { label: string; text: string }) {
  return text === "" ? null : (
    <details>
      <summary>{label}</summary>
      <pre class="mlt-log">{text}</pre>
    </details>
  );
}
