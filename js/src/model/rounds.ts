/** Asking for something again and again while somebody looks: one request at a time, with pauses that spare who answers. */

/** A pause of so many times what the last answer took: much to tell is work for a service, too. */
const REST_SHARE = 5;
export const SHORTEST_PAUSE_MS = 2_000;

export class Rounds {
  private busy = false;
  /** Not before this time, on `now`'s clock. */
  private due = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly given = new AbortController();

  /**
   * `wanted`: whether there is something to ask for now. `ask`: one round, which returns the shortest pause after it in
   * milliseconds; it is told by the signal that nobody waits for its answer any more.
   */
  constructor(
    private readonly wanted: () => boolean,
    private readonly ask: (signal: AbortSignal) => Promise<number>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Something may have changed: ask, or as soon as the pause is over. */
  pump(): void {
    clearTimeout(this.timer);
    if (this.busy || !this.wanted()) {
      return;
    }
    const pause = this.due - this.now();
    if (pause > 0) {
      this.timer = setTimeout(() => this.pump(), pause);
    } else {
      void this.round();
    }
  }

  /** No further round, until `pump` is called again. */
  rest(): void {
    clearTimeout(this.timer);
  }

  dispose(): void {
    this.rest();
    this.given.abort();
  }

  private async round(): Promise<void> {
    this.busy = true;
    const began = this.now();
    const pause = await this.ask(this.given.signal);
    this.busy = false;
    this.due = this.now() + Math.max(pause, REST_SHARE * (this.now() - began));
    if (!this.given.signal.aborted) {
      this.pump();
    }
  }
}
