import type { ComponentChildren } from "preact";

import type { Failure, RunPayload, RunState } from "../api/payload";
import { shortPaths } from "../model/bounded";
import { t } from "../model/language";
import { arrangeMetrics } from "../model/metrics";
import {
  detailRows,
  footFacts,
  lengthWords,
  noteLines,
  places,
  stageShare,
  stageWords,
  statusWords,
  tone,
  wayBack,
} from "../model/words";
import { MetricCharts, MetricValues } from "./MetricCharts";
import { FirstFailed } from "./RankMark";
import { RecordedRanks } from "./RecordedRanks";

/**
 * The card of a run as it was recorded. Everything a run or user named is text here, never markup. `action` stands in its
 * foot: what makes it live.
 */
export function RunCard({ payload, action }: { payload: RunPayload; action?: ComponentChildren }) {
  const { state } = payload;
  const { charts, values } = arrangeMetrics(payload);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div class="mlt-card" role="group" aria-label={`Run ${state.displayName}, ${statusWords(state.status)}`}>
      <Head payload={payload} />
      <Stages state={state} />
      {state.failure && <Why failure={state.failure} first={<FirstFailed state={state} />} />}
      <Notes lines={noteLines(state)} />
      {values.length > 0 && <MetricValues metrics={values} />}
      {charts.length > 0 && <MetricCharts charts={charts} />}
      {payload.log?.tail && (
        <details open={state.status === "Failed"}>
          <summary>{t("Last lines of {name}", { name: payload.log.name })}</summary>
          <pre class="mlt-log">{payload.log.tail}</pre>
        </details>
      )}
      <RecordedRanks state={state} />
      <Details state={state} />
      <Foot payload={payload} action={action} />
    </div>
  );
}

/** What stands in place of a card that cannot be shown. */
export function Unreadable({ reason }: { reason: string }) {
  return (
    <div class="mlt-card">
      <div class="mlt-head">{reason}</div>
    </div>
  );
}

function Head({ payload }: { payload: RunPayload }) {
  const { state } = payload;
  return (
    <div class="mlt-head">
      <Title state={state} />
      <span class="mlt-num mlt-dim">{lengthWords(payload)}</span>
      <span class="mlt-chip">{places(state)}</span>
    </div>
  );
}

export function Title({ state }: { state: RunState }) {
  return (
    <>
      <div class="mlt-name">
        <span>{state.experiment} /</span> {state.displayName}
      </div>
      <span class={`mlt-pill ${tone(state.status)}`}>{statusWords(state.status)}</span>
    </>
  );
}

export function Stages({ state }: { state: RunState }) {
  return (
    <div class="mlt-stages">
      {state.stages.map((stage) => (
        <div
          key={stage.name}
          class={`mlt-stage${stage.state === "active" ? " mlt-now" : stage.state === "failed" ? " mlt-x" : ""}`}
        >
          <div class="mlt-bar">
            <i style={{ width: `${stageShare(stage, state.progress)}%` }} />
          </div>
          <b>{t(stage.name)}</b> <span class="mlt-num">{stageWords(stage, state)}</span>
        </div>
      ))}
    </div>
  );
}

/** Why a run failed. `first`: which of its ranks did; `action`: what a click can do about it; `open`: whether its traceback is shown from the start. */
export function Why(props: {
  failure: Omit<Failure, "rank">;
  first?: ComponentChildren;
  action?: ComponentChildren;
  open?: boolean;
}) {
  const { failure, first, action, open = true } = props;
  return (
    <>
      <div class="mlt-why">
        <b>{failure.title}</b>
        {first}
        <span>{failure.evidence.join(" · ")}</span>
        {failure.mend && <span class="mlt-mend">{failure.mend}</span>}
        {action}
      </div>
      {failure.traceback && (
        <details open={open}>
          <summary>{t("Traceback")}</summary>
          <pre class="mlt-log">{shortPaths(failure.traceback.trimEnd())}</pre>
        </details>
      )}
    </>
  );
}

export function Notes({ lines }: { lines: string[] }) {
  return lines.length === 0 ? null : (
    <div class="mlt-notes">
      {lines.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </div>
  );
}

function Details({ state }: { state: RunState }) {
  return (
    <details>
      <summary>{t("Details")}</summary>
      <dl class="mlt-kv">
        {detailRows(state).flatMap(([label, value]) => [
          <dt key={label}>{label}</dt>,
          <dd key={`${label} value`}>{value}</dd>,
        ])}
      </dl>
    </details>
  );
}

function Foot({ payload, action }: { payload: RunPayload; action?: ComponentChildren }) {
  return (
    <div class="mlt-foot">
      {footFacts(payload).map((fact) => (
        <span key={fact} class="mlt-num">
          {fact}
        </span>
      ))}
      {action}
      <code class="mlt-back">{wayBack(payload.state)}</code>
    </div>
  );
}
