import { useEffect, useMemo, useRef } from "preact/hooks";

import type { Metric, RunState } from "../api/payload";
import { type SystemNode, type SystemSeries, systemPoints, systemUsage } from "../api/system";
import { inTurn } from "../model/budget";
import { PLAIN_VIEW } from "../model/chart";
import { Hover } from "../model/hover";
import { t } from "../model/language";
import { RangeStore } from "../model/range";
import { type RunStore, terminal } from "../model/run";
import { type FetchPoints, SeriesStore } from "../model/series";
import { chartsOfNode, limitLine, nodeNotes, onAxis, type SystemChart, SystemStore } from "../model/system";
import { useChanges } from "./hooks";
import { LiveChart } from "./LiveChart";
import { colourOf } from "./MetricCharts";
import { Count, ZoomButtons } from "./MetricsToolbar";
import { useRange } from "./range";
import { useSeen } from "./seen";
import type { Surroundings } from "./surroundings";

const POINTS = 1200;
/** Percent and bytes begin at nothing, and go along the run's own time. */
const VIEW = { ...PLAIN_VIEW, axis: "relative", zero: true } as const;
/** From here on it is not for its shortness that nothing was sampled: an older version ran it. */
const SHORT_S = 10;
/** Engines whose runs have no processes of their own: the kernel's, or those of the run whose script keeps them. */
const WITHOUT_PROCESSES = ["notebook", "(in script)"];

/** What the run uses of its nodes. */
export function SystemTab({ store, around }: { store: RunStore; around: Surroundings }) {
  const { state } = store;
  const { workspace, run } = store.recorded;
  const node = useRef<HTMLDivElement>(null);
  const seen = useSeen(node);
  const system = useMemo(
    () => new SystemStore((signal) => systemUsage(around.door.rest, workspace, run, { signal }), inTurn()),
    [],
  );
  useChanges(system.changes);
  const growing = !terminal(state.status);
  useEffect(() => {
    if (seen) {
      system.want(growing);
    } else {
      system.rest();
    }
  }, [seen, growing]);
  useEffect(() => () => system.dispose(), []);
  const { answer: usage, problem } = system;
  return (
    <div class="mlt-metrics" ref={node}>
      {usage !== null && usage.series.length > 0 ? (
        <Nodes store={store} around={around} nodes={usage.nodes} series={usage.series} />
      ) : (
        <p class="mlt-empty">{problem || (usage === null ? "…" : emptyWords(state, growing))}</p>
      )}
    </div>
  );
}

function emptyWords({ target, duration }: RunState, growing: boolean): string {
  if (WITHOUT_PROCESSES.includes(target)) {
    return t("This run has no processes of its own to sample");
  }
  if (growing) {
    return t("Sampling begins with the script");
  }
  return t((duration ?? 0) > SHORT_S ? "This run was not sampled" : "This run was too short to be sampled");
}

function Nodes(props: {
  store: RunStore;
  around: Surroundings;
  nodes: readonly SystemNode[];
  series: readonly SystemSeries[];
}) {
  const { store, around, nodes, series } = props;
  const points = useMemo(() => pointsOf(store, around), []);
  useEffect(
    () => () => {
      points.dispose();
      points.whole.dispose();
    },
    [],
  );
  const hover = useMemo(() => new Hover(), []);
  const metrics = useMemo(() => series.map(metricOf), [series]);
  const { view, show, step, pressed } = useRange(points, metrics, store.state.started, VIEW);
  return (
    // Lab's own shortcuts of a cell are not meant here.
    // biome-ignore lint/a11y/noStaticElementInteractions: keys of the buttons in it
    <div data-lm-suppress-shortcuts="true" onKeyDown={pressed}>
      <div class="mlt-tools">
        <span class="mlt-dim">{t("In percent of the time, and GB")}</span>
        <ZoomButtons zoomed={view.range !== undefined} step={step} />
        <Count points={points} metrics={metrics} />
      </div>
      {nodes.map((node) => (
        <section key={node.rank} aria-label={t("Rank {rank}", { rank: node.rank })}>
          {nodes.length > 1 && <b class="mlt-row">{t("Rank {rank}", { rank: node.rank })}</b>}
          <div class="mlt-grid">
            {chartsOfNode(node, series).map((chart) => (
              <LiveChart
                key={chart.series.name}
                metrics={metrics.filter(({ name, rank }) => name === chart.series.name && rank === node.rank)}
                points={points}
                view={view}
                colour={colourOf(COLOURS.indexOf(chart.series.measure))}
                hover={hover}
                show={show}
                title={<PeakTitle chart={chart} />}
                label={t("{title}, peak {peak}", { title: chart.title, peak: chart.peak })}
                beside={(line) => limitLine(line, chart.limit)}
              />
            ))}
          </div>
          <div class="mlt-row">
            {nodeNotes(node).map((line) => (
              <span key={line}>{line}</span>
            ))}
          </div>
        </section>
      ))}
    </div>
  );
}

const COLOURS: readonly SystemSeries["measure"][] = ["cpu", "memory", "gpu", "gpu_memory"];

function PeakTitle({ chart }: { chart: SystemChart }) {
  return (
    <div class="mlt-title mlt-peak">
      <span>{chart.title}</span>
      <small>{chart.note}</small>
      <span class="mlt-num">{chart.peak}</span>
    </div>
  );
}

function pointsOf(store: RunStore, around: Surroundings): RangeStore {
  const { workspace, run } = store.recorded;
  const fetch: FetchPoints = async (series, window, signal) => {
    const points = await systemPoints(around.door.rest, workspace, run, series, window, { signal });
    const measure = series.name.endsWith("memory_bytes") ? "memory" : "cpu";
    return { ...points, values: points.values.map((value) => onAxis({ measure }, value)) };
  };
  const whole = new SeriesStore(fetch, POINTS, inTurn(), undefined, { axis: "time" });
  return new RangeStore(whole, fetch, POINTS, inTurn());
}

/** As the charts of metrics know it. Its newest point comes with the others: there is no step to put it at. */
function metricOf({ name, rank, count, last, peak }: SystemSeries): Metric {
  const of = { min: null, minStep: null, max: peak, maxStep: null };
  return { name, rank, count, last, lastStep: null, ...of };
}
