import { useEffect, useId, useState } from "preact/hooks";

import { Environments } from "../api/environments";
import type { RunChanges } from "../api/rest";
import { formatMoment, t } from "../model/language";
import type { RunStore } from "../model/run";
import { detailRows, statusWords, wayBack } from "../model/words";
import { Button, CopyButton, Problem } from "./controls";
import { EnvironmentForm } from "./forms/EnvironmentForm";
import { useCommand } from "./hooks";
import type { Surroundings } from "./surroundings";

/** Where a run comes from, what happened to it and on what evidence, and what its owner writes about it. */
export function DetailsTab({ store, around }: { store: RunStore; around: Surroundings }) {
  const { state, recorded } = store;
  const { workspace, run } = recorded;
  const command = useCommand();
  const [making, setMaking] = useState(false);
  const change = (changes: RunChanges) =>
    command.run(async () => store.take(await around.door.rest.change(workspace, run, changes)));
  const rows = detailRows(state).filter(([label]) => label !== t("Notes"));
  return (
    <>
      <dl class="mlt-kv">
        {rows.flatMap(([label, value]) => [
          <dt key={label}>{label}</dt>,
          <dd key={`${label} value`}>{value}</dd>,
        ])}
        {state.substitutions.length > 0 && <dt>{t("Asked for")}</dt>}
        {state.substitutions.length > 0 && (
          <dd>
            {state.substitutions.map((one) => (
              <div key={one.asked}>{`${one.asked} → ${one.given}: ${one.reason}`}</div>
            ))}
          </dd>
        )}
      </dl>
      <h4 class="mlt-h">{t("History")}</h4>
      <ol class="mlt-history">
        {state.history.map(({ status, time, reason, evidence }, index) => (
          <li key={index}>
            <span class="mlt-num mlt-dim">{formatMoment(time)}</span>
            <b>{statusWords(status)}</b>
            <span>{[reason, ...evidence].filter((fact) => fact !== "").join(" · ")}</span>
          </li>
        ))}
      </ol>
      <Owner key={run} store={store} busy={command.busy} change={change} />
      <Problem text={command.problem} />
      <div class="mlt-row">
        <CopyButton text={() => state.id}>{t("Copy id")}</CopyButton>
        <CopyButton text={() => wayBack(state)}>{t("Copy the line")}</CopyButton>
        <Button pressed={making} onClick={() => setMaking(!making)}>
          {t("Make an environment")}
        </Button>
      </div>
      {making && (
        <EnvironmentForm
          environments={new Environments(around.door.rest, workspace)}
          close={() => setMaking(false)}
        />
      )}
    </>
  );
}

function Owner(props: { store: RunStore; busy: boolean; change: (changes: RunChanges) => void }) {
  const { store, busy, change } = props;
  const { displayName, notes, pinned } = store.state;
  const id = useId();
  const [name, setName] = useState(displayName);
  const [text, setText] = useState(notes);
  useEffect(() => setName(displayName), [displayName]);
  useEffect(() => setText(notes), [notes]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keeps the notebook's shortcuts out of the fields
    <div class="mlt-form" onKeyDown={(event) => event.stopPropagation()}>
      <div class="mlt-field">
        <label for={`${id}-name`}>{t("Display name")}</label>
        <div class="mlt-line-of">
          <input
            id={`${id}-name`}
            value={name}
            maxLength={255}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <Button
            disabled={busy || name.trim() === "" || name === displayName}
            onClick={() => change({ display_name: name.trim() })}
          >
            {t("Rename")}
          </Button>
          <Button disabled={busy} pressed={pinned} onClick={() => change({ pinned: !pinned })}>
            {t(pinned ? "Unpin" : "Pin")}
          </Button>
        </div>
      </div>
      <div class="mlt-field">
        <label for={`${id}-notes`}>{t("Notes")}</label>
        <div>
          <textarea
            id={`${id}-notes`}
            rows={3}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
          <Button disabled={busy || text === notes} onClick={() => change({ notes: text })}>
            {t("Save notes")}
          </Button>
        </div>
      </div>
    </div>
  );
}
