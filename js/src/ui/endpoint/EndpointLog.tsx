import { useEffect, useMemo, useState } from "preact/hooks";

import { RequestError } from "../../api/rest";
import type { EndpointStore } from "../../model/endpoint";
import { t } from "../../model/language";
import { LogStore, TAIL_BYTES } from "../../model/log";
import { Button, CopyButton, Problem } from "../controls";
import { useChanges } from "../hooks";
import { LogLines } from "../LogLines";

const LOOK_MS = 1_000;
const NOTHING: ReadonlySet<number> = new Set();

/** What the endpoint writes, or the build of its environment; asked for each second while it is seen. */
export function EndpointLog({ store, live }: { store: EndpointStore; live: boolean }) {
  const [build, setBuild] = useState(false);
  const tail = store.recorded.log?.tail ?? "";
  if (!live) {
    return tail === "" ? (
      <p class="mlt-empty">{t("No log was recorded")}</p>
    ) : (
      <pre class="mlt-log">{tail}</pre>
    );
  }
  return (
    <>
      <div class="mlt-tools">
        <select
          aria-label={t("Log")}
          value={build ? "build" : "endpoint"}
          onChange={(event) => setBuild(event.currentTarget.value === "build")}
        >
          <option value="endpoint">{t("Endpoint")}</option>
          <option value="build">{t("Environment")}</option>
        </select>
      </div>
      <Followed
        key={build ? "build" : "endpoint"}
        name={store.state.name}
        empty={t("The log is empty so far")}
        read={(offset, signal) => store.endpoints.log(store.state.name, offset, build, { signal })}
      />
    </>
  );
}

/** A log that is asked for again and again from where it was read to. */
export function Followed(props: {
  name: string;
  empty: string;
  read: (
    offset: number,
    signal: AbortSignal,
  ) => Promise<{ data: Uint8Array; offset: number; next: number; complete?: boolean }>;
  /** The first offset; from the end where the log may be long. */
  first?: number;
}) {
  const { name, empty, read, first = -TAIL_BYTES } = props;
  const log = useMemo(() => new LogStore(), []);
  const [follow, setFollow] = useState(true);
  const [problem, setProblem] = useState("");
  useChanges(log.changes);
  useEffect(() => {
    const given = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      let over = false;
      try {
        const part = await read(log.position ?? first, given.signal);
        over = part.complete === true;
        if (part.data.length > 0) {
          log.append(part.data, part.offset, part.next, over);
        }
        setProblem("");
      } catch (error) {
        if (given.signal.aborted) {
          return;
        }
        if (!(error instanceof RequestError)) {
          throw error;
        }
        setProblem(error.message);
      }
      if (!given.signal.aborted && !over) {
        timer = setTimeout(() => void look(), LOOK_MS);
      }
    };
    void look();
    return () => {
      given.abort();
      clearTimeout(timer);
    };
  }, []);
  return (
    <>
      <Problem text={problem} />
      {log.count === 0 ? (
        <p class="mlt-empty">{empty}</p>
      ) : (
        <>
          <LogLines log={log} name={name} follow={follow} setFollow={setFollow} found={NOTHING} at={null} />
          <div class="mlt-row">
            <Button pressed={follow} onClick={() => setFollow(!follow)}>
              {t("Follow")}
            </Button>
            <CopyButton text={() => log.text}>{t("Copy")}</CopyButton>
          </div>
        </>
      )}
    </>
  );
}
