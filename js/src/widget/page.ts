/** The door of the Jupyter server whose page this is, without JupyterLab's own modules: a widget's bundle has none. */

import { type Door, sharedDoor } from "../api/door";
import { LiveDoor, type Socket } from "../api/live";
import { Rest } from "../api/rest";

/** The page's door, or null where the page is no Jupyter server's. */
export function pageDoor(): Door | null {
  const told = document.getElementById("jupyter-config-data")?.textContent;
  const { baseUrl, token } = told ? (JSON.parse(told) as { baseUrl?: string; token?: string }) : {};
  return baseUrl === undefined ? null : sharedDoor(() => make(new URL(baseUrl, location.href), token ?? ""));
}

function make(server: URL, token: string): Door {
  const base = new URL("mltrain/", server.href.endsWith("/") ? server : `${server.href}/`).href;
  const send = (path: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    headers.set("Content-Type", "application/json");
    if (token) {
      headers.set("Authorization", `token ${token}`);
    }
    const xsrf = /(?:^|; ?)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
    if (xsrf !== undefined) {
      headers.set("X-XSRFToken", xsrf);
    }
    return fetch(base + path, { credentials: "same-origin", cache: "no-store", ...init, headers });
  };
  const live = new LiveDoor(() => new WebSocket(base.replace(/^http/, "ws").concat("live")) as Socket);
  return { rest: new Rest(send), live, link: (path) => base + path };
}
