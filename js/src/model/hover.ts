import { Emitter, type Schedule } from "./emitter";

/** Where the pointer is, on the horizontal axis that all charts of a card share: each of them reads its value there. */
export class Hover {
  readonly changes: Emitter;
  at: number | null = null;

  constructor(schedule?: Schedule) {
    this.changes = new Emitter(schedule);
  }

  move(at: number | null): void {
    if (this.at !== at) {
      this.at = at;
      this.changes.changed();
    }
  }
}
