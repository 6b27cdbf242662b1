"""Tables: the same rows formatted for people, and as tidy numbers for programs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reglab.report import stats
from reglab.report.claims.findings import Finding
from reglab.report.comparisons.differences import against
from reglab.report.comparisons.parts import LEVEL
from reglab.report.comparisons.seen import OfMeans
from reglab.report.stats import Estimate, TimeToTarget
from reglab.report.studies.cells import Cell, Times
from reglab.report.studies.columns import Treatment, brief, in_order, meets
from reglab.report.studies.design import Design, StudiedParameter
from reglab.report.studies.measures import POINTS, Kind, Target
from reglab.report.studies.study import Study
from reglab.report.writing import digits
from reglab.report.writing.numbers import NONE, told
from reglab.statistics.looks import LONGEST
from reglab.tracking.record import Environment, RunRecord
from reglab.tracking.results import Summary

# Arms.


def arms(
    cells: Sequence[Cell], target: Target, baseline: Cell | None = None, own: Sequence[Kind] = (), among: Sequence[Cell] = ()
) -> pd.DataFrame:
    """One row an arm, formatted: accuracies in per cent with 95 % intervals, times in seconds. Training accuracy is the clean one.

    Of metrics of the user's (`own`) those that give one number. Times of several machines stand beside each other, in the order of
    `timed_on`, and once where they read alike.
    With a baseline: the difference in test accuracy to it, by the variance of these arms and of all that they are `among`, with Holm's p
    over the table's arms; and how many more seeds would settle it.
    """
    machines = sorted({times.machine for cell in cells for times in cell.times})
    against = _against(cells, baseline, [*cells, *among]) if baseline else {}
    is_searched = any(cell.is_searched for cell in cells)
    rows = [
        {"model": cell.label, "runs": str(cell.counted) if cell.counted == len(cell.records) else f"{cell.counted} of {len(cell.records)}"}
        | ({"validation, %": percent(cell.validation_accuracy)} if is_searched else {})
        | {
            "test, %": percent(cell.test_accuracy),
            "train (clean), %": percent(cell.train_accuracy),
            "overfitting": percent(cell.gap),
        }
        | {_head(kind): _in_words(cell.own.get(kind.column), kind) for kind in own if not kind.is_detail}
        | {
            "training, s": _on_each(machines, cell, lambda times: _seconds(times.train_seconds)),
            f"to {target.short}, s": _on_each(machines, cell, lambda times: _to_target(times.to_target)),
        }
        | against.get(cell.identity, {})
        for cell in cells
    ]
    return pd.DataFrame(rows)


def _on_each(machines: Sequence[str], cell: Cell, said: Callable[[Times], str]) -> str:
    """A time on each machine, in their order; once where they read alike."""
    there = {times.machine: said(times) for times in cell.times}
    texts = [there.get(machine, NONE) for machine in machines] or [NONE]
    return texts[0] if len(set(texts)) == 1 else " / ".join(texts)


def best(cells: Sequence[Cell]) -> set[tuple[int, str]]:
    """Which cells of `arms` stand out: in each column the best, and what lies within its interval. Of one arm none does, and no time on
    shared cores."""
    found: set[tuple[int, str]] = set()
    columns = {
        "validation, %": (1, [cell.validation_accuracy for cell in cells]),
        "test, %": (1, [cell.test_accuracy for cell in cells]),
        "overfitting": (-1, [cell.gap for cell in cells]),
    }
    timed = [times for cell in cells for times in cell.times]
    if len({times.machine for times in timed}) == 1 and all(times.is_quiet for times in timed):
        columns["training, s"] = (-1, [cell.times[0].train_seconds if cell.times else None for cell in cells])
    if not any(cell.is_searched for cell in cells):
        del columns["validation, %"]
    for name, (better, estimates) in columns.items():
        there = [estimate for estimate in estimates if estimate]
        if len(there) < 2:
            continue
        first = max(there, key=lambda estimate: better * estimate.mean)
        low, high = (first.mean if bound is None else bound for bound in (first.low, first.high))
        found |= {(row, name) for row, each in enumerate(estimates) if each and low <= each.mean <= high}
    return found


def timed_on(cells: Iterable[Cell]) -> list[str]:
    """The machines on which some arms were timed, by short names, in the order of the times in every table."""
    return list(stats.short_machines(times.machine for cell in cells for times in cell.times).values())


def _timed(cells: Iterable[Cell]) -> list[tuple[Cell, Times | None]]:
    """Each arm with its times on each machine, or with none."""
    return [(cell, times) for cell in cells for times in (cell.times or (None,))]


def _against(cells: Sequence[Cell], baseline: Cell, among: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """The two columns of the comparison, by the arm's identity."""
    # What held images out saw fewer of them than the baseline: nothing to compare with.
    alike = [cell for cell in cells if cell.held_out == baseline.held_out]
    differences = against(alike, baseline, among)
    p_values = stats.holm([each.p if each else None for each in differences.values()])
    columns = {
        identity: {"difference, points": points(each, p), "seeds more": _further(each)}
        for (identity, each), p in zip(differences.items(), p_values, strict=True)
    }
    nothing = {cell.identity: {"difference, points": NONE, "seeds more": NONE} for cell in cells}
    return nothing | columns | {baseline.identity: {"difference, points": "baseline", "seeds more": NONE}}


def tidy(cells: Sequence[Cell], design: Design, own: Sequence[Kind] = ()) -> pd.DataFrame:
    """One row an arm and machine, as numbers, with the columns of the study: what figures are drawn from.

    Accuracies in per cent, times in seconds of training, metrics of the user's (`own`) as they declare; each with `_low` and `_high` of
    its interval. `n` runs count for the accuracies, `timed` for the times; of these `reached` came to the target.
    """
    return pd.DataFrame([_tidy(cell, times, design, own) for cell, times in _timed(cells)])


def _tidy(cell: Cell, times: Times | None, design: Design, own: Sequence[Kind]) -> dict[str, Any]:
    row: dict[str, Any] = {"model": cell.label, "identity": cell.identity, "machine": times.machine if times else None, "n": cell.counted}
    row["searched"] = cell.is_searched
    for name in ("validation_accuracy", "test_accuracy", "train_accuracy", "gap"):
        row |= numbers_of(name, getattr(cell, name), 100)
    row |= numbers_of("train_seconds", times.train_seconds if times else None, 1)
    reaching = times.to_target if times else None
    has_interval = reaching is not None and reaching.n > 1
    row |= {
        "time_to_target_seconds": reaching.median_seconds if reaching else None,
        "time_to_target_seconds_low": reaching.low if reaching and has_interval else None,
        "time_to_target_seconds_high": reaching.high if reaching and has_interval else None,
        "reached": reaching.reached if reaching else None,
        "timed": reaching.n if reaching else 0,
    }
    for kind in own:
        row |= numbers_of(kind.column, cell.own.get(kind.column), kind.scale)
    return row | dict(cell.treatment or dict.fromkeys(design.by_name))


def _head(kind: Kind) -> str:
    return f"{kind.words}, %" if kind.unit == POINTS else kind.words


def _in_words(estimate: Estimate | None, kind: Kind) -> str:
    return percent(estimate) if kind.unit == POINTS else digits.told(estimate)


# Runs.


def runs(records: Sequence[RunRecord], study: Study) -> pd.DataFrame:
    """One row a run: its levels, everything that its summary holds, where it ran, and its page at W&B where it has one."""
    return pd.DataFrame([_run(record, study) for record in records])


def rows(records: Sequence[RunRecord], questions: Mapping[str, Sequence[str]], study: Study) -> pd.DataFrame:
    """One row a run, for a person: accuracies in per cent, times in seconds, and the questions that each run (by its id) answers."""
    return pd.DataFrame([_row(record, study.labels[record.run_id], list(questions.get(record.run_id, ()))) for record in records])


def _row(record: RunRecord, label: str, questions: list[str]) -> dict[str, Any]:
    results = record.summary.model_dump() if record.summary else {}
    row: dict[str, Any] = {"run": record.run_id, "model": label, "seed": record.seed, "state": record.state.value}
    row |= {
        "test, %": _rounded(results.get("test_accuracy"), 100),
        "train (clean), %": _rounded(results.get("train_clean_accuracy"), 100),
        "overfitting": _rounded(results.get("gap"), 100),
        "training, s": _rounded(results.get("time_train_seconds"), 1),
        "to target, s": _rounded(results.get("time_to_target_seconds"), 1),
        "images/s": _rounded(results.get("throughput_images_per_second"), 1),
        "epochs": results.get("epochs"),
        "device": _device(record),
        "commit": record.environment.commit if record.environment else None,
        "question": questions,
        "reason": record.reason,
    }
    return row | ({"url": record.url} if record.url else {})


def _device(record: RunRecord) -> str | None:
    if record.environment is None:
        return None
    return record.environment.device + stats.marked(record)


def _rounded(value: float | None, scale: float) -> float | None:
    """To a tenth."""
    return None if value is None else round(scale * value, 1)


def _run(record: RunRecord, study: Study) -> dict[str, Any]:
    """A column of the study whose name is one of the run's own is what was planned."""
    row: dict[str, Any] = {"run": record.run_id, "model": study.labels[record.run_id], "seed": record.seed, "state": record.state.value}
    row |= {"reason": record.reason, "sweep": record.sweep, "identity": record.identity}
    row |= {"url": record.url} if record.url else {}
    where = record.environment
    results = (record.summary.metrics() if record.summary else {}) | (where.metrics() if where else {})
    results |= {"elsewhere": " / ".join(where.elsewhere)} if where and where.elsewhere else {}
    levels = study.treated[record.run_id] or dict.fromkeys(study.design.by_name)
    own = {*row, *RUN_COLUMNS}
    return row | {f"planned_{name}" if name in own else name: level for name, level in levels.items()} | results


RUN_COLUMNS = frozenset(str(field.alias) for field in Summary.model_fields.values()) | frozenset(Environment.model_fields)
"""What the table of runs has of every run that came to its end."""


# What was varied.


def parameters(study: Study) -> pd.DataFrame:
    """What a study varies, as it was run: each parameter's candidates, the values that have a finished run, and of how many arms and runs
    these are."""
    finished: dict[Treatment, int] = {}
    for treated, _ in study.ended(None, {}):
        finished[treated] = finished.get(treated, 0) + 1
    rows = []
    for parameter in study.design.table_1:
        arms = [arm for arm in finished if arm[parameter.of] is not None and meets(arm, parameter.among, study.base)]
        rows.append(
            {
                "technique": parameter.technique,
                "parameter": parameter.parameter,
                "candidates": ", ".join(parameter.candidates),
                "ran": _ran(parameter, arms, study.design),
                "arms": len(arms),
                "runs": sum(finished[arm] for arm in arms),
            }
        )
    return pd.DataFrame(rows)


def _ran(parameter: StudiedParameter, arms: Sequence[Treatment], design: Design) -> str:
    levels = sorted({arm[parameter.of] for arm in arms}, key=in_order)
    if design.by_name[parameter.of].kind == "keys" and len(levels) > 1:
        values = [float(part) for level in levels for part in str(level).split("/")]
        return f"{len(levels)} arrays from {min(values):.2g} to {max(values):.2g}"
    return ", ".join(map(brief, levels)) or NONE


# Claims.


def claims(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a claim: what came out, alone and jointly with all others, by which rule, and what an open one still needs."""
    took_turns = any(finding.turns for finding in findings)
    rows = [
        {
            "no.": finding.number,
            "claim": finding.claim,
            "verdict": finding.verdict.value,
            "jointly": finding.jointly.value,
            "effect": " ".join(filter(None, (finding.effect, finding.decided, finding.margin, finding.note))),
            "still needed": finding.more or NONE,
            "rule": finding.rule,
            "runs": len(finding.runs),
        }
        | ({"turns": finding.turns} if took_turns else {})
        for finding in findings
    ]
    return pd.DataFrame(rows)


# In words.


def percent(estimate: Estimate | None) -> str:
    """A mean accuracy with its interval, in per cent."""
    return NONE if estimate is None else _told(estimate, 100)


def _told(estimate: Estimate, scale: float) -> str:
    low, high = (None if bound is None else scale * bound for bound in (estimate.low, estimate.high))
    return told(scale * estimate.mean, low, high, estimate.n)


def points(difference: OfMeans | None, p: float | None) -> str:
    """`+3.2 ± 1.1 (p 0.004)`."""
    if difference is None:
        return NONE
    low, high = difference.interval(LEVEL) or (None, None)
    said = told(difference.estimate, low, high, difference.n, signed=True)
    return said if p is None else f"{said} (p {p_text(p)})"


_SMALL = 0.0005

_SMALL_POINTS = 1.0
"""A difference below which one is about none."""


def p_text(p: float) -> str:
    """Write a p-value with three digits behind the point, and what is smaller as a bound."""
    return "< 0.001" if p < _SMALL else f"{p:.3f}"


def _further(difference: OfMeans | None) -> str:
    if difference is None or difference.interval(LEVEL) is None or difference.over != "seeds":
        return NONE
    more = difference.seeds_more(_SMALL_POINTS)
    return f"> {LONGEST}" if more is None else str(more)


def _seconds(estimate: Estimate | None) -> str:
    return NONE if estimate is None else _told(estimate, 1)


def _to_target(time: TimeToTarget | None) -> str:
    if time is None:
        return NONE
    shown = "not reached" if time.median_seconds is None else f"{time.median_seconds:,.1f}"
    return shown if time.reached in (0, time.n) else f"{shown} ({time.reached} of {time.n})"


def numbers_of(name: str, estimate: Estimate | None, scale: float) -> dict[str, float | None]:
    """A mean with its interval, so many times as large, as columns of a tidy table."""
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = (None if bound is None else bound * scale for bound in (estimate.low, estimate.high))
    return {name: estimate.mean * scale, f"{name}_low": low, f"{name}_high": high}
