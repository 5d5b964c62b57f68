/**
 * What is asked for while somebody looks, and while there may be more: it is no news that a run's states bring. The rarer
 * something new comes, the longer the pauses.
 */

import { Emitter, type Schedule } from "./emitter";
import { Rounds, SHORTEST_PAUSE_MS } from "./rounds";

const LONGEST_PAUSE_MS = 30_000;

export class Polled<Answer> {
  readonly changes: Emitter;
  /** The newest answer; null before the first. */
  answer: Answer | null = null;
  /** Why it could not be asked for, while nothing is known; "" otherwise. */
  problem = "";
  private looked = false;
  private growing = true;
  /** It was asked after the run's end: nothing will follow. */
  complete = false;
  private pause = SHORTEST_PAUSE_MS;
  private readonly rounds: Rounds;

  /** `news`: whether the second answer says something that the first did not. */
  constructor(
    private readonly fetch: (signal: AbortSignal) => Promise<Answer>,
    private readonly news: (before: Answer | null, now: Answer) => boolean,
    schedule?: Schedule,
    now?: () => number,
    private readonly longest = LONGEST_PAUSE_MS,
  ) {
    this.changes = new Emitter(schedule);
    this.rounds = new Rounds(
      () => this.looked && !this.complete,
      (signal) => this.load(signal),
      now,
    );
  }

  /** It is on the screen. `growing`: the run has not ended. */
  want(growing: boolean): void {
    this.looked = true;
    this.growing = growing;
    this.rounds.pump();
  }

  /** Nobody looks any more. */
  rest(): void {
    this.looked = false;
    this.rounds.rest();
  }

  dispose(): void {
    this.rest();
    this.rounds.dispose();
  }

  private async load(signal: AbortSignal): Promise<number> {
    const { growing } = this;
    try {
      const answer = await this.fetch(signal);
      if (!signal.aborted) {
        const grew = this.news(this.answer, answer);
        this.pause = grew ? SHORTEST_PAUSE_MS : Math.min(2 * this.pause, this.longest);
        this.complete = !growing;
        this.answer = answer;
        this.problem = "";
        this.changes.changed();
      }
    } catch (error) {
      if (!signal.aborted) {
        this.pause = Math.min(2 * this.pause, this.longest);
        this.problem = this.answer === null && error instanceof Error ? error.message : "";
        this.changes.changed();
      }
    }
    return this.pause;
  }
}
