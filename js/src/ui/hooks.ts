import { useEffect, useReducer, useRef, useState } from "preact/hooks";

import type { Emitter } from "../model/emitter";

/** Draw again when the store says that it has changed. */
export function useChanges(emitter: Emitter): void {
  const [, look] = useReducer((seen: number) => seen + 1, 0);
  useEffect(() => emitter.listen(() => look(undefined)), [emitter]);
}

/** Draw again every second while `on`. */
export function useSeconds(on: boolean): void {
  const [, look] = useReducer((seen: number) => seen + 1, 0);
  useEffect(() => {
    if (!on) {
      return;
    }
    const timer = setInterval(() => look(undefined), 1000);
    return () => clearInterval(timer);
  }, [on]);
}

export interface Command {
  busy: boolean;
  /** What went wrong, in words for a reader; "" otherwise. */
  problem: string;
  run(work: () => Promise<void>): void;
}

/** A command that a click gives: one at a time, and its failure is shown. */
export function useCommand(): Command {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  return {
    busy,
    problem,
    run(work) {
      setBusy(true);
      setProblem("");
      work()
        .catch((error: unknown) => setProblem(error instanceof Error ? error.message : String(error)))
        .finally(() => setBusy(false));
    },
  };
}

/** The same array as long as its members are. */
export function useSame<Member>(members: readonly Member[]): readonly Member[] {
  const last = useRef(members);
  if (
    members.length !== last.current.length ||
    members.some((member, index) => member !== last.current[index])
  ) {
    last.current = members;
  }
  return last.current;
}

/** Another number after each change of the page's theme: for what cannot take its colours from CSS. */
export function useTheme(): number {
  const [theme, look] = useReducer((seen: number) => seen + 1, 0);
  useEffect(() => {
    const changed = () => look(undefined);
    const observer = new MutationObserver(changed);
    observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name"] });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", changed);
    return () => {
      observer.disconnect();
      scheme.removeEventListener("change", changed);
    };
  }, []);
  return theme;
}
