"""Whether runs were long enough: test accuracy by epoch, what it still rose at the end, and when lower training accuracies were reached."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reglab.report import charts, stats
from reglab.report.charts.rows import arm_colour
from reglab.report.charts.style import OTHER
from reglab.report.sections.extra import Extra
from reglab.report.stats import Estimate, TimeToTarget
from reglab.report.studies.cells import Cell
from reglab.report.studies.measures import Target
from reglab.report.studies.study import Study
from reglab.report.tables import numbers_of, percent
from reglab.report.writing.numbers import NONE, told
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Epoch, first_at

STEM = "convergence"
FIGURE = "test_accuracy_by_epoch"

_LAST = 0.2
"""Of the epochs, over which the rise is taken."""

_FEWEST = 3
"""Epochs of the last fifth with a test accuracy, below which nothing is said of its rise."""

STILL = 0.5
"""Points over the last fifth, from which on an arm is said to rise still."""

MOST = 8
"""Arms that the figure tells apart."""


def extra(study: Study, cells: Sequence[Cell]) -> Extra | None:
    """The section on all arms of a study whose runs kept their epochs; None where none did. The figure is of `cells`, the first of them."""
    arms = [cell for cell in study.cells if any(rise(record.history) is not None for record in _counted(cell))]
    if not arms:
        return None
    rose = [[each for record in _counted(cell) if (each := rise(record.history)) is not None] for cell in arms]
    rises = {cell.identity: found for cell, found in zip(arms, stats.estimates(rose), strict=True)}
    shown = [cell for cell in cells if cell.identity in rises][:MOST] or arms[:MOST]
    curves = _curves(shown)
    colours = [arm_colour(cell.treatment, study) if cell.treatment else OTHER for cell in shown]
    said = ": means over seeds" * any(cell.counted > 1 for cell in shown)
    said += f"; {len(shown)} of {len(arms)} arms" if len(shown) < len(arms) else ""
    lower = [Target(share, study.target.on) for share in study.design.targets]
    return Extra(
        STEM,
        "Were the runs long enough?",
        "Test accuracy by epoch, a mean over seeds; and by how many points it still rose over the last fifth of the epochs, by the line of "
        "least squares through them."
        + " A lower training accuracy than the target may be reached by more arms: the first epoch that has it counts. Its seconds are "
        "those of one machine, where most of an arm's runs were, by themselves where any were." * bool(lower),
        pd.DataFrame([_row(cell, rises[cell.identity], lower) for cell in arms]),
        arms,
        [
            (
                FIGURE,
                "Test accuracy by epoch",
                f"{_whose(len(shown), len(arms))} test accuracy after each epoch, a mean over seeds.",
                lambda title, subtitle: charts.epochs.draw(curves, colours, title, f"{subtitle.rpartition(': ')[0]}{said}"),
            )
        ],
        [_said(arms, rises)],
        arms=[cell.identity for cell in arms],
        numbers=pd.DataFrame([_numbers(cell, rises[cell.identity], lower) for cell in arms]),
    )


def _counted(cell: Cell) -> list[RunRecord]:
    return [record for record in cell.records if stats.counts(record)]


def rise(history: Sequence[Epoch]) -> float | None:
    """Points by which test accuracy rose over the last fifth of a run's epochs; None where too few of these were evaluated."""
    if not history:
        return None
    begin = history[-1].epoch * (1 - _LAST)
    there = [(row.epoch, 100 * row.test_accuracy) for row in history if row.epoch >= begin and row.test_accuracy is not None]
    if len(there) < _FEWEST:
        return None
    epochs, accuracies = np.array(there).T
    return float(np.polyfit(epochs, accuracies, 1)[0] * (epochs[-1] - epochs[0]))


def _best_epoch(cell: Cell) -> float | None:
    """The middle one of its runs' best."""
    best = [max(rows, key=lambda row: row.test_accuracy or 0).epoch for record in _counted(cell) if (rows := record.history)]
    return statistics.median(best) if best else None


def _row(cell: Cell, rises: Estimate | None, lower: Sequence[Target]) -> dict[str, str]:
    best = _best_epoch(cell)
    row = {
        "model": cell.label,
        "runs": str(len(_counted(cell))),
        "epochs": str(cell.epochs),
        "test at the end, %": percent(cell.test_accuracy),
        "rise over the last fifth, points": NONE if rises is None else told(rises.mean, rises.low, rises.high, rises.n, True),
        "best in epoch": NONE if best is None else f"{best:g}",
    }
    for target in lower:
        row |= _to(target, cell)
    return row


def _numbers(cell: Cell, rises: Estimate | None, lower: Sequence[Target]) -> dict[str, Any]:
    """The same for programs."""
    row: dict[str, Any] = {"model": cell.label, "runs": len(_counted(cell)), "epochs": cell.epochs}
    row |= numbers_of("test_accuracy", cell.test_accuracy, 100) | numbers_of("rise", rises, 1) | {"best_epoch": _best_epoch(cell)}
    for target in lower:
        name = f"{100 * target.share:g}_{target.on}"
        epochs, seconds = _reached(target, cell)
        row |= {
            f"to_{name}_epoch": epochs.median_seconds if epochs else None,
            f"to_{name}_seconds": seconds.median_seconds if seconds else None,
            f"to_{name}_reached": epochs.reached if epochs else 0,
        }
    return row


def _reached(target: Target, cell: Cell) -> tuple[TimeToTarget | None, TimeToTarget | None]:
    """In which epoch, and after how many seconds of training, its runs come to a target. Seconds are those of one machine: where most of
    its runs were that had it to themselves, if any had."""
    ended = [record for record in cell.records if record.history and (stats.counts(record) or record.state == State.diverged)]
    on: dict[str | None, list[RunRecord]] = {}
    for record in ended:
        on.setdefault(stats.place(record), []).append(record)
    timed = max(on.values(), key=lambda runs: (all(map(stats.is_quiet, runs)), len(runs)), default=[])
    epochs = TimeToTarget.of([(epoch, reached) for epoch, _, reached in (_until(target, record) for record in ended)])
    seconds = TimeToTarget.of([(many, reached) for _, many, reached in (_until(target, record) for record in timed)])
    return epochs, seconds


def _until(target: Target, record: RunRecord) -> tuple[float, float, bool]:
    """The epoch in which a run comes to a target, its seconds until then, and that it does; one that does not comes later than all."""
    row = first_at(record.history, target.share, target.on)
    return (row.epoch, row.time_train_seconds, True) if row else (math.inf, math.inf, False)


def _to(target: Target, cell: Cell) -> dict[str, str]:
    """The middle one of its runs."""
    epochs, seconds = _reached(target, cell)
    said = {f"to {target.short}, epoch": NONE, "after, s": NONE}
    if epochs is None or seconds is None:
        return said
    reached = "" if epochs.reached in (0, epochs.n) else f" ({epochs.reached} of {epochs.n})"
    if epochs.median_seconds is None:
        return said | {f"to {target.short}, epoch": f"not reached{reached}"}
    after = NONE if seconds.median_seconds is None else f"{seconds.median_seconds:.1f}"
    return {f"to {target.short}, epoch": f"{epochs.median_seconds:g}{reached}", "after, s": after}


def _curves(cells: Sequence[Cell]) -> pd.DataFrame:
    """A row for each arm and epoch that all of its runs have."""
    rows = []
    for cell in cells:
        by_epoch: dict[int, list[float]] = {}
        runs = [record for record in _counted(cell) if record.history]
        for record in runs:
            for row in record.history:
                if row.test_accuracy is not None:
                    by_epoch.setdefault(row.epoch, []).append(100 * row.test_accuracy)
        rows += [
            {"model": cell.label, "identity": cell.identity, "epoch": epoch, "test_accuracy": statistics.fmean(values)}
            for epoch, values in sorted(by_epoch.items())
            if len(values) == len(runs)
        ]
    return pd.DataFrame(rows)


def _whose(shown: int, of: int) -> str:
    return "For each arm its" if shown == of else f"For {shown} of the {of} arms below the"


def _said(arms: Sequence[Cell], rises: Mapping[str, Estimate | None]) -> str:
    still = [cell.label for cell in arms if (each := rises[cell.identity]) and each.mean > STILL]
    if not still:
        return f"No arm rose by more than {STILL:g} points over the last fifth of its epochs."
    named = "; ".join(still[:MOST]) + (f" and {len(still) - MOST} more" if len(still) > MOST else "")
    return f"{len(still)} of {len(arms)} arms still rose by more than {STILL:g} points over the last fifth: {named}."
