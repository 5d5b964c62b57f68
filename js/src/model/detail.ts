/**
 * The points of the window that a large chart shows. Another window replaces what is under way; more points in the same
 * window wait for it, so that a run that logs faster than its service answers is still drawn.
 */

/** No more often than this for a run that logs on and on. */
const GROWTH_PAUSE_MS = 500;

export class Detail<Window, Points> {
  private given: AbortController | null = null;
  private stale = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private over = false;
  private window: Window | undefined;

  /** `done` hears of each answer for the newest window. A failed request changes nothing; the next growth asks again. */
  constructor(
    private readonly fetch: (window: Window, signal: AbortSignal) => Promise<Points>,
    private readonly done: (points: Points) => void,
  ) {}

  /** Look at another window. */
  look(window: Window): void {
    this.window = window;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.given?.abort();
    void this.load(window);
  }

  /** The run has logged more. */
  grew(): void {
    this.stale = true;
    if (this.given === null && this.timer === undefined && this.window !== undefined) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        if (this.window !== undefined && this.given === null) {
          void this.load(this.window);
        }
      }, GROWTH_PAUSE_MS);
    }
  }

  dispose(): void {
    this.over = true;
    clearTimeout(this.timer);
    this.given?.abort();
  }

  private async load(window: Window): Promise<void> {
    const given = new AbortController();
    this.given = given;
    this.stale = false;
    const points = await this.fetch(window, given.signal).catch(() => null);
    if (this.over || this.given !== given) {
      return;
    }
    this.given = null;
    if (points !== null) {
      this.done(points);
    }
    if (this.stale) {
      this.grew();
    }
  }
}
