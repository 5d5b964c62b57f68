/**
 * When what a page shows is drawn, all its cards and charts together. News that comes now and then is drawn in the next
 * frame. What comes without end is drawn in turns, so that drawing takes `SHARE` of a core and no task grows long: a page
 * with twenty live cards stays usable. What a person asks for (a zoom, a theme, a chart that scrolls into view) never waits
 * for the share. A page that is not seen has no frames, so it draws nothing.
 */

import type { Schedule } from "./emitter";

/** Of a core, for news; measured draws leave out styles, layout and painting, which take about as long again. */
export const SHARE = 0.06;
/** What may be drawn at once after a pause, in milliseconds of drawing. */
export const BURST_MS = 120;
/** No drawing begins in a frame that has drawn for so long: the next one is at most one drawing longer. */
export const FRAME_MS = 8;

export interface Clock {
  now(): number;
  frame: Schedule;
  later(work: () => void, ms: number): void;
  /** When what a draw has set off in this task, such as a component's update, is done. */
  after(work: () => void): void;
}

const PAGE_CLOCK: Clock = {
  now: () => performance.now(),
  frame: (work) => requestAnimationFrame(work),
  later: (work, ms) => setTimeout(work, ms),
  after: (work) => queueMicrotask(work),
};

interface Request {
  draw: () => void;
  asked: boolean;
}

export class DrawBudget {
  private readonly waiting = new Map<object, Request>();
  private credit = BURST_MS;
  private counted: number;
  private scheduled = false;
  private pausing = false;

  constructor(private readonly clock: Clock = PAGE_CLOCK) {
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
    this.credit = Math.min(BURST_MS, this.credit + SHARE * (began - this.counted));
    this.counted = began;
    let newsDrawn = false;
    for (const asked of [true, false]) {
      for (const [key, request] of [...this.waiting]) {
        if (this.clock.now() - began >= FRAME_MS || (!asked && this.credit <= 0)) {
          break;
        }
        if (request.asked === asked && this.waiting.get(key) === request) {
          this.waiting.delete(key);
          newsDrawn ||= !asked;
          this.charge(request);
        }
      }
    }
    if (newsDrawn) {
      const drawn = this.clock.now();
      this.clock.after(() => {
        this.credit -= this.clock.now() - drawn;
      });
    }
    if ([...this.waiting.values()].some((request) => request.asked) || this.credit > 0) {
      if (this.waiting.size > 0) {
        this.schedule();
      }
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
        this.credit -= this.clock.now() - began;
      }
    }
  }

  /** Until there is credit again. */
  private pause(): void {
    if (this.pausing || this.waiting.size === 0) {
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
      Math.max(1, (1 - this.credit) / SHARE),
    );
  }
}

let shared: DrawBudget | undefined;

/** The one of this page. */
export function pageBudget(): DrawBudget {
  shared ??= new DrawBudget();
  return shared;
}

/** Looks at a store's news in its turn. */
export function inTurn(budget: DrawBudget = pageBudget()): Schedule {
  const key = {};
  return (look) => budget.news(key, look);
}
