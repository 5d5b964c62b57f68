/** The door of the Jupyter server that serves this page: its address and credentials are JupyterLab's. */

import { ServerConnection } from "@jupyterlab/services";

import { LiveDoor, type Socket } from "./live";
import { Rest } from "./rest";

export interface Door {
  rest: Rest;
  live: LiveDoor;
  /** The address of a file of a run, for a link that the browser follows with the page's own cookie. */
  link(path: string): string;
}

let shared: Door | undefined;

/** One for the page: all cards share its socket. */
export function door(): Door {
  shared ??= make(ServerConnection.makeSettings());
  return shared;
}

function make(settings: ServerConnection.ISettings): Door {
  const base = `${settings.baseUrl.replace(/\/$/, "")}/mltrain/`;
  const rest = new Rest((path, init) => ServerConnection.makeRequest(base + path, init, settings));
  const live = new LiveDoor(() => {
    const url = `${settings.wsUrl.replace(/\/$/, "")}/mltrain/live`;
    const token =
      settings.appendToken && settings.token ? `?token=${encodeURIComponent(settings.token)}` : "";
    return new settings.WebSocket(url + token) as Socket;
  });
  // A link cannot carry a header. The token is not put into it: links get copied.
  return { rest, live, link: (path) => base + path };
}
