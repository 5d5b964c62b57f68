/**
 * What a process wrote, as lines of coloured text: `\r` starts a line over, colours and weights of ECMA-48 are kept, every
 * other control sequence (titles, links, cursor moves) is left out. Text in, text out: nothing here is markup.
 */

export interface Style {
  /** Index into the terminal's palette (0 to 255) or `#rrggbb`; null: the default. */
  colour: number | string | null;
  background: number | string | null;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

export interface Span {
  text: string;
  style: Style;
}

export type TerminalLine = Span[];

export const PLAIN: Style = Object.freeze({
  colour: null,
  background: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  inverse: false,
});

/** A longer line is cut: a 100 MB line must not be laid out by a browser. */
const LONGEST_LINE = 10_000;
const MOST_SPANS = 1_000;
const LONGEST_ESCAPE = 4_096;

// Text; a CSI sequence; an OSC, DCS, SOS, PM or APC string up to BEL or ST; another escape; one control character.
const TOKENS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it is about
  /[^\u0000-\u001f\u007f-\u009f]+|\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[ -/]*[0-Z\\`-~]|[\s\S]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape sequence whose end has not come yet
const UNFINISHED = /\u001b(?:\[[0-?]*[ -/]*|[\]PX^_][^\u0007\u001b]*\u001b?|[ -/]*)?$/;

/** Takes a log piece by piece, cut anywhere. */
export class Terminal {
  private style: Style = PLAIN;
  private current: TerminalLine = [];
  private length = 0;
  private startOver = false;
  private held = "";

  /** The line that has no end yet. */
  get open(): TerminalLine {
    return this.current;
  }

  /** The lines that `text` ends. */
  write(text: string): TerminalLine[] {
    let given = this.held + text;
    this.held = UNFINISHED.exec(given)?.[0] ?? "";
    if (this.held.length > LONGEST_ESCAPE) {
      this.held = ""; // no escape sequence is that long: left out
      given = given.replace(UNFINISHED, "");
    } else if (this.held !== "") {
      given = given.slice(0, -this.held.length);
    }
    const ended: TerminalLine[] = [];
    for (const token of given.match(TOKENS) ?? []) {
      if (token === "\n") {
        ended.push(this.current);
        this.restart();
      } else if (token === "\r") {
        this.startOver = true;
      } else if (token === "\b") {
        this.back();
      } else if (token === "\t") {
        this.put(" ".repeat(8 - (this.length % 8)));
      } else if (token.startsWith("\u001b[")) {
        if (token.endsWith("m")) {
          this.style = restyled(this.style, token.slice(2, -1));
        }
      } else if (token >= " " && token < "\u007f") {
        this.put(token);
      } else if (token >= "\u00a0") {
        this.put(token);
      }
    }
    return ended;
  }

  private put(text: string): void {
    if (this.startOver) {
      this.restart();
    }
    const room = LONGEST_LINE - this.length;
    if (room <= 0 || this.current.length >= MOST_SPANS) {
      return;
    }
    const shown = text.length > room ? `${text.slice(0, room)}…` : text;
    this.length += shown.length;
    const last = this.current.at(-1);
    if (last !== undefined && last.style === this.style) {
      last.text += shown;
    } else {
      this.current.push({ text: shown, style: this.style });
    }
  }

  private back(): void {
    const last = this.current.at(-1);
    if (last === undefined) {
      return;
    }
    last.text = last.text.slice(0, -1);
    this.length -= 1;
    if (last.text === "") {
      this.current.pop();
    }
  }

  private restart(): void {
    this.current = [];
    this.length = 0;
    this.startOver = false;
  }
}

/** Select Graphic Rendition, ECMA-48 8.3.117 and ITU-T T.416 colours, with `;` between their parts. */
function restyled(before: Style, parameters: string): Style {
  const codes = parameters.split(/[;:]/).map(Number);
  let style = { ...before };
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    if (code === 0) {
      style = { ...PLAIN };
    } else if (code === 1) {
      style.bold = true;
    } else if (code === 2) {
      style.dim = true;
    } else if (code === 3) {
      style.italic = true;
    } else if (code === 4) {
      style.underline = true;
    } else if (code === 7) {
      style.inverse = true;
    } else if (code === 22) {
      style.bold = style.dim = false;
    } else if (code === 23) {
      style.italic = false;
    } else if (code === 24) {
      style.underline = false;
    } else if (code === 27) {
      style.inverse = false;
    } else if (code >= 30 && code <= 37) {
      style.colour = code - 30;
    } else if (code >= 90 && code <= 97) {
      style.colour = code - 82;
    } else if (code === 39) {
      style.colour = null;
    } else if (code >= 40 && code <= 47) {
      style.background = code - 40;
    } else if (code >= 100 && code <= 107) {
      style.background = code - 92;
    } else if (code === 49) {
      style.background = null;
    } else if (code === 38 || code === 48) {
      const given = colour(codes, at);
      at += given.used;
      style[code === 38 ? "colour" : "background"] = given.colour;
    }
  }
  return style;
}

function colour(codes: number[], at: number): { colour: number | string | null; used: number } {
  const byte = (index: number) => Math.max(0, Math.min(255, Math.trunc(codes[at + index] ?? 0) || 0));
  if (codes[at + 1] === 5) {
    return { colour: byte(2), used: 2 };
  }
  if (codes[at + 1] === 2) {
    const hex = [byte(2), byte(3), byte(4)].map((one) => one.toString(16).padStart(2, "0"));
    return { colour: `#${hex.join("")}`, used: 4 };
  }
  return { colour: null, used: 1 };
}

/** The colour of a palette index above the first sixteen, which a style sheet names: xterm's cube and its greys. */
export function paletteColour(index: number): string {
  if (index >= 232) {
    const grey = 8 + 10 * (index - 232);
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (part: number) => (part === 0 ? 0 : 55 + 40 * part);
  const cube = index - 16;
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}

/** All of `text` as plain lines, control sequences applied and left out. */
export function shownLines(terminal: Terminal, text: string): string {
  return [...terminal.write(text), terminal.open]
    .map((line) => line.map((span) => span.text).join(""))
    .join("\n");
}
