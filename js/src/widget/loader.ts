/**
 * What the widget's state carries (`_esm`): little. It brings the card from the Jupyter server where that has the same version
 * of it, and from the kernel where not, once for a page.
 */

import type { Card, Load, Model, Told, View } from "./model";

const WAIT_MS = 1_500;
const FILES = Symbol.for("jupyter-mltrain.widget");
const page = globalThis as { [FILES]?: Map<string, Promise<unknown>> };

function loader(model: Model): Load {
  page[FILES] ??= new Map();
  const files = page[FILES];
  const version = String(model.get("_version"));
  return (name) => {
    const key = `${version}/${name}`;
    const known = files.get(key) ?? fromServer(key).catch(() => fromKernel(model, name));
    files.set(key, known);
    // What could not be had is asked for again.
    known.catch(() => files.delete(key));
    return known;
  };
}

async function fromServer(key: string): Promise<unknown> {
  const told = document.getElementById("jupyter-config-data")?.textContent;
  if (!told) {
    throw new Error("This page is no Jupyter server's.");
  }
  const { baseUrl } = JSON.parse(told);
  return import(new URL(`${baseUrl}mltrain/static/${key}`, location.href).href);
}

function fromKernel(model: Model, name: string): Promise<unknown> {
  const key = `f${Math.random()}`;
  return new Promise((resolve, reject) => {
    const heard = (told: Told, buffers: DataView[]) => {
      if (told.key === key && told.type !== "taken") {
        model.off("msg:custom", heard);
        const [bytes] = buffers;
        if (told.type !== "file" || !bytes) {
          reject(new Error(`The kernel gives no ${name}.`));
          return;
        }
        const url = URL.createObjectURL(
          new Blob([bytes as DataView<ArrayBuffer>], { type: "text/javascript" }),
        );
        resolve(import(url).finally(() => URL.revokeObjectURL(url)));
      }
    };
    model.on("msg:custom", heard);
    model.send({ op: "file", key, name });
  });
}

/** The phrases of the card are in the card. */
const SILENT = document.documentElement.lang.startsWith("ja")
  ? "カーネルが応答していません。応答後にカードが表示されます。"
  : "The kernel does not answer; the card appears as soon as it does.";

/** Words until the card is there: a kernel that runs a cell may hear us only at its end. */
function waiting({ model, el }: View): () => void {
  const line = document.createElement("div");
  const say = () => {
    line.textContent = `${model.get("_form") ? "" : `${model.get("run_id")}: ${model.get("status")}. `}${SILENT}`;
  };
  const timer = setTimeout(() => {
    say();
    el.append(line);
  }, WAIT_MS);
  model.on("change:status", say);
  return () => {
    clearTimeout(timer);
    model.off("change:status", say);
    line.remove();
  };
}

export default {
  async render(view: View): Promise<() => void> {
    const done = waiting(view);
    try {
      const load = loader(view.model);
      const card = (await load("card.js")) as Card;
      return card.render(view, load);
    } finally {
      done();
    }
  },
};
