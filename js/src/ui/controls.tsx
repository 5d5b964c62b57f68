import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";

import { t } from "../model/language";

export function Button(props: {
  children: ComponentChildren;
  onClick: () => void;
  title?: string;
  primary?: boolean;
  disabled?: boolean;
  pressed?: boolean;
  label?: string;
}) {
  const { children, onClick, title, primary, disabled, pressed, label } = props;
  return (
    <button
      type="button"
      class={`mlt-button${primary ? " mlt-primary" : ""}`}
      onClick={onClick}
      title={title}
      disabled={disabled}
      aria-pressed={pressed}
      aria-label={label}
    >
      {children}
    </button>
  );
}

/** `label` stands in it while it is empty, unless `hint` does. */
export function SearchField(props: {
  label: string;
  hint?: string;
  wide?: boolean;
  value: string;
  change: (value: string) => void;
  onKeyDown?: (event: KeyboardEvent) => void;
}) {
  const { label, hint, wide, value, change, onKeyDown } = props;
  return (
    <input
      type="search"
      class={wide ? "mlt-wide" : undefined}
      placeholder={hint ?? label}
      aria-label={label}
      value={value}
      onInput={(event) => change(event.currentTarget.value)}
      onKeyDown={onKeyDown}
    />
  );
}

/** Copies text, and says that it has. */
export function CopyButton({ children, text }: { children: ComponentChildren; text: () => string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) {
      return;
    }
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await copyText(text());
    setCopied(true);
  };
  return (
    <Button onClick={copy}>
      <span role="status">{copied ? t("Copied") : children}</span>
    </Button>
  );
}

/** On a page that is not served over TLS there is no clipboard object: a selection is copied instead. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function Problem({ text }: { text: string }) {
  return text === "" ? null : (
    <div class="mlt-problem" role="alert">
      {text}
    </div>
  );
}
