/** Keeps what a notebook holds of an endpoint true: written where it stands otherwise than the notebook says. */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";
import { render } from "preact";

import { ENDPOINT_MIME, parseEndpointPayload } from "../api/endpoint";
import { Endpoints } from "../api/endpoints";
import { PayloadError } from "../api/payload";
import type { Asked } from "../api/rest";
import type { EndpointStore } from "../model/endpoint";
import { endpointRecord, type JsonObject, standOf } from "../model/endpointRecord";
import { inEnglish } from "../model/language";
import { EndpointRecord } from "../ui/endpoint/EndpointRecord";
import type { Surroundings } from "../ui/surroundings";
import { type MimeData, write } from "./page";

/** News that follow each other closely are written once. */
const PAUSE_MS = 700;

export class SavedEndpoint {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private written = "";
  private disposed = false;

  constructor(
    private readonly store: EndpointStore,
    private readonly around: Surroundings,
    public output: IRenderMime.IMimeModel,
  ) {
    store.changes.listen(() => this.check());
  }

  dispose(): void {
    this.disposed = true;
    clearTimeout(this.timer);
  }

  private check(): void {
    const { store } = this;
    const now = store.standing === "gone" ? "gone" : store.standing === "live" ? standOf(store.state) : null;
    const before = store.recorded.state.state === "deleted" ? "gone" : standOf(store.recorded.state);
    if (now === null || now === before || now === this.written || this.disposed) {
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.renew(now), PAUSE_MS);
  }

  private async renew(now: string): Promise<void> {
    this.written = now;
    const data = await endpointFromService(this.around, this.output.data, {}, this.store.told);
    if (data !== null && !this.disposed) {
      write(this.output, data);
    }
  }
}

/** An endpoint's output as its service says it stands; null where it says so already, or cannot be asked. */
export async function endpointFromService(
  around: Surroundings,
  data: MimeData,
  asked: Asked = {},
  last: object | null = null,
): Promise<MimeData | null> {
  const saved = data[ENDPOINT_MIME] as JsonObject;
  const workspace = String(saved.workspace);
  if (!(await around.registered.has(workspace))) {
    return null;
  }
  const renewed = await endpointRecord(new Endpoints(around.door.rest, workspace), saved, asked, last);
  if (renewed === null) {
    return null;
  }
  const { state } = parseEndpointPayload(renewed);
  const plain = data["text/plain"];
  return {
    ...data,
    [ENDPOINT_MIME]: renewed,
    ...htmlOf(data["text/html"], renewed),
    ...(typeof plain === "string"
      ? { "text/plain": plain.replace(/, state=[^,]*, /, () => `, state=${state.state}, `) }
      : {}),
  };
}

/** Whether an output is an endpoint's that can be read. */
export function readableEndpoint(data: MimeData): boolean {
  try {
    return ENDPOINT_MIME in data && parseEndpointPayload(data[ENDPOINT_MIME]).endpoint !== "";
  } catch (error) {
    if (error instanceof PayloadError) {
      return false;
    }
    throw error;
  }
}

/** The static card for viewers without this extension, in the style sheet that the kernel wrote. */
function htmlOf(before: unknown, renewed: JsonObject): { "text/html"?: string } {
  const style = typeof before === "string" ? /^<style>[^<]*<\/style>/.exec(before)?.[0] : undefined;
  if (style === undefined) {
    return {};
  }
  const host = document.createElement("div");
  inEnglish(() => render(<EndpointRecord payload={parseEndpointPayload(renewed)} />, host));
  const html = style + host.innerHTML;
  render(null, host);
  return { "text/html": html };
}
