import { describe, expect, it } from "vitest";

import { Endpoints } from "../api/endpoints";
import { Rest } from "../api/rest";
import { endpointRecord } from "./endpointRecord";

const STATE = {
  name: "digits",
  phase: "deploying",
  state: "Transitioning",
  revision: 1,
  serving: null,
  models: [],
};
const SAVED = {
  format: 1,
  workspace: "w",
  endpoint: "digits",
  recorded: 5,
  state: STATE,
  latency: null,
  log: null,
};

function endpoints(answers: { [path: string]: [status: number, body: unknown] }): Endpoints {
  const send = async (path: string) => {
    const refused: [number, unknown] = [
      404,
      { error: { code: "not_found.endpoint", message: "", mend: "" } },
    ];
    const [status, body] = answers[path.split("?")[0] ?? ""] ?? refused;
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status });
  };
  return new Endpoints(new Rest(send), "w");
}

describe("the record of an endpoint", () => {
  const path = "workspaces/w/endpoints/digits";

  it("is made anew where it stands otherwise than was saved, without keys and paths", async () => {
    const now = {
      ...STATE,
      phase: "running",
      state: "Healthy",
      serving: 1,
      recorded: 9,
      keys: "k-secret",
      notices: ["/home/ann/ws/model"],
    };
    const found = await endpointRecord(
      endpoints({
        [path]: [200, now],
        [`${path}/latency`]: [200, { p50_ms: 0.6 }],
        [`${path}/log`]: [200, "loaded /home/ann/model\nready\n"],
      }),
      SAVED,
    );
    expect(found).toMatchObject({ recorded: 9, state: { phase: "running" }, latency: { p50_ms: 0.6 } });
    expect(found?.log).toEqual({ name: "endpoint", tail: "loaded …/model\nready" });
    expect(JSON.stringify(found)).not.toMatch(/k-secret|\/home/);
  });

  it("stays where nothing but figures has changed, and where nobody answers", async () => {
    expect(
      await endpointRecord(endpoints({ [path]: [200, { ...STATE, memory_bytes: 9 }] }), SAVED),
    ).toBeNull();
    expect(await endpointRecord(endpoints({ [path]: [503, {}] }), SAVED)).toBeNull();
    expect(await endpointRecord(endpoints({ [path]: [404, {}] }), SAVED)).toBeNull();
  });

  it("says of one that is gone that it was deleted", async () => {
    const log = { name: "endpoint", tail: "the last words" };
    const found = await endpointRecord(endpoints({}), { ...SAVED, log });
    expect(found).toMatchObject({
      state: { phase: "deleted", state: "deleted", serving: null },
      latency: null,
      log,
    });
  });

  it("of one that was deleted says what was known of it last, also where that was not saved yet", async () => {
    const last = { ...STATE, revision: 2, memory_gb: 1.5, serving: 2 };
    const found = await endpointRecord(endpoints({}), SAVED, {}, last);
    expect(found?.state).toMatchObject({ phase: "deleted", revision: 2, memory_gb: 1.5, serving: null });
  });
});
