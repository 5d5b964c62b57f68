import { describe, expect, it } from "vitest";

import { candidates, parseTags, registerCell, signatureLines, treeOf } from "./outputs";

const file = (path: string, size = 10) => ({ path, size, modified: 0 });

describe("outputs", () => {
  it("is a tree with sizes", () => {
    const tree = treeOf([file("outputs/a/x", 1), file("outputs/a/y", 2), file("build.log", 4)]);
    expect([tree.count, tree.size]).toEqual([3, 7]);
    expect(tree.folders[0]).toMatchObject({ name: "outputs", path: "outputs", count: 2, size: 3 });
    expect(tree.folders[0]?.folders[0]).toMatchObject({ path: "outputs/a", size: 3 });
    expect(tree.files).toEqual([file("build.log", 4)]);
  });

  it("offers models first, a SavedModel as its folder, and nothing that cannot be registered", () => {
    const found = candidates([
      file("outputs/a.txt"),
      file("outputs/m/saved_model.pb", 5),
      file("outputs/m/variables/v", 7),
      file("outputs/best.keras"),
      file("outputs/plots/p.png"),
      file("logs/events"),
      file("user_logs/std_log.txt"),
    ]);
    expect(found.map(({ path, kind, size }) => [path, kind, size])).toEqual([
      ["outputs/best.keras", "Keras", 10],
      ["outputs/m", "SavedModel", 12],
      ["outputs/plots", "folder", 10],
      ["outputs/a.txt", "file", 10],
      ["outputs/plots/p.png", "file", 10],
    ]);
  });

  it("reads tags as they are written", () => {
    expect(parseTags(" a=1, b = x=y ,flag,, ")).toEqual({ a: "1", b: "x=y", flag: "" });
  });

  it("says a model's signature, and nothing of what is none", () => {
    const spec = (shape: (number | null)[] | null) => ({ dtype: "float32", shape });
    const signature = {
      serving_default: { inputs: { images: spec([null, 784]) }, outputs: { out: spec(null) } },
    };
    expect(signatureLines(signature)).toEqual(["serving_default: images float32 [–, 784] → out float32"]);
    expect(signatureLines(null)).toEqual([]);
    expect(signatureLines({ f: null })).toEqual(["f: – → –"]);
  });

  it("shows the cell that registers the same", () => {
    const model = { name: 'a"b', path: "outputs/m", tags: { k: "v" }, description: "two\nlines" };
    expect(registerCell("brave-otter-7", model)).toBe(
      [
        "import jupyter_mltrain as mltrain",
        "",
        'run = mltrain.run("brave-otter-7")',
        "model = run.register_model(",
        '    model_name="a\\"b",',
        '    model_path="outputs/m",',
        '    tags={"k": "v"},',
        '    description="two\\nlines",',
        ")",
      ].join("\n"),
    );
  });
});
