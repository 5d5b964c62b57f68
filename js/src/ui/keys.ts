/**
 * Keys in a card belong to what has the focus in it. JupyterLab looks at a key when the card has; Notebook 7 does so before,
 * on its way down to the card (Lumino's `bubblingKeydown` is off there), and takes the arrows, Enter and Space for its cells.
 * Both match their shortcuts against the element that has the focus first, so that it alone can say that a key is not theirs:
 * `data-lm-suppress-shortcuts` on what is around it comes too late.
 */

const SUPPRESS = "data-lm-suppress-shortcuts";
const CARDS = ".mlt-output";
const PRESS = ["Enter", " "];
const ALONG = ["ArrowLeft", "ArrowRight", "Home", "End"];
const SCROLL = [...ALONG, "ArrowUp", "ArrowDown", "PageUp", "PageDown", " "];

let kept = false;

/** From now on, keys that a card of this page uses are its own; all others stay the notebook's. */
export function keepKeys(): void {
  if (!kept) {
    kept = true;
    // On the window, which hears of a key before the document.
    window.addEventListener("keydown", claim, { capture: true });
  }
}

function claim(event: KeyboardEvent): void {
  const { target } = event;
  if (target instanceof Element && target.closest(CARDS)) {
    target.toggleAttribute(SUPPRESS, used(target, event));
  }
}

function used(target: Element, { key, shiftKey, ctrlKey, altKey, metaKey }: KeyboardEvent): boolean {
  if (ctrlKey || altKey || metaKey) {
    return false;
  }
  // Where letters and digits mean something: what is typed, and what is marked so.
  if (target.matches("input, select, textarea") || target.parentElement?.closest(`[${SUPPRESS}]`)) {
    return true;
  }
  if (shiftKey) {
    return false;
  }
  if (target.matches("[role=tab]")) {
    return [...PRESS, ...ALONG].includes(key);
  }
  return (target.matches("button, summary, a[href]") ? PRESS : SCROLL).includes(key);
}
