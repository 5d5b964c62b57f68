import { describe, expect, it } from "vitest";

import { LogStore, lineText, MOST_LINES } from "./log";
import { shownLines, Terminal } from "./terminal";

const bytes = (text: string) => new TextEncoder().encode(text);
const texts = (log: LogStore) => log.lines.map(lineText);

function filled(...parts: string[]): LogStore {
  const log = new LogStore((look) => look());
  let at = 0;
  for (const part of parts.map(bytes)) {
    log.append(part, at, at + part.length, false);
    at += part.length;
  }
  return log;
}

describe("Terminal", () => {
  it.each([
    ["plain\nlines\n", "plain\nlines\n"],
    ["0%\r50%\r100%\ndone", "100%\ndone"],
    ["dos\r\nlines\r\n", "dos\nlines\n"],
    ["kept\r", "kept"],
    ["12\b\b34", "34"],
    ["a\tb", "a       b"],
    ["\u001b]0;title\u0007text", "text"],
    ["\u001b]8;;http://evil\u001b\\link\u001b]8;;\u001b\\", "link"],
    ["\u001b[2J\u001b[1;1Hcleared", "cleared"],
    ["nul\u0000and\u009bgone", "nulandgone"],
    ["\u001b(Bascii", "ascii"],
    ["日本語 🦦", "日本語 🦦"],
  ])("shows %j as %j", (given, shown) => {
    expect(shownLines(new Terminal(), given)).toBe(shown);
  });

  it("gives the same, wherever the text is cut", () => {
    const text = "\u001b[1;31merror\u001b[0m \u001b]0;t\u0007x\r\nnext\u001b[38;5;208mo\u001b[m\n";
    const whole = new Terminal().write(text);
    for (let cut = 1; cut < text.length; cut++) {
      const terminal = new Terminal();
      const parts = [...terminal.write(text.slice(0, cut)), ...terminal.write(text.slice(cut))];
      expect(parts).toEqual(whole);
    }
  });

  it("keeps colours and weights", () => {
    const [line] = new Terminal().write(
      "\u001b[1;31ma\u001b[38;5;208mb\u001b[48;2;1;2;3mc\u001b[0md\u001b[97me\n",
    );
    expect(line?.map(({ text, style }) => [text, style.colour, style.background, style.bold])).toEqual([
      ["a", 1, null, true],
      ["b", 208, null, true],
      ["c", 208, "#010203", true],
      ["d", null, null, false],
      ["e", 15, null, false],
    ]);
  });

  it("cuts a line without an end, and forgets an escape sequence without one", () => {
    const terminal = new Terminal();
    for (let part = 0; part < 100; part++) {
      terminal.write("x".repeat(1000));
    }
    expect(lineText(terminal.open).length).toBeLessThanOrEqual(10_001);
    const other = new Terminal();
    other.write(`\u001b]0;${"t".repeat(10_000)}`);
    expect(other.write("after\n")).toHaveLength(1);
  });

  it("takes a million updates of a progress bar for one line", () => {
    const terminal = new Terminal();
    let ended = 0;
    const part = Array.from({ length: 10_000 }, (_, index) => `\r${index}`).join("");
    for (let round = 0; round < 100; round++) {
      ended += terminal.write(part).length;
    }
    expect([ended, lineText(terminal.open)]).toEqual([0, "9999"]);
  });
});

describe("LogStore", () => {
  it("puts characters together that the network cut", () => {
    const log = new LogStore((look) => look());
    const all = bytes("é🦦\n");
    for (const [index, byte] of all.entries()) {
      log.append(new Uint8Array([byte]), index, index + 1, false);
    }
    expect(texts(log)).toEqual(["é🦦"]);
  });

  it("shows bytes that are no text, and does not stop at them", () => {
    const log = new LogStore((look) => look());
    log.append(new Uint8Array([0xff, 0x0a, 0x61, 0x0a]), 0, 4, false);
    expect(texts(log)).toEqual(["\ufffd", "a"]);
  });

  it("begins with a whole line when it is opened at its end", () => {
    const log = new LogStore((look) => look());
    log.append(bytes("half\nwhole\n"), 1000, 1011, false);
    expect(texts(log)).toEqual(["whole"]);
    expect(log.begins).toBe(1005);
    log.prepend(bytes("alf\nfirst\nhalf\n"), 990);
    expect(texts(log)).toEqual(["first", "half", "whole"]);
    expect(log.begins).toBe(994);
  });

  it("says what was left out once where no line came in between", () => {
    const log = new LogStore((look) => look());
    log.append(bytes("one\n"), 0, 4, false);
    log.append(bytes("no end"), 1_000, 1_006, false);
    log.append(bytes("x\nlast\n"), 2_006, 2_013, false);
    expect(texts(log)).toEqual(["one", "… 1,996 bytes left out …", "last"]);
  });

  it("takes bytes once, and says what was left out", () => {
    const log = filled("one\n");
    log.append(bytes("one\n"), 0, 4, false);
    expect(texts(log)).toEqual(["one"]);
    log.append(bytes("cut\nlater\n"), 1004, 1014, false);
    expect(texts(log)).toEqual(["one", "… 1,000 bytes left out …", "later"]);
  });

  it("is bounded", () => {
    const log = filled(...Array.from({ length: 30 }, (_, part) => `${part}\n`.repeat(2000)));
    expect(log.count).toBeLessThanOrEqual(MOST_LINES * 1.25);
    expect(texts(log).at(-1)).toBe("29");
  });

  it("finds lines, whatever their case and colour", () => {
    const log = filled("an \u001b[31mEr\u001b[0mror\nfine\nerror");
    expect(log.find("error")).toEqual([0, 2]);
    expect(log.find("")).toEqual([]);
  });
});
