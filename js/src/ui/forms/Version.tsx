import type { TargetedEvent } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Endpoints, ModelId } from "../../api/endpoints";
import { type ModelPayload, parseModelPayload } from "../../api/model";
import { FORMAT } from "../../api/payload";
import type { RunFile } from "../../api/rest";
import { formatDate, formatNumber, formatSize } from "../../model/formats";
import { t } from "../../model/language";
import { signatureLines } from "../../model/outputs";
import { Button, Problem } from "../controls";
import { Facts } from "../Facts";
import { useCommand } from "../hooks";

/** Names a registered version, and opens what is known of it. */
export function VersionLink(props: { model: ModelId; open: boolean; toggle: () => void }) {
  const { model, open, toggle } = props;
  return (
    <button type="button" class="mlt-link" aria-expanded={open} onClick={toggle}>
      {model.name}:{model.version}
    </button>
  );
}

/** A registered version, asked for when it is opened: what it is, what it came from, its files. */
export function VersionView(props: { endpoints: Endpoints; model: ModelId; close: () => void }) {
  const { endpoints, model, close } = props;
  const [found, setFound] = useState<ModelPayload | null>(null);
  const asking = useCommand();
  const id = `${model.name}:${model.version}`;
  useEffect(() => {
    const { workspace } = endpoints;
    asking.run(async () =>
      setFound(parseModelPayload({ format: FORMAT, workspace, model: await endpoints.version(model) })),
    );
  }, []);
  return (
    <section class="mlt-version" aria-label={`${t("Model")} ${id}`}>
      <div class="mlt-row">
        <b>{id}</b>
        {found && <span class="mlt-num mlt-dim">{formatSize(found.bytes)}</span>}
        <span class="mlt-gap" />
        <Button onClick={close}>{t("Close")}</Button>
      </div>
      <Problem text={asking.problem} />
      {found && <VersionFacts model={found} endpoints={endpoints} />}
    </section>
  );
}

/** What is known of a version. With `endpoints`, its files too, where somebody wants to see them. */
export function VersionFacts({ model, endpoints }: { model: ModelPayload; endpoints: Endpoints | null }) {
  const rows: [string, string][] = [
    [t("Framework"), [model.framework, model.format].filter(Boolean).join(" · ")],
    [t("Signature"), signatureLines(model.signature).join("; ")],
    [t("Metrics"), model.metrics.map(([metric, value]) => `${metric} ${formatNumber(value)}`).join(", ")],
    [t("Run"), [model.run, model.path].filter(Boolean).join(" · ")],
    [t("Data"), model.data.join(", ")],
    [t("Environment"), model.environment],
    [t("Created"), model.created === null ? "" : formatDate(model.created)],
    [
      t("Tags"),
      Object.entries(model.tags)
        .map(([key, value]) => `${key}=${value}`)
        .join(", "),
    ],
    [t("Description"), model.description],
  ];
  return (
    <>
      <dl class="mlt-kv">
        <Facts rows={rows} />
      </dl>
      {endpoints && <Files model={model} endpoints={endpoints} />}
    </>
  );
}

function Files({ model, endpoints }: { model: ModelPayload; endpoints: Endpoints }) {
  const [files, setFiles] = useState<RunFile[] | null>(null);
  const listing = useCommand();
  const opened = (event: TargetedEvent<HTMLDetailsElement>) => {
    if (event.currentTarget.open && files === null) {
      listing.run(async () => setFiles(await endpoints.files(model)));
    }
  };
  return (
    <details onToggle={opened}>
      <summary>{t("Files")}</summary>
      <Problem text={listing.problem} />
      <ul class="mlt-tree">
        {(files ?? []).map(({ path, size }) => (
          <li key={path} class="mlt-file">
            <span class="mlt-mono">{path}</span>
            <span class="mlt-num mlt-dim">{formatSize(size)}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}
