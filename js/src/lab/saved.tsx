/** Keeps an output's saved data true: what a notebook holds of a run follows the run while its card is looked at. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { render } from "preact";

import { parsePayload } from "../api/parse";
import { MIME_TYPE } from "../api/payload";
import type { Json } from "../model/bounded";
import { inEnglish } from "../model/language";
import { record } from "../model/record";
import { type RunStore, terminal } from "../model/run";
import { RunCard } from "../ui/RunCard";
import type { Surroundings } from "../ui/surroundings";

/** While a run is under way, the notebook may be behind by so much: saved now, it holds charts of a while ago. */
const BEHIND_SECONDS = 30;
/** News that follow each other closely (a run's end, its copy in MLflow) are written once. */
const PAUSE_MS = 700;

export class SavedOutput {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private busy = false;
  private written = "";

  constructor(
    private readonly store: RunStore,
    private readonly around: Surroundings,
    public model: IRenderMime.IMimeModel,
  ) {}

  /** Write the run's state into the notebook if it stands elsewhere than the notebook says. */
  check(): void {
    clearTimeout(this.timer);
    if (this.due()) {
      this.timer = setTimeout(() => void this.write(), PAUSE_MS);
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.written = "disposed";
  }

  private due(): boolean {
    const { state, recorded, raw } = this.store;
    if (raw === null || this.busy || this.written === "disposed") {
      return false;
    }
    // Who has written it already need not be this page: the kernel does, and so does another view of the notebook.
    const newer = state.revision > recorded.state.revision && this.written !== keyOf(this.store);
    const moved = state.status !== recorded.state.status || terminal(state.status);
    return newer && (moved || this.store.seen - recorded.recorded > BEHIND_SECONDS);
  }

  private async write(): Promise<void> {
    this.busy = true;
    try {
      const { raw, recorded } = this.store;
      const key = keyOf(this.store);
      const payload = await record(this.around.door.rest, recorded.workspace, recorded.run, raw);
      if (this.written === "disposed") {
        return;
      }
      this.written = key;
      const { data } = this.model;
      this.model.setData({
        data: {
          ...data,
          [MIME_TYPE]: payload,
          ...htmlOf(data["text/html"], payload),
          ...plainOf(data["text/plain"], this.store.state.status),
        },
      });
    } finally {
      this.busy = false;
    }
    this.check();
  }
}

function keyOf({ state }: RunStore): string {
  return `${state.status} ${state.revision}`;
}

/** The static card for viewers without this extension, in the style sheet that the kernel wrote. */
function htmlOf(before: unknown, payload: { [key: string]: Json }): { "text/html"?: string } {
  const style = typeof before === "string" ? /^<style>[^<]*<\/style>/.exec(before)?.[0] : undefined;
  if (style === undefined) {
    return {};
  }
  const host = document.createElement("div");
  inEnglish(() => render(<RunCard payload={parsePayload(payload)} />, host));
  const html = style + host.innerHTML;
  render(null, host);
  return { "text/html": html };
}

function plainOf(before: unknown, status: string): { "text/plain"?: string } {
  return typeof before === "string"
    ? { "text/plain": before.replace(/^Status: .*\)$/m, () => `Status: ${status})`) }
    : {};
}
