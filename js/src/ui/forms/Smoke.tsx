import { useState } from "preact/hooks";

import type { Smoke as Prediction } from "../../api/endpoints";
import { pretty } from "../../model/endpointAnswer";
import { formatNumber, formatSpan } from "../../model/formats";
import { t } from "../../model/language";
import { Button, Problem } from "../controls";
import { type Command, useCommand } from "../hooks";
import { Why } from "../RunCard";

export interface Smoking {
  command: Command;
  told: Prediction | null;
  start: () => void;
  forget: () => void;
}

/** One prediction of a model before it is registered or deployed, in a process of its own. */
export function useSmoke(ask: () => Promise<Prediction>): Smoking {
  const command = useCommand();
  const [told, setTold] = useState<Prediction | null>(null);
  const start = () =>
    command.run(async () => {
      setTold(null);
      setTold(await ask());
    });
  return { command, told, start, forget: () => setTold(null) };
}

export function SmokeButton({ smoking, disabled }: { smoking: Smoking; disabled?: boolean }) {
  return (
    <Button
      disabled={smoking.command.busy || disabled === true}
      title={t("One prediction in a process of its own, without network")}
      onClick={smoking.start}
    >
      {t(smoking.command.busy ? "Trying…" : "Try it first")}
    </Button>
  );
}

export function SmokeResult({ smoking: { command, told } }: { smoking: Smoking }) {
  return (
    <>
      <Problem text={command.problem} />
      {told?.failure && <Why failure={told.failure} />}
      {told?.ok && <Good told={told} />}
    </>
  );
}

function Good({ told }: { told: Prediction }) {
  const shapes = Object.entries(told.shapes)
    .map(([name, { dtype, shape }]) => `${name} ${dtype} [${(shape ?? []).join(", ")}]`)
    .join(", ");
  const facts = [
    t("loaded and asked in {time}", { time: formatSpan(told.seconds) }),
    told.predictMs === null ? "" : t("one prediction {ms} ms", { ms: formatNumber(told.predictMs) }),
    told.framework,
    told.network ? t("this machine could not take its network away") : t("without network"),
  ];
  return (
    <div class="mlt-smoke" role="status">
      <div class="mlt-done">{t("The model predicts.")}</div>
      <div class="mlt-dim">{facts.filter(Boolean).join(" · ")}</div>
      <div class="mlt-mono mlt-dim">{shapes}</div>
      <pre class="mlt-cell mlt-answer">{pretty(rounded(told.outputs))}</pre>
    </div>
  );
}

/** Numbers as a person reads them. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") {
    return Number(value.toPrecision(4));
  }
  if (Array.isArray(value)) {
    return value.map(rounded);
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, rounded(one)]))
    : value;
}
