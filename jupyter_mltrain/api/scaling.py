"""What more processes gave: `run.scaling()`."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_mltrain.core import wire_ranks


@dataclass(frozen=True)
class Scaling:
    """Examples per second of a run, in all and by rank, against a run of one process.

    Rates are of the whole training but for its first interval, of about a second, in which it compiles and warms up; the
    first batch is never counted. Keras' validation does not count as time. `efficiency` is `examples` over `processes` times the baseline's:
    1 is as good as it gets. None stands for what is not known; `note` then says why, and what to do.
    """

    run: str
    """Its name."""
    processes: int
    """Those that train: no parameter servers."""
    examples: float | None
    per_rank: tuple[float | None, ...]
    baseline: str | None
    """The name of the run of one process."""
    baseline_examples: float | None
    efficiency: float | None
    note: str = ""

    @classmethod
    def of(cls, run: str, told: wire_ranks.RunRanks) -> Scaling:
        """What the service told of the ranks of the run with that name."""
        found = told["scaling"]
        if found is None:
            nothing = (None,) * len(told["ranks"])
            return cls(run, len(nothing), None, nothing, None, None, None, _NOTHING_COUNTED)
        baseline = found["baseline"]
        return cls(
            run,
            found["processes"],
            found["examples"],
            tuple(found["per_rank"]),
            baseline["name"] if baseline else None,
            baseline["examples"] if baseline else None,
            found["efficiency"],
            _note(found),
        )

    def __repr__(self) -> str:
        return "\n".join([f"{self.run}:", *(f"  {name:<10}  {value}" for name, value in self._rows())])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th><td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        return f"<table><caption>{html.escape(self.run)}</caption><tbody>{rows}</tbody></table>"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("processes", str(self.processes)), ("examples/s", _rate(self.examples))]
        if len(self.per_rank) > 1:
            rows.append(("by rank", ", ".join(map(_rate, self.per_rank))))
        if self.baseline is not None:
            rows.append(("baseline", f"{self.baseline}, one process: {_rate(self.baseline_examples)}"))
        if self.efficiency is not None:
            rows.append(("efficiency", f"{self.efficiency:.0%}"))
        return [*rows, *([("note", self.note)] if self.note else [])]


_COUNT = "give `fit` the callback `MLTrainCallback()`, or call `run.log_examples(count)` once per batch"
_NOTHING_COUNTED = f"No rank counted its examples: {_COUNT}."


def _note(found: wire_ranks.Scaling) -> str:
    """Why there is no efficiency, in one line with the mend; "" where there is one."""
    baseline = found["baseline"]
    if found["efficiency"] is not None:
        return ""
    if found["examples"] is None:
        silent = [str(rank) for rank, rate in enumerate(found["per_rank"]) if rate is None]
        which = f"rank {', '.join(silent[:8])}{', …' if len(silent) > 8 else ''}"
        return f"Nothing was counted on {which}: {_COUNT}, on each rank."
    if baseline is not None:
        return f"{baseline['name']} did not count its examples: {_COUNT}."
    if found["processes"] == 1:
        return "It has one process: others are compared with it, `other.scaling()`."
    return (
        "No completed run of one process did the same work (experiment, script, arguments, target, environment):"
        " submit it once without `distributed_job_config`, or name a run: `run.scaling(baseline=other)`."
    )


def _rate(rate: float | None) -> str:
    if rate is None:
        return "–"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
