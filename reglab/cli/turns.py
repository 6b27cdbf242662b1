"""What is said of arms that took turns, and what the claims on training time come to by it."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Column, Table

from reglab.console import say, show, tell
from reglab.report.writing.numbers import counted

if TYPE_CHECKING:
    from reglab.report.studies.design import Design


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
        say(f"note: all turns ({len(study.turns)}) shared their cores with others, and tell nothing: time the arms again by themselves")
    parts = [(finding.number, part) for finding in judge(study).each for part in finding.parts if part.over == "rounds"]
    if parts:
        held = Table("claim", Column("comparison", overflow="fold"), "times", "95 % interval", "holds", box=None, pad_edge=False)
        for number, part in parts:
            how = "open" if part.holds is None else "yes" if part.holds else "no"
            held.add_row(str(number), part.what, part.amount(), part.range_in_words(), how)
        show(held)
    if study.other_turns:
        say(f"note: reports leave out {counted(len(study.other_turns), 'turns')} of another set-up than most runs in {folder}")
    say(f"{folder / turns.TURNS} has them; reports on the runs beside it judge claims on training time by these")
