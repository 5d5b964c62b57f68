import type { EndpointStore } from "../../model/endpoint";
import { formatNumber, formatSize } from "../../model/formats";
import { t } from "../../model/language";
import { CopyButton } from "../controls";
import { Digit } from "./Digit";
import { RequestTester } from "./RequestTester";

/** The endpoint at work: a digit to draw where it takes one, else a request; beside it how it has answered so far. */
export function Try({ store, answers }: { store: EndpointStore; answers: boolean }) {
  const { state } = store;
  return (
    <div class="mlt-try">
      <div>
        {state.image ? (
          <Digit store={store} image={state.image} answers={answers} />
        ) : (
          <RequestTester store={store} answers={answers} />
        )}
      </div>
      <Figures store={store} />
    </div>
  );
}

function Figures({ store }: { store: EndpointStore }) {
  const { state, latency } = store;
  const milliseconds = (value: number | null | undefined) =>
    value === null || value === undefined ? "–" : `${formatNumber(Math.round(value * 100) / 100)} ms`;
  const requests = latency?.requests ?? [];
  const count = (wanted: (status: number) => boolean) =>
    requests.reduce((all, [status, number]) => all + (wanted(Number(status)) ? number : 0), 0);
  const rows: [string, string][] = [
    ["p50", milliseconds(latency?.p50)],
    ["p95", milliseconds(latency?.p95)],
    ["p99", milliseconds(latency?.p99)],
    [t("requests"), formatNumber(count(() => true))],
    [t("errors"), formatNumber(count((status) => status >= 400))],
    [t("memory"), formatSize(state.memoryBytes)],
  ];
  return (
    <dl class="mlt-kv mlt-figures" aria-label={t("Figures")}>
      <dt>URL</dt>
      <dd>
        {state.scoringUri || "–"}{" "}
        {state.scoringUri && <CopyButton text={() => state.scoringUri}>{t("Copy")}</CopyButton>}
      </dd>
      {rows.flatMap(([label, value]) => [
        <dt key={label}>{label}</dt>,
        <dd key={`${label} value`} class="mlt-num">
          {value}
        </dd>,
      ])}
    </dl>
  );
}
