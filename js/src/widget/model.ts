/** A widget's model as anywidget's front-end module gives it: the part that is used here. */

export interface Model {
  get(name: string): unknown;
  on(event: string, heard: (...given: never[]) => void): void;
  off(event: string, heard: (...given: never[]) => void): void;
  send(content: object): void;
}

/** What a kernel says (`jupyter_mltrain/widgets/comm_door.py`), and the bytes with it. */
export interface Told {
  key?: string;
  type: string;
  [name: string]: unknown;
}

/** Gives a module of the widget's front end: from the Jupyter server, or over the comm. */
export type Load = (name: string) => Promise<unknown>;

export interface View {
  model: Model;
  el: HTMLElement;
}

/** What `card.js` gives to the loader. */
export interface Card {
  /** Shows the run in `view.el`; returns what ends it. */
  render(view: View, load: Load): () => void;
}
