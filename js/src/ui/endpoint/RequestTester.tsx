import { useId, useState } from "preact/hooks";

import type { Answer } from "../../api/endpoints";
import type { EndpointStore } from "../../model/endpoint";
import { exampleOf, jsonProblem, pretty } from "../../model/endpointAnswer";
import { formatNumber } from "../../model/formats";
import { t } from "../../model/language";
import { Button, Problem } from "../controls";
import { useCommand } from "../hooks";

/** A request as JSON, and what the endpoint answers. The service sends it on, with the key. */
export function RequestTester({ store, answers }: { store: EndpointStore; answers: boolean }) {
  const { state, endpoints } = store;
  const id = useId();
  const example = exampleOf(state.entryScript === "" ? state.signature : null);
  const [edited, setEdited] = useState<string | null>(null);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const command = useCommand();
  const body = edited ?? example;
  const wrong = jsonProblem(body);
  const send = () =>
    command.run(async () => {
      setAnswer(null);
      setAnswer(await endpoints.test(state.name, body));
      void store.again();
    });
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the notebook must not hear what is typed here
    <div class="mlt-tester" onKeyDown={(event) => event.stopPropagation()} data-lm-suppress-shortcuts="true">
      <label for={id}>{t("Request (JSON, POST /score)")}</label>
      <textarea
        id={id}
        rows={5}
        spellcheck={false}
        value={body}
        aria-invalid={wrong !== ""}
        aria-describedby={`${id}-wrong`}
        onInput={(event) => setEdited(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && answers && wrong === "") {
            event.preventDefault();
            send();
          }
        }}
      />
      <small id={`${id}-wrong`} class="mlt-wrong" role="status">
        {wrong && t("Not JSON: {why}", { why: wrong })}
      </small>
      <div class="mlt-row">
        <Button primary disabled={!answers || command.busy || wrong !== ""} onClick={send}>
          {t(command.busy ? "Sending…" : "Send")}
        </Button>
        <Button disabled={edited === null} onClick={() => setEdited(null)}>
          {t("Example")}
        </Button>
        {!answers && <span class="mlt-dim">{t("It does not answer now.")}</span>}
      </div>
      <Problem text={command.problem} />
      {answer && (
        <div role="status" aria-label={t("Answer")}>
          <div class="mlt-row">
            <b class={answer.status < 400 ? "mlt-good" : "mlt-wrong"}>{answer.status}</b>
            <span class="mlt-num">{formatNumber(Math.round(answer.milliseconds * 10) / 10)} ms</span>
          </div>
          <pre class="mlt-cell mlt-answer">
            {typeof answer.body === "string" ? answer.body.slice(0, 100_000) : pretty(answer.body)}
          </pre>
        </div>
      )}
    </div>
  );
}
