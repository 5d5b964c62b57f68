import type { RunPayload } from "../api/payload";
import type { Door } from "../api/server";
import { inTurn } from "../model/budget";
import type { Registered } from "../model/registered";
import { RunStore } from "../model/run";

/** What the cards of a page share: the door of the server, and which workspaces it knows. */
export interface Surroundings {
  door: Door;
  registered: Registered;
}

export function storeOf(payload: RunPayload, { door, registered }: Surroundings): RunStore {
  return new RunStore(payload, door.live, registered, inTurn());
}
