"""Runs that are there twice: rows of a table that are equal in every column, and results that are alike to the last digit."""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from reglab.report.programs.roles import Roles, setting, some
from reglab.report.studies.columns import written
from reglab.tracking.program_run import ProgramRun

_STEPS = 1000
"""Of results: those that are so many parts of a power of ten, or shares of so many cases, may be those of two runs by chance."""


def copies(runs: Sequence[ProgramRun], roles: Roles) -> set[str]:
    """The ids of the runs that are copies of earlier ones. With an id or a name of its own a run is none.

    They are equal in all but the place of their row, and it is no chance: they have one seed, or a result or a time of many digits.
    """
    later = list(_again(runs))
    if not later:
        return set()
    fine = [of for of in (roles.value, roles.seconds) if _are_told_finely([of(run) for run in runs])]
    return {run.id for run in later if (roles.seed and setting(run, roles.seed) is not None) or not all(_is_round(of(run)) for of in fine)}


def said_of_copies(runs: Sequence[ProgramRun], roles: Roles) -> list[str]:
    """What there is to know of runs that are alike, a line for each kind."""
    folded, metric = copies(runs, roles), roles.metric
    again = [run.id for run in _again(runs)]
    gone, kept = [each for each in again if each in folded], len(again) - len(folded)
    alike = len(_alike([run for run in runs if run.id not in folded], roles))
    lines = {
        f"copies, equal to a row before in every column, and not counted: {some(gone)}": gone,
        f"equal to a row before in every column, as copies or by chance, {metric} having few digits: {kept}, each counted": kept,
        f"alike to the last digit of {metric} with a run of their arm before: {alike}, each counted; that of a program that repeats "
        "itself is no chance": alike,
    }
    return [line for line, there in lines.items() if there]


def _again(runs: Sequence[ProgramRun]) -> Iterator[ProgramRun]:
    """The runs that say the very same as one before."""
    seen = set[str]()
    for run in runs:
        says = run.model_dump_json(exclude={"id", "curves"})
        if says in seen:
            yield run
        seen.add(says)


def _alike(runs: Sequence[ProgramRun], roles: Roles) -> list[ProgramRun]:
    """The runs whose result is the very one of an earlier run of their arm, where that is no chance."""
    seen, found = set[tuple[float | None, tuple[str, ...]]](), []
    for run in runs:
        value, levels = roles.value(run), tuple(written(setting(run, each)) for each in roles.factors)
        if (value, levels) in seen and not _is_round(value):
            found.append(run)
        seen.add((value, levels))
    return found if found and _are_told_finely([roles.value(run) for run in runs]) else []


def _are_told_finely(values: Sequence[float | None]) -> bool:
    """Whether most of them are no multiples of a large part, as shares of a few hundred cases are."""
    return sum(_is_told_finely(value) for value in values if value) > len(values) / 2


def _is_told_finely(value: float) -> bool:
    leading = value / 10.0 ** math.floor(math.log10(abs(value)))
    return not math.isclose(float(Fraction(leading).limit_denominator(_STEPS)), leading, rel_tol=1e-12)


def _is_round(value: float | None) -> bool:
    """Whether it is none, or of one digit, as 0 and 1 are, to which results of many digits come, too."""
    return value is None or float(f"{value:.0e}") == value
