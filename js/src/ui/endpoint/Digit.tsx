import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";

import type { ImageInput } from "../../api/endpoint";
import { RequestError } from "../../api/rest";
import type { EndpointStore } from "../../model/endpoint";
import { type Scores, scoresOf } from "../../model/endpointAnswer";
import { asMnist, DIGITS, type Point, SIDE, type Stroke, sampleOf } from "../../model/endpointDigit";
import { t } from "../../model/language";
import { Button, Problem } from "../controls";

/** Dots of the canvas a side; it is shown at half of that, sharp on dense screens too. */
const DOTS = 336;
const PEN = DOTS / 13;
/** Who draws is answered so often at most. */
const PAUSE_MS = 90;
/** Two points nearer than this are one. */
const NEAR = 0.006;

/** Draw a digit, see what the model takes it for. Without a pointer: sample digits, by buttons or the keys 0 to 9. */
export function Digit(props: { store: EndpointStore; image: ImageInput; answers: boolean }) {
  const { store, image, answers } = props;
  const id = useId();
  const [strokes, setStrokes] = useState<readonly Stroke[]>([]);
  const [white, setWhite] = useState<1 | 255>(/^u?int/.test(image.dtype) ? 255 : 1);
  const { scores, problem } = useScores(store, strokes, image, white, answers);
  const best = scores === null ? -1 : scores.shares.indexOf(Math.max(...scores.shares));
  const keys = (event: KeyboardEvent) => {
    // The notebook has uses of its own for these keys.
    event.stopPropagation();
    const sample =
      /^\d$/.test(event.key) && !event.ctrlKey && !event.metaKey ? DIGITS[Number(event.key)] : undefined;
    if (sample) {
      setStrokes(sample);
    } else if (["Delete", "Backspace", "Escape"].includes(event.key)) {
      setStrokes([]);
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys of the canvas and buttons inside
    <div class="mlt-digit" onKeyDown={keys} data-lm-suppress-shortcuts="true">
      <div class="mlt-drawing">
        <Sheet strokes={strokes} draw={setStrokes} hint={`${id}-hint`} />
        <div class="mlt-row">
          <Button disabled={strokes.length === 0} onClick={() => setStrokes([])}>
            {t("Clear")}
          </Button>
          <Seen image={asMnist(strokes)} />
        </div>
        <fieldset class="mlt-samples" aria-label={t("Sample digits")}>
          {DIGITS.map((sample, digit) => (
            <Button key={digit} label={t("Draw a {digit}", { digit })} onClick={() => setStrokes(sample)}>
              {digit}
            </Button>
          ))}
        </fieldset>
        <small id={`${id}-hint`} class="mlt-dim">
          {t("Draw a digit, or press a key from 0 to 9")}
        </small>
      </div>
      <div class="mlt-scores">
        <Bars scores={scores} best={best} />
        <div class="mlt-row">
          <label>
            {t("Ink is")}{" "}
            <select
              value={String(white)}
              onChange={(event) => setWhite(event.currentTarget.value === "255" ? 255 : 1)}
            >
              <option value="1">1</option>
              <option value="255">255</option>
            </select>
          </label>
          <span class="mlt-dim">{scores?.fromLogits ? t("softmax of the model's logits") : ""}</span>
        </div>
        <span class="mlt-heard" role="status">
          {best >= 0 && scores
            ? t("{digit}, {share}", { digit: best, share: percent(scores.shares[best] ?? 0) })
            : ""}
        </span>
        {!answers && <p class="mlt-dim">{t("It does not answer now.")}</p>}
        <Problem text={problem} />
      </div>
    </div>
  );
}

/** The newest drawing is asked for; while an answer is under way no other request is. */
function useScores(
  store: EndpointStore,
  strokes: readonly Stroke[],
  image: ImageInput,
  white: 1 | 255,
  answers: boolean,
): { scores: Scores | null; problem: string } {
  const [told, setTold] = useState<{ scores: Scores | null; problem: string }>({ scores: null, problem: "" });
  const wanted = useRef<string | null>(null);
  const asking = useRef(false);
  useEffect(() => {
    if (!answers) {
      return;
    }
    if (strokes.length === 0) {
      wanted.current = null;
      setTold({ scores: null, problem: "" });
      return;
    }
    wanted.current = JSON.stringify({ instances: [sampleOf(asMnist(strokes), image.shape, white)] });
    const timer = setTimeout(() => void ask(), asking.current ? 0 : PAUSE_MS);
    return () => clearTimeout(timer);
  }, [strokes, white, answers]);
  useEffect(
    () => () => {
      wanted.current = null;
    },
    [],
  );
  const ask = async () => {
    if (asking.current) {
      return;
    }
    asking.current = true;
    try {
      while (wanted.current !== null) {
        const body = wanted.current;
        const answer = await store.endpoints.test(store.state.name, body);
        if (wanted.current === body) {
          wanted.current = null;
        }
        const scores = answer.status < 400 ? scoresOf(answer.body) : null;
        const said = typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body);
        setTold({
          scores,
          problem: scores
            ? ""
            : answer.status < 400
              ? t("The answer holds no scores: {answer}", { answer: said.slice(0, 200) })
              : `${answer.status}: ${said.slice(0, 300)}`,
        });
      }
    } catch (error) {
      wanted.current = null;
      if (!(error instanceof RequestError)) {
        throw error;
      }
      setTold({ scores: null, problem: error.message });
    } finally {
      asking.current = false;
    }
  };
  return told;
}

function Sheet(props: {
  strokes: readonly Stroke[];
  draw: (change: (before: readonly Stroke[]) => readonly Stroke[]) => void;
  hint: string;
}) {
  const { strokes, draw, hint } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (pen) {
      paint(pen, strokes);
    }
  }, [strokes]);
  const at = (event: PointerEvent): Point => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const more = (point: Point) =>
    draw((before) => {
      const last = before.at(-1) ?? [];
      const end = last.at(-1);
      const near = end !== undefined && Math.hypot(end.x - point.x, end.y - point.y) < NEAR;
      return near ? before : [...before.slice(0, -1), [...last, point]];
    });
  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys and is drawn on
    <canvas
      ref={canvas}
      width={DOTS}
      height={DOTS}
      tabIndex={0}
      role="application"
      aria-label={t("Drawing area")}
      aria-describedby={hint}
      onPointerDown={(event) => {
        if (event.button === 0) {
          const begin = at(event);
          event.currentTarget.setPointerCapture(event.pointerId);
          draw((before) => [...before, [begin]]);
        }
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) {
          more(at(event));
        }
      }}
    />
  );
}

function paint(pen: CanvasRenderingContext2D, strokes: readonly Stroke[]): void {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, DOTS, DOTS);
  pen.strokeStyle = "#f2f2f2";
  pen.lineWidth = PEN;
  pen.lineCap = "round";
  pen.lineJoin = "round";
  for (const stroke of strokes) {
    pen.beginPath();
    stroke.forEach(({ x, y }, index) => {
      // A point alone is drawn too: a line to itself has round ends.
      pen[index === 0 ? "moveTo" : "lineTo"](x * DOTS, y * DOTS);
      if (stroke.length === 1) {
        pen.lineTo(x * DOTS, y * DOTS);
      }
    });
    pen.stroke();
  }
}

/** The image as the model gets it. */
function Seen({ image }: { image: Float32Array }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (pen) {
      const dots = pen.createImageData(SIDE, SIDE);
      image.forEach((ink, index) => {
        dots.data.set([ink * 255, ink * 255, ink * 255, 255], index * 4);
      });
      pen.putImageData(dots, 0, 0);
    }
  });
  return (
    <canvas
      class="mlt-seen"
      ref={canvas}
      width={SIDE}
      height={SIDE}
      role="img"
      aria-label={t("What the model sees")}
      title={t("What the model sees")}
    />
  );
}

function Bars({ scores, best }: { scores: Scores | null; best: number }) {
  const shares = scores?.shares ?? Array.from({ length: 10 }, () => 0);
  return (
    <table class="mlt-bars" aria-label={t("Probabilities")}>
      <tbody>
        {shares.map((share, digit) => (
          <tr key={digit} class={digit === best ? "mlt-best" : ""}>
            <th scope="row">{digit}</th>
            <td>
              <i style={{ width: `${Math.max(share * 100, 0.8)}%` }} />
            </td>
            <td class="mlt-num">{scores ? percent(share) : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
