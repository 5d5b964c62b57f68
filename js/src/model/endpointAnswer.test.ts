import { describe, expect, it } from "vitest";

import { parseEndpoint } from "../api/endpoint";
import { curlOf, exampleOf, jsonProblem, pretty, scoresOf } from "./endpointAnswer";
import { nameProblem, positive, suggestedName } from "./endpointName";

describe("scoresOf", () => {
  it("finds probabilities wherever TensorFlow Serving puts them", () => {
    const shares = [0.1, 0.7, 0.2];
    for (const body of [
      { predictions: [shares] },
      { predictions: [{ classes: "x", probabilities: shares }] },
      { outputs: { probabilities: [shares, [1, 0, 0]] } },
      { outputs: [shares] },
    ]) {
      expect(scoresOf(body)).toEqual({ shares, fromLogits: false });
    }
  });

  it("makes shares of logits and says so", () => {
    const found = scoresOf({ predictions: [[0, 1000, -3]] });
    expect(found?.fromLogits).toBe(true);
    expect(found?.shares[1]).toBeCloseTo(1);
  });

  it("finds none in an error, a number, NaN by name, thousands", () => {
    for (const body of [
      { error: "no" },
      { predictions: [3] },
      { predictions: [["NaN", 1]] },
      { predictions: [Array.from({ length: 1000 }, () => 0.001)] },
      null,
      "text",
    ]) {
      expect(scoresOf(body)).toBeNull();
    }
  });
});

describe("exampleOf", () => {
  const tensor = (dtype: string, shape: (number | null)[] | null) => ({ dtype, shape });

  it("is one sample of the signature", () => {
    expect(exampleOf({ inputs: { x: tensor("float32", [null, 2, 3]) }, outputs: {} })).toBe(
      '{"instances":[[[0,0,0],[0,0,0]]]}',
    );
    expect(
      exampleOf({
        inputs: { words: tensor("string", [null, null]), flag: tensor("bool", [null]) },
        outputs: {},
      }),
    ).toBe('{"instances":[{"words":[""],"flag":false}]}');
    expect(exampleOf({ inputs: { x: tensor("float32", null) }, outputs: {} })).toBe('{"instances":[0]}');
    expect(exampleOf(null)).toBe('{"data": [[0, 1, 2]]}');
  });

  it("stays short for a large image", () => {
    const large = { inputs: { x: tensor("float32", [null, 1000, 1000, 3]) }, outputs: {} };
    expect(exampleOf(large).length).toBeLessThan(100);
  });
});

it("the copied command has a sample where the shown one has none", () => {
  const signatures = { s: { inputs: { x: { dtype: "float32", shape: [null, 2] } }, outputs: {} } };
  const raw = { signatures, default_signature: "s", snippets: { curl: `-d '{"instances": [SAMPLE]}' URL` } };
  expect(curlOf(parseEndpoint(raw))).toBe(`-d '{"instances": [[0,0]]}' URL`);
});

describe("what is typed", () => {
  it("is JSON, or its line is named", () => {
    expect(jsonProblem('{"a": [1]}')).toBe("");
    expect(jsonProblem('{"a":\n [1,]}')).toMatch(/^(line 2: )?.*token|^line 2/i);
  });

  it("is a service's name by the SDK's rule", () => {
    expect(["digits", "a-1", "x".repeat(32)].map(nameProblem)).toEqual(["", "", ""]);
    expect(
      ["ab", "x".repeat(33), "1ab", "Abc", "a_b", "ab-"].filter((one) => nameProblem(one) === ""),
    ).toEqual([]);
    expect(["TF_MNIST.v2", "7", "x".repeat(40)].map(suggestedName)).toEqual([
      "tf-mnist-v2",
      "m-7",
      "x".repeat(32),
    ]);
  });

  it("is a positive number, nothing, or wrong", () => {
    expect([positive(" 1.5 "), positive(""), positive("0"), positive("x")]).toEqual([
      1.5,
      null,
      Number.NaN,
      Number.NaN,
    ]);
  });
});

it("pretty keeps numbers on a line", () => {
  expect(pretty({ a: [[1, 2], [3]] })).toBe('{\n  "a": [\n    [1, 2],\n    [3]\n  ]\n}');
});
