import { useEffect, useState } from "preact/hooks";

import { type RunFile, runPath } from "../api/rest";
import { formatNumber, formatSize } from "../model/formats";
import { t } from "../model/language";
import { candidates, type Folder, treeOf } from "../model/outputs";
import { type RunStore, terminal } from "../model/run";
import { Button, Problem } from "./controls";
import { useCommand } from "./hooks";
import { Preview } from "./Preview";
import { RegisterForm } from "./RegisterForm";
import type { Surroundings } from "./surroundings";

/** Below this many files a folder is open from the start. */
const OPEN_UP_TO = 40;

export function OutputsTab({ store, around }: { store: RunStore; around: Surroundings }) {
  const { workspace, run } = store.recorded;
  const { status, outputs } = store.state;
  const [files, setFiles] = useState<RunFile[] | null>(null);
  const [previewed, setPreviewed] = useState<RunFile | null>(null);
  const [registering, setRegistering] = useState(false);
  const listing = useCommand();
  useEffect(() => {
    listing.run(async () => setFiles(await around.door.rest.files(workspace, run)));
  }, [status, outputs.files, outputs.bytes, store.standing]);

  if (files === null || files.length === 0) {
    const words = terminal(status)
      ? "The run left no files"
      : "No outputs yet: files below outputs/ and logs/ appear here";
    return (
      <>
        <Problem text={listing.problem} />
        {files !== null && <p class="mlt-empty">{t(words)}</p>}
      </>
    );
  }
  const tree = treeOf(files);
  const models = candidates(files);
  const linkTo = (path: string) =>
    around.door.link(`${runPath(workspace, run, "file")}?${new URLSearchParams({ path })}`);
  return (
    <>
      <Problem text={listing.problem} />
      <div class="mlt-row">
        <span class="mlt-num mlt-dim">
          {t("{count} files, {size}", { count: formatNumber(tree.count), size: formatSize(tree.size) })}
        </span>
        <span class="mlt-gap" />
        {models.length > 0 && terminal(status) && !registering && (
          <Button primary onClick={() => setRegistering(true)}>
            {t("Register model")}
          </Button>
        )}
      </div>
      {registering && (
        <RegisterForm store={store} around={around} models={models} close={() => setRegistering(false)} />
      )}
      <ul class="mlt-tree" aria-label={t("Files")}>
        <Entries
          folder={tree}
          open={tree.count <= OPEN_UP_TO}
          chosen={previewed?.path ?? ""}
          choose={(file) => setPreviewed(file.path === previewed?.path ? null : file)}
          linkTo={linkTo}
        />
      </ul>
      {previewed && <Preview key={previewed.path} file={previewed} store={store} around={around} />}
    </>
  );
}

function Entries(props: {
  folder: Folder;
  open: boolean;
  chosen: string;
  choose: (file: RunFile) => void;
  linkTo: (path: string) => string;
}) {
  const { folder, open, chosen, choose, linkTo } = props;
  return (
    <>
      {folder.folders.map((below) => (
        <li key={below.path}>
          <details open={open}>
            <summary>
              {below.name}/ <span class="mlt-num mlt-dim">{formatSize(below.size)}</span>
            </summary>
            <ul>
              <Entries {...props} folder={below} />
            </ul>
          </details>
        </li>
      ))}
      {folder.files.map((file) => (
        <li key={file.path} class="mlt-file">
          <button
            type="button"
            class="mlt-plain"
            aria-expanded={file.path === chosen}
            onClick={() => choose(file)}
          >
            {file.path.split("/").at(-1)}
          </button>
          <span class="mlt-num mlt-dim">{formatSize(file.size)}</span>
          <a
            href={linkTo(file.path)}
            download={file.path.split("/").at(-1)}
            aria-label={`${t("Download")} ${file.path}`}
            title={t("Download")}
          >
            ↓
          </a>
        </li>
      ))}
    </>
  );
}
