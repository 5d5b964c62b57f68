import { useEffect, useMemo, useState } from "preact/hooks";

import type { LogFile } from "../api/rest";
import { runPath } from "../api/rest";
import { formatNumber } from "../model/formats";
import { t } from "../model/language";
import { LogStore, TAIL_BYTES } from "../model/log";
import { type RunStore, terminal } from "../model/run";
import { Button, CopyButton, Problem } from "./controls";
import { useChanges, useCommand } from "./hooks";
import { LogLines } from "./LogLines";
import type { Surroundings } from "./surroundings";

const BUILD = "build.log";
const EARLIER_BYTES = 256 << 10;

/** The logs of a run as they are written: the script's, one per rank, and that of its environment's build. */
export function LogsTab(props: { store: RunStore; logs: Map<string, LogStore>; around: Surroundings }) {
  const { store, logs, around } = props;
  const { workspace, run } = store.recorded;
  const { status } = store.state;
  const [listed, setListed] = useState<LogFile[] | null>(null);
  const [chosen, setChosen] = useState<string | null>(null);
  const command = useCommand();

  useEffect(() => {
    const given = new AbortController();
    command.run(async () => setListed(await around.door.rest.logs(workspace, run)));
    return () => given.abort();
  }, [status, store.standing]);

  const preferred = listed?.find((log) => log.name !== BUILD)?.name ?? listed?.[0]?.name ?? null;
  const name = chosen ?? preferred;
  if (name === null) {
    return (
      <>
        <Problem text={command.problem} />
        {listed !== null && (
          <p class="mlt-empty">{t(terminal(status) ? "Nothing was logged" : "No log yet")}</p>
        )}
      </>
    );
  }
  let log = logs.get(name);
  if (log === undefined) {
    log = new LogStore();
    logs.set(name, log);
  }
  return (
    <LogView
      key={name}
      store={store}
      log={log}
      name={name}
      names={(listed ?? []).map((one) => one.name)}
      choose={setChosen}
      around={around}
    />
  );
}

function LogView(props: {
  store: RunStore;
  log: LogStore;
  name: string;
  names: string[];
  choose: (name: string) => void;
  around: Surroundings;
}) {
  const { store, log, name, names, choose, around } = props;
  const { workspace, run } = store.recorded;
  const [follow, setFollow] = useState(true);
  const [query, setQuery] = useState("");
  const [hit, setHit] = useState(0);
  const [problem, setProblem] = useState("");
  const earlier = useCommand();
  useChanges(log.changes);

  useEffect(() => {
    if (!store.attached || log.complete) {
      return;
    }
    return around.door.live.follow(workspace, run, name, log.position ?? -TAIL_BYTES, {
      bytes: (data, offset, next, complete) => log.append(data, offset, next, complete),
      failed: (error) => setProblem(error.message),
    });
  }, [log, store.attached]);

  const found = useMemo(() => log.find(query), [query, log.count]);
  const at = found.length > 0 ? (found[Math.min(hit, found.length - 1)] ?? null) : null;
  const go = (by: number) => {
    setFollow(false);
    setHit((hit + by + found.length) % found.length);
  };
  const showEarlier = async () => {
    const start = Math.max(0, log.begins - EARLIER_BYTES);
    const data = await around.door.rest.log(workspace, run, name, start, log.begins - start);
    setFollow(false);
    log.prepend(data, start);
  };
  const link = around.door.link(`${runPath(workspace, run, "file")}?${new URLSearchParams({ path: name })}`);
  return (
    <>
      <div class="mlt-tools">
        {names.length > 1 && (
          <select aria-label={t("Log")} value={name} onChange={(event) => choose(event.currentTarget.value)}>
            {names.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        )}
        <input
          type="search"
          placeholder={t("Search")}
          aria-label={t("Search")}
          value={query}
          onInput={(event) => {
            setQuery(event.currentTarget.value);
            setHit(0);
            setFollow(event.currentTarget.value === "");
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter" && found.length > 0) {
              go(event.shiftKey ? -1 : 1);
            }
          }}
        />
        {query !== "" && (
          <>
            <span class="mlt-num mlt-dim" role="status">
              {found.length > 0
                ? t("{at} of {count}", {
                    at: formatNumber(Math.min(hit, found.length - 1) + 1),
                    count: formatNumber(found.length),
                  })
                : t("none")}
            </span>
            <Button label={t("Previous")} disabled={found.length === 0} onClick={() => go(-1)}>
              ↑
            </Button>
            <Button label={t("Next")} disabled={found.length === 0} onClick={() => go(1)}>
              ↓
            </Button>
          </>
        )}
        <span class="mlt-gap" />
        <Button pressed={follow} onClick={() => setFollow(!follow)}>
          {t("Follow")}
        </Button>
        <CopyButton text={() => log.text}>{t("Copy")}</CopyButton>
        <a class="mlt-button" href={link} download={name.split("/").at(-1)}>
          {t("Download")}
        </a>
      </div>
      <Problem text={problem || earlier.problem} />
      {log.begins > 1 && (
        <div class="mlt-row">
          <Button disabled={earlier.busy} onClick={() => earlier.run(showEarlier)}>
            {t("Show earlier lines")}
          </Button>
        </div>
      )}
      {log.count === 0 && problem === "" ? (
        <p class="mlt-empty">{t(log.complete ? "Nothing was logged" : "The log is empty so far")}</p>
      ) : (
        <LogLines
          log={log}
          name={name}
          follow={follow}
          setFollow={setFollow}
          found={new Set(found)}
          at={at}
        />
      )}
    </>
  );
}
