/**
 * The card's words in the reader's language. English is the key; a phrase without a translation shows in English. `{name}`
 * is filled in. What a run or a service says is never translated.
 */

const JAPANESE: { readonly [english: string]: string } = {
  "Not started": "未開始",
  Preparing: "準備中",
  Queued: "待機中",
  Starting: "起動中",
  Running: "実行中",
  Finalizing: "仕上げ中",
  Completed: "完了",
  Failed: "失敗",
  Canceled: "中止済み",
  "Not responding": "応答なし",
  "Cancel requested": "中止要求済み",
  Cancel: "中止",
  "Stop and keep": "保存して停止",
  Rerun: "再実行",
  "Rerun with {memory} GB": "{memory} GB で再実行",
  "Ends the run now": "実行をすぐに終了します",
  "Lets the script write a checkpoint, then keeps its outputs":
    "チェックポイントの保存を待ち、出力を残して停止します",
  "Submits the same run again": "同じ内容でもう一度実行します",
  "Show live": "ライブ表示",
  "recorded on {date}": "{date} に記録",
  live: "ライブ",
  "connection lost, trying again": "接続が切れました。再接続しています",
  "The kernel says nothing of this run any more: it was restarted, or has ended. Show the run again.":
    "カーネルからこの実行の情報が届いていません。再起動または終了した可能性があります。実行をもう一度表示してください。",
  "The kernel is busy.": "カーネルは使用中です。",
  "The kernel is busy; this is done as soon as its cell has ended.":
    "カーネルは使用中です。セルの終了後すぐに実行されます。",
  "The kernel is busy; what you ask for is done as soon as its cell has ended.":
    "カーネルは使用中です。操作はセルの終了後すぐに実行されます。",
  "The file is too large for this page: run.download_file() copies it.":
    "ファイルが大きすぎてこのページでは扱えません。run.download_file() でコピーできます。",
  Metrics: "メトリック",
  Logs: "ログ",
  Outputs: "出力",
  Details: "詳細",
  Views: "表示",
  "Filter metrics": "メトリックを絞り込む",
  Smoothing: "平滑化",
  Axis: "横軸",
  Step: "ステップ",
  "Relative time": "経過時間",
  "Wall time": "時刻",
  Scale: "目盛り",
  Linear: "線形",
  Logarithmic: "対数",
  "{shown} of {total} points": "{total} 点中 {shown} 点",
  "Show {count} more": "さらに {count} 件表示",
  "No metrics yet": "メトリックはまだありません",
  "No metrics were logged": "メトリックは記録されていません",
  "No metric matches": "一致するメトリックはありません",
  "Enlarge {name}": "{name} を拡大",
  Close: "閉じる",
  "Loading the chart…": "グラフを読み込んでいます…",
  "The large chart could not be loaded": "拡大グラフを読み込めませんでした",
  Value: "値",
  Zoom: "ズーム",
  "Zoom in": "拡大",
  "Zoom out": "縮小",
  Earlier: "前へ移動",
  Later: "後へ移動",
  "Reset zoom": "ズームを解除",
  "{name}, last value {last}": "{name}、最新値 {last}",
  Log: "ログ",
  Search: "検索",
  "{at} of {count}": "{at} / {count} 件",
  none: "なし",
  Previous: "前へ",
  Next: "次へ",
  Follow: "追従",
  Copy: "コピー",
  Copied: "コピーしました",
  "Copy id": "ID をコピー",
  "Copy the line": "この行をコピー",
  Download: "ダウンロード",
  "Show earlier lines": "以前の行を表示",
  "No log yet": "ログはまだありません",
  "The log is empty so far": "ログはまだ空です",
  "Nothing was logged": "ログはありません",
  "No outputs yet: files below outputs/ and logs/ appear here":
    "出力はまだありません。outputs/ と logs/ のファイルがここに表示されます",
  "The run left no files": "この実行はファイルを残していません",
  "{count} files, {size}": "{count} ファイル、{size}",
  Files: "ファイル",
  Preview: "プレビュー",
  "The first {size}": "先頭の {size}",
  "No preview for this kind of file": "この種類のファイルはプレビューできません",
  "The file is empty": "ファイルは空です",
  "Register model": "モデルを登録",
  Model: "モデル",
  "Reading its signature…": "シグネチャを読み取っています…",
  "not a known model format": "既知のモデル形式ではありません",
  "no signature in its files": "ファイルにシグネチャがありません",
  Name: "名前",
  Tags: "タグ",
  "key=value, …": "キー=値, …",
  Description: "説明",
  "Metrics kept": "保存されるメトリック",
  "will be version {version}": "バージョン {version} になります",
  "version {version} is the newest": "最新はバージョン {version} です",
  "version {version} had {metric}": "バージョン {version} は {metric} でした",
  "a new name": "新しい名前",
  "Register version {version}": "バージョン {version} を登録",
  Register: "登録",
  "Registering…": "登録しています…",
  "Registered as {model}": "{model} として登録しました",
  "Already registered as {model}: the content is the same.": "{model} として登録済みです。内容は同じです。",
  "The same content as version {version}.": "内容はバージョン {version} と同じです。",
  "Show as a cell": "セルとして表示",
  "Hide the cell": "セルを隠す",
  folder: "フォルダー",
  Notes: "メモ",
  "Save notes": "メモを保存",
  "Display name": "表示名",
  Rename: "名前を変更",
  Pin: "ピン留め",
  Unpin: "ピン留めを外す",
  History: "履歴",
  Run: "実行",
  Arguments: "引数",
  Command: "コマンド",
  Environment: "環境",
  Data: "データ",
  Snapshot: "スナップショット",
  Resources: "リソース",
  "Asked for": "要求との違い",
  "Last lines of {name}": "{name} の最後の行",
  Traceback: "トレースバック",
  "position {position}": "{position} 番目",
  "{time} left": "残り {time}",
  "{label} {value} of {total}": "{label} {value} / {total}",
  "stopped at {place}": "{place} で停止",
  "registered as {model}": "{model} として登録済み",
  "What ended": "終了したもの",
  Actions: "操作",
};

let table: { readonly [english: string]: string } | null = null;
let locale = "en-US";

/** Choose the language of the page, as a BCP 47 tag or JupyterLab's `ja_JP`. */
export function speak(tag: string): void {
  const japanese = /^ja\b|^ja_/i.test(tag);
  table = japanese ? JAPANESE : null;
  locale = japanese ? "ja-JP" : "en-US";
}

/** What `work` makes, in English: what is written into notebooks is what the kernel would write. */
export function inEnglish<T>(work: () => T): T {
  const before = [table, locale] as const;
  speak("en");
  try {
    return work();
  } finally {
    [table, locale] = before;
  }
}

export function t(english: string, filled: { readonly [name: string]: string | number } = {}): string {
  const phrase = table?.[english] ?? english;
  return phrase.replace(/\{(\w+)\}/g, (whole, name: string) => String(filled[name] ?? whole));
}

/** When, in the reader's own time zone, to the second. */
export function formatMoment(epoch: number): string {
  return new Date(epoch * 1000).toLocaleString(locale, {
    dateStyle: "medium",
    timeStyle: "medium",
    hourCycle: "h23",
  });
}
