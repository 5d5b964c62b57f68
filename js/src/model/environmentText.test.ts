import { describe, expect, it } from "vitest";

import {
  environmentCell,
  environmentNameProblem,
  lineOf,
  packagesProblem,
  requirements,
} from "./environmentText";

describe("a list of packages", () => {
  it("takes what pip takes", () => {
    const good = [
      "numpy",
      "numpy==1.26.*",
      "tensorflow-cpu>=2.20,<3; sys_platform == 'linux'",
      "uvicorn[standard] ~= 0.30",
      "pkg @ https://example.org/pkg.whl",
      "torch (>=2)",
      "a!=1,>=0.5",
      "# a comment",
      "",
      "pandas  # why",
    ];
    expect(packagesProblem(good.join("\n"))).toBeNull();
    expect(requirements(good.join("\n"))).toHaveLength(8);
    expect(requirements("a # b\n\n  c==1 ")).toEqual(["a", "c==1"]);
  });

  it("names the line that is wrong", () => {
    for (const bad of ["numpy=1.26", "two words", "==1", "numpy>", "-r other.txt", "a,b"]) {
      expect(packagesProblem(`numpy\n\n${bad}\npandas`)?.line, bad).toBe(3);
    }
    expect(packagesProblem("-e .")?.why).toContain("Options");
  });
});

it("a message's line", () => {
  expect(lineOf("The conda file, line 12: this is no YAML")).toBe(12);
  expect(lineOf("A deadline 4")).toBeNull();
});

it("names", () => {
  expect(["a", "tf-2.12", "A_1"].map(environmentNameProblem)).toEqual(["", "", ""]);
  expect(
    ["", "-a", "a b", "a/b", "AzureML-mine", "x".repeat(101)].filter((one) => !environmentNameProblem(one)),
  ).toEqual([]);
});

it("the cell that does the same", () => {
  const cell = environmentCell("packages", {
    name: "mine",
    python: "3.11",
    pip: ["numpy>=1", 'a; b == "c"'],
  });
  expect(cell).toContain('"numpy>=1",');
  expect(cell).toContain('"a; b == \\"c\\"",');
  expect(cell).toContain('python_version="3.11"');
  expect(environmentCell("conda", { name: "m", specification: 'a: """' })).toContain('a: \\"\\"\\"\n""")');
  expect(environmentCell("image", { name: "m", pip: [], baseImage: "python:3.11" })).toContain(
    'docker.base_image = "python:3.11"\nenvironment.build(',
  );
  for (const start of ["packages", "conda", "image"] as const) {
    expect(environmentCell(start, { name: "m", build: true })).toContain('docker.image = "build"\n');
  }
  expect(environmentCell("curated", { name: "tensorflow" })).toContain('Environment.get(ws, "tensorflow")');
});
