/** A log as a bounded list of lines: the newest are kept, what was left out is said. */

import { Emitter, type Schedule } from "./emitter";
import { PLAIN, Terminal, type TerminalLine } from "./terminal";

/** A log is opened so many bytes before its end. */
export const TAIL_BYTES = 256 << 10;
export const MOST_LINES = 20_000;

export class LogStore {
  readonly changes: Emitter;
  /** The byte at which the oldest line that is kept begins, about; 0: nothing is missing before it. */
  begins = 0;
  complete = false;
  private ended: TerminalLine[] = [];
  private terminal = new Terminal();
  private decoder = new TextDecoder();
  private next: number | null = null;
  private cutFirst = false;
  private gapLine: TerminalLine | null = null;
  private gapBytes = 0;

  constructor(schedule?: Schedule) {
    this.changes = new Emitter(schedule);
  }

  /** All lines, the one without an end last. */
  get lines(): readonly TerminalLine[] {
    const { open } = this.terminal;
    return open.length > 0 ? [...this.ended, open] : this.ended;
  }

  get count(): number {
    return this.ended.length + (this.terminal.open.length > 0 ? 1 : 0);
  }

  /** The line at `index` of `lines`. */
  line(index: number): TerminalLine {
    return this.ended[index] ?? this.terminal.open;
  }

  /** Where to go on, for who has to ask again. */
  get position(): number | null {
    return this.next;
  }

  append(data: Uint8Array, offset: number, next: number, complete: boolean): void {
    if (this.next === null) {
      this.begins = offset;
      this.cutFirst = offset > 0;
    } else if (offset > this.next) {
      this.gap(offset - this.next);
    } else if (offset < this.next) {
      return; // had already
    }
    this.next = next;
    this.complete = complete;
    const cut = this.cutFirst ? afterFirstLine(data) : 0;
    this.cutFirst = false;
    if (this.ended.length === 0) {
      this.begins += cut;
    }
    const text = this.decoder.decode(data.subarray(cut), { stream: !complete });
    for (const line of this.terminal.write(text)) {
      this.ended.push(line);
    }
    // In large steps: taking one line off an array of thousands for each that comes would cost more than the lines.
    if (this.ended.length > MOST_LINES * 1.25) {
      this.ended = this.ended.slice(-MOST_LINES);
      this.begins = Math.max(this.begins, 1);
    }
    this.changes.changed();
  }

  /** Lines before those that are there; `offset` is where `data` begins. */
  prepend(data: Uint8Array, offset: number): void {
    const terminal = new Terminal();
    const cut = offset > 0 ? afterFirstLine(data) : 0;
    const lines = terminal.write(new TextDecoder().decode(data.subarray(cut)));
    this.ended = [...lines, ...(terminal.open.length > 0 ? [terminal.open] : []), ...this.ended];
    this.begins = offset + cut;
    this.changes.changed();
  }

  /** Indices of the lines that hold `query`, whatever its case. */
  find(query: string): number[] {
    const wanted = query.toLowerCase();
    if (wanted === "") {
      return [];
    }
    const found: number[] = [];
    for (let index = 0; index < this.count; index++) {
      if (lineText(this.line(index)).toLowerCase().includes(wanted)) {
        found.push(index);
      }
    }
    return found;
  }

  get text(): string {
    return this.lines.map(lineText).join("\n");
  }

  private gap(bytes: number): void {
    this.terminal = new Terminal();
    this.decoder = new TextDecoder();
    // A log that grows faster than it is shown is skipped again and again: without a line in between, that is one gap.
    const again = this.gapLine !== null && this.ended.at(-1) === this.gapLine;
    this.gapBytes = bytes + (again ? this.gapBytes : 0);
    const words = `… ${this.gapBytes.toLocaleString("en-US")} bytes left out …`;
    this.gapLine = [{ text: words, style: { ...PLAIN, dim: true } }];
    this.ended.splice(again ? -1 : this.ended.length, again ? 1 : 0, this.gapLine);
    this.cutFirst = true;
  }
}

/** Where the second line begins: what is taken from within a log begins within a line, unless all of it is one line. */
function afterFirstLine(data: Uint8Array): number {
  return data.indexOf(0x0a) + 1;
}

export function lineText(line: TerminalLine): string {
  return line.map((span) => span.text).join("");
}
