/** The door of the Jupyter server that serves this page: its address and credentials are JupyterLab's. */

import { ServerConnection } from "@jupyterlab/services";

import { type Door, sharedDoor } from "./door";
import { LiveDoor, type Socket } from "./live";
import { Rest } from "./rest";

export type { Door };

/** One for the page: all cards share its socket. */
export function door(): Door {
  return sharedDoor(() => make(ServerConnection.makeSettings()));
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
