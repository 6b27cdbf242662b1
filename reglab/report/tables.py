"""Tables: the same rows as Markdown, CSV and LaTeX for people, and as tidy numbers for programs."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reglab.report.stats import Cell, Estimate, TimeToTarget
from reglab.tracking.record import RunRecord

NONE = "–"


def arms(cells: Sequence[Cell], target: float) -> pd.DataFrame:
    """One row an arm, formatted: accuracies in per cent with 95 % intervals, times in seconds."""
    rows = [
        {
            "model": cell.label,
            "runs": str(cell.counted) if cell.counted == len(cell.records) else f"{cell.counted} of {len(cell.records)}",
            "test, %": _percent(cell.test_accuracy),
            "train, %": _percent(cell.train_accuracy),
            "overfitting": _percent(cell.gap),
            "training, s": _seconds(cell),
            f"to {target:.0%}, s".replace("%", " %"): _to_target(cell.time_to_target),
        }
        for cell in cells
    ]
    return pd.DataFrame(rows)


def tidy(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row an arm, as numbers: what figures are drawn from. Accuracies in per cent, times in seconds."""
    rows = []
    for cell in cells:
        row: dict[str, Any] = {"model": cell.label, "identity": cell.identity, "n": cell.counted}
        for name in ("test_accuracy", "train_accuracy", "gap"):
            row |= _numbers(name, getattr(cell, name), 100)
        row |= _numbers("train_seconds", cell.train_seconds, 1)
        reached = cell.time_to_target
        row |= {
            "time_to_target_seconds": reached.median_seconds if reached else None,
            "reached": reached.reached if reached else None,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def runs(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row a run, with everything its summary holds."""
    rows = []
    for record in records:
        row = {"run": record.run_id, "model": record.label, "seed": record.seed, "state": record.state.value, "reason": record.reason}
        row |= record.summary.metrics() if record.summary else {}
        if record.environment:
            row |= {"device": record.environment.device, "precision": record.environment.precision, "commit": record.environment.commit}
        rows.append(row)
    return pd.DataFrame(rows)


def to_markdown(table: pd.DataFrame) -> str:
    return table.to_markdown(index=False, disable_numparse=True, colalign=["left"] + ["right"] * (len(table.columns) - 1)) + "\n"


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A booktabs table that compiles as it stands."""
    escaped = table.map(_escape).rename(columns=_escape)
    columns = "l" + "r" * (len(table.columns) - 1)
    return escaped.style.hide(axis="index").to_latex(
        hrules=True, column_format=columns, caption=_escape(caption), position_float="centering"
    )


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%_&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "·": r"$\cdot$"}
)


def _escape(text: str) -> str:
    return text.translate(_LATEX)


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:.1f}" + (f" ± {100 * estimate.half_width:.1f}" if estimate.half_width is not None else "")


def _seconds(cell: Cell) -> str:
    if cell.times_are_mixed:
        return "mixed"
    if cell.train_seconds is None:
        return NONE
    return f"{cell.train_seconds.mean:.1f}" + (
        f" ± {cell.train_seconds.half_width:.1f}" if cell.train_seconds.half_width is not None else ""
    )


def _to_target(time: TimeToTarget | None) -> str:
    if time is None:
        return NONE
    shown = "not reached" if time.median_seconds is None else f"{time.median_seconds:.1f}"
    return shown if time.reached in (0, time.n) else f"{shown} ({time.reached} of {time.n})"


def _numbers(name: str, estimate: Estimate | None, scale: float) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = (None if bound is None else bound * scale for bound in (estimate.low, estimate.high))
    return {name: estimate.mean * scale, f"{name}_low": low, f"{name}_high": high}
