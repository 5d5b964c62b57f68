import { useEffect, useRef, useState } from "preact/hooks";

import { claimed } from "../api/claimed";
import { number, text } from "../api/endpoint";
import type { Value } from "../api/payload";
import { RequestError, runPath } from "../api/rest";
import type * as wire from "../api/wire.gen";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { type RunStore, terminal } from "../model/run";
import { Button } from "./controls";
import type { Surroundings } from "./surroundings";

/** While a run goes on, what it logged is asked for again so often. */
const AGAIN_MS = 5_000;
const SHOWN = 8;
const MOST_IMAGE = 20 << 20;
const TYPES: { readonly [suffix: string]: string } = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  // As the source of an <img>, SVG runs no script and loads nothing.
  svg: "image/svg+xml",
};

interface Image {
  name: string;
  path: string;
  step: number | null;
}

interface Table {
  name: string;
  columns: string[];
  rows: Value[][];
  total: number;
}

interface Items {
  images: Image[];
  imagesTotal: number;
  tables: Table[];
}

/** What a run logged beside numbers: images as they come into view, tables by their newest rows. */
export function Logged({ store, around }: { store: RunStore; around: Surroundings }) {
  const [items, setItems] = useState<Items | null>(null);
  const [all, setAll] = useState(false);
  const { workspace, run } = store.recorded;
  const over = terminal(store.state.status);
  useEffect(() => {
    const given = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      try {
        const path = runPath(workspace, run, "logged");
        setItems(parse(await around.door.rest.json("GET", path, undefined, { signal: given.signal })));
      } catch (error) {
        // The charts above say when nothing is answered.
        if (!(error instanceof RequestError) && !given.signal.aborted) {
          throw error;
        }
      }
      if (!over && !given.signal.aborted) {
        timer = setTimeout(() => void look(), AGAIN_MS);
      }
    };
    void look();
    return () => {
      given.abort();
      clearTimeout(timer);
    };
  }, [over]);
  if (items === null || items.images.length + items.tables.length === 0) {
    return null;
  }
  const newest = [...items.images].reverse();
  const shown = all ? newest : newest.slice(0, SHOWN);
  return (
    <div class="mlt-logged">
      {shown.length > 0 && (
        <section aria-label={t("Images")}>
          <h4 class="mlt-h">
            {t("Images")} <span class="mlt-num">{formatNumber(items.imagesTotal)}</span>
          </h4>
          <div class="mlt-images">
            {shown.map((image) => (
              <Picture key={image.path} image={image} store={store} around={around} />
            ))}
          </div>
          {newest.length > shown.length && (
            <div class="mlt-row">
              <Button onClick={() => setAll(true)}>
                {t("Show {count} more", { count: newest.length - shown.length })}
              </Button>
            </div>
          )}
        </section>
      )}
      {items.tables.map((table) => (
        <Rows key={table.name} table={table} />
      ))}
    </div>
  );
}

/** Brought when it comes into view. */
function Picture({ image, store, around }: { image: Image; store: RunStore; around: Surroundings }) {
  const { workspace, run } = store.recorded;
  const host = useRef<HTMLElement>(null);
  const [url, setUrl] = useState("");
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const given = new AbortController();
    let made = "";
    const bring = async () => {
      const type = TYPES[image.path.split(".").at(-1)?.toLowerCase() ?? ""];
      if (type === undefined) {
        setProblem(t("No preview for this kind of file"));
        return;
      }
      try {
        const { rest } = around.door;
        const blob = await rest.file(workspace, run, image.path, MOST_IMAGE, { signal: given.signal });
        if (!given.signal.aborted) {
          made = URL.createObjectURL(new Blob([blob], { type }));
          setUrl(made);
        }
      } catch (error) {
        if (!given.signal.aborted) {
          setProblem(error instanceof Error ? error.message : String(error));
        }
      }
    };
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) {
        observer.disconnect();
        void bring();
      }
    });
    if (host.current) {
      observer.observe(host.current);
    }
    return () => {
      observer.disconnect();
      given.abort();
      URL.revokeObjectURL(made);
    };
  }, []);
  const words =
    image.step === null ? image.name : `${image.name} · ${t("step {step}", { step: image.step })}`;
  return (
    <figure ref={host}>
      {url ? <img src={url} alt={words} /> : <div class="mlt-blank">{problem}</div>}
      <figcaption>{words}</figcaption>
    </figure>
  );
}

function Rows({ table: { name, columns, rows, total } }: { table: Table }) {
  const words = t("{shown} of {total} rows", {
    shown: formatNumber(rows.length),
    total: formatNumber(total),
  });
  return (
    <div>
      <h4 class="mlt-h">
        {name} <span class="mlt-num">{words}</span>
      </h4>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <section class="mlt-rows" tabIndex={0} aria-label={`${name}, ${words}`}>
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>
                {columns.map((column, at) => (
                  <td key={column} class={typeof row[at] === "number" ? "mlt-num" : ""}>
                    {typeof row[at] === "boolean" ? String(row[at]) : formatNumber(row[at] ?? null)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

function parse(raw: unknown): Items {
  const { images, images_total, tables } = claimed<wire.LoggedItems>(raw);
  const list = (given: unknown): unknown[] => (Array.isArray(given) ? given : []);
  return {
    images: list(images).map((one) => {
      const { name, path, step } = claimed<wire.LoggedImage>(one);
      return { name: text(name), path: text(path), step: number(step) };
    }),
    imagesTotal: number(images_total) ?? 0,
    tables: list(tables).map((one) => {
      const { name, columns, rows, total } = claimed<wire.LoggedTable>(one);
      return {
        name: text(name),
        columns: list(columns).map(text),
        rows: list(rows).map((row) =>
          list(row).map((cell) =>
            typeof cell === "number" || typeof cell === "string" || typeof cell === "boolean" ? cell : null,
          ),
        ),
        total: number(total) ?? 0,
      };
    }),
  };
}
