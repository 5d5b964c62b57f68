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
export type EndpointPhase = "deploying" | "running" | "restarting" | "failed" | "stopped" | "unknown";
export type LoggedNumber = number | ("NaN" | "Infinity" | "-Infinity");
export type OutcomeName = "Completed" | "Failed" | "Canceled";
export type RankStatus = "waiting" | "starting" | "running" | "completed" | "failed" | "ended" | "lost";

/**
 * All of them, by name.
 */
export interface Documents {
  AttachRequest: AttachRequest;
  BuildRequest: BuildRequest;
  CancelRequest: CancelRequest;
  ContainerRequest: ContainerRequest;
  DataRequest: DataRequest;
  DatasetRequest: DatasetRequest;
  DatastoreRequest: DatastoreRequest;
  DeploymentRequest: DeploymentRequest;
  DistributionRequest: DistributionRequest;
  EndpointChanges: EndpointChanges;
  EndpointRequest: EndpointRequest;
  EnvironmentRequest: EnvironmentRequest;
  InferenceRequest: InferenceRequest;
  KeyRequest: KeyRequest;
  ModelChanges: ModelChanges;
  ModelDeployment: ModelDeployment;
  ModelReference: ModelReference;
  ModelRequest: ModelRequest;
  NotebookRunRequest: NotebookRunRequest;
  OutputSmokeRequest: OutputSmokeRequest;
  PoolRequest: PoolRequest;
  RemoveDatasetRequest: RemoveDatasetRequest;
  RerunRequest: RerunRequest;
  ResourcesRequest: ResourcesRequest;
  RunChanges: RunChanges;
  RunRequest: RunRequest;
  SelectedStep: SelectedStep;
  ServingResources: ServingResources;
  SmokeRequest: SmokeRequest;
  SubstitutionRequest: SubstitutionRequest;
  TargetChanges: TargetChanges;
  TargetPruneRequest: TargetPruneRequest;
  TestRequest: TestRequest;
  UploadRequest: UploadRequest;
  ValuesRequest: ValuesRequest;
  jupyter_mltrain__service__wire__PruneRequest: JupyterMltrain_Service_Wire__PruneRequest;
  jupyter_mltrain__service__wire_environments__PruneRequest: JupyterMltrain_Service_WireEnvironments__PruneRequest;
  AliveMessage: AliveMessage;
  Baseline: Baseline;
  Build: Build;
  Capabilities: Capabilities;
  Capacity: Capacity;
  Change: Change;
  ContainerSettings: ContainerSettings;
  DataInput: DataInput;
  Dataset: Dataset;
  DatasetDetails: DatasetDetails;
  DatasetList: DatasetList;
  DatasetPaths: DatasetPaths;
  Datastore: Datastore;
  DatastoreList: DatastoreList;
  Distribution: Distribution;
  Dockerfile: Dockerfile;
  Doctor: Doctor;
  Endpoint: Endpoint;
  EndpointAnswer: EndpointAnswer;
  EndpointFailure: EndpointFailure;
  EndpointImage: EndpointImage;
  EndpointKeys: EndpointKeys;
  EndpointLatency: EndpointLatency;
  EndpointList: EndpointList;
  EndpointModel: EndpointModel;
  EndpointPhase: EndpointPhase;
  EndpointPlan: EndpointPlan;
  EndpointSnippets: EndpointSnippets;
  Environment: Environment;
  EnvironmentDefinition: EnvironmentDefinition;
  EnvironmentList: EnvironmentList;
  EnvironmentPreview: EnvironmentPreview;
  ErrorAnswer: ErrorAnswer;
  ErrorMessage: ErrorMessage;
  ExperimentList: ExperimentList;
  ExperimentSummary: ExperimentSummary;
  Failure: Failure;
  FetchProgress: FetchProgress;
  FetchedDataset: FetchedDataset;
  FileList: FileList;
  Freed: Freed;
  Health: Health;
  Hello: Hello;
  Inspection: Inspection;
  LaunchPlan: LaunchPlan;
  Leftover: Leftover;
  LogFile: LogFile;
  LogList: LogList;
  LogMessage: LogMessage;
  LogTail: LogTail;
  LoggedImage: LoggedImage;
  LoggedItems: LoggedItems;
  LoggedNumber: LoggedNumber;
  LoggedTable: LoggedTable;
  Metric: Metric;
  MetricList: MetricList;
  ModelList: ModelList;
  ModelName: ModelName;
  ModelPath: ModelPath;
  ModelVersion: ModelVersion;
  Mount: Mount;
  NewestModel: NewestModel;
  NodeSize: NodeSize;
  OfflineMessage: OfflineMessage;
  OutcomeName: OutcomeName;
  OutputsSummary: OutputsSummary;
  Packages: Packages;
  Plan: Plan;
  PlannedEnvironment: PlannedEnvironment;
  PlannedSnapshot: PlannedSnapshot;
  Problem: Problem;
  Progress: Progress;
  Pruned: Pruned;
  PrunedEnvironment: PrunedEnvironment;
  PrunedEnvironments: PrunedEnvironments;
  PrunedRun: PrunedRun;
  PrunedTarget: PrunedTarget;
  RankPlan: RankPlan;
  RankState: RankState;
  RankStatus: RankStatus;
  RemovedEnvironments: RemovedEnvironments;
  RemovedTarget: RemovedTarget;
  Resources: Resources;
  RunData: RunData;
  RunEnvironment: RunEnvironment;
  RunFile: RunFile;
  RunList: RunList;
  RunRanks: RunRanks;
  RunSpec: RunSpec;
  RunState: RunState;
  RunSummary: RunSummary;
  SavedEndpoint: SavedEndpoint;
  SavedModelVersion: SavedModelVersion;
  SavedRun: SavedRun;
  SavedSeries: SavedSeries;
  Scaling: Scaling;
  SeriesWindow: SeriesWindow;
  ServedWorkspace: ServedWorkspace;
  Signature: Signature;
  SizeList: SizeList;
  SmokePrediction: SmokePrediction;
  SnapshotFile: SnapshotFile;
  SnapshotSummary: SnapshotSummary;
  Stage: Stage;
  StateMessage: StateMessage;
  StatusName: StatusName;
  Substitution: Substitution;
  SystemGpu: SystemGpu;
  SystemNode: SystemNode;
  SystemSeries: SystemSeries;
  SystemUsage: SystemUsage;
  Target: Target;
  TargetDefinition: TargetDefinition;
  TargetHost: TargetHost;
  TargetList: TargetList;
  TargetNode: TargetNode;
  TensorSpec: TensorSpec;
  TrackingState: TrackingState;
  Uploaded: Uploaded;
  Usage: Usage;
  WireError: WireError;
  WorkspaceList: WorkspaceList;
  WorkspaceName: WorkspaceName;
}
/**
 * What is there already, as a target: `engine` and its settings.
 */
export interface AttachRequest {
  name: string;
  engine: string;
  settings?: {
    [k: string]: unknown;
  };
  description?: string;
  tags?: {
    [k: string]: string;
  };
}
export interface BuildRequest {
  gpus?: boolean | null;
}
/**
 * `keep`: stop, but do not lose: time to write a checkpoint, and an exit code of 0 then counts as completed. `give_up`:
 * do not wait any more for a host that does not answer; the run has then failed, whatever goes on there.
 */
export interface CancelRequest {
  reason?: string;
  keep?: boolean;
  give_up?: boolean;
  grace?: number | null;
}
export interface ContainerRequest {
  enabled?: boolean;
  base_image?: string | null;
  base_dockerfile?: string | null;
  image?: "" | "build";
  shm_size?: string | null;
  arguments?: string[];
}
/**
 * `core.spec.DataInput`; `dataset` is `NAME`, `NAME:VERSION` or `id:ID` where that is not `name`.
 */
export interface DataRequest {
  name: string;
  version?: number | null;
  argument?: string;
  dataset?: string;
  mode?: "mount" | "download" | "direct";
  path_on_compute?: string;
}
/**
 * A dataset to keep: without a name under its id alone. `sources` are absolute paths, URLs, `datastore://NAME/PATH`.
 */
export interface DatasetRequest {
  sources: string[];
  selection?: SelectedStep[];
  name?: string;
  description?: string;
  tags?: {
    [k: string]: string;
  };
  create_new_version?: boolean;
  partition_format?: string;
  validate_sources?: boolean;
}
/**
 * `core.dataset.Selected`.
 */
export interface SelectedStep {
  kind: "take" | "skip" | "split" | "sample";
  count?: number;
  share?: number;
  seed?: number;
  part?: 0 | 1;
}
/**
 * `values`: those of environment variables that url and options name; kept in memory alone.
 */
export interface DatastoreRequest {
  name: string;
  url: string;
  options?: {
    [k: string]: unknown;
  };
  values?: {
    [k: string]: string;
  };
}
/**
 * How it is served; what is None is left to the model's registration, and then to this machine. `target`: the compute
 * target whose containers hold its server; `image`: one with a server of its own, in place of ours.
 */
export interface DeploymentRequest {
  kind?: "Local" | "ACI";
  cpu?: number | null;
  memory_gb?: number | null;
  port?: number | null;
  target?: string;
  image?: string | null;
  auth_enabled?: boolean | null;
  tags?: {
    [k: string]: string;
  };
  properties?: {
    [k: string]: string;
  };
  description?: string;
}
/**
 * `core.spec.Distribution`.
 */
export interface DistributionRequest {
  launcher: "mpi" | "tensorflow";
  nodes?: number;
  processes_per_node?: number;
  parameter_servers?: number;
  chief?: boolean;
  evaluator?: boolean;
  join_seconds?: number | null;
  mpirun?: boolean;
}
/**
 * What is None stays as it is.
 */
export interface EndpointChanges {
  models?: ModelReference[] | null;
  inference?: InferenceRequest | null;
  cpu?: number | null;
  memory_gb?: number | null;
  port?: number | null;
  auth_enabled?: boolean | null;
  tags?: {
    [k: string]: string;
  } | null;
  properties?: {
    [k: string]: string;
  } | null;
  description?: string | null;
  kernel_python?: string | null;
}
export interface ModelReference {
  name: string;
  version?: number | null;
}
/**
 * An entry script. `source_directory` is absolute; `entry_script` is relative to it, or, without one, absolute.
 */
export interface InferenceRequest {
  entry_script: string;
  source_directory?: string | null;
  environment?: string | null;
  environment_variables?: {
    [k: string]: string;
  };
}
/**
 * An endpoint to make. `kernel_python`: the interpreter that the environment "current" means.
 */
export interface EndpointRequest {
  name: string;
  models?: ModelReference[];
  inference?: InferenceRequest | null;
  deployment?: DeploymentRequest;
  overwrite?: boolean;
  kernel_python?: string | null;
}
/**
 * An environment to register or to look at; the fields of `core.environment.EnvironmentDefinition` that a user gives.
 *
 * `specification`: a conda file's text, in place of python, pip, conda and channels.
 */
export interface EnvironmentRequest {
  name: string;
  python?: string | null;
  pip?: string[];
  pip_gpu?: string[];
  constraints?: string[];
  conda?: string[];
  channels?: string[];
  adaptations?: string[];
  imports?: string[];
  environment_variables?: {
    [k: string]: string;
  };
  interpreter?: string | null;
  docker?: ContainerRequest;
  inferencing_stack_version?: string | null;
  description?: string;
  substitutions?: SubstitutionRequest[];
  specification?: string | null;
}
export interface SubstitutionRequest {
  kind: string;
  asked: string;
  given: string;
  reason: string;
}
export interface KeyRequest {
  key: "primary" | "secondary";
  value?: string | null;
}
/**
 * `tags` take the place of those that were; `properties` are added and never change.
 */
export interface ModelChanges {
  tags?: {
    [k: string]: string;
  } | null;
  description?: string | null;
  properties?: {
    [k: string]: string;
  } | null;
  sample_input?: string | null;
}
/**
 * A registered version to serve as it is: what a form may ask for. `name`: of the endpoint.
 */
export interface ModelDeployment {
  name: string;
  deployment?: DeploymentRequest;
  overwrite?: boolean;
}
/**
 * `path`: of a run's record; for files that no run made, of this machine.
 */
export interface ModelRequest {
  name: string;
  path: string;
  tags?: {
    [k: string]: string;
  };
  description?: string;
  framework?: string | null;
  framework_version?: string | null;
  properties?: {
    [k: string]: string;
  };
  resources?: ServingResources | null;
  sample_input?: string | null;
  force?: boolean;
}
/**
 * Memory in GB (10⁹ bytes).
 */
export interface ServingResources {
  cpu?: number;
  memory_gb?: number;
  gpu?: number;
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
 * `path`: in the run's outputs. `sample`: as of `SmokeRequest`.
 */
export interface OutputSmokeRequest {
  path: string;
  sample?: unknown;
}
/**
 * A pool of nodes on this machine.
 */
export interface PoolRequest {
  name: string;
  size: string;
  priority?: string;
  min_nodes?: number;
  max_nodes?: number;
  idle_seconds?: number;
  description?: string;
  tags?: {
    [k: string]: string;
  };
}
/**
 * `cache`: what was fetched of it; `definition`: that it is registered. Files elsewhere are never touched.
 */
export interface RemoveDatasetRequest {
  what: "cache" | "definition";
}
/**
 * `resources` replace those of the run where they are given. `output`: the run in whose output the new one is shown.
 */
export interface RerunRequest {
  run_id?: string | null;
  resources?: ResourcesRequest;
  output?: string | null;
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
  distribution?: DistributionRequest | null;
  resume_from?: string | null;
  retries?: number;
  tags?: {
    [k: string]: string;
  };
  display_name?: string | null;
  kernel_python?: string | null;
  rerun_of?: string | null;
  parent?: string | null;
  limit_snapshot?: boolean;
}
/**
 * `sample`: what `inputs` of a request takes; without one, zeros.
 */
export interface SmokeRequest {
  sample?: unknown;
  environment?: string | null;
}
/**
 * What is left out stays.
 */
export interface TargetChanges {
  min_nodes?: number | null;
  max_nodes?: number | null;
  idle_seconds?: number | null;
  tags?: {
    [k: string]: string;
  } | null;
  description?: string | null;
}
export interface TargetPruneRequest {
  dry_run?: boolean;
}
/**
 * A request to pass on to the endpoint: to `/score`, or to another of its paths.
 */
export interface TestRequest {
  path?: string;
  body?: unknown;
  text?: string | null;
}
/**
 * `files`: (absolute path on this machine, path in the datastore) each.
 */
export interface UploadRequest {
  files: [unknown, unknown][];
  overwrite?: boolean;
}
export interface ValuesRequest {
  values: {
    [k: string]: string;
  };
}
/**
 * `older_than`: seconds since a run's end; `keep`: the newest runs stay, whatever their age.
 */
export interface JupyterMltrain_Service_Wire__PruneRequest {
  older_than?: number;
  keep?: number;
  dry_run?: boolean;
}
/**
 * Take away what is built and was not used for so many days.
 */
export interface JupyterMltrain_Service_WireEnvironments__PruneRequest {
  unused_days?: number;
}
export interface AliveMessage {
  type: "alive";
}
/**
 * The run of one process that others are compared with. `examples`: its examples per second, None where it told none.
 */
export interface Baseline {
  run_id: string;
  name: string;
  examples: number | null;
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
 * What a target, or the machine it is on, has in all: at most `slots` runs at once; GPU names by index.
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
  /**
   * `build`, or empty.
   */
  image: string;
  shm_size: string | null;
  arguments: string[];
}
export interface DataInput {
  name: string;
  version: number | null;
  argument: string;
  dataset: string;
  mode: string;
  path_on_compute: string;
}
/**
 * A version of a dataset, without where its files lie.
 */
export interface Dataset {
  /**
   * Empty for one that is not registered.
   */
  name: string;
  version: number;
  /**
   * Empty for a ready-made one.
   */
  id: string;
  kind: "ready-made" | "registered" | "unregistered";
  description: string;
  tags: {
    [k: string]: string;
  };
  /**
   * Hash of the content: `sha256:…`, or `stat:…` where it is of sizes and times alone; empty before the first fetch.
   */
  key: string;
  /**
   * None before the first fetch.
   */
  files: number | null;
  bytes: number | null;
  /**
   * Whether nothing needs to be fetched for it.
   */
  cached: boolean;
}
export interface DatasetDetails {
  /**
   * Empty for one that is not registered.
   */
  name: string;
  version: number;
  /**
   * Empty for a ready-made one.
   */
  id: string;
  kind: "ready-made" | "registered" | "unregistered";
  description: string;
  tags: {
    [k: string]: string;
  };
  /**
   * Hash of the content: `sha256:…`, or `stat:…` where it is of sizes and times alone; empty before the first fetch.
   */
  key: string;
  /**
   * None before the first fetch.
   */
  files: number | null;
  bytes: number | null;
  /**
   * Whether nothing needs to be fetched for it.
   */
  cached: boolean;
  sources: string[];
  selection: {
    [k: string]: unknown;
  }[];
  partition_format: string;
  created: number;
  versions: number[];
  /**
   * Its folder (or file) on this machine, if it is there.
   */
  path: string | null;
  /**
   * What it takes of the cache.
   */
  cached_bytes: number;
  /**
   * What is had from elsewhere than its sources say.
   */
  substitutions: Substitution[];
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
export interface DatasetList {
  datasets: Dataset[];
}
export interface DatasetPaths {
  paths: string[];
}
export interface Datastore {
  name: string;
  url: string;
  options: {
    [k: string]: unknown;
  };
  /**
   * Environment variables whose values it needs.
   */
  variables: string[];
  /**
   * Those of them that the service has no value for.
   */
  missing: string[];
}
export interface DatastoreList {
  datastores: Datastore[];
}
/**
 * How many processes a run has, and who starts them (`core.spec.Distribution`).
 */
export interface Distribution {
  launcher: "mpi" | "tensorflow";
  nodes: number;
  processes_per_node: number;
  parameter_servers: number;
  chief: boolean;
  evaluator: boolean;
  join_seconds: number | null;
  mpirun: boolean;
}
export interface Dockerfile {
  dockerfile: string;
  /**
   * The texts of the files that it needs beside it, by their names.
   */
  files: {
    [k: string]: string;
  };
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
 * An endpoint as it stands. `state`: in the SDK's words of its kind; `phase`: in ours.
 */
export interface Endpoint {
  name: string;
  kind: "Local" | "ACI";
  state: string;
  phase: EndpointPhase;
  /**
   * What is going on, while it is being deployed.
   */
  step: string;
  /**
   * The newest that was asked for.
   */
  revision: number;
  /**
   * The revision that answers.
   */
  serving: number | null;
  models: EndpointModel[];
  entry_script: string | null;
  environment: string;
  /**
   * What loaded the model, with its version; empty for an entry script, and before it was loaded.
   */
  framework: string;
  url: string | null;
  scoring_uri: string | null;
  swagger_uri: string | null;
  port: number | null;
  auth_enabled: boolean;
  cpu: number | null;
  memory_gb: number | null;
  /**
   * What its process holds.
   */
  memory_bytes: number;
  created: number;
  updated: number;
  /**
   * When the process that answers began to.
   */
  since: number | null;
  restarts: number;
  failure: EndpointFailure | null;
  substitutions: Substitution[];
  notices: string[];
  description: string;
  tags: {
    [k: string]: string;
  };
  properties: {
    [k: string]: string;
  };
  signatures: {
    [k: string]: Signature;
  } | null;
  default_signature: string | null;
  image: EndpointImage | null;
  snippets: EndpointSnippets;
  /**
   * Grows with each change; a reader gives it as `after`.
   */
  news: number;
  workspace: WorkspaceName;
  recorded: number;
}
export interface EndpointModel {
  /**
   * `name:version`.
   */
  id: string;
  name: string;
  version: number;
  format: string;
}
/**
 * Why a revision does not serve. The one before it may do so all the same (`serving`).
 */
export interface EndpointFailure {
  title: string;
  evidence: string[];
  traceback: string | null;
  mend: string;
  revision?: number | null;
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
 * The input is a grey image that can be drawn. `shape`: how the model takes one sample.
 */
export interface EndpointImage {
  input: string;
  height: number;
  width: number;
  shape: number[];
  dtype: string;
}
/**
 * What asks the endpoint, and what serves the model without us; the key is left for the reader to fill in.
 */
export interface EndpointSnippets {
  curl: string;
  python: string;
  /**
   * Empty for an entry script.
   */
  serve: string;
  /**
   * The cell that makes the endpoint.
   */
  deploy: string;
}
export interface WorkspaceName {
  id: string;
  name: string;
}
/**
 * What the endpoint answered to a request that was passed on. `body`: JSON where it is some (what is not finite by
 * its name), else text.
 */
export interface EndpointAnswer {
  status: number;
  milliseconds: number;
  body: unknown;
}
export interface EndpointKeys {
  primary: string;
  secondary: string;
}
/**
 * Of the last `of` requests, in ms; None without any. `requests`: by status, since `since`.
 */
export interface EndpointLatency {
  since: number | null;
  requests: {
    [k: string]: number;
  };
  of: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}
export interface EndpointList {
  endpoints: Endpoint[];
}
/**
 * What a deployment would do.
 */
export interface EndpointPlan {
  name: string;
  exists: boolean;
  models: EndpointModel[];
  environment: string;
  environment_state: string;
  memory_gb: number | null;
  memory_floor_gb: number;
  cpu: number | null;
  substitutions: Substitution[];
  signatures: {
    [k: string]: Signature;
  } | null;
  /**
   * Whether it needs no entry script.
   */
  servable: boolean;
  /**
   * One line; empty where nothing stands in the way.
   */
  problem: string;
  /**
   * The cell that does the same.
   */
  deploy: string;
}
/**
 * An environment, and how much of it is there.
 */
export interface Environment {
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
  /**
   * Small modules in it that make it fit scripts of another time.
   */
  adaptations: string[];
  format: number;
  name: string;
  version: number | null;
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
  /**
   * Why, one by one.
   */
  substitutions: Substitution[];
  /**
   * All that are stored under its name.
   */
  versions: number[];
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
  /**
   * Small modules in it that make it fit scripts of another time.
   */
  adaptations: string[];
}
/**
 * An environment as it was asked for (`core.environment.EnvironmentDefinition`).
 */
export interface EnvironmentDefinition {
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
  /**
   * Small modules in it that make it fit scripts of another time.
   */
  adaptations: string[];
  format: number;
  name: string;
  version: number | null;
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
  /**
   * Why, one by one.
   */
  substitutions: Substitution[];
}
export interface EnvironmentList {
  environments: Environment[];
}
/**
 * What a definition would come to.
 */
export interface EnvironmentPreview {
  python: string | null;
  pip: string[];
  pip_gpu: string[];
  constraints: string[];
  conda: string[];
  channels: string[];
  /**
   * Small modules in it that make it fit scripts of another time.
   */
  adaptations: string[];
  format: number;
  name: string;
  version: number | null;
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
  /**
   * Why, one by one.
   */
  substitutions: Substitution[];
  packages: string[];
  /**
   * The exact packages with their hashes, as pip reads them.
   */
  lock: string;
  dockerfile: string;
  /**
   * What was said while it was resolved.
   */
  log: string[];
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
/**
 * How far a fetch is, or the last one was; bytes.
 */
export interface FetchProgress {
  state: "idle" | "fetching" | "done" | "failed";
  source: string;
  done: number;
  total: number;
}
export interface FetchedDataset {
  /**
   * Empty for one that is not registered.
   */
  name: string;
  version: number;
  /**
   * Empty for a ready-made one.
   */
  id: string;
  kind: "ready-made" | "registered" | "unregistered";
  description: string;
  tags: {
    [k: string]: string;
  };
  /**
   * Hash of the content: `sha256:…`, or `stat:…` where it is of sizes and times alone; empty before the first fetch.
   */
  key: string;
  /**
   * None before the first fetch.
   */
  files: number | null;
  bytes: number | null;
  /**
   * Whether nothing needs to be fetched for it.
   */
  cached: boolean;
  path: string;
  /**
   * Who gave it; `cache` where it was there, `this machine` for local files.
   */
  source: string;
  seconds: number;
  /**
   * Files (at most 20) whose content is another than when this version was first fetched.
   */
  changed: string[];
}
export interface FileList {
  files: RunFile[];
}
export interface RunFile {
  path: string;
  size: number;
  modified: number;
}
/**
 * Bytes that a removal gave back.
 */
export interface Freed {
  bytes: number;
}
export interface Health {
  ok: boolean;
  problem: string;
  mend: string;
  /**
   * What was tried and is right, in order.
   */
  steps: string[];
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
  /**
   * Of the first node, on an engine with containers.
   */
  container: {
    [k: string]: unknown;
  } | null;
  /**
   * Of the other nodes, in their order.
   */
  more_containers: {
    [k: string]: unknown;
  }[];
  /**
   * Which of the target's hosts; empty where it has one.
   */
  host: string;
  /**
   * Of each node, where the run is on more than one host.
   */
  hosts: string[];
  addresses: string[];
  here: number[];
  lead: number[];
  ports: number;
  rendezvous: number[] | null;
  join_seconds: number;
  mpirun: boolean;
}
export interface RankPlan {
  rank: number;
  argv: string[];
  env: {
    [k: string]: string;
  };
  role: string;
  node: number;
  address: string;
  lingers: number;
}
export interface Mount {
  name: string;
  path: string;
  variable: string;
  key: string;
  place: string;
}
/**
 * Something that an engine keeps for us and that no live run needs (`core.compute.Leftover`).
 */
export interface Leftover {
  kind: string;
  name: string;
  bytes: number | null;
  why: string;
  /**
   * Where it is, of a target that has several hosts; else empty.
   */
  host: string;
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
export interface LoggedImage {
  name: string;
  /**
   * Of a file of the run (`GET /v1/runs/{id}/file`).
   */
  path: string;
  step: number | null;
}
export interface LoggedItems {
  /**
   * The newest, oldest first.
   */
  images: LoggedImage[];
  images_total: number;
  tables: LoggedTable[];
  tables_total: number;
}
/**
 * The newest rows of what `log_row` and `log_table` logged under a name; `rows[i][j]` belongs to `columns[j]`.
 */
export interface LoggedTable {
  name: string;
  columns: string[];
  rows: (LoggedNumber | string | boolean | null)[][];
  /**
   * How many rows there are.
   */
  total: number;
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
  properties: {
    [k: string]: string;
  };
  /**
   * What serving it asks for.
   */
  resources: ServingResources | null;
  /**
   * `NAME:VERSION` of its run.
   */
  environment: string | null;
  /**
   * `NAME:VERSION` each, of its run.
   */
  data: string[];
  /**
   * A dataset to try it with.
   */
  sample_input: string | null;
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
  properties: {
    [k: string]: string;
  };
  /**
   * What serving it asks for.
   */
  resources: ServingResources | null;
  /**
   * `NAME:VERSION` of its run.
   */
  environment: string | null;
  /**
   * `NAME:VERSION` each, of its run.
   */
  data: string[];
  /**
   * A dataset to try it with.
   */
  sample_input: string | null;
  /**
   * All of them, oldest first.
   */
  versions: ModelVersion[];
}
/**
 * What a node has (`core.target.Size`).
 */
export interface NodeSize {
  name: string;
  cpus: number;
  memory_gb: number;
  gpus: number;
  gpu: string;
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
  /**
   * Where it is on an engine with containers; else empty.
   */
  place: string;
  /**
   * What would be done first, in order, on such an engine.
   */
  steps: string[];
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
 * Runs that were removed, or would be.
 */
export interface Pruned {
  runs: PrunedRun[];
  /**
   * In all; with the contents of snapshots, once they are removed.
   */
  bytes: number;
  removed: boolean;
}
export interface PrunedRun {
  id: string;
  display_name: string;
  experiment: string;
  status: StatusName;
  ended: number;
  bytes: number;
}
export interface PrunedEnvironment {
  /**
   * Empty for the leavings of a build that failed.
   */
  name: string;
  key: string;
  bytes: number;
}
export interface PrunedEnvironments {
  removed: PrunedEnvironment[];
  bytes: number;
}
export interface PrunedTarget {
  leftovers: Leftover[];
  removed: boolean;
}
/**
 * One process of a run, as it was last seen.
 */
export interface RankState {
  rank: number;
  /**
   * What it is among the others: `worker 1`; `node 0, process 1`.
   */
  role: string;
  /**
   * Which of the run's nodes it is on, from 0.
   */
  node: number;
  /**
   * The target's host that the node is, where it has several; else the target.
   */
  host: string;
  status: RankStatus;
  /**
   * The last that it told, of the metric that most ranks log.
   */
  step: number | null;
  /**
   * Seconds behind the fastest: how much later it came to its step, or how long ago the fastest came to one that it has
   * not told yet. None where its steps cannot be compared with another's.
   */
  behind: number | null;
  /**
   * Those of its node, which its processes share: number, model and load as far as they are known (`0 NVIDIA L4, 83 %`).
   */
  gpus: string[];
  /**
   * Percent of the CPUs given, lately.
   */
  cpu: number | null;
  /**
   * Bytes, lately.
   */
  memory: number | null;
  /**
   * Examples per second, lately.
   */
  examples: number | null;
  /**
   * How it ended, in short; empty while it lives.
   */
  exit: string;
}
export interface RemovedEnvironments {
  /**
   * `name:version` each.
   */
  removed: string[];
}
export interface RemovedTarget {
  removed: string;
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
/**
 * A dataset that a run reads.
 */
export interface RunData {
  /**
   * Of the dataset; of the input, where the dataset is not registered.
   */
  name: string;
  version: number | null;
  /**
   * Hash of the content, once it is fetched: `sha256:…`, or `stat:…` where it is of sizes and times alone.
   */
  key?: string;
  /**
   * What the run calls it.
   */
  input?: string;
  /**
   * Of this version of the dataset; ready-made ones have none.
   */
  id?: string;
  mode?: "mount" | "download" | "direct";
  /**
   * The steps that chose among its files, as a person reads them.
   */
  selection?: string[];
  files?: number;
  bytes?: number;
  /**
   * Who gave it; `cache` where it was there.
   */
  source?: string;
  /**
   * Files (at most 20) whose content is another than when this version was first fetched.
   */
  changed?: string[];
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
 * The processes of a run. Of a run's state they are the first 32, and those that failed, were lost, or lag most.
 */
export interface RunRanks {
  ranks: RankState[];
  /**
   * The rank that failed first, which is why the run did.
   */
  failed: number | null;
  /**
   * Examples per second of all ranks together, lately; None until each that trains has counted.
   */
  examples: number | null;
  /**
   * None while nothing was counted.
   */
  scaling: Scaling | null;
}
/**
 * What more processes give. Rates are examples per second of the whole run but for each rank's first interval
 * (compilation, warming up).
 */
export interface Scaling {
  /**
   * Those that train: without parameter servers, and without a chief that only gives out work.
   */
  processes: number;
  /**
   * Of all ranks together; None until each that trains has counted.
   */
  examples: number | null;
  /**
   * By rank; None of one that counted nothing.
   */
  per_rank: (number | null)[];
  /**
   * As given; else the latest completed run of one process of the same experiment, script, arguments, target and
   * environment that counted its examples. None where there is none.
   */
  baseline: Baseline | null;
  /**
   * `examples / (processes * baseline.examples)`: 1 is as good as it gets.
   */
  efficiency: number | null;
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
  /**
   * The run whose script logs this one, beside its own.
   */
  within: string | null;
  distribution: Distribution | null;
  resume_from: string | null;
  retries: number;
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
   * Of its nodes, in words, once it is over: peak memory, CPU time, GPUs. Empty where nothing was sampled.
   */
  used: {
    [k: string]: string;
  };
  /**
   * A path of this machine: the door leaves it out.
   */
  source_directory?: string | null;
  rerun_of: string | null;
  /**
   * Runs that were started again from a card in this one's output, oldest first: they are shown below it.
   */
  reruns: string[];
  workspace: WorkspaceName;
  processes: number;
  /**
   * None for a run of one process.
   */
  ranks: RunRanks | null;
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
/**
 * The value of `application/vnd.mltrain.endpoint+json`: an endpoint as a notebook holds it, without its keys.
 */
export interface SavedEndpoint {
  format: number;
  /**
   * A UUID, or empty.
   */
  workspace: string;
  endpoint: string;
  recorded: number;
  /**
   * Of an `Endpoint` the keys that a card shows (`widgets.endpoint_output.KEPT`), texts and lists cut.
   */
  state: {
    [k: string]: unknown;
  };
  latency: EndpointLatency | null;
  log: LogTail | null;
}
/**
 * The value of `application/vnd.mltrain.model+json`: a registered version as a notebook holds it.
 */
export interface SavedModelVersion {
  format: number;
  workspace: string;
  recorded: number;
  /**
   * Of a `ModelVersion` the keys that are shown (`widgets.model_output.KEPT`), texts and lists cut.
   */
  model: {
    [k: string]: unknown;
  };
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
   * Runs that were started again from this output, oldest first; in a box of widgets, its other runs.
   */
  reruns?: SavedRun[];
  /**
   * A view of widgets in the same output shows these runs beside others: it goes first while its kernel knows it.
   */
  beside?: boolean;
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
export interface SizeList {
  sizes: NodeSize[];
}
/**
 * A model's answer to zeros, or to a sample, in a process of its own without network.
 */
export interface SmokePrediction {
  ok: boolean;
  /**
   * By name: nested lists, at most a few hundred numbers each.
   */
  outputs: {
    [k: string]: unknown;
  };
  shapes: {
    [k: string]: TensorSpec;
  };
  framework: string;
  /**
   * Of loading and predicting.
   */
  seconds: number;
  predict_ms: number | null;
  /**
   * Whether the process could reach the network, because this machine lets nobody take it away.
   */
  network: boolean;
  failure: EndpointFailure | null;
}
/**
 * A newer state of the run that `id` watches.
 */
export interface StateMessage {
  id: string;
  type: "state";
  state: RunState;
}
/**
 * A GPU that was given to the run.
 */
export interface SystemGpu {
  /**
   * Its number on the node; of one that is named by its UUID, its place among those given.
   */
  name: string;
  model: string;
  memory: number;
}
/**
 * What one rank of the run was given. There are no `gpus` while the driver has not told of them; `problem` says why it
 * does not.
 */
export interface SystemNode {
  rank: number;
  cpus: number;
  memory_limit: number | null;
  /**
   * Of the whole node.
   */
  memory_total: number;
  gpus_given: number;
  gpus: SystemGpu[];
  problem: string;
}
/**
 * One thing that was measured, without its points. CPU is percent of the CPUs given (100: all of them), each value the
 * mean since the one before; memory is bytes, each value the most since the one before; a GPU's is of all that use the
 * device.
 */
export interface SystemSeries {
  /**
   * What `GET /v1/runs/{key}/system/series` takes.
   */
  name: string;
  rank: number;
  measure: "cpu" | "memory" | "gpu" | "gpu_memory";
  /**
   * `SystemGpu.name`.
   */
  gpu: string | null;
  unit: "%" | "bytes";
  count: number;
  last: number;
  peak: number;
  /**
   * Over the time that was sampled.
   */
  mean: number;
}
/**
 * What a run used of its nodes, as far as it was sampled: nothing of one that took a moment, or has no processes of
 * its own.
 */
export interface SystemUsage {
  nodes: SystemNode[];
  series: SystemSeries[];
}
/**
 * A target, and how it stands.
 */
export interface Target {
  name: string;
  kind: string;
  engine: string;
  /**
   * None for `local`.
   */
  definition: TargetDefinition | null;
  /**
   * What each of its nodes has here; None where a run has what it asks for.
   */
  node: NodeSize | null;
  substitutions: Substitution[];
  nodes: TargetNode[];
  /**
   * How many are wanted now.
   */
  target_nodes: number;
  max_nodes: number;
  queued: number;
  /**
   * Whether no node is coming or going.
   */
  steady: boolean;
  /**
   * When a node last came or went.
   */
  changed: number;
  capabilities: Capabilities;
  capacity: Capacity;
  health: Health;
  /**
   * Of a target that has several; else empty.
   */
  hosts: TargetHost[];
}
/**
 * A target as it was asked for (`core.target.TargetDefinition`).
 */
export interface TargetDefinition {
  format: number;
  name: string;
  /**
   * `AmlCompute`, `local`, or the engine that is attached.
   */
  kind: string;
  size: string;
  priority: string;
  min_nodes: number;
  max_nodes: number;
  idle_seconds: number;
  description: string;
  tags: {
    [k: string]: string;
  };
  settings: {
    [k: string]: unknown;
  };
  capacity: Capacity | null;
  /**
   * What each host of a target has that has several, by its name.
   */
  hosts: {
    [k: string]: Capacity;
  };
  created: number;
  modified: number;
}
export interface TargetNode {
  number: number;
  state: "preparing" | "idle" | "running" | "leaving" | "unusable";
  /**
   * When it came into that state.
   */
  since: number;
  /**
   * The id of the run that it has.
   */
  run: string | null;
  problem: string;
  /**
   * Which of the target's hosts it is on; empty where that has one.
   */
  host: string;
}
/**
 * One of several hosts of a target.
 */
export interface TargetHost {
  name: string;
  capacity: Capacity;
  /**
   * How many it has now.
   */
  runs: number;
  health: Health;
}
export interface TargetList {
  targets: Target[];
  /**
   * Definitions that cannot be read.
   */
  problems: string[];
}
export interface Uploaded {
  /**
   * Paths in the datastore.
   */
  files: string[];
  bytes: number;
  /**
   * Files that were there already.
   */
  skipped: number;
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
