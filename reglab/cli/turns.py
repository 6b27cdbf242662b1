"""`reglab study time`: what arms take that take turns, and what the claims on training time come to by it."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table

from reglab.console import counting, say, show, tell
from reglab.errors import UserError

if TYPE_CHECKING:
    from reglab.config import RunConfig
    from reglab.report.studies.design import Design
    from reglab.sweep.spec import SweepSpec
    from reglab.tracking.turns import Turns


def arms_to_time(design: "Design", specs: "Sequence[SweepSpec]", all_of_them: bool) -> "dict[str, RunConfig]":
    """The arms of some sweeps, or those whose training times the study's claims compare, and the plain one, by what reports call an arm.

    Raises UserError where there is none.
    """
    from reglab.report.claims import planned
    from reglab.settling.arms import arms_of

    arms = arms_of(specs)
    plan = planned.of_plan(design, [arm.planned() for arm in arms.values()])
    asked = frozenset(arms) if all_of_them else planned.timed_by(design, plan)
    if not asked:
        why = "has no grid with arms" if not arms else "claims nothing of training times (`of: time/train_seconds`)"
        raise UserError(f"{design.path}: it {why}; --only SWEEP,… times all arms of a grid")
    plain = {name for name in arms if (treated := plan.treated[arms[name].planned().run_id]) and not plan.departures[treated]}
    return {name: arm.config for name, arm in arms.items() if name in asked | plain}


def take_turns(arms: "Mapping[str, RunConfig]", rounds: int, images: int | None, folder: Path) -> "list[Turns]":
    """Have some arms take turns, and keep what they took in a folder after every round, beside that of earlier sessions."""
    from reglab.running.turns import Session
    from reglab.tracking import turns

    before, took = turns.read(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{len(arms)} arms take {rounds} turns each: leave the machine to them")
    with counting("turns") as progress:
        for took in Session(arms, rounds, images).run(progress):
            turns.write(folder, [*before, *took])
    return took


def tell_turns(design: "Design", took: "Sequence[Turns]", folder: Path) -> None:
    """What an epoch of each arm took, and what the claims on training time come to by it."""
    from reglab.report import stats
    from reglab.report.claims.verdicts import judge
    from reglab.report.studies.study import Study
    from reglab.report.writing.numbers import plain
    from reglab.tracking import turns

    study = Study.of([], design, turns.as_runs(took))
    told = {each.identity: each.seconds for each in took}
    table = Table("arm", Column("s an epoch", justify="right"), Column("from", justify="right"), Column("to", justify="right"))
    table.box, table.pad_edge = None, False
    for cell in study.timed_cells:
        seconds = told[cell.records[0].identity]
        table.add_row(cell.label, *(f"{value:.2f}" for value in (statistics.median(seconds), min(seconds), max(seconds))))
    show(table)
    parts = [(finding.number, part) for finding in judge(study).each for part in finding.parts if part.n]
    if parts:
        held = Table("claim", Column("comparison", overflow="fold"), Column("times", justify="right"), "95 % interval", "holds")
        held.box, held.pad_edge = None, False
        for number, part in parts:
            how = "open" if part.holds is None else "yes" if part.holds else "no"
            held.add_row(str(number), part.what, part.amount(), part.range_in_words(), how)
        tell("")
        show(held)
    if shared := sum(not stats.is_quiet(turn) for turn in study.turns):
        say(f"note: {plain(shared, 0)} of {len(study.turns)} turns shared their cores with others, and decide nothing")
    say(f"{folder / turns.TURNS} has them; reports on the runs beside it judge claims on training time by these")
