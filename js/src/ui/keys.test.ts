// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";

import { keepKeys } from "./keys";

const SUPPRESS = "data-lm-suppress-shortcuts";

beforeEach(() => {
  document.body.innerHTML = `
    <button id="outside">run</button>
    <div class="mlt-output">
      <button id="tab" role="tab">Logs</button><button id="button">Cancel</button>
      <select id="select"></select><div id="log" tabindex="0"></div>
      <div ${SUPPRESS}="true"><button id="chart">loss</button></div>
    </div>`;
  keepKeys();
});

/** Whether a host that looks at a key on its way down to the card, or after it, leaves it alone. */
function kept(id: string, key: string, held: KeyboardEventInit = {}): boolean {
  const target = document.getElementById(id) as HTMLElement;
  let seen = false;
  const host = () => {
    seen = target.hasAttribute(SUPPRESS);
  };
  document.addEventListener("keydown", host, { capture: true, once: true });
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...held }));
  return seen;
}

describe("keys in a card", () => {
  it.each([
    ["tab", "ArrowRight"],
    ["tab", "Home"],
    ["tab", "Enter"],
    ["button", "Enter"],
    ["button", " "],
    ["select", "ArrowDown"],
    ["select", "b"],
    ["log", "PageUp"],
    ["chart", "0"],
    ["chart", "ArrowLeft"],
  ])("are the card's where they mean something: %s %s", (id, key) => {
    expect(kept(id, key)).toBe(true);
  });

  it.each([
    ["tab", "ArrowDown"],
    ["tab", "b"],
    ["button", "ArrowDown"],
    ["log", "x"],
    ["outside", "Enter"],
  ])("are the notebook's where they do not: %s %s", (id, key) => {
    expect(kept(id, key)).toBe(false);
  });

  it("leaves the notebook what is held with others, also after a key of the card", () => {
    expect(kept("chart", "+", { shiftKey: true })).toBe(true);
    expect(kept("chart", "s", { ctrlKey: true })).toBe(false);
    expect(kept("button", "Enter", { shiftKey: true })).toBe(false);
  });
});
