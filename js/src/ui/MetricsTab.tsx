import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Metric } from "../api/payload";
import { inTurn } from "../model/budget";
import { Hover } from "../model/hover";
import { t } from "../model/language";
import type { MetricList } from "../model/metricList";
import { ALL_RANKS, chartsOf, MOST_RANKS, metricsOf, ranksOf } from "../model/metrics";
import { RangeStore } from "../model/range";
import { type RunStore, terminal } from "../model/run";
import type { SeriesStore } from "../model/series";
import { Button } from "./controls";
import { LargeChart } from "./LargeChart";
import { LiveChart } from "./LiveChart";
import { colourOf, MetricValues } from "./MetricCharts";
import { MetricsToolbar } from "./MetricsToolbar";
import { useRange } from "./range";
import { useSeen } from "./seen";
import type { Surroundings } from "./surroundings";

const CHARTS_AT_FIRST = 12;
const VALUES_AT_FIRST = 60;
/** Of a window, besides as many of the whole run. */
const WINDOW_POINTS = 1200;

interface Shown {
  store: RunStore;
  series: SeriesStore;
  around: Surroundings;
}

/** Everything that the run logs. */
export function MetricsTab({ list, ...shown }: Shown & { list: MetricList }) {
  const { state } = shown.store;
  const node = useRef<HTMLDivElement>(null);
  const seen = useSeen(node);
  useEffect(() => {
    if (seen) {
      list.want(state);
    } else {
      list.rest();
    }
  }, [state, seen]);
  useEffect(() => () => list.rest(), []);
  const metrics = list.of(state);
  return (
    <div class="mlt-metrics" ref={node}>
      {metrics.length > 0 ? (
        <Charts {...shown} metrics={metrics} />
      ) : (
        <p class="mlt-empty">{t(terminal(state.status) ? "No metrics were logged" : "No metrics yet")}</p>
      )}
    </div>
  );
}

/** Charts show one range of one axis; one of them is large. Of several ranks they are the first's, until others are asked for. */
function Charts({ store, series, around, metrics: all }: Shown & { metrics: readonly Metric[] }) {
  const [rank, setRank] = useState<number | null>(null);
  const ranks = useMemo(() => ranksOf(all), [all]);
  const metrics = useMemo(() => metricsOf(all, ranks, rank), [all, ranks, rank]);
  const picker = ranks.length > 1 && <RankPicker ranks={ranks} rank={rank} setRank={setRank} />;
  const [filter, setFilter] = useState("");
  const [most, setMost] = useState(CHARTS_AT_FIRST);
  const [mostValues, setMostValues] = useState(VALUES_AT_FIRST);
  const [large, setLarge] = useState<string | null>(null);
  const hover = useMemo(() => new Hover(), []);
  const points = useMemo(() => rangesOf(store, series, around), [series]);
  useEffect(() => () => points.dispose(), [points]);
  const { charts, values } = useMemo(() => chartsOf(metrics, filter), [metrics, filter]);
  const shown = charts.slice(0, most);
  const drawn = shown.flatMap((chart) => chart.metrics);
  const { view, look, show, step, pressed } = useRange(points, drawn, store.state.started);
  const enlarged = large === null ? undefined : shown.find((chart) => chart.name === large);
  return (
    <>
      {charts.length > 0 || values.length > VALUES_AT_FIRST || filter !== "" || picker ? (
        <MetricsToolbar
          filter={filter}
          setFilter={setFilter}
          view={view}
          setView={look}
          step={step}
          points={points}
          metrics={drawn}
          picker={picker}
        />
      ) : null}
      {charts.length + values.length === 0 && <p class="mlt-empty">{t("No metric matches")}</p>}
      {values.length > 0 && <MetricValues metrics={values.slice(0, mostValues)} />}
      {values.length > mostValues && (
        <div class="mlt-row">
          <Button onClick={() => setMostValues(mostValues + VALUES_AT_FIRST)}>
            {t("Show {count} more values", { count: Math.min(VALUES_AT_FIRST, values.length - mostValues) })}
          </Button>
        </div>
      )}
      {enlarged && (
        <LargeChart
          key={`${view.axis} ${rank} ${enlarged.name}`}
          metrics={enlarged.metrics}
          points={points}
          view={view}
          around={around}
          store={store}
          hover={hover}
          show={show}
          close={() => setLarge(null)}
        />
      )}
      {shown.length > 0 && (
        // Lab's own shortcuts of a cell (0 twice restarts its kernel) are not meant here.
        // biome-ignore lint/a11y/noStaticElementInteractions: keys of the buttons in it
        <div class="mlt-grid" data-lm-suppress-shortcuts="true" onKeyDown={pressed}>
          {shown.map(({ name, metrics }, index) => (
            <LiveChart
              key={`${rank} ${name}`}
              metrics={metrics}
              points={points}
              view={view}
              colour={colourOf(index)}
              hover={hover}
              show={show}
              enlarge={() => setLarge(name)}
            />
          ))}
        </div>
      )}
      {charts.length > most && (
        <div class="mlt-row">
          <Button onClick={() => setMost(most + CHARTS_AT_FIRST)}>
            {t("Show {count} more", { count: Math.min(CHARTS_AT_FIRST, charts.length - most) })}
          </Button>
        </div>
      )}
    </>
  );
}

function RankPicker(props: {
  ranks: readonly number[];
  rank: number | null;
  setRank: (rank: number) => void;
}) {
  const { ranks, rank, setRank } = props;
  return (
    <select
      aria-label={t("Rank")}
      value={rank ?? ranks[0]}
      onChange={(event) => setRank(Number(event.currentTarget.value))}
    >
      {ranks.map((one) => (
        <option key={one} value={one}>
          {t("Rank {rank}", { rank: one })}
        </option>
      ))}
      <option value={ALL_RANKS}>
        {ranks.length > MOST_RANKS ? t("The first {count} ranks", { count: MOST_RANKS }) : t("All ranks")}
      </option>
    </select>
  );
}

function rangesOf(store: RunStore, series: SeriesStore, around: Surroundings): RangeStore {
  const { workspace, run } = store.recorded;
  return new RangeStore(
    series,
    (metric, window, signal) => around.door.rest.series(workspace, run, metric, window, { signal }),
    WINDOW_POINTS,
    inTurn(),
  );
}
