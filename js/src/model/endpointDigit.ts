/**
 * A drawn digit as MNIST has digits (http://yann.lecun.com/exdb/mnist): fitted into a box of 20×20 with its shape kept, and
 * put into 28×28 so that its centre of mass lies in the middle. Strokes are scaled, not pixels, so that a line is as thick
 * as there whatever the size of the drawing.
 */

export interface Point {
  x: number;
  y: number;
}

/** A line as it was drawn; in the unit square, y downwards. */
export type Stroke = readonly Point[];

export const SIDE = 28;
const BOX = 20;
/** Half of a line's width, in pixels of 28×28: the mean of MNIST's own lines. */
const RADIUS = 1.15;

/** 28·28 values row by row, 0 (paper) to 1 (ink); all 0 where nothing was drawn. */
export function asMnist(strokes: readonly Stroke[]): Float32Array {
  const points = strokes.flat();
  const image = new Float32Array(SIDE * SIDE);
  if (points.length === 0) {
    return image;
  }
  const [left, top] = [Math.min(...points.map((p) => p.x)), Math.min(...points.map((p) => p.y))];
  const width = Math.max(...points.map((p) => p.x)) - left;
  const height = Math.max(...points.map((p) => p.y)) - top;
  // The ink reaches half of its width beyond the points. A dot stays a dot.
  const scale = (BOX - 2 * RADIUS) / Math.max(width, height, 1e-3);
  const fitted = strokes.map((stroke) =>
    stroke.map(({ x, y }) => ({ x: (x - left) * scale, y: (y - top) * scale })),
  );
  // Once to weigh it, and once in its place.
  const middle = massOf(inked(shifted(fitted, SIDE / 4, SIDE / 4)));
  const within = (shift: number, size: number) =>
    Math.min(Math.max(shift, RADIUS), SIDE - RADIUS - size * scale);
  return inked(
    shifted(
      fitted,
      within(SIDE / 4 + SIDE / 2 - middle.x, width),
      within(SIDE / 4 + SIDE / 2 - middle.y, height),
    ),
  );
}

/** Where the ink's weight lies, in pixels from the left upper corner: a pixel's own middle is at its half. */
export function massOf(image: Float32Array): Point {
  let [all, x, y] = [0, 0, 0];
  image.forEach((ink, index) => {
    all += ink;
    x += ink * ((index % SIDE) + 0.5);
    y += ink * (Math.floor(index / SIDE) + 0.5);
  });
  return all === 0 ? { x: SIDE / 2, y: SIDE / 2 } : { x: x / all, y: y / all };
}

/** One sample as a model takes it: in `shape`, ink as 1 or as 255. */
export function sampleOf(image: Float32Array, shape: readonly number[], white: 1 | 255): unknown {
  const values = Array.from(image, (ink) =>
    white === 255 ? Math.round(ink * 255) : Math.round(ink * 1e4) / 1e4,
  );
  return shape.slice(1).reduceRight<unknown[]>((inner, size) => rows(inner, size), values);
}

function rows(values: unknown[], size: number): unknown[] {
  return Array.from({ length: values.length / size }, (_, index) =>
    values.slice(index * size, (index + 1) * size),
  );
}

function shifted(strokes: readonly Stroke[], x: number, y: number): Stroke[] {
  return strokes.map((stroke) => stroke.map((point) => ({ x: point.x + x, y: point.y + y })));
}

function inked(strokes: readonly Stroke[]): Float32Array {
  const image = new Float32Array(SIDE * SIDE);
  for (let index = 0; index < image.length; index++) {
    const at = { x: (index % SIDE) + 0.5, y: Math.floor(index / SIDE) + 0.5 };
    const away = Math.min(...strokes.map((stroke) => distance(at, stroke)));
    image[index] = Math.min(1, Math.max(0, RADIUS + 0.5 - away));
  }
  return image;
}

function distance(at: Point, stroke: Stroke): number {
  let least = Number.POSITIVE_INFINITY;
  stroke.forEach((to, index) => {
    const from = stroke[index - 1] ?? to;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length = dx * dx + dy * dy;
    const share =
      length === 0 ? 0 : Math.min(1, Math.max(0, ((at.x - from.x) * dx + (at.y - from.y) * dy) / length));
    least = Math.min(least, Math.hypot(at.x - from.x - share * dx, at.y - from.y - share * dy));
  });
  return least;
}

/** Points of an arc; angles in degrees, clockwise from the right. */
function arc(x: number, y: number, rx: number, ry: number, from: number, to: number): Point[] {
  const steps = Math.max(2, Math.ceil(Math.abs(to - from) / 12));
  return Array.from({ length: steps + 1 }, (_, index) => {
    const angle = ((from + ((to - from) * index) / steps) * Math.PI) / 180;
    return { x: x + rx * Math.cos(angle), y: y + ry * Math.sin(angle) };
  });
}

function line(...along: number[]): Point[] {
  return Array.from({ length: along.length / 2 }, (_, index) => ({
    x: along[2 * index] ?? 0,
    y: along[2 * index + 1] ?? 0,
  }));
}

/** The ten digits as a hand would draw them: for who cannot draw. */
export const DIGITS: readonly (readonly Stroke[])[] = [
  [arc(0.5, 0.5, 0.2, 0.32, -70, 290)],
  [line(0.55, 0.16, 0.47, 0.84)],
  [[...arc(0.48, 0.34, 0.2, 0.17, 190, 385), ...line(0.3, 0.82, 0.74, 0.8)]],
  [[...arc(0.47, 0.33, 0.19, 0.16, 205, 430), ...arc(0.47, 0.66, 0.22, 0.18, -80, 150)]],
  [line(0.36, 0.16, 0.29, 0.52, 0.7, 0.5), line(0.66, 0.22, 0.6, 0.86)],
  [[...line(0.68, 0.18, 0.38, 0.2, 0.35, 0.46), ...arc(0.46, 0.64, 0.21, 0.19, -110, 145)]],
  [[...line(0.6, 0.14, 0.42, 0.38), ...arc(0.48, 0.67, 0.17, 0.17, 205, 570)]],
  [line(0.27, 0.2, 0.73, 0.19, 0.46, 0.84)],
  [[...arc(0.5, 0.34, 0.15, 0.16, 90, 450), ...arc(0.5, 0.67, 0.18, 0.17, -90, 270)]],
  [[...arc(0.49, 0.34, 0.17, 0.17, -10, -370), ...line(0.65, 0.36, 0.58, 0.86)]],
];
