"""`reglab study time`: what arms take that take turns, and what the claims on training time come to by it."""

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


def arms_to_time(design: "Design", specs: "Sequence[SweepSpec]", all_of_them: bool) -> "dict[str, RunConfig]":
    """The arms of some sweeps, or those whose times the study's claims compare, and the plain one, by what reports call an arm.

    Raises UserError where there is none.
    """
    from reglab.report.claims import planned
    from reglab.settling.arms import arms_of, study_of

    arms = arms_of(specs)
    plan = study_of(design, arms)
    asked = frozenset(arms) if all_of_them else planned.timed_by(design, plan)
    if not asked:
        why = "has no grid with arms" if not arms else "claims nothing of times (`of: time/train_seconds`, say)"
        raise UserError(f"{design.path}: it {why}; --only SWEEP,… times all arms of a grid")
    plain = {name for name in arms if (treated := plan.treated[arms[name].planned().run_id]) and not plan.departures[treated]}
    return {name: arm.config for name, arm in arms.items() if name in asked | plain}


def take_turns(arms: "Mapping[str, RunConfig]", rounds: int, images: int | None, folder: Path) -> None:
    """Have some arms take turns, and keep what they took in a folder after every round, beside that of earlier sessions.

    One that was cut off makes room: the first session decides, and it should have all of its rounds.

    Raises UserError where another process does so there.
    """
    from filelock import FileLock, Timeout

    from reglab.running.turns import Session
    from reglab.tracking import turns

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".turns.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder}: another process is timing arms for it; wait for it to end") from None
    try:
        there = turns.read(folder)
        before = [each for each in there if each.is_whole]
        if len(before) < len(there):
            say("note: a session that was cut off is left behind")
        say(f"{len(arms)} arms take {rounds} turns each: leave the machine to them")
        with counting("turns") as progress:
            for took in Session(arms, rounds, images).run(progress):
                turns.write(folder, [*before, *took])
    finally:
        lock.release()


def bring_turns(folder: Path, source: str | None) -> None:
    """Put what arms took in turns where runs are taken from beside what there is in a folder."""
    from reglab.tracking import turns
    from reglab.tracking.fetch import turns_of

    if source and (took := turns_of([str(folder), source])) != turns.read(folder):
        turns.write(folder, took)


def tell_turns(design: "Design", folder: Path) -> None:
    """What an epoch of each arm took, and what the claims on training time come to by it, as a report on the runs in a folder has it."""
    from reglab.report.claims.verdicts import judge
    from reglab.report.sections import in_turns
    from reglab.report.studies.study import Study
    from reglab.tracking import turns
    from reglab.tracking.store import runs_within

    study = Study.of(runs_within(folder), design, turns.as_runs(turns.read(folder)))
    if section := in_turns.extra(study):
        table = Table(*section.table.columns, box=None, pad_edge=False)
        for row in section.table.itertuples(index=False):
            table.add_row(*map(str, row))
        show(table)
        for line in section.notes:
            tell(line)
    elif study.turns:
        say(
            f"note: all of the {len(study.turns)} turns shared their cores with others, and tell nothing: time the arms again by themselves"
        )
    parts = [(finding.number, part) for finding in judge(study).each for part in finding.parts if part.over == "rounds"]
    if parts:
        held = Table("claim", Column("comparison", overflow="fold"), "times", "95 % interval", "holds", box=None, pad_edge=False)
        for number, part in parts:
            how = "open" if part.holds is None else "yes" if part.holds else "no"
            held.add_row(str(number), part.what, part.amount(), part.range_in_words(), how)
        show(held)
    if study.other_turns:
        say(f"note: {len(study.other_turns)} turns are of another set-up than most runs in {folder}, and reports leave them out")
    say(f"{folder / turns.TURNS} has them; reports on the runs beside it judge claims on training time by these")
