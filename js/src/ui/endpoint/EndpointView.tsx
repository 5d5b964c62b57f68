import { useEffect, useMemo, useRef } from "preact/hooks";

import { type EndpointPayload, parseEndpoint } from "../../api/endpoint";
import { Endpoints } from "../../api/endpoints";
import { EndpointStore } from "../../model/endpoint";
import type { Surroundings } from "../surroundings";
import { EndpointCard } from "./EndpointCard";

/** An endpoint was scrolled away: it is followed a little longer. */
const HIDDEN_MS = 1_000;

/** The card of an endpoint that is followed while it is seen. */
export function EndpointView({ store, around }: { store: EndpointStore; around: Surroundings }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new IntersectionObserver((entries) => {
      clearTimeout(timer);
      if (entries.some((entry) => entry.isIntersecting)) {
        void store.attach();
      } else {
        timer = setTimeout(() => store.detach(), HIDDEN_MS);
      }
    });
    if (host.current) {
      observer.observe(host.current);
    }
    return () => {
      observer.disconnect();
      clearTimeout(timer);
      store.detach();
    };
  }, [store]);
  return (
    <div ref={host}>
      <EndpointCard store={store} open={() => around.door.rest.open(store.recorded.workspace)} />
    </div>
  );
}

/** The card of an endpoint that was deployed from this page. */
export function Deployed(props: { raw: unknown; workspace: string; around: Surroundings }) {
  const { raw, workspace, around } = props;
  const store = useMemo(() => endpointStore(payloadOf(raw, workspace), around), [raw]);
  return <EndpointView store={store} around={around} />;
}

export function endpointStore(payload: EndpointPayload, { door, registered }: Surroundings): EndpointStore {
  return new EndpointStore(payload, new Endpoints(door.rest, payload.workspace), registered);
}

function payloadOf(raw: unknown, workspace: string): EndpointPayload {
  const state = parseEndpoint(raw);
  return {
    workspace,
    endpoint: state.name,
    recorded: Date.now() / 1000,
    state,
    latency: null,
    log: null,
  };
}
