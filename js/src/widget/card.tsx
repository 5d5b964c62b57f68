/** The run card as a widget's view: the same card as everywhere, on the page's door or, without one, on the widget's comm. */

import { render as draw } from "preact";
import { useState } from "preact/hooks";

import type { ModelId } from "../api/endpoints";
import { parsePayload } from "../api/parse";
import type { RunPayload } from "../api/payload";
import { speak, t } from "../model/language";
import { Registered } from "../model/registered";
import { Problem } from "../ui/controls";
import { useChanges } from "../ui/hooks";
import { keepKeys } from "../ui/keys";
import { RunView } from "../ui/LiveCard";
import { type Surroundings, storeOf } from "../ui/surroundings";
import { CommDoor, GONE } from "./comm";
import { Form } from "./forms";
import type { Card, Load, Model, View } from "./model";
import { pageDoor } from "./page";
import { plotlyFrom } from "./plotly";

/** Put in by the build: the style sheets of the card. */
declare const STYLE: string;

/** A card that was scrolled away is followed a little longer: scrolling back is common. */
const HIDDEN_MS = 1_000;

export const render: Card["render"] = ({ model, el }: View, load: Load) => {
  plotlyFrom(load);
  keepKeys();
  speak(document.documentElement.lang);
  dress(el);
  el.classList.add("mlt-host");
  const host = document.createElement("div");
  host.className = "mlt-output mlt-widget";
  el.append(host);
  let over = false;
  let leave = () => {};
  void surroundings(model).then((around) => {
    if (!over) {
      leave = (model.get("_form") ? showForm : show)(model, host, around);
    }
  });
  return () => {
    over = true;
    leave();
    host.remove();
  };
};

function showForm(model: Model, host: HTMLElement, around: Surroundings): () => void {
  const { door } = around;
  draw(
    <>
      <Form
        form={String(model.get("_form"))}
        workspace={workspaceOf(model)}
        given={(model.get("_given") ?? {}) as { model?: ModelId }}
        around={around}
      />
      {door instanceof CommDoor && <Comm door={door} host={host} />}
    </>,
    host,
  );
  return () => draw(null, host);
}

function workspaceOf(model: Model): string {
  return model.get("_form")
    ? String(model.get("_workspace"))
    : parsePayload(model.get("_recorded")).workspace;
}

function show(model: Model, host: HTMLElement, around: Surroundings): () => void {
  const recorded = (): RunPayload => parsePayload(model.get("_recorded"));
  const store = storeOf(recorded(), around);
  const { door } = around;
  const record = () => store.record(recorded());
  model.on("change:_recorded", record);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const observer = new IntersectionObserver((entries) => {
    clearTimeout(timer);
    if (entries.some((entry) => entry.isIntersecting)) {
      void store.attach();
    } else {
      timer = setTimeout(() => store.detach(), HIDDEN_MS);
    }
  });
  observer.observe(host);
  draw(
    <>
      <RunView store={store} around={around} />
      {door instanceof CommDoor && <Comm door={door} host={host} />}
    </>,
    host,
  );
  return () => {
    clearTimeout(timer);
    observer.disconnect();
    store.detach();
    model.off("change:_recorded", record);
    draw(null, host);
  };
}

/** What only a card on a comm has: it says when the kernel does not hear, and brings the files that its links name. */
function Comm({ door, host }: { door: CommDoor; host: HTMLElement }) {
  useChanges(door.changes);
  const [problem, setProblem] = useState("");
  host.onclick = (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a[download]");
    const href = link?.getAttribute("href") ?? "";
    if (link && href.startsWith("#mltrain/")) {
      event.preventDefault();
      setProblem("");
      door.download(href).then(
        (blob) => save(blob, link.download),
        (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
      );
    }
  };
  return (
    <>
      <Problem text={problem} />
      {(door.gone || door.busy) && (
        <p class="mlt-busy" role="status">
          {t(
            door.gone ? GONE : "The kernel is busy; what you ask for is done as soon as its cell has ended.",
          )}
        </p>
      )}
    </>
  );
}

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const doors = new WeakMap<Model, Promise<Surroundings>>();

/** The page's door where it knows the run's workspace, else the comm: all views of a widget have the same. */
function surroundings(model: Model): Promise<Surroundings> {
  const found = doors.get(model) ?? chosen(model);
  doors.set(model, found);
  return found;
}

async function chosen(model: Model): Promise<Surroundings> {
  const workspace = workspaceOf(model);
  const door = pageDoor();
  if (door) {
    const registered = new Registered(() => door.rest.workspaces());
    if (await registered.has(workspace)) {
      return { door, registered };
    }
  }
  return { door: new CommDoor(model), registered: new Registered(async () => new Set([workspace])) };
}

/** The card's style, once in the document or shadow tree that shows it. */
function dress(el: HTMLElement): void {
  const root = el.getRootNode();
  const place = root instanceof ShadowRoot ? root : document.head;
  if (!place.querySelector("style[data-mltrain]")) {
    const style = document.createElement("style");
    style.dataset.mltrain = "";
    style.textContent = STYLE;
    place.append(style);
  }
}
