import type { TargetedEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../model/language";
import type { LogStore } from "../model/log";
import { paletteColour, type Span, type TerminalLine } from "../model/terminal";

const LINE = 18;
const HEIGHT = 324;
const OVERSCAN = 12;

/** The lines that can be seen, of however many there are. */
export function LogLines(props: {
  log: LogStore;
  name: string;
  follow: boolean;
  setFollow: (follow: boolean) => void;
  found: ReadonlySet<number>;
  at: number | null;
  height?: number;
}) {
  const { log, name, follow, setFollow, found, at, height = HEIGHT } = props;
  const host = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const count = log.count;

  useLayoutEffect(() => {
    if (follow && host.current) {
      host.current.scrollTop = count * LINE;
    }
  });
  useEffect(() => {
    if (at !== null && host.current) {
      host.current.scrollTop = Math.max(0, at * LINE - height / 2);
    }
  }, [at]);

  const scrolled = (event: TargetedEvent<HTMLDivElement>) => {
    const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
    setTop(scrollTop);
    const atEnd = scrollHeight - scrollTop - clientHeight < LINE * 2;
    if (atEnd !== follow && (atEnd || scrollTop < top)) {
      setFollow(atEnd);
    }
  };
  const first = Math.max(
    0,
    Math.floor((follow ? Math.max(0, count * LINE - height) : top) / LINE) - OVERSCAN,
  );
  const last = Math.min(count, first + Math.ceil(height / LINE) + 2 * OVERSCAN);
  const lines = Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index);
  return (
    <div
      class="mlt-lines"
      role="log"
      aria-live="off"
      aria-label={`${t("Log")} ${name}`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
      tabIndex={0}
      ref={host}
      onScroll={scrolled}
      // What will not grow takes the room it needs.
      style={{ height: `${log.complete ? Math.min(height, count * LINE + 10) : height}px` }}
    >
      <div style={{ height: `${count * LINE}px` }}>
        <div style={{ transform: `translateY(${first * LINE}px)` }}>
          {lines.map((index) => (
            <div key={index} class={`mlt-l${index === at ? " mlt-at" : found.has(index) ? " mlt-hit" : ""}`}>
              <Line line={log.line(index)} />
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}

function Line({ line }: { line: TerminalLine }) {
  return (
    <>
      {line.map((span, index) => (
        <Part key={index} span={span} />
      ))}
    </>
  );
}

function Part({ span: { text, style } }: { span: Span }) {
  const { bold, dim, italic, underline, inverse } = style;
  // Swapped colours need both: what is default is named.
  const [front, back] = inverse
    ? [style.background ?? "var(--mlt-bg)", style.colour ?? "var(--mlt-ink)"]
    : [style.colour, style.background];
  const names = [bold && "mlt-bold", dim && "mlt-faint", italic && "mlt-italic", underline && "mlt-under"];
  const shown = names.filter(Boolean).join(" ");
  const css = {
    ...(front === null ? {} : { color: cssColour(front) }),
    ...(back === null ? {} : { backgroundColor: cssColour(back) }),
  };
  return shown === "" && front === null && back === null ? (
    text
  ) : (
    <span class={shown} style={css}>
      {text}
    </span>
  );
}

function cssColour(colour: number | string): string {
  if (typeof colour === "string") {
    return colour;
  }
  return colour < 16 ? `var(--mlt-ansi${colour})` : paletteColour(colour);
}
