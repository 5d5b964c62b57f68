import type { RefObject } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import type { RunRanks } from "../api/payload";
import { runRanks } from "../api/ranks";
import { inTurn } from "../model/budget";
import { knownRanks, RanksStore } from "../model/ranks";
import { type RunStore, terminal } from "../model/run";
import { useChanges } from "./hooks";
import { useSeen } from "./seen";
import type { Surroundings } from "./surroundings";

/**
 * What is known of a run's ranks, and why no more is. While `node` is seen and `wanted`, all of them are asked for: its state
 * carries the first.
 */
export function useRanks(
  store: RunStore,
  around: Surroundings,
  node: RefObject<Element | null>,
  wanted = true,
): { known: RunRanks | null; problem: string } {
  const { workspace, run } = store.recorded;
  const seen = useSeen(node);
  const asked = useMemo(
    () => new RanksStore((signal) => runRanks(around.door.rest, workspace, run, { signal }), inTurn()),
    [],
  );
  useChanges(asked.changes);
  const over = terminal(store.state.status);
  useEffect(() => {
    if (seen && wanted) {
      asked.want(!over);
    } else {
      asked.rest();
    }
  }, [seen, wanted, over]);
  useEffect(() => () => asked.dispose(), []);
  return { known: knownRanks(store.state, asked, over), problem: asked.problem };
}
