import type { ComponentChildren } from "preact";
import { useId, useRef } from "preact/hooks";

import { t } from "../model/language";

export interface Tab {
  key: string;
  label: string;
  note?: string;
}

/** Tabs by the ARIA pattern: one of them in the tab order, arrows, Home and End move between them. */
export function Tabs(props: {
  tabs: Tab[];
  chosen: string;
  choose: (key: string) => void;
  children: ComponentChildren;
}) {
  const { tabs, chosen, choose, children } = props;
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const at = tabs.findIndex((tab) => tab.key === chosen);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next = to === undefined ? undefined : tabs[(to + tabs.length) % tabs.length];
    if (next) {
      event.preventDefault();
      choose(next.key);
      list.current?.querySelector<HTMLElement>(`[data-key="${next.key}"]`)?.focus();
    }
  };
  return (
    <>
      <div class="mlt-tabs" role="tablist" aria-label={t("Views")} ref={list} onKeyDown={move}>
        {tabs.map(({ key, label, note }) => (
          <button
            key={key}
            type="button"
            role="tab"
            id={`${id}-${key}`}
            data-key={key}
            aria-selected={key === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={key === chosen ? 0 : -1}
            onClick={() => choose(key)}
          >
            {label}
            {note && <span class="mlt-num"> {note}</span>}
          </button>
        ))}
      </div>
      <div
        class="mlt-panel"
        role="tabpanel"
        id={`${id}-panel`}
        aria-labelledby={`${id}-${chosen}`}
        // Who uses a view has chosen it: it does not change by itself any more.
        onPointerDown={() => choose(chosen)}
      >
        {children}
      </div>
    </>
  );
}
