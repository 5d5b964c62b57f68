import { useEffect, useState } from "preact/hooks";

import type { BuildState, Environments } from "../../api/environments";
import { RequestError } from "../../api/rest";
import { formatSpan } from "../../model/formats";
import { t } from "../../model/language";
import { Problem } from "../controls";
import { Followed } from "../endpoint/EndpointLog";

const LOOK_MS = 700;

/** A build as it goes on: its state and its log. */
export function Build({ environments, name }: { environments: Environments; name: string }) {
  const [build, setBuild] = useState<BuildState | null>(null);
  useEffect(() => {
    const given = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      let over = false;
      try {
        const found = await environments.state(name, { signal: given.signal });
        setBuild(found);
        over = found.state !== "building";
      } catch (error) {
        if (!(error instanceof RequestError) && !given.signal.aborted) {
          throw error;
        }
      }
      if (!over && !given.signal.aborted) {
        timer = setTimeout(() => void look(), LOOK_MS);
      }
    };
    void look();
    return () => {
      given.abort();
      clearTimeout(timer);
    };
  }, []);
  const words = {
    idle: "",
    building: t("Building {name}…", { name }),
    ready: t("{name} is ready", { name }),
    failed: t("{name} could not be built", { name }),
  }[build?.state ?? "building"];
  return (
    <section aria-label={t("Build of {name}", { name })}>
      <div
        class={build?.state === "ready" ? "mlt-done" : build?.state === "failed" ? "mlt-wrong" : ""}
        role="status"
      >
        {words}
        {build?.state === "ready" && build.seconds !== null ? ` · ${formatSpan(build.seconds)}` : ""}
      </div>
      <Problem text={build?.error ?? ""} />
      <Followed
        name={name}
        first={0}
        empty={t("The log is empty so far")}
        read={(offset, signal) => environments.log(name, offset, { signal })}
      />
    </section>
  );
}
