/** Tells listeners that something has changed, at most once a frame: a burst of news is one look at the newest. */

export type Schedule = (look: () => void) => void;

/** A page that is not seen has no frames; it looks when it is seen again. */
export const nextFrame: Schedule = (look) => {
  requestAnimationFrame(look);
};

export class Emitter {
  private readonly listeners = new Set<() => void>();
  private waiting = false;

  constructor(private readonly schedule: Schedule = nextFrame) {}

  /** Returns what ends it. */
  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(): void {
    if (this.waiting) {
      return;
    }
    this.waiting = true;
    this.schedule(this.look);
  }

  /** The same function each time: by it a schedule knows whose turn it is. */
  private readonly look = () => {
    this.waiting = false;
    for (const listener of [...this.listeners]) {
      listener();
    }
  };
}
