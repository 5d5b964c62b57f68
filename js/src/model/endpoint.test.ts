import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { parseEndpoint, parseEndpointPayload } from "../api/endpoint";
import { Endpoints } from "../api/endpoints";
import { PayloadError } from "../api/payload";
import { Rest } from "../api/rest";
import { EndpointStore } from "./endpoint";
import { Registered } from "./registered";

const STATE = {
  name: "digits",
  state: "Healthy",
  phase: "running",
  models: [{ id: "m:1", name: "m", version: 1 }],
};
const SAVED = { format: 1, workspace: "w", endpoint: "digits", recorded: 5, state: STATE };

let answers: Map<string, [status: number, body: unknown]>;
let asked: string[];

function made(workspaces: string[] = ["w"]): EndpointStore {
  const rest = new Rest(async (path, init) => {
    asked.push(`${init.method} ${path}`);
    const [status, body] = answers.get(path) ?? [404, { error: { code: "x", message: "no", mend: "" } }];
    return new Response(JSON.stringify(body), { status });
  });
  const payload = parseEndpointPayload(SAVED);
  const registered = new Registered(async () => new Set(workspaces));
  return new EndpointStore(payload, new Endpoints(rest, "w"), registered, (look) => look());
}

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  answers = new Map([
    ["workspaces/w/endpoints/digits", [200, STATE]],
    ["workspaces/w/endpoints/digits/latency", [200, { requests: { "200": 7 }, p50_ms: 0.6 }]],
  ]);
});
afterEach(() => {
  vi.useRealTimers();
});

describe("EndpointStore", () => {
  it("asks while it is seen, and never after", async () => {
    const store = made();
    expect(store.standing).toBe("recorded");
    await store.attach();
    expect(store.standing).toBe("live");
    expect(store.latency?.requests).toEqual([["200", 7]]);
    await vi.advanceTimersByTimeAsync(3_100);
    expect(asked.length).toBe(4);
    store.detach();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked.length).toBe(4);
    expect(asked.every((one) => one.startsWith("GET "))).toBe(true);
  });

  it("asks often while it is being deployed", async () => {
    answers.set("workspaces/w/endpoints/digits", [200, { ...STATE, phase: "deploying" }]);
    const store = made();
    await store.attach();
    await vi.advanceTimersByTimeAsync(3_100);
    expect(asked.length).toBeGreaterThan(4);
    store.detach();
  });

  it("says what it is not: gone, no service, another workspace", async () => {
    const deleted = made();
    answers.delete("workspaces/w/endpoints/digits");
    await deleted.attach();
    expect(deleted.standing).toBe("gone");
    deleted.detach();
    const away = made();
    answers.set("workspaces/w/endpoints/digits", [503, { error: { code: "x", message: "no", mend: "" } }]);
    await away.attach();
    expect([away.standing, away.state.state]).toEqual(["offline", "Healthy"]);
    away.detach();
    asked = [];
    const foreign = made(["other"]);
    await foreign.attach();
    expect([foreign.standing, asked]).toEqual(["recorded", []]);
  });
});

describe("a saved endpoint", () => {
  it("is read whatever it holds", () => {
    for (const raw of [null, 3, {}, { format: 1 }, { ...SAVED, endpoint: "" }, { ...SAVED, format: 9 }]) {
      expect(() => parseEndpointPayload(raw)).toThrow(PayloadError);
    }
    const odd = parseEndpoint({
      ...STATE,
      models: "x",
      phase: "?",
      tags: 4,
      signatures: [1],
      image: { shape: [9] },
    });
    expect([odd.models, odd.phase, odd.tags, odd.signature, odd.image]).toEqual([
      [],
      "unknown",
      {},
      null,
      null,
    ]);
  });

  it("links to this machine alone", () => {
    const uri = (scoring_uri: string) => parseEndpoint({ ...STATE, scoring_uri }).scoringUri;
    expect(uri("http://localhost:6789/score")).toBe("http://localhost:6789/score");
    expect(
      ["http://evil.example/score", "javascript:alert(1)", "http://localhost:1@evil.example/"].map(uri),
    ).toEqual(["", "", ""]);
  });
});
