// In the page, before anything else: when the card and its charts came onto the screen, in milliseconds of the epoch.
(() => {
  const seen = { card: 0, first: 0, points: 0, plotted: 0, steps: [], words: [], lines: [], up: 0, answers: [] };
  globalThis.mltrainSeen = seen;
  const now = () => performance.timeOrigin + performance.now();
  // A message after a frame's callbacks comes when that frame has been painted.
  const painted = (note) =>
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => note(now());
      channel.port2.postMessage(0);
    });
  const number = (text) => Number(text.replace(/[^0-9.]/g, ""));
  const once = (name) => {
    if (!seen[name]) {
      seen[name] = 1;
      painted((at) => {
        seen[name] = at;
      });
    }
  };
  const look = (records) => {
    if (!seen.card && document.querySelector(".mlt-card")) {
      seen.card = now();
    }
    if (!seen.card) {
      return;
    }
    if (document.querySelector(".mlt-card .mlt-line, .mlt-plotted .js-line")) {
      once("first");
    }
    const count = document.querySelector(".mlt-tools > .mlt-num:last-child")?.textContent ?? "";
    const [shown, total] = count.split(" of ").map(number);
    if (total >= (globalThis.mltrainWanted ?? 1e6) && shown > 500) {
      once("points");
    }
    if (seen.points && document.querySelector(".mlt-plotted .js-line")) {
      once("plotted");
    }
    for (const { target } of records) {
      const frame = target.parentElement?.closest?.(".mlt-frame, .mlt-title") ?? target;
      if (frame.className === "mlt-frame" && frame.getAttribute("aria-label")?.startsWith("step,")) {
        const end = frame.querySelector(".mlt-to");
        const step = number(end?.textContent ?? "");
        if (step > (seen.steps.at(-1)?.[0] ?? -1)) {
          const entry = [step, 0];
          seen.steps.push(entry);
          painted((at) => {
            entry[1] = at;
          });
        }
      }
      if (frame.className === "mlt-title" && frame.firstElementChild?.textContent === "step") {
        const step = number(frame.querySelector(".mlt-num").textContent);
        if (step > (seen.words.at(-1)?.[0] ?? -1)) {
          const entry = [step, 0];
          seen.words.push(entry);
          painted((at) => {
            entry[1] = at;
          });
        }
      }
      if (target.closest?.(".mlt-plotted")) {
        const entry = [now(), 0];
        seen.lines.push(entry);
        painted((at) => {
          entry[1] = at;
        });
      }
    }
  };
  new MutationObserver(look).observe(document, {
    childList: true,
    subtree: true,
    characterData: true,
    attributes: true,
    attributeFilter: ["d"],
  });
  addEventListener("mouseup", () => {
    seen.up = now();
  }, true);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.name.includes("/series?")) {
        seen.answers.push([entry.name.includes("start="), performance.timeOrigin + entry.responseEnd]);
      }
    }
  }).observe({ type: "resource", buffered: true });
})();
