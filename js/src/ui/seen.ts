import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

/** How far outside the page's visible part something counts as seen: it is ready before it scrolls in. */
const NEAR = "240px";

const TOLD = typeof IntersectionObserver !== "undefined";

/** Whether the element is on the screen or nearly so; where the page cannot tell, it is taken to be. */
export function useSeen(node: RefObject<Element | null>): boolean {
  const [seen, setSeen] = useState(!TOLD);
  useEffect(() => {
    const { current } = node;
    return current ? observe(current, setSeen) : undefined;
  }, []);
  return seen;
}

/** The element's width in CSS pixels; 0 until it has one. */
export function useWidth(node: RefObject<Element | null>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const { current } = node;
    if (current === null || typeof ResizeObserver === "undefined") {
      return;
    }
    const observer = new ResizeObserver((entries) => {
      const now = Math.round(entries.at(-1)?.contentRect.width ?? 0);
      setWidth((before) => (now > 0 ? now : before)); // hidden, it comes back as wide
    });
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  return width;
}

const heard = new WeakMap<Element, (seen: boolean) => void>();
let observer: IntersectionObserver | undefined;

/** One observer for all charts of the page. */
function observe(node: Element, hear: (seen: boolean) => void): (() => void) | undefined {
  if (!TOLD) {
    return undefined;
  }
  // A notebook scrolls inside the page: there the margin is `scrollMargin`'s, which not every browser knows yet.
  const near = { rootMargin: NEAR, scrollMargin: NEAR };
  observer ??= new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      heard.get(target)?.(isIntersecting);
    }
  }, near);
  heard.set(node, hear);
  observer.observe(node);
  return () => {
    heard.delete(node);
    observer?.unobserve(node);
  };
}
