/** Generated from the service's OpenAPI (`hatch_build.py run wire`); what is said here is said in `jupyter_mltrain/core/wire*.py`. */

export type StatusName =
  | "NotStarted"
  | "Preparing"
  | "Queued"
  | "Starting"
  | "Running"
  | "NotResponding"
  | "CancelRequested"
  | "Finalizing"
  | "Completed"
  | "Failed"
  | "Canceled";
export type LoggedNumber = number | ("NaN" | "Infinity" | "-Infinity");
export type OutcomeName = "Completed" | "Failed" | "Canceled";

/**
 * All of them, by name.
 */
export interface Documents {
  BuildRequest: BuildRequest;
  CancelRequest: CancelRequest;
  DataRequest: DataRequest;
  EnvironmentRequest: EnvironmentRequest;
  ModelRequest: ModelRequest;
  NotebookRunRequest: NotebookRunRequest;
  RerunRequest: RerunRequest;
  ResourcesRequest: ResourcesRequest;
  RunChanges: RunChanges;
  RunRequest: RunRequest;
  AliveMessage: AliveMessage;
  Build: Build;
  Capabilities: Capabilities;
  Capacity: Capacity;
  Change: Change;
  ContainerSettings: ContainerSettings;
  DataInput: DataInput;
  Dataset: Dataset;
  DatasetList: DatasetList;
  Doctor: Doctor;
  Environment: Environment;
  EnvironmentDefinition: EnvironmentDefinition;
  EnvironmentList: EnvironmentList;
  ErrorAnswer: ErrorAnswer;
  ErrorMessage: ErrorMessage;
  ExperimentList: ExperimentList;
  ExperimentSummary: ExperimentSummary;
  Failure: Failure;
  FetchedDataset: FetchedDataset;
  FileList: FileList;
  Health: Health;
  Hello: Hello;
  Inspection: Inspection;
  LaunchPlan: LaunchPlan;
  LogFile: LogFile;
  LogList: LogList;
  LogMessage: LogMessage;
  LogTail: LogTail;
  LoggedNumber: LoggedNumber;
  Metric: Metric;
  MetricList: MetricList;
  ModelList: ModelList;
  ModelName: ModelName;
  ModelPath: ModelPath;
  ModelVersion: ModelVersion;
  Mount: Mount;
  NewestModel: NewestModel;
  OfflineMessage: OfflineMessage;
  OutcomeName: OutcomeName;
  OutputsSummary: OutputsSummary;
  Packages: Packages;
  Plan: Plan;
  PlannedEnvironment: PlannedEnvironment;
  PlannedSnapshot: PlannedSnapshot;
  Problem: Problem;
  Progress: Progress;
  RankPlan: RankPlan;
  Resources: Resources;
  RunData: RunData;
  RunEnvironment: RunEnvironment;
  RunFile: RunFile;
  RunList: RunList;
  RunSpec: RunSpec;
  RunState: RunState;
  RunSummary: RunSummary;
  SavedRun: SavedRun;
  SavedSeries: SavedSeries;
  SeriesWindow: SeriesWindow;
  ServedWorkspace: ServedWorkspace;
  Signature: Signature;
  SnapshotFile: SnapshotFile;
  SnapshotSummary: SnapshotSummary;
  Stage: Stage;
  StateMessage: StateMessage;
  StatusName: StatusName;
  Substitution: Substitution;
  Target: Target;
  TargetList: TargetList;
  TensorSpec: TensorSpec;
  TrackingState: TrackingState;
  Usage: Usage;
  WireError: WireError;
  WorkspaceList: WorkspaceList;
  WorkspaceName: WorkspaceName;
}
export interface BuildRequest {
  gpus?: boolean | null;
}
/**
 * `keep`: stop, but do not lose: time to write a checkpoint, and an exit code of 0 then counts as completed.
 */
export interface CancelRequest {
  reason?: string;
  keep?: boolean;
  grace?: number | null;
}
export interface DataRequest {
  name: string;
  version?: number | null;
  argument?: string;
}
/**
 * An environment to register; the fields of `core.environment.EnvironmentDefinition` that a user gives.
 */
export interface EnvironmentRequest {
  name: string;
  python?: string | null;
  pip?: string[];
  constraints?: string[];
  environment_variables?: {
    [k: string]: string;
  };
  interpreter?: string | null;
  description?: string;
}
export interface ModelRequest {
  name: string;
  path: string;
  tags?: {
    [k: string]: string;
  };
  description?: string;
  framework?: string | null;
  framework_version?: string | null;
  force?: boolean;
}
/**
 * A run that the kernel logs itself. `source_directory`: what to keep a snapshot of.
 */
export interface NotebookRunRequest {
  run_id: string;
  experiment: string;
  display_name?: string | null;
  parent?: string | null;
  source_directory?: string | null;
  kernel_python: string;
}
/**
 * `resources` replace those of the run where they are given.
 */
export interface RerunRequest {
  run_id?: string | null;
  resources?: ResourcesRequest;
}
export interface ResourcesRequest {
  gpus?: number | null;
  cpus?: number | null;
  memory_gb?: number | null;
  max_run_seconds?: number | null;
}
/**
 * `tags` replace those that were; `properties` are added to those that were, and never change.
 */
export interface RunChanges {
  display_name?: string | null;
  tags?: {
    [k: string]: string;
  } | null;
  notes?: string | null;
  pinned?: boolean | null;
  properties?: {
    [k: string]: string;
  } | null;
}
/**
 * A run to submit, or to plan. `run_id` comes from the client, so that sending twice submits once.
 */
export interface RunRequest {
  run_id?: string | null;
  experiment: string;
  target?: string | null;
  environment?: string | null;
  script?: string | null;
  command?: string[] | null;
  arguments?: string[];
  files?: {
    [k: string]: string;
  };
  source_directory?: string | null;
  data?: DataRequest[];
  environment_variables?: {
    [k: string]: string;
  };
  secrets?: {
    [k: string]: string;
  };
  resources?: ResourcesRequest;
  tags?: {
    [k: string]: string;
  };
  display_name?: string | null;
  kernel_python?: string | null;
  rerun_of?: string | null;
  parent?: string | null;
}
export interface AliveMessage {
  type: "alive";
}
/**
 * The last build that was asked for by name. `ready` says key, python, seconds and cached, `failed` the error.
 */
export interface Build {
  name: string;
  state: "idle" | "building" | "ready" | "failed";
  error?: WireError;
  key?: string;
  python?: string;
  seconds?: number;
  cached?: boolean;
}
/**
 * An error that a user can cause (`errors.MLTrainError`).
 */
export interface WireError {
  /**
   * Stable, with dots: `not_found.run`.
   */
  code: string;
  message: string;
  /**
   * What to do about it; may be empty.
   */
  mend: string;
  details: {
    [k: string]: unknown;
  };
}
export interface Capabilities {
  gpu: boolean;
  multi_node: boolean;
  shared_files: boolean;
  containers: boolean;
}
/**
 * What a target has in all: at most `slots` runs at once; GPU names by index.
 */
export interface Capacity {
  slots: number;
  cpus: number;
  memory_gb: number;
  gpus: string[];
}
/**
 * A change of status: when, why, and what was seen (exits, signals, heartbeats: as the engine tells it).
 */
export interface Change {
  status: StatusName;
  time: number;
  reason: string;
  evidence: {
    [k: string]: unknown;
  };
}
/**
 * What an environment asks of a target that runs containers (`core.environment.ContainerSettings`).
 */
export interface ContainerSettings {
  enabled: boolean;
  base_image: string | null;
  /**
   * Its text.
   */
  base_dockerfile: string | null;
  shm_size: string | null;
  arguments: string[];
}
export interface DataInput {
  name: string;
  version: number | null;
  argument: string;
}
export interface Dataset {
  name: string;
  version: number;
  description: string;
  /**
   * Hash of names and contents.
   */
  key: string;
  files: string[];
  cached: boolean;
  /**
   * Its folder on this machine, if it is there.
   */
  path: string | null;
}
export interface DatasetList {
  datasets: Dataset[];
}
export interface Doctor {
  /**
   * What the service sees of its surroundings, by name.
   */
  facts: {
    [k: string]: unknown;
  };
  problems: Problem[];
}
export interface Problem {
  problem: string;
  mend: string;
}
/**
 * An environment, and how much of it is there.
 */
export interface Environment {
  format: number;
  name: string;
  version: number | null;
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
  imports: string[];
  environment_variables: {
    [k: string]: string;
  };
  interpreter: string | null;
  docker: ContainerSettings;
  inferencing_stack_version: string | null;
  curated: boolean;
  description: string;
  /**
   * What is installed in place of what was asked for; None where that is the same.
   */
  given: Packages | null;
  substitutions: Substitution[];
  state: "" | "ready" | "to build" | "to resolve";
  key: string;
  /**
   * `name==version` each, once it is resolved.
   */
  packages: string[];
}
/**
 * What a resolver is asked for (`core.environment.Packages`).
 */
export interface Packages {
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
}
/**
 * Something that was asked for by a legacy name and is given as something else.
 */
export interface Substitution {
  kind: string;
  asked: string;
  given: string;
  reason: string;
}
/**
 * An environment as it was asked for, and what is given in its place (`core.environment.EnvironmentDefinition`).
 */
export interface EnvironmentDefinition {
  format: number;
  name: string;
  version: number | null;
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
  imports: string[];
  environment_variables: {
    [k: string]: string;
  };
  interpreter: string | null;
  docker: ContainerSettings;
  inferencing_stack_version: string | null;
  curated: boolean;
  description: string;
  /**
   * What is installed in place of what was asked for; None where that is the same.
   */
  given: Packages | null;
  substitutions: Substitution[];
}
export interface EnvironmentList {
  environments: Environment[];
}
/**
 * The body of every answer with a status from 400 on.
 */
export interface ErrorAnswer {
  error: WireError;
}
/**
 * The subscription has ended.
 */
export interface ErrorMessage {
  id: string;
  type: "error";
  error: WireError;
}
export interface ExperimentList {
  experiments: ExperimentSummary[];
}
export interface ExperimentSummary {
  name: string;
  /**
   * How many it has.
   */
  runs: number;
  /**
   * When the newest was submitted.
   */
  newest: number;
}
/**
 * Why a run failed: one sentence, short facts, the script's last traceback, what to do.
 */
export interface Failure {
  title: string;
  evidence: string[];
  traceback: string | null;
  rank: number | null;
  mend: string;
}
export interface FetchedDataset {
  name: string;
  version: number;
  description: string;
  /**
   * Hash of names and contents.
   */
  key: string;
  files: string[];
  cached: boolean;
  /**
   * Its folder on this machine, if it is there.
   */
  path: string | null;
  /**
   * Who gave it; `cache` where it was there.
   */
  source: string;
  seconds: number;
  bytes: number;
}
export interface FileList {
  files: RunFile[];
}
export interface RunFile {
  path: string;
  size: number;
  modified: number;
}
export interface Health {
  ok: boolean;
  problem: string;
  mend: string;
}
/**
 * What the service says of itself.
 */
export interface Hello {
  version: string;
  protocol: number;
  workspace: ServedWorkspace;
  pid: number;
  /**
   * Its interpreter.
   */
  python: string;
  started: number;
}
export interface ServedWorkspace {
  id: string;
  name: string;
  root: string;
}
/**
 * What the files of a model say of it, read without running any (`core.model.Inspection`).
 */
export interface Inspection {
  /**
   * In the run's record: `outputs/model`.
   */
  path: string;
  format: string;
  bytes: number;
  files: number;
  /**
   * By function name; None where the files do not tell.
   */
  signature: {
    [k: string]: Signature;
  } | null;
  framework: string | null;
  framework_version: string | null;
  /**
   * Why a part could not be read; may be empty.
   */
  problem: string;
}
/**
 * A function of a model that can be called: its inputs and outputs by name.
 */
export interface Signature {
  inputs: {
    [k: string]: TensorSpec;
  };
  outputs: {
    [k: string]: TensorSpec;
  };
}
/**
 * One input or output: dtype as TensorFlow names it (`float32`), shape with None for a free dimension; None where
 * the files do not say, or the rank is free.
 */
export interface TensorSpec {
  dtype: string | null;
  shape: (number | null)[] | null;
}
/**
 * What would run (`core.compute.LaunchPlan`), without values of secrets.
 */
export interface LaunchPlan {
  run_id: string;
  engine: string;
  root: string;
  ranks: RankPlan[];
  record: string;
  blobs: string;
  mounts: Mount[];
  max_run_seconds: number | null;
  memory_bytes: number | null;
  cpus: number | null;
}
export interface RankPlan {
  rank: number;
  argv: string[];
  env: {
    [k: string]: string;
  };
}
export interface Mount {
  name: string;
  path: string;
  variable: string;
  key: string;
}
export interface LogFile {
  name: string;
  size: number;
  /**
   * None for the log of the environment's build.
   */
  rank: number | null;
}
export interface LogList {
  logs: LogFile[];
  /**
   * Nothing will be added.
   */
  complete: boolean;
}
/**
 * Bytes `offset` to `next` of the log that `id` follows, in base64. An offset beyond the last `next`: some were
 * left out. `complete`: nothing will come after them.
 */
export interface LogMessage {
  id: string;
  type: "log";
  offset: number;
  next: number;
  data: string;
  complete: boolean;
}
export interface LogTail {
  name: string;
  tail: string;
}
/**
 * A series of points (one metric of one rank) without its points. Extremes are of finite values, None without any.
 */
export interface Metric {
  name: string;
  rank: number;
  count: number;
  last: LoggedNumber | null;
  last_step: number | null;
  min: number | null;
  min_step: number | null;
  max: number | null;
  max_step: number | null;
}
export interface MetricList {
  series: Metric[];
}
export interface ModelList {
  models: ModelVersion[];
}
/**
 * One version of a registered model (`core.model.ModelVersion`).
 */
export interface ModelVersion {
  /**
   * `name:version`.
   */
  id: string;
  name: string;
  version: number;
  run_id: string | null;
  path: string;
  content_hash: string;
  created: number;
  description: string;
  tags: {
    [k: string]: string;
  };
  framework: string | null;
  framework_version: string | null;
  signature: {
    [k: string]: Signature;
  } | null;
  metrics: {
    [k: string]: LoggedNumber;
  };
  /**
   * A version with equal content: an earlier one, or its own number when registering found it there already.
   */
  same_as: number | null;
  format: string;
  bytes: number;
  files: number;
}
export interface ModelName {
  name: string;
  version: number;
}
export interface ModelPath {
  /**
   * Where the files lie on this machine: over the socket only.
   */
  path: string;
}
/**
 * The newest version of a name.
 */
export interface NewestModel {
  /**
   * `name:version`.
   */
  id: string;
  name: string;
  version: number;
  run_id: string | null;
  path: string;
  content_hash: string;
  created: number;
  description: string;
  tags: {
    [k: string]: string;
  };
  framework: string | null;
  framework_version: string | null;
  signature: {
    [k: string]: Signature;
  } | null;
  metrics: {
    [k: string]: LoggedNumber;
  };
  /**
   * A version with equal content: an earlier one, or its own number when registering found it there already.
   */
  same_as: number | null;
  format: string;
  bytes: number;
  files: number;
  /**
   * All of them, oldest first.
   */
  versions: ModelVersion[];
}
/**
 * No service runs; said once, and a state follows when one does.
 */
export interface OfflineMessage {
  id: string;
  type: "offline";
  reason: string;
}
export interface OutputsSummary {
  files: number;
  bytes: number;
}
/**
 * What a submit would do.
 */
export interface Plan {
  plan: LaunchPlan;
  environment: PlannedEnvironment;
  snapshot: PlannedSnapshot;
  notices: string[];
}
export interface PlannedEnvironment {
  name: string;
  version: number | null;
  state: "" | "ready" | "to build" | "to resolve";
  cached: boolean;
  key: string;
}
export interface PlannedSnapshot {
  files: number;
  bytes: number;
  /**
   * Files and folders that the ignore rules leave out.
   */
  ignored: number;
  /**
   * Left out because they look like credentials.
   */
  secrets: string[];
  /**
   * At most 20.
   */
  largest: SnapshotFile[];
}
export interface SnapshotFile {
  path: string;
  size: number;
  mode: number;
  sha256: string;
}
/**
 * How far the script says it is: `epoch 12/20`.
 */
export interface Progress {
  label: string;
  value: number;
  total: number | null;
  /**
   * Seconds that are left, at the rate so far.
   */
  eta: number | null;
}
/**
 * What one node of a run asks for; None leaves the choice to the target.
 */
export interface Resources {
  gpus: number | null;
  cpus: number | null;
  memory_gb: number | null;
  max_run_seconds: number | null;
}
export interface RunData {
  name: string;
  version: number | null;
  /**
   * Hash of the content, once it is fetched.
   */
  key?: string;
}
/**
 * The environment of a run. What it came to is known from Queued on.
 */
export interface RunEnvironment {
  name: string;
  version: number | null;
  /**
   * What it is cached under.
   */
  key: string | null;
  python?: string;
  /**
   * How many there are.
   */
  packages?: number;
}
export interface RunList {
  runs: RunSummary[];
  /**
   * How many there are, whatever the limit.
   */
  total: number;
}
/**
 * What a list shows of a run.
 */
export interface RunSummary {
  id: string;
  /**
   * Counts the workspace's runs, from 1.
   */
  number: number;
  experiment: string;
  display_name: string;
  status: StatusName;
  /**
   * Grows with every change that a view could show.
   */
  revision: number;
  created: number;
  started: number | null;
  ended: number | null;
  /**
   * From the start to the end, or to now.
   */
  duration: number | null;
  target: string;
  environment: RunEnvironment;
  data: RunData[];
  /**
   * How its processes ended, known from Finalizing on; the status says the same when all is collected.
   */
  outcome: OutcomeName | null;
  failure: Failure | null;
  tracking: TrackingState;
  tags: {
    [k: string]: string;
  };
  notes: string;
  pinned: boolean;
  snapshot: SnapshotSummary;
  outputs: OutputsSummary;
  /**
   * Versions that were registered from its outputs.
   */
  models: ModelName[];
  /**
   * The run that this one is a child of.
   */
  parent: string | null;
  notices: string[];
  queue_position: number | null;
  /**
   * When this was seen.
   */
  recorded: number;
}
/**
 * How far MLflow is behind a run's record: `pending` counts the records and files to come; `message` says what is
 * wrong.
 */
export interface TrackingState {
  state: "synced" | "pending" | "error" | "off";
  pending: number;
  message: string;
}
export interface SnapshotSummary {
  files: number;
  bytes: number;
  digest: string;
}
/**
 * `spec.json`: the run as it was asked for (`core.spec.RunSpec`). `secrets` are names.
 */
export interface RunSpec {
  format: number;
  run_id: string;
  experiment: string;
  display_name: string;
  target: string;
  environment: string;
  environment_version: number | null;
  script: string | null;
  command: string[] | null;
  arguments: string[];
  snapshot: string;
  source_directory: string | null;
  data: DataInput[];
  environment_variables: {
    [k: string]: string;
  };
  secrets: string[];
  resources: Resources;
  tags: {
    [k: string]: string;
  };
  git: {
    [k: string]: string;
  };
  substitutions: Substitution[];
  rerun_of: string | null;
  parent: string | null;
}
/**
 * The whole state of a run.
 */
export interface RunState {
  id: string;
  /**
   * Counts the workspace's runs, from 1.
   */
  number: number;
  experiment: string;
  display_name: string;
  status: StatusName;
  /**
   * Grows with every change that a view could show.
   */
  revision: number;
  created: number;
  started: number | null;
  ended: number | null;
  /**
   * From the start to the end, or to now.
   */
  duration: number | null;
  target: string;
  environment: RunEnvironment;
  data: RunData[];
  /**
   * How its processes ended, known from Finalizing on; the status says the same when all is collected.
   */
  outcome: OutcomeName | null;
  failure: Failure | null;
  tracking: TrackingState;
  tags: {
    [k: string]: string;
  };
  notes: string;
  pinned: boolean;
  snapshot: SnapshotSummary;
  outputs: OutputsSummary;
  /**
   * Versions that were registered from its outputs.
   */
  models: ModelName[];
  /**
   * The run that this one is a child of.
   */
  parent: string | null;
  notices: string[];
  queue_position: number | null;
  /**
   * When this was seen.
   */
  recorded: number;
  history: Change[];
  stages: Stage[];
  progress: Progress | null;
  /**
   * The first 50 series.
   */
  metrics: Metric[];
  /**
   * How many series there are.
   */
  metric_series: number;
  metric_points: number;
  properties: {
    [k: string]: string;
  };
  arguments: string[];
  script: string | null;
  /**
   * An argument list; exactly one of script and command is set, none for a run that a notebook logs itself.
   */
  command: string[] | null;
  substitutions: Substitution[];
  git: {
    [k: string]: string;
  };
  resources: Resources;
  /**
   * A path of this machine: the door leaves it out.
   */
  source_directory?: string | null;
  rerun_of: string | null;
  workspace: WorkspaceName;
}
/**
 * One stage of a run's life (`core.status.STAGES`).
 */
export interface Stage {
  name: StatusName;
  state: "pending" | "active" | "done" | "failed" | "skipped";
  started: number | null;
  ended: number | null;
  note: string;
}
export interface WorkspaceName {
  id: string;
  name: string;
}
/**
 * The value of `application/vnd.mltrain.run+json`: a run as a notebook holds it.
 */
export interface SavedRun {
  format: number;
  /**
   * A UUID, or empty.
   */
  workspace: string;
  run: string;
  recorded: number;
  /**
   * Of a `RunState` the keys that a card shows (`widgets.bounds.KEPT`), texts and lists cut.
   */
  state: {
    [k: string]: unknown;
  };
  series: SavedSeries[];
  log: LogTail | null;
  /**
   * Runs that were started again from this output, oldest first: the page adds them.
   */
  reruns?: SavedRun[];
}
/**
 * Points of a chart: `steps[i]` belongs to `values[i]`; `total` is how many the series had.
 */
export interface SavedSeries {
  name: string;
  rank: number;
  total: number;
  steps: number[];
  values: LoggedNumber[];
}
/**
 * Points of a series, thinned for drawing with every extreme among them; the three lists are equally long.
 */
export interface SeriesWindow {
  name: string;
  rank: number;
  /**
   * How many points the window really has.
   */
  total: number;
  steps: number[];
  times: number[];
  values: LoggedNumber[];
}
/**
 * A newer state of the run that `id` watches.
 */
export interface StateMessage {
  id: string;
  type: "state";
  state: RunState;
}
export interface Target {
  name: string;
  /**
   * The engine.
   */
  kind: string;
  capabilities: Capabilities;
  capacity: Capacity;
  health: Health;
}
export interface TargetList {
  targets: Target[];
}
/**
 * Bytes on disk: of all runs' folders, and of the snapshots' contents that they share.
 */
export interface Usage {
  runs: number;
  snapshots: number;
}
/**
 * `GET mltrain/workspaces`: the user's workspaces that are still there.
 */
export interface WorkspaceList {
  workspaces: WorkspaceName[];
}
