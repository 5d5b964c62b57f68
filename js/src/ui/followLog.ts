import { useEffect, useState } from "preact/hooks";

import { type LogStore, TAIL_BYTES } from "../model/log";
import type { RunStore } from "../model/run";
import { useChanges } from "./hooks";
import type { Surroundings } from "./surroundings";

/** Follow a log while its card is seen; returns why that has ended, or "". */
export function useFollowed(store: RunStore, log: LogStore, name: string, around: Surroundings): string {
  const { workspace, run } = store.recorded;
  const [problem, setProblem] = useState("");
  useChanges(log.changes);
  useEffect(() => {
    if (!store.attached || log.complete) {
      return;
    }
    return around.door.live.follow(workspace, run, name, log.position ?? -TAIL_BYTES, {
      bytes: (data, offset, next, complete) => log.append(data, offset, next, complete),
      failed: (error) => setProblem(error.message),
    });
  }, [log, store.attached]);
  return problem;
}
