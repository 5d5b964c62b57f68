import { describe, expect, it } from "vitest";

import ranked from "../../../tests/fixtures/run-ranks.json";
import running from "../../../tests/fixtures/run-running.json";
import { parsePayload } from "../api/parse";
import { shortPaths } from "./bounded";
import { record } from "./record";

const raw = {
  ...running.state,
  source_directory: "/home/ann/secret",
  history: [{ status: "Running" }],
  environment: { ...running.state.environment, python: "/usr/bin/python", variables: { KEY: "s3cret" } },
  notices: ["took /home/ann/ws/.mltrain/runs/r1/work/train.py"],
  failure: { title: "no", evidence: [], traceback: `${"x".repeat(9000)}end`, mend: "" },
};

const rest = {
  series: async (_w: string, _r: string, { name }: { name: string; rank: number }) => {
    if (name === "loss") {
      throw new Error("cut");
    }
    return {
      total: 5000,
      steps: Array.from({ length: 900 }, (_, i) => i),
      times: [],
      values: Array(900).fill("NaN"),
    };
  },
  log: async () => new TextEncoder().encode(" 0%\r100%\nwrote /home/ann/x/y.txt\n"),
};

describe("record", () => {
  it("is a payload that the card reads, with the points and the end of the log", async () => {
    const made = await record(rest, "w", "r1", raw);
    const { state, series, log } = parsePayload(made);
    expect(state.displayName).toBe("brave-otter-7");
    expect(series.map(({ name, total, steps }) => [name, total, steps.length])).toEqual([
      ["val_accuracy", 5000, 180],
    ]);
    expect(log).toEqual({ name: "user_logs/std_log.txt", tail: "100%\nwrote …/y.txt" });
  });

  it("has of several ranks the first's points, and the log of the one that failed first", async () => {
    const asked: string[] = [];
    const watched = {
      series: async (_w: string, _r: string, { name, rank }: { name: string; rank: number }) => {
        asked.push(`${name} of ${rank}`);
        return { total: 1, steps: [0], times: [], values: [1] };
      },
      log: async (_w: string, _r: string, name: string) => {
        asked.push(name);
        return new TextEncoder().encode("no such batch\n");
      },
    };
    const made = parsePayload(await record(watched, "w", "r1", ranked.state));
    expect(asked).toEqual(["loss of 0", "user_logs/std_log_2.txt"]);
    expect(made.log?.name).toBe("user_logs/std_log_2.txt");
    expect(made.state.ranks).toEqual(parsePayload(ranked).state.ranks);
  });

  it("holds no path of the machine, no variable, no history", async () => {
    const text = JSON.stringify(await record(rest, "w", "r1", raw));
    expect(text).not.toMatch(/\/home|s3cret|history|source_directory|usr\/bin/);
    expect(text).toContain("took train.py");
    expect(text).toContain("xend");
  });
});

describe("shortPaths", () => {
  // The cases of tests/unit/widgets/test_bounds.py: both write into the same notebooks.
  it.each([
    ['File "/home/ann/ws/.mltrain/runs/r_1_ab/work/cell.py", line 3', 'File "cell.py", line 3'],
    ["/home/ann/ws/.mltrain/runs/r_1_ab/outputs/model", "outputs/model"],
    ["/opt/env/lib/python3.11/site-packages/keras/src/trainer.py:377", "…/keras/src/trainer.py:377"],
    ["no file /home/ann/data/train.csv here", "no file …/train.csv here"],
    ["cannot open ~/secret/place/key.pem", "cannot open …/key.pem"],
    ["see https://example.org/a/b/c.html", "see https://example.org/a/b/c.html"],
    ["cloned https://ann:token@example.org/r.git", "cloned https://example.org/r.git"],
    ["epoch 3/20, 10/938 steps, and/or", "epoch 3/20, 10/938 steps, and/or"],
    ["outputs/model/saved_model.pb", "outputs/model/saved_model.pb"],
  ])("writes %j as %j", (given, shown) => {
    expect(shortPaths(given)).toBe(shown);
  });
});
