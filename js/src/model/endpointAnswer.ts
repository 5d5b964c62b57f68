/** What an endpoint is asked and what it answers, as a page shows them. */

import type { Endpoint, Signature, Tensor } from "../api/endpoint";

export interface Scores {
  shares: number[];
  /** They came as logits and were made into shares here. */
  fromLogits: boolean;
}

const MOST_CLASSES = 100;
const MOST_EXAMPLE = 4096;

/** The scores of the first sample in an answer (`predictions` or `outputs`, with names or without); null where there are none. */
export function scoresOf(body: unknown): Scores | null {
  const found = firstVector(body, 0);
  if (found === null || found.length < 2 || found.length > MOST_CLASSES) {
    return null;
  }
  const sum = found.reduce((all, one) => all + one, 0);
  if (found.every((one) => one >= -1e-6 && one <= 1 + 1e-6) && Math.abs(sum - 1) < 0.02) {
    return { shares: found, fromLogits: false };
  }
  const greatest = Math.max(...found);
  const powers = found.map((one) => Math.exp(one - greatest));
  const all = powers.reduce((total, one) => total + one, 0);
  return { shares: powers.map((one) => one / all), fromLogits: true };
}

function firstVector(raw: unknown, depth: number): number[] | null {
  if (typeof raw !== "object" || raw === null || depth > 6) {
    return null;
  }
  const inside: unknown[] = Array.isArray(raw) ? raw : Object.values(raw);
  if (inside.length > 0 && inside.every((one) => typeof one === "number" && Number.isFinite(one))) {
    return Array.isArray(raw) ? (inside as number[]) : null;
  }
  for (const one of inside.slice(0, 20)) {
    const found = firstVector(one, depth + 1);
    if (found !== null) {
      return found;
    }
  }
  return null;
}

/** A request that the signature takes: one sample of zeros. An entry script's is the SDK's usual. */
export function exampleOf(signature: Signature | null): string {
  if (signature === null) {
    return '{"data": [[0, 1, 2]]}';
  }
  const inputs = Object.entries(signature.inputs);
  const [first] = inputs;
  const sample =
    inputs.length === 1 && first
      ? zeros(first[1])
      : Object.fromEntries(inputs.map(([name, tensor]) => [name, zeros(tensor)]));
  return JSON.stringify({ instances: [sample] });
}

function zeros({ dtype, shape }: Tensor): unknown {
  const plain: unknown = dtype === "string" ? "" : dtype === "bool" ? false : 0;
  const sizes = (shape ?? []).slice(1).map((size) => size ?? 1);
  // The first dimension is the batch's; of an input too large to edit one of each.
  const large = sizes.reduce((all, size) => all * size, 1) > MOST_EXAMPLE;
  return sizes.reduceRight<unknown>(
    (inner, size) => Array.from({ length: large ? 1 : size }, () => inner),
    plain,
  );
}

/** The command that asks, with a sample in it: where that is long, what is shown says SAMPLE in its place. */
export function curlOf({ snippets, signature }: Endpoint): string {
  const sample = exampleOf(signature).replace(/^\{"instances":(.*)\}$/s, "$1");
  return snippets.curl.replace("[SAMPLE]", () => sample);
}

/** Why a text is no JSON, with its line; "" where it is. */
export function jsonProblem(text: string): string {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const at = /position (\d+)/.exec(said)?.[1];
    const line = at === undefined ? 0 : text.slice(0, Number(at)).split("\n").length;
    const plain = said.replace(/ in JSON at position.*$/, "").replace(/, ".*$/s, "");
    return line > 0 ? `line ${line}: ${plain}` : plain;
  }
}

/** JSON for reading: innermost lists stay on one line. */
export function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2)
    .replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inside: string) => `[${inside.replace(/\s*\n\s*/g, " ")}]`)
    .slice(0, 100_000);
}
