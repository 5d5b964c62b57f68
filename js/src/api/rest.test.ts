import { describe, expect, it, vi } from "vitest";

import { RequestError, Rest } from "./rest";

const json = (body: unknown, status = 200) => Promise.resolve(new Response(JSON.stringify(body), { status }));

describe("Rest", () => {
  it("asks for the window of a series, whatever the metric is called", async () => {
    const send = vi.fn(() => json({ total: 9, steps: [1], times: [2], values: ["NaN"] }));
    const points = await new Rest(send).series(
      "w",
      "r/1",
      { name: "a&b=c", rank: 2 },
      { axis: "step", start: 5, points: 100 },
    );
    expect(send.mock.calls[0]?.at(0 as never)).toBe(
      "workspaces/w/runs/r%2F1/series?name=a%26b%3Dc&rank=2&axis=step&points=100&start=5",
    );
    expect(points).toEqual({ total: 9, steps: [1], times: [2], values: ["NaN"] });
  });

  it("says what the service said when it refused", async () => {
    const error = { code: "conflict", message: "It has ended.", mend: "Nothing to cancel." };
    const rest = new Rest(() => json({ error }, 409));
    await expect(rest.cancel("w", "r", false)).rejects.toThrow("It has ended. Nothing to cancel.");
  });

  it("knows a workspace without a service from other failures", async () => {
    const rest = new Rest(() => json({ error: { code: "service.unavailable", message: "off" } }, 503));
    const failure = await rest.state("w", "r").catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RequestError);
    expect((failure as RequestError).offline).toBe(true);
  });

  it("has no workspaces where the server has no door, and no versions of a new name", async () => {
    const rest = new Rest(() => json({}, 404));
    expect(await rest.workspaces()).toBeNull();
    expect(await rest.versions("w", "new")).toEqual([]);
  });

  it("gives up after its timeout, in words", async () => {
    const send = (_: string, init: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    await expect(new Rest(send).state("w", "r", { timeoutMs: 5 })).rejects.toThrow(/too long/);
  });

  it("lets a caller's abort through as it is", async () => {
    const given = new AbortController();
    const send = (_: string, init: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init.signal?.addEventListener("abort", () => reject(new DOMException("given up", "AbortError")));
      });
    const asked = new Rest(send).state("w", "r", { signal: given.signal });
    given.abort();
    await expect(asked).rejects.toThrow("given up");
  });
});

it("knows the error of another bundle, and no other error", () => {
  const foreign = Object.assign(new Error("no"), { [Symbol.for("jupyter-mltrain.request-error")]: true });
  expect(foreign instanceof RequestError).toBe(true);
  expect(new Error("no") instanceof RequestError).toBe(false);
  expect(new RequestError(1, 404, { code: "x", message: "no", mend: "" }) instanceof RequestError).toBe(true);
});
