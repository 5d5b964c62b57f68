import { useEffect, useId, useMemo, useState } from "preact/hooks";

import type { EnvironmentAsked, EnvironmentEntry, Environments, Preview } from "../../api/environments";
import { RequestError } from "../../api/rest";
import {
  environmentCell,
  environmentNameProblem,
  lineOf,
  packagesProblem,
  requirements,
  type Start,
} from "../../model/environmentText";
import { t } from "../../model/language";
import { Button, CopyButton, Problem } from "../controls";
import { useCommand } from "../hooks";
import { Build } from "./Build";
import { Field } from "./Field";
import { Lines } from "./Lines";

/** Resolving asks an index: only when nothing was typed for so long. */
const PAUSE_MS = 700;
const STARTS: readonly [Start, string][] = [
  ["curated", "A curated one"],
  ["packages", "Packages"],
  ["conda", "Conda YAML"],
  ["image", "Base image"],
];
const DOCKERFILE = "Dockerfile";
const CONDA = `name: mine
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip:
      - numpy>=1.26
`;

/** Makes an environment: what it comes to is shown before anything is built, and a version is registered by a click. */
export function EnvironmentForm(props: { environments: Environments; close?: () => void }) {
  const { environments, close } = props;
  const id = useId();
  const [start, setStart] = useState<Start>("packages");
  const [curated, setCurated] = useState<EnvironmentEntry[]>([]);
  const [chosen, setChosen] = useState("tensorflow");
  const [name, setName] = useState("mine");
  const [python, setPython] = useState("");
  const [packages, setPackages] = useState("numpy>=1.26\n");
  const [conda, setConda] = useState(CONDA);
  const [image, setImage] = useState("python:3.11-slim-bookworm");
  const [build, setBuild] = useState(false);
  const [preview, setPreview] = useState<Preview | null>(null);
  const [resolving, setResolving] = useState(false);
  const [refused, setRefused] = useState("");
  const [cell, setCell] = useState(false);
  const [built, setBuilt] = useState("");
  const command = useCommand();

  const entry = curated.find((one) => one.name === chosen);
  const wrongName = start === "curated" ? "" : environmentNameProblem(name);
  const wrongLine = start === "packages" || start === "image" ? packagesProblem(packages) : null;
  const asked = useMemo<EnvironmentAsked>(() => {
    const listed = { name, pip: requirements(packages), python, build };
    return {
      curated: { name: chosen },
      packages: listed,
      conda: { name, specification: conda, build },
      image: { ...listed, baseImage: image },
    }[start];
  }, [start, chosen, name, packages, python, conda, image, build]);
  const ready = wrongName === "" && wrongLine === null;

  useEffect(() => {
    environments.curated().then(setCurated, () => setCurated([]));
  }, []);
  useEffect(() => {
    setPreview(null);
    setRefused("");
    if (!ready || start === "curated") {
      setResolving(false);
      return;
    }
    setResolving(true);
    const given = new AbortController();
    const timer = setTimeout(() => {
      environments
        .preview(asked, { signal: given.signal })
        .then(setPreview)
        .catch((error: unknown) => {
          if (!given.signal.aborted) {
            if (!(error instanceof RequestError)) {
              throw error;
            }
            setRefused(error.message);
          }
        })
        .finally(() => {
          if (!given.signal.aborted) {
            setResolving(false);
          }
        });
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      given.abort();
    };
  }, [asked, ready]);

  const submit = (event: Event) => {
    event.preventDefault();
    command.run(async () => {
      setBuilt("");
      const { name: stored, version } =
        start === "curated" ? { name: chosen, version: null } : await environments.register(asked);
      const full = version === null ? stored : `${stored}:${version}`;
      await environments.build(full);
      setBuilt(full);
    });
  };
  const source = environmentCell(start, asked);
  const atLine = wrongLine ? { line: wrongLine.line, why: t(wrongLine.why) } : refusedAt(refused);
  return (
    <form
      class="mlt-form mlt-environment"
      onSubmit={submit}
      aria-label={t("Environment")}
      onKeyDown={(event) => event.stopPropagation()}
      data-lm-suppress-shortcuts="true"
    >
      <Field label={t("Start from")}>
        <div class="mlt-pair" role="radiogroup" aria-label={t("Start from")}>
          {STARTS.map(([key, words]) => (
            <label key={key} class="mlt-check">
              <input
                type="radio"
                name={`${id}-start`}
                checked={start === key}
                onChange={() => setStart(key)}
              />
              {t(words)}
            </label>
          ))}
        </div>
      </Field>
      {start === "curated" ? (
        <Field label={t("Environment")} for={`${id}-curated`} hint={entry ? entry.description : ""}>
          <select
            id={`${id}-curated`}
            value={chosen}
            onChange={(event) => setChosen(event.currentTarget.value)}
          >
            {curated.map((one) => (
              <option key={one.name} value={one.name}>
                {one.name} {one.state === "ready" ? `· ${t("built already")}` : ""}
              </option>
            ))}
          </select>
          {entry && <pre class="mlt-cell mlt-answer">{entry.pip.join("\n")}</pre>}
          {entry && (
            <Button
              onClick={() => {
                setPackages(`${entry.pip.join("\n")}\n`);
                setPython(entry.python);
                setName(`${entry.name}-mine`);
                setStart("packages");
              }}
            >
              {t("Start from its packages")}
            </Button>
          )}
        </Field>
      ) : (
        <Field label={t("Name")} for={`${id}-name`} wrong={wrongName && t(wrongName)}>
          <input
            id={`${id}-name`}
            required
            value={name}
            aria-invalid={wrongName !== ""}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </Field>
      )}
      {start === "image" && (
        <Field
          label={t("Base image")}
          for={`${id}-image`}
          hint={t("Used by targets that run containers; here the packages are installed without one")}
        >
          <input id={`${id}-image`} value={image} onInput={(event) => setImage(event.currentTarget.value)} />
        </Field>
      )}
      {(start === "packages" || start === "image") && (
        <>
          <Field label="Python" for={`${id}-python`} hint={t("A version, such as 3.11; empty: any")}>
            <input
              id={`${id}-python`}
              value={python}
              placeholder="3.11"
              onInput={(event) => setPython(event.currentTarget.value)}
            />
          </Field>
          <Lines label={t("Packages")} text={packages} change={setPackages} wrong={atLine} />
        </>
      )}
      {start === "conda" && <Lines label={t("Conda YAML")} text={conda} change={setConda} wrong={atLine} />}
      {start !== "curated" && (
        <Field
          label={t("In containers")}
          hint={t(
            "Else its packages lie in a volume, which is quicker to make and shares what environments have in common",
          )}
        >
          <label class="mlt-check">
            <input
              type="checkbox"
              checked={build}
              onChange={(event) => setBuild(event.currentTarget.checked)}
            />
            {t("Build an image of it, as the Dockerfile below says")}
          </label>
        </Field>
      )}
      <Problem text={command.problem || (refused && lineOf(refused) === null ? refused : "")} />
      {resolving && (
        <p class="mlt-dim" role="status">
          {t("Resolving…")}
        </p>
      )}
      {preview && <Comes preview={preview} dockerfile={build || start === "image"} />}
      {built && <Build key={built} environments={environments} name={built} />}
      {cell && <pre class="mlt-cell">{source}</pre>}
      <div class="mlt-row">
        <button
          type="submit"
          class="mlt-button mlt-primary"
          disabled={command.busy || !ready || (start !== "curated" && preview === null)}
        >
          {t(command.busy ? "Registering…" : start === "curated" ? "Build" : "Register and build")}
        </button>
        {close && <Button onClick={close}>{t("Close")}</Button>}
        <span class="mlt-gap" />
        {cell && <CopyButton text={() => source}>{t("Copy")}</CopyButton>}
        <Button onClick={() => setCell(!cell)}>{t(cell ? "Hide the cell" : "Show as a cell")}</Button>
      </div>
    </form>
  );
}

/** What it comes to: substitutions first, then what can be looked into; its Dockerfile at once where that was asked for. */
function Comes({ preview, dockerfile }: { preview: Preview; dockerfile: boolean }) {
  const parts: [string, string][] = [
    [t("{count} packages", { count: preview.packages.length }), preview.packages.join("\n")],
    [t("Lock"), preview.lock],
    [DOCKERFILE, preview.dockerfile],
    [t("What the resolver said"), preview.log.join("\n")],
  ];
  return (
    <div class="mlt-comes" role="status">
      {preview.substitutions.map(({ kind, asked, given, reason }) => (
        <div key={`${kind} ${asked}`} class="mlt-given">
          {t("{kind}: {given} instead of {asked}: {reason}", { kind, asked, given, reason })}
        </div>
      ))}
      {parts
        .filter(([, text]) => text !== "")
        .map(([label, text]) => (
          <details key={`${label} ${dockerfile}`} open={dockerfile && label === DOCKERFILE}>
            <summary>{label}</summary>
            <pre class="mlt-log">{text}</pre>
          </details>
        ))}
    </div>
  );
}

function refusedAt(message: string): { line: number; why: string } | null {
  const line = lineOf(message);
  return line === null ? null : { line, why: message };
}
