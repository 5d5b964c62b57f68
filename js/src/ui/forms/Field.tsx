import type { ComponentChildren } from "preact";

/** A line of a form: its label, what is typed, and below it what is wrong with that or a hint. */
export function Field(props: {
  label: string;
  /** The id of what the label names. */
  for?: string;
  hint?: string;
  wrong?: string;
  children: ComponentChildren;
}) {
  const { label, hint, wrong, children } = props;
  return (
    <div class="mlt-field">
      {props.for ? <label for={props.for}>{label}</label> : <span>{label}</span>}
      <div>
        {children}
        {wrong && (
          <small class="mlt-wrong" role="alert">
            {wrong}
          </small>
        )}
        {hint && <small class="mlt-dim">{hint}</small>}
      </div>
    </div>
  );
}
