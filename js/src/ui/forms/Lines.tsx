import { useId, useRef } from "preact/hooks";

import { t } from "../../model/language";
import { Field } from "./Field";

const MOST_ROWS = 14;

/** Lines to type, numbered, the wrong one marked. */
export function Lines(props: {
  label: string;
  text: string;
  change: (text: string) => void;
  wrong: { line: number; why: string } | null;
}) {
  const { label, text, change, wrong } = props;
  const id = useId();
  const numbers = useRef<HTMLDivElement>(null);
  const count = text.split("\n").length;
  return (
    <Field
      label={label}
      for={id}
      wrong={wrong ? t("Line {line}: {why}", { line: wrong.line, why: wrong.why }) : ""}
    >
      <div class="mlt-numbered">
        <div aria-hidden="true" ref={numbers}>
          {Array.from({ length: count }, (_, index) => (
            <div key={index} class={wrong?.line === index + 1 ? "mlt-wrong" : ""}>
              {index + 1}
            </div>
          ))}
        </div>
        <textarea
          id={id}
          rows={Math.min(MOST_ROWS, Math.max(4, count))}
          wrap="off"
          spellcheck={false}
          value={text}
          aria-invalid={wrong !== null}
          onInput={(event) => change(event.currentTarget.value)}
          onScroll={(event) => {
            if (numbers.current) {
              numbers.current.scrollTop = event.currentTarget.scrollTop;
            }
          }}
        />
      </div>
    </Field>
  );
}
