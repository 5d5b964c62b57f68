/** Keeps an output's saved data true: what a notebook holds of a run follows the run while its card is looked at. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";

import { type RunStore, terminal } from "../model/run";
import type { Surroundings } from "../ui/surroundings";
import { fromService } from "./bundle";
import { shown, write } from "./page";

/** While a run is under way, the notebook may be behind by so much: it is brought up to date when it is saved. */
const BEHIND_SECONDS = 30;
/** News that follow each other closely (a run's end, its copy in MLflow) are written once. */
const PAUSE_MS = 700;

export class SavedOutput {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;
  private written = "";
  private disposed = false;

  constructor(
    private readonly store: RunStore,
    private readonly around: Surroundings,
    private output: IRenderMime.IMimeModel,
  ) {
    shown.set(output, store);
  }

  /** The same run's output in another model: a notebook that was reverted or trusted has new ones. */
  set model(output: IRenderMime.IMimeModel) {
    this.forget();
    this.output = output;
    shown.set(output, this.store);
  }

  /** Write the run's state into the notebook if it stands elsewhere than the notebook says. */
  check(): void {
    clearTimeout(this.timer);
    if (this.due()) {
      this.timer = setTimeout(() => void this.renew(), PAUSE_MS);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.disposed = true;
    this.forget();
  }

  private forget(): void {
    if (shown.get(this.output) === this.store) {
      shown.delete(this.output);
    }
  }

  private due(): boolean {
    const { recorded, reruns } = this.store;
    if (this.busy || this.disposed || this.written === keyOf(this.store)) {
      return false;
    }
    const saved = new Set(recorded.reruns.map((one) => one.run));
    return behind(this.store) || reruns.some((one) => !saved.has(one.recorded.run) || behind(one));
  }

  private async renew(): Promise<void> {
    this.busy = true;
    try {
      this.written = keyOf(this.store);
      const data = await fromService(this.around, this.output.data, this.store);
      if (data !== null && !this.disposed) {
        write(this.output, data);
      }
    } finally {
      this.busy = false;
    }
    this.check();
  }
}

/** Whether the page knows enough more than the notebook. Who has written it last need not be this page. */
function behind({ state, recorded, raw, seen }: RunStore): boolean {
  const moved = state.status !== recorded.state.status || terminal(state.status);
  const newer = raw !== null && state.revision > recorded.state.revision;
  return newer && (moved || seen - recorded.recorded > BEHIND_SECONDS);
}

function keyOf(store: RunStore): string {
  return [store, ...store.reruns].map(({ state }) => `${state.id} ${state.status} ${state.revision}`).join();
}
