/**
 * Notebooks say the truth when they are saved: before JupyterLab or Notebook writes the file, every run's output in it is
 * brought to where its run stands, also those that are scrolled away.
 */

import type { IRenderMime } from "@jupyterlab/rendermime-interfaces";

import { fromMemory, fromService, readable } from "./bundle";
import { type MimeData, notebooks, shown, surroundings, type Writer } from "./page";
import { endpointFromService, readableEndpoint } from "./savedEndpoint";

/** A save waits so long for the service; what has not come by then is saved as this page knows it. */
const PATIENCE_MS = 1_500;

/**
 * What is used of JupyterLab's documents (`@jupyterlab/docregistry` and `@jupyterlab/notebook`, 4.4 to 4.6). Their packages
 * would be types alone here, and would bring some two hundred others into the build.
 */
interface Signal<T> {
  connect(slot: (sender: unknown, value: T) => void): void;
}
type Output = IRenderMime.IMimeModel;
interface Cell {
  readonly outputs?: { readonly length: number; get(index: number): Output };
}
export interface Context {
  readonly path: string;
  readonly model: { dirty: boolean; readonly cells: Iterable<Cell>; readonly contentChanged: Signal<void> };
  readonly saveState: Signal<"started" | "completed" | "failed">;
  readonly pathChanged: Signal<string>;
  readonly disposed: Signal<void>;
  save(): Promise<void>;
}
interface Disposable {
  readonly isDisposed: boolean;
  dispose(): void;
}
interface Renderers {
  readonly mimeTypes: readonly string[];
  createRenderer(mime: string): IRenderMime.IRenderer;
}
interface NotebookPanel {
  readonly content: { readonly rendermime: Renderers };
}
interface App {
  docRegistry: {
    addWidgetExtension(
      name: "Notebook",
      extension: { createNew(panel: NotebookPanel, context: Context): Disposable },
    ): Disposable;
  };
}

export default {
  id: "jupyter-mltrain:notebooks",
  description: "Saves notebooks with the runs in them as they stand.",
  autoStart: true,
  activate: (app: App): void => {
    app.docRegistry.addWidgetExtension("Notebook", {
      createNew: ({ content }, context) => new OpenNotebook(context, content.rendermime),
    });
  },
};

export class OpenNotebook implements Writer, Disposable {
  isDisposed = false;
  private readonly writers: WriterLock;
  /** What made the notebook differ from its file was this page following runs, and nothing else. */
  private onlyRuns = false;
  private writing = false;
  private since = false;

  constructor(
    private readonly context: Context,
    private readonly renderers: Renderers,
  ) {
    const { model } = context;
    notebooks.add(this);
    this.writers = new WriterLock(lockName(context.path), () => this.yield());
    context.pathChanged.connect((_, path) => this.writers.move(lockName(path)));
    context.disposed.connect(() => this.dispose());
    model.contentChanged.connect(() => {
      this.onlyRuns &&= this.writing;
    });
    // `Context.save` serialises in the moment in which it emits "started": who wants to wait has to do so before.
    const { save } = context;
    context.save = async () => {
      // Whatever happens to ours: nobody is kept from saving.
      await this.bring().catch(console.error);
      await save.call(context);
    };
    // "Save as" has a way of its own, which waits for nobody.
    context.saveState.connect((_, state) => this.saving(state));
  }

  dispose(): void {
    this.isDisposed = true;
    notebooks.delete(this);
    this.writers.release();
  }

  holds(output: Output): boolean {
    return this.outputs().includes(output);
  }

  rendererFor(mime: string): IRenderMime.IRenderer | null {
    return this.renderers.mimeTypes.includes(mime) ? this.renderers.createRenderer(mime) : null;
  }

  write(output: Output, data: MimeData): boolean {
    if (!this.writers.held) {
      return false;
    }
    const { model } = this.context;
    this.onlyRuns ||= !model.dirty;
    this.put(output, data);
    return true;
  }

  /** Bring all outputs up to date, as far as the service answers in time. */
  private async bring(): Promise<void> {
    this.writers.take();
    const patience = new AbortController();
    const { signal } = patience;
    const around = surroundings();
    const put = async (output: Output, asked: Promise<MimeData | null>) => {
      const data = await asked;
      if (data !== null && !signal.aborted) {
        this.put(output, data);
      }
    };
    const runs = this.runs().map((output) =>
      put(output, fromService(around, output.data, shown.get(output) ?? null, { states: true, signal })),
    );
    const endpoints = this.outputs()
      .filter((output) => readableEndpoint(output.data))
      .map((output) => put(output, endpointFromService(around, output.data, { signal })));
    const renewed = [...runs, ...endpoints];
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    await Promise.race([Promise.allSettled(renewed), late]);
    patience.abort();
  }

  private saving(state: "started" | "completed" | "failed"): void {
    if (state === "started") {
      for (const output of this.runs()) {
        const data = fromMemory(output.data, shown.get(output) ?? null);
        if (data !== null) {
          this.put(output, data);
        }
      }
      this.since = false;
    } else if (state === "completed") {
      this.onlyRuns = this.since;
      if (this.since) {
        // Written while the file was on its way: JupyterLab takes the notebook for saved.
        this.context.model.dirty = true;
      }
    }
  }

  /** The user has saved this notebook from another page. */
  private yield(): void {
    if (this.onlyRuns) {
      // Nothing here is lost, and saving it would ask the user which of two files is right.
      this.context.model.dirty = false;
      this.onlyRuns = false;
    }
  }

  private put(output: Output, data: MimeData): void {
    this.writing = true;
    try {
      output.setData({ data });
    } finally {
      this.writing = false;
    }
    this.since = true;
  }

  private runs(): Output[] {
    return this.outputs().filter((output) => readable(output.data));
  }

  private outputs(): Output[] {
    return [...this.context.model.cells].flatMap(({ outputs }) =>
      outputs ? Array.from({ length: outputs.length }, (_, index) => outputs.get(index)) : [],
    );
  }
}

function lockName(path: string): string {
  return `mltrain ${surroundings().door.link(path)}`;
}

/**
 * Of the pages that have a notebook open, one follows its runs in it: two would each find the other's file newer than
 * theirs, and ask. It is the one in which it was opened first, and from then on the one in which the user saves.
 */
class WriterLock {
  held = false;
  private asking: AbortController | null = null;
  private free: () => void = () => {};

  constructor(
    private name: string,
    private readonly lost: () => void,
  ) {
    this.ask(false);
  }

  take(): void {
    if (!this.held) {
      this.ask(true);
    }
  }

  move(name: string): void {
    this.name = name;
    this.ask(false);
  }

  release(): void {
    this.held = false;
    this.asking?.abort();
    this.asking = null;
    this.free();
    this.free = () => {};
  }

  private ask(steal: boolean): void {
    this.release();
    if (!navigator.locks) {
      // There are locks on pages from https and from localhost alone; elsewhere each page takes itself for the only one.
      this.held = true;
      return;
    }
    const asking = new AbortController();
    this.asking = asking;
    const granted = () => {
      if (this.asking !== asking) {
        return;
      }
      this.held = true;
      return new Promise<void>((resolve) => {
        this.free = resolve;
      });
    };
    // It rejects when it is given up, and when another page takes the lock.
    navigator.locks.request(this.name, steal ? { steal } : { signal: asking.signal }, granted).catch(() => {
      if (this.asking === asking) {
        this.lost();
        this.ask(false);
      }
    });
  }
}
