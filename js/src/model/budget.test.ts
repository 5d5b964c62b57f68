import { beforeEach, describe, expect, it } from "vitest";

import { BURST_MS, type Clock, DrawBudget, FRAME_MS, inTurn, CHART_SHARE as SHARE } from "./budget";

/** A page whose time passes in frames of 16 ms and by drawing. */
class Page implements Clock {
  at = 0;
  frames: (() => void)[] = [];
  timers: { due: number; work: () => void }[] = [];
  afters: (() => void)[] = [];
  hidden = false;
  longest = 0;

  now = () => this.at;
  frame = (work: () => void) => this.frames.push(work);
  later = (work: () => void, ms: number) => this.timers.push({ due: this.at + ms, work });
  painted = (work: () => void) => this.afters.push(work);

  pass(ms: number): void {
    for (const end = this.at + ms; this.at < end; this.at += 16) {
      for (const timer of this.timers.filter(({ due }) => due <= this.at)) {
        this.timers.splice(this.timers.indexOf(timer), 1);
        timer.work();
      }
      for (const work of this.hidden ? [] : this.frames.splice(0)) {
        const began = this.at;
        work();
        for (const after of this.afters.splice(0)) {
          after();
        }
        this.longest = Math.max(this.longest, this.at - began);
      }
    }
  }
}

let page: Page;
let budget: DrawBudget;
let drawn: string[];
let spent: number;

beforeEach(() => {
  page = new Page();
  budget = new DrawBudget(SHARE, page);
  drawn = [];
  spent = 0;
});

const charts = new Map<string, object>();
const chart = (name: string) => {
  charts.set(name, charts.get(name) ?? {});
  return charts.get(name) as object;
};
const drawing =
  (name: string, ms = 10) =>
  () => {
    drawn.push(name);
    page.at += ms;
    spent += ms;
  };

describe("DrawBudget", () => {
  it("draws sporadic news in the next frame", () => {
    for (let second = 0; second < 10; second++) {
      budget.news(chart("a"), drawing("a"));
      page.pass(17);
      expect(drawn).toHaveLength(second + 1);
      page.pass(1000);
    }
  });

  it("keeps to its share of a core when news does not end, every chart in its turn", () => {
    const seconds = 20;
    for (let tick = 0; tick < (seconds * 1000) / 50; tick++) {
      for (const name of ["a", "b", "c", "d"]) {
        budget.news(chart(name), drawing(name));
      }
      page.pass(50);
    }
    expect(spent).toBeLessThan(SHARE * page.at + BURST_MS + FRAME_MS + 10);
    expect(spent).toBeGreaterThan(0.8 * SHARE * page.at);
    const counts = ["a", "b", "c", "d"].map((name) => drawn.filter((one) => one === name).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it("draws the newest of what waits, once", () => {
    budget.news(chart("a"), drawing("old"));
    budget.news(chart("a"), drawing("new"));
    page.pass(1000);
    expect(drawn).toEqual(["new"]);
  });

  it("draws what a person asks for although the share is used up", () => {
    budget.news(chart("a"), drawing("a", 5000));
    page.pass(20);
    budget.news(chart("b"), drawing("b"));
    budget.asked(chart("c"), drawing("c"));
    page.pass(40);
    expect(drawn).toEqual(["a", "c"]);
    page.pass(200_000);
    expect(drawn).toEqual(["a", "c", "b"]);
  });

  it("begins no drawing in a frame that has drawn for long", () => {
    for (let index = 0; index < 20; index++) {
      budget.asked(chart(`many ${index}`), drawing(`${index}`, 20));
    }
    page.pass(2000);
    expect(drawn).toHaveLength(20);
    expect(page.longest).toBeLessThan(FRAME_MS + 20);
  });

  it("counts what a draw sets off until it is painted", () => {
    const spends = (ms: number) => () => {
      drawn.push("a");
      page.painted(() => {
        page.at += ms;
      });
    };
    for (let tick = 0; tick < 200; tick++) {
      budget.news(chart("a"), spends(40));
      page.pass(50);
    }
    expect(drawn.length * 40).toBeLessThan(SHARE * page.at + BURST_MS + 50);
    expect(drawn.length * 40).toBeGreaterThan(0.8 * SHARE * page.at);
  });

  it("pays for the painting of a frame once, where two have drawn in it", () => {
    const words = new DrawBudget(SHARE, page);
    let said = 0;
    for (let tick = 0; tick < 100; tick++) {
      words.news(chart("word"), () => {
        said += 1;
        page.at += 1;
      });
      budget.news(chart("a"), () => {
        drawn.push("a");
        page.painted(() => {
          page.at += 40;
        });
      });
      page.pass(100);
    }
    expect(said).toBe(100);
    expect(drawn.length * 40).toBeLessThan(SHARE * page.at + BURST_MS + 50);
  });

  it("is not charged for another's long work after a draw", () => {
    budget.news(chart("a"), () => {
      drawn.push("a");
      page.painted(() => {
        page.at += 60_000;
      });
    });
    page.pass(17);
    budget.news(chart("a"), drawing("b"));
    page.pass(1000);
    expect(drawn).toEqual(["a", "b"]);
  });

  it("draws nothing on a hidden page, and the newest when it is seen again", () => {
    page.hidden = true;
    for (let index = 0; index < 10; index++) {
      budget.news(chart("a"), drawing(`${index}`));
      page.pass(1000);
    }
    expect(drawn).toEqual([]);
    page.hidden = false;
    page.pass(20);
    expect(drawn).toEqual(["9"]);
  });

  it("goes on after a drawing that failed", () => {
    budget.news(chart("a"), () => {
      throw new Error("broken");
    });
    budget.news(chart("b"), drawing("b"));
    expect(() => page.pass(17)).toThrow("broken");
    page.pass(100);
    expect(drawn).toEqual(["b"]);
  });

  it("forgets what is gone", () => {
    budget.news(chart("a"), drawing("a"));
    budget.forget(chart("a"));
    page.pass(1000);
    expect(drawn).toEqual([]);
  });

  it("is a store's schedule", () => {
    inTurn(budget)(drawing("look"));
    page.pass(17);
    expect(drawn).toEqual(["look"]);
  });
});
