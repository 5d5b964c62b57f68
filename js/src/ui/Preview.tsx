import { useEffect, useState } from "preact/hooks";

import type { RunFile } from "../api/rest";
import { formatSize } from "../model/formats";
import { t } from "../model/language";
import type { RunStore } from "../model/run";
import { shownLines, Terminal } from "../model/terminal";
import { Problem } from "./controls";
import { useCommand } from "./hooks";
import type { Surroundings } from "./surroundings";

const MOST_TEXT = 256 << 10;
const MOST_IMAGE = 20 << 20;
const IMAGES: { readonly [suffix: string]: string } = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  // As the source of an <img>, SVG runs no script and loads nothing.
  svg: "image/svg+xml",
};

type Shown = { kind: "text"; text: string } | { kind: "image"; url: string } | { kind: "none" };

/** What a file holds: text, JSON laid out, or a picture. Its content is text here, never markup. */
export function Preview({ file, store, around }: { file: RunFile; store: RunStore; around: Surroundings }) {
  const { workspace, run } = store.recorded;
  const [shown, setShown] = useState<Shown | null>(null);
  const loading = useCommand();
  useEffect(() => {
    let url = "";
    const given = new AbortController();
    if (file.size > 0) {
      loading.run(async () => {
        const type = IMAGES[suffixOf(file)];
        const most = type ? MOST_IMAGE : MOST_TEXT;
        const blob = await around.door.rest.file(workspace, run, file.path, most, { signal: given.signal });
        if (given.signal.aborted) {
          return;
        }
        if (type && file.size <= MOST_IMAGE) {
          url = URL.createObjectURL(new Blob([blob], { type }));
          setShown({ kind: "image", url });
        } else {
          setShown(textOf(new Uint8Array(await blob.arrayBuffer()), file));
        }
      });
    }
    return () => {
      given.abort();
      URL.revokeObjectURL(url);
    };
  }, []);
  const cut = shown?.kind === "text" && file.size > MOST_TEXT;
  return (
    <section class="mlt-preview" aria-label={`${t("Preview")} ${file.path}`}>
      <div class="mlt-title">
        <span>{file.path}</span>
        {cut && <small>{t("The first {size}", { size: formatSize(MOST_TEXT) })}</small>}
      </div>
      <Problem text={loading.problem} />
      {file.size === 0 && <p class="mlt-empty">{t("The file is empty")}</p>}
      {shown?.kind === "none" && <p class="mlt-empty">{t("No preview for this kind of file")}</p>}
      {shown?.kind === "text" && <pre class="mlt-log">{shown.text}</pre>}
      {shown?.kind === "image" && <img src={shown.url} alt={file.path} />}
    </section>
  );
}

function suffixOf(file: RunFile): string {
  return file.path.split(".").at(-1)?.toLowerCase() ?? "";
}

function textOf(bytes: Uint8Array, file: RunFile): Shown {
  if (bytes.subarray(0, 8192).includes(0)) {
    return { kind: "none" };
  }
  const text = new TextDecoder().decode(bytes);
  if (suffixOf(file) === "json" && file.size <= MOST_TEXT) {
    try {
      return { kind: "text", text: JSON.stringify(JSON.parse(text), null, 2) };
    } catch {
      // Named .json and is none: shown as it is.
    }
  }
  return { kind: "text", text: shownLines(new Terminal(), text) };
}
