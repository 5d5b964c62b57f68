/** What is typed into the environment's form: checked line by line before anybody is asked, and as the cell that does the same. */

import type { EnvironmentAsked } from "../api/environments";

export type Start = "curated" | "packages" | "conda" | "image";

export interface LineProblem {
  /** From 1. */
  line: number;
  why: string;
}

/** PEP 508 in outline: a name, extras, versions or an address, a marker. */
const REQUIREMENT =
  /^[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?\s*(\[[\w\s,.-]*\])?\s*(\(?\s*((===?|~=|!=|<=|>=|<|>)\s*[\w.*+!-]+\s*(,\s*|\s*(?=\)|;|$)))+\)?|@\s*\S+)?\s*(;.*)?$/;

/** The requirements of a list, one a line; comments and blank lines are left out. */
export function requirements(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/(^|\s)#.*$/, "").trim())
    .filter((line) => line !== "");
}

/** The first line that is no requirement. */
export function packagesProblem(text: string): LineProblem | null {
  const lines = text.split("\n");
  for (const [index, line] of lines.entries()) {
    const [plain] = requirements(line);
    if (plain !== undefined && !REQUIREMENT.test(plain)) {
      const why = plain.startsWith("-")
        ? "Options of pip are not taken here"
        : "This is no requirement, such as numpy>=1.26";
      return { line: index + 1, why };
    }
  }
  return null;
}

/** The line that a message of the service names. */
export function lineOf(message: string): number | null {
  const found = /\bline (\d+)\b/.exec(message);
  return found ? Number(found[1]) : null;
}

/** Why it is no name of an environment; "" where it is. */
export function environmentNameProblem(name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) {
    return "Letters, digits, “.”, “_” and “-”; it begins with a letter or digit";
  }
  return /^azureml/i.test(name) ? "Names that begin with AzureML are reserved" : "";
}

export function environmentCell(start: Start, asked: EnvironmentAsked): string {
  const name = quoted(asked.name);
  const head = (names: string) => `from jupyter_mltrain import ${names}\n\nws = Workspace.from_config()\n`;
  const tail = "environment.build(ws).wait_for_completion(show_output=True)";
  if (start === "curated") {
    return `${head("Environment, Workspace")}environment = Environment.get(ws, ${name})\n${tail}`;
  }
  const docker =
    (asked.baseImage ? `environment.docker.base_image = ${quoted(asked.baseImage)}\n` : "") +
    (asked.build ? 'environment.docker.image = "build"\n' : "");
  if (start === "conda") {
    const file = `${asked.name}.yml`;
    const body = (asked.specification ?? "").replace(/\\/g, "\\\\").replace(/"""/g, '\\"\\"\\"');
    return (
      `from pathlib import Path\n\n${head("Environment, Workspace")}` +
      `Path(${quoted(file)}).write_text("""\\\n${body.replace(/\n?$/, "\n")}""")\n` +
      `environment = Environment.from_conda_specification(${name}, ${quoted(file)})\n${docker}${tail}`
    );
  }
  const packages = (asked.pip ?? []).map((one) => `\n    ${quoted(one)},`).join("");
  const python = asked.python ? `, python_version=${quoted(asked.python)}` : "";
  return (
    `${head("CondaDependencies, Environment, Workspace")}environment = Environment(${name})\n` +
    `environment.python.conda_dependencies = CondaDependencies.create(pip_packages=[${packages}${packages ? "\n" : ""}]${python})\n` +
    `${docker}${tail}`
  );
}

/** As a string of Python: JSON's are. */
function quoted(text: string): string {
  return JSON.stringify(text);
}
