/**
 * When what a page shows is drawn, all its cards and charts together. News that comes now and then is drawn in the next
 * frame. What comes without end is drawn in turns, so that drawing takes its share of a core and no task grows long: a page
 * with twenty live cards stays usable. What a person asks for (a zoom, a theme, a chart that scrolls into view) never waits
 * for the share. A page that is not seen has no frames, so it draws nothing.
 */

import type { Schedule } from "./emitter";

/** Of a core, for news: charts, and apart from them all else that cards say, which is cheaper and shall not wait for charts. */
export const CHART_SHARE = 0.08;
export const CARD_SHARE = 0.035;
/** What may be drawn at once after a pause, in milliseconds of drawing. */
export const BURST_MS = 160;
/** No drawing begins in a frame that has drawn for so long: the next one is at most one drawing longer. */
export const FRAME_MS = 8;

export interface Clock {
  now(): number;
  frame: Schedule;
  later(work: () => void, ms: number): void;
  /** When all that a draw has set off is done: a component's update in this task, then styles, layout and painting. */
  painted(work: () => void): void;
}

/** More than this after a draw was another's work: a cell's output, a busy machine. */
const PAINT_MS = 50;

/** Until when what is asked for belongs to the frame that is being made. */
let frameEnds = Number.NEGATIVE_INFINITY;

const PAGE_CLOCK: Clock = {
  now: () => performance.now(),
  // A card's news sets off its charts': both are seen in the same frame. On a busy machine another one is far.
  frame: (work) => {
    if (performance.now() < frameEnds) {
      queueMicrotask(work);
    } else {
      requestAnimationFrame(() => {
        frameEnds = performance.now() + FRAME_MS;
        work();
      });
    }
  },
  later: (work, ms) => setTimeout(work, ms),
  // A message that is sent while a frame is made comes when it is on its way to the screen.
  painted: (work) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      work();
    };
    port2.postMessage(null);
  },
};

interface Request {
  draw: () => void;
  asked: boolean;
}

/** Which budget drew last in the frame that is being made: it pays for what all of them set off, the others for theirs alone. */
let lastDrew: DrawBudget | undefined;

export class DrawBudget {
  private readonly waiting = new Map<object, Request>();
  private credit = BURST_MS;
  private counted: number;
  private scheduled = false;
  private pausing = false;
  private drew = false;

  constructor(
    private readonly share: number,
    private readonly clock: Clock = PAGE_CLOCK,
  ) {
    this.counted = clock.now();
  }

  /** Draw `key` when it is its turn; a newer request of the same key takes the place of one that waits. */
  news(key: object, draw: () => void): void {
    this.put(key, draw, false);
  }

  /** Draw `key` in the next frame: a person waits for it. */
  asked(key: object, draw: () => void): void {
    this.put(key, draw, true);
  }

  /** `key` is gone. */
  forget(key: object): void {
    this.waiting.delete(key);
  }

  private put(key: object, draw: () => void, asked: boolean): void {
    // In a Map what is set again keeps its place: who asks often does not wait longer.
    this.waiting.set(key, { draw, asked: asked || this.waiting.get(key)?.asked === true });
    if (!this.pausing || asked) {
      this.schedule();
    }
  }

  private schedule(): void {
    if (!this.scheduled) {
      this.scheduled = true;
      this.clock.frame(() => {
        this.scheduled = false;
        this.frame();
      });
    }
  }

  private frame(): void {
    const began = this.clock.now();
    this.credit = Math.min(BURST_MS, this.credit + this.share * (began - this.counted));
    this.counted = began;
    try {
      this.drawUntil(began + FRAME_MS);
    } finally {
      this.settle();
      this.goOn();
    }
  }

  private drawUntil(end: number): void {
    for (const asked of [true, false]) {
      for (const [key, request] of [...this.waiting]) {
        if (this.clock.now() >= end || (!asked && this.credit <= 0)) {
          break;
        }
        if (request.asked === asked && this.waiting.get(key) === request) {
          this.waiting.delete(key);
          this.charge(request);
        }
      }
    }
  }

  private goOn(): void {
    if (this.waiting.size === 0) {
      return;
    }
    if (this.credit > 0 || [...this.waiting.values()].some((request) => request.asked)) {
      this.schedule();
    } else {
      this.pause();
    }
  }

  private charge({ draw, asked }: Request): void {
    const began = this.clock.now();
    try {
      draw();
    } finally {
      if (!asked) {
        this.drew = true;
        this.credit -= this.clock.now() - began;
      }
    }
  }

  /** What the news has set off is charged too. */
  private settle(): void {
    if (this.drew) {
      this.drew = false;
      lastDrew = this;
      const drawn = this.clock.now();
      this.clock.painted(() => {
        if (lastDrew === this) {
          this.credit -= Math.min(PAINT_MS, this.clock.now() - drawn);
        }
      });
    }
  }

  /** Until there is credit again. */
  private pause(): void {
    if (this.pausing) {
      return;
    }
    this.pausing = true;
    this.clock.later(
      () => {
        this.pausing = false;
        if (this.waiting.size > 0) {
          this.schedule();
        }
      },
      Math.max(1, (1 - this.credit) / this.share),
    );
  }
}

let charts: DrawBudget | undefined;
let cards: DrawBudget | undefined;

/** Of all charts of this page. */
export function chartBudget(): DrawBudget {
  charts ??= new DrawBudget(CHART_SHARE);
  return charts;
}

/** Of all else that the cards of this page show. */
export function cardBudget(): DrawBudget {
  cards ??= new DrawBudget(CARD_SHARE);
  return cards;
}

/** Looks at the news of stores in their turn. A look is its own key: a run's and its reruns' do not take each other's place. */
export function inTurn(budget: DrawBudget = cardBudget()): Schedule {
  return (look) => budget.news(look, look);
}
