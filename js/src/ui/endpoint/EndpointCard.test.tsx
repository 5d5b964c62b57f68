// @vitest-environment happy-dom
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parseEndpointPayload } from "../../api/endpoint";
import { Endpoints } from "../../api/endpoints";
import { Rest } from "../../api/rest";
import { EndpointStore } from "../../model/endpoint";
import { speak } from "../../model/language";
import { Registered } from "../../model/registered";
import { EndpointCard } from "./EndpointCard";

const EVIL = "<script>window.pwned=1</script>";
const STATE = {
  name: "digits",
  state: "Healthy",
  phase: "running",
  revision: 2,
  serving: 2,
  models: [{ id: "m:3", name: "m", version: 3, format: "SavedModel" }],
  scoring_uri: "http://localhost:6789/score",
  default_signature: "s",
  signatures: { s: { inputs: { x: { dtype: "float32", shape: [null, 3] } }, outputs: {} } },
  snippets: { curl: "curl -s …", python: "import requests", serve: "docker run …", deploy: EVIL },
  substitutions: [{ kind: "memory_gb", asked: "0.5", given: "0.9", reason: "measured" }],
};

let host: HTMLElement;
let requests: { method: string; path: string; body: unknown }[];
let answers: Map<string, [status: number, body: unknown]>;
let store: EndpointStore;

beforeEach(() => {
  host = document.createElement("div");
  document.body.append(host);
  requests = [];
  answers = new Map([
    ["GET workspaces/w/endpoints/digits", [200, STATE]],
    [
      "GET workspaces/w/endpoints/digits/latency",
      [200, { requests: { "200": 1204, "500": 3 }, p50_ms: 0.6 }],
    ],
  ]);
  speak("en");
});
afterEach(() => {
  store.detach();
  render(null, host);
  host.remove();
});

async function show(live: boolean): Promise<void> {
  const rest = new Rest(async (path, init) => {
    const method = init.method ?? "GET";
    requests.push({ method, path, body: init.body ? JSON.parse(String(init.body)) : null });
    const refused = { error: { code: "x", message: "It was refused.", mend: "" } };
    const [status, body] = answers.get(`${method} ${path}`) ?? [404, refused];
    return new Response(JSON.stringify(body), { status });
  });
  const payload = parseEndpointPayload({
    format: 1,
    workspace: "w",
    endpoint: "digits",
    recorded: 5,
    state: STATE,
  });
  const known = new Registered(async () => new Set(live ? ["w"] : []));
  store = new EndpointStore(payload, new Endpoints(rest, "w"), known, (look) => look());
  await act(() => render(<EndpointCard store={store} open={async () => {}} />, host));
  await act(() => store.attach());
}

const button = (name: string) =>
  Array.from(host.querySelectorAll("button")).find(
    (one) => one.textContent?.trim() === name,
  ) as HTMLButtonElement;
const click = (name: string) => act(() => button(name).click());
const settle = () => act(() => new Promise((resolve) => setTimeout(resolve, 5)));

describe("EndpointCard", () => {
  it("asks nothing of an endpoint by being shown", async () => {
    await show(true);
    expect(host.querySelector(".mlt-pill")?.textContent).toBe("Healthy");
    expect(host.textContent).toContain("1,207");
    expect(host.textContent).toContain("Memory (GB): 0.9 instead of 0.5: measured");
    expect(requests.every((one) => one.method === "GET")).toBe(true);
  });

  it("sends what is typed, and says status, time and answer", async () => {
    await show(true);
    const area = host.querySelector("textarea") as HTMLTextAreaElement;
    expect(area.value).toBe('{"instances":[[0,0,0]]}');
    const type = (text: string) =>
      act(() => {
        area.value = text;
        area.dispatchEvent(new Event("input", { bubbles: true }));
      });
    await type('{"instances":[[1,2,3]');
    expect(button("Send").disabled).toBe(true);
    expect(host.querySelector(".mlt-tester .mlt-wrong")?.textContent).toContain("Not JSON");
    await type('{"instances":[[1,2,3]]}');
    answers.set("POST workspaces/w/endpoints/digits/test", [
      200,
      { status: 400, milliseconds: 1.24, body: { error: EVIL } },
    ]);
    await click("Send");
    await settle();
    expect(requests.find((one) => one.method === "POST")?.body).toEqual({
      path: "/score",
      text: '{"instances":[[1,2,3]]}',
    });
    const answer = host.querySelector('[aria-label="Answer"]');
    expect(answer?.textContent).toContain("400");
    expect(answer?.textContent).toContain("1.2 ms");
    expect(answer?.textContent).toContain(EVIL);
    expect(host.querySelector("script")).toBeNull();
  });

  it("deletes after a second click alone", async () => {
    await show(true);
    answers.set("DELETE workspaces/w/endpoints/digits", [200, {}]);
    await click("Delete");
    expect(requests.some((one) => one.method === "DELETE")).toBe(false);
    await click("Keep it");
    expect(host.querySelector(".mlt-confirm")).toBeNull();
    await click("Delete");
    await act(() => (host.querySelector(".mlt-confirm button") as HTMLButtonElement).click());
    await settle();
    expect(requests.filter((one) => one.method === "DELETE").length).toBe(1);
    expect(host.querySelector(".mlt-pill")?.textContent).toBe("deleted");
    expect(host.querySelector(".mlt-tabs")).toBeNull();
  });

  it("has no commands where it is a record", async () => {
    await show(false);
    expect(requests).toEqual([]);
    expect(["Delete", "Update", "Restart"].map(button)).toEqual([undefined, undefined, undefined]);
    expect(button("Send").disabled).toBe(true);
    expect(host.textContent).toContain("recorded on");
  });

  it("updates to what the form says", async () => {
    await show(true);
    answers.set("GET workspaces/w/models/m", [
      200,
      {
        versions: [
          { name: "m", version: 3 },
          { name: "m", version: 4 },
        ],
      },
    ]);
    answers.set("POST workspaces/w/models/m/4/deploy", [200, { ...STATE, phase: "deploying" }]);
    await click("Update");
    await settle();
    const version = host.querySelector(".mlt-deploy select") as HTMLSelectElement;
    await act(() => {
      version.value = "4";
      version.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await act(() => (host.querySelector(".mlt-deploy [type=submit]") as HTMLButtonElement).click());
    await settle();
    expect(requests.find((one) => one.path.endsWith("/deploy"))?.body).toMatchObject({
      name: "digits",
      overwrite: true,
      deployment: { cpu: null, memory_gb: null, auth_enabled: false },
    });
    expect(host.querySelector(".mlt-deploy")).toBeNull();
  });
});
