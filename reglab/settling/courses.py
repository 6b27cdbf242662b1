"""The course of a study, as its sweeps give it arms and its file, or what its runs were begun with, its looks."""

from collections.abc import Sequence
from pathlib import Path

from reglab.console import say
from reglab.errors import UserError
from reglab.report.claims import planned
from reglab.report.claims.plan import LOOKS
from reglab.report.studies.design import Design
from reglab.report.studies.registration import lock_of
from reglab.settling.arms import arms_of, study_of
from reglab.settling.rounds import Course
from reglab.sweep.spec import SweepSpec
from reglab.tracking import turns
from reglab.tracking.fetch import turns_of


def course_of(
    design: Design,
    specs: Sequence[SweepSpec],
    folder: Path,
    most_seeds: int | None = None,
    retry_failed: bool = False,
    source: str | None = None,
) -> Course:
    """The arms that these sweeps of a study give it, and the plan of its looks: its file's, else the one with which its runs in a folder,
    or those that are taken from elsewhere, were begun, else that of any. Notes the sweeps of whose arms nothing is known beforehand.

    Raises UserError for a study that claims nothing, and where no sweep has an arm that a claim asks for.
    """
    if not design.claims:
        raise UserError(f"{design.path}: --until-settled: it claims nothing that could be settled; add `claims:`")
    if lock := lock_of(folder, design, source):
        design = lock.planned(design)
    if not design.looks:
        design = design.model_copy(update={"looks": LOOKS})
    first = design.looks[0]
    if most_seeds is not None and most_seeds < first:
        raise UserError(f"--most-seeds {most_seeds}: the first look of {design.path} is at {first} seeds; give at least that")
    if missing := next((each for spec in specs for each in spec.absent), None):
        raise UserError(
            f"{design.path}: {missing}: there is no such module here, so nobody can tell which runs are of its code: install it"
        )
    took = turns.as_runs(turns_of([str(folder), *([source] if source else [])]))
    course = Course(design, arms_of(specs), most_seeds, retry_failed, took)
    if not course.asked:
        raise UserError(f"{design.path}: no grid among its sweeps has arms for any of its claims: nothing would be settled by more runs")
    least = min(course.arms[name].most or first for name in course.asked)
    if least < first:
        raise UserError(f"{design.path}: the first look is at {first} seeds, and `replicates` of its sweeps allow {least}: raise `most`")
    for spec in specs:
        if not _is_known_beforehand(spec):
            kind = "starts another program" if spec.program else "is a search"
            say(f"note: {spec.path} {kind}: of its arms nothing is known beforehand; `reglab sweep run` runs it")
    return course


def in_vain(design: Design, specs: Sequence[SweepSpec]) -> list[str]:
    """What the claims of a study are about and none of its sweeps has, or too many, in a line each."""
    return list(planned.in_vain(design, study_of(design, arms_of(specs)))) if all(map(_is_known_beforehand, specs)) else []


def _is_known_beforehand(spec: SweepSpec) -> bool:
    """Whether a sweep's arms are; those are not that a search will draw, or another program is given."""
    return spec.method == "grid" and not spec.program
