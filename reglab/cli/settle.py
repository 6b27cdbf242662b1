"""`reglab study run --until-settled`, and what `reglab study plan` says of it: rounds of seeds, until every claim has a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Column, Table

from reglab.cli.local_sweep import Terms, carry_out
from reglab.cli.sweep_view import duration
from reglab.console import say, show, tell
from reglab.errors import UserError
from reglab.exits import FAILED, PREEMPTED, UNDECIDED
from reglab.report.writing.numbers import counted

if TYPE_CHECKING:
    from reglab.report.studies.design import Design
    from reglab.settling.rounds import Course, Round, Wanted
    from reglab.sweep.spec import SweepSpec
    from reglab.tracking.record import RunRecord


@dataclass(frozen=True)
class Bounds:
    """What ends it before all is settled: seeds of an arm, and money, at a price of an hour of one GPU."""

    most_seeds: int | None = None
    budget: float | None = None
    price: float | None = None

    def check(self, until_settled: bool) -> None:
        """Raises UserError for bounds of something else, and for a budget of which nothing says how long it lasts."""
        if not until_settled and (self.most_seeds, self.budget, self.price) != (None, None, None):
            raise UserError("--most-seeds, --budget and --price bound --until-settled: add it, or leave them out")
        if self.budget is not None and not self.price:
            raise UserError(f"--budget {self.budget:g}: give the --price of an hour, too")

    @property
    def seconds(self) -> float | None:
        """Of one GPU, that the budget pays for."""
        return None if self.budget is None or not self.price else 3600 * self.budget / self.price


def say_in_vain(design: "Design", specs: "Sequence[SweepSpec]") -> None:
    """Note what the claims of a study are about and none of its sweeps has, or too many: before anything is trained in vain."""
    from reglab.settling.courses import in_vain

    for line in in_vain(design, specs):
        say(f"note: {line}")


def run_until_settled(course: "Course", folder: Path, terms: Terms, bounds: Bounds, report: str) -> None:
    """Run rounds of a study into its folder, until nothing is left that more seeds of the plan would settle.

    Raises typer.Exit: 75 where it was interrupted, or the time is up; 1 where runs failed; 4 where a claim stays undecided.
    """
    from reglab.settling import files

    terms = replace(terms, overrides=[], quick=False, beyond=True)  # a round's file has them; a run may be longer than a call
    now, runs, stop = _look(course, folder, bounds)
    number, begun = files.latest(folder, course)
    if begun and files.is_within(begun, folder, runs):  # what was cut off has its checkpoints there
        _carry_out(course, begun, folder, terms)
        now, runs, stop = _look(course, folder, bounds)
    asked_before: frozenset[tuple[str, int]] = frozenset()
    while runs and not (asked := frozenset((wanted.arm.name, wanted.seed) for wanted in runs)) <= asked_before:
        asked_before, number = asked, number + 1
        say(f"round {number}: {in_words(now, runs)}")
        _carry_out(course, files.write(folder, number, runs, str(course.design.path)), folder, terms)
        course = replace(course, retry_failed=False)  # once
        now, runs, stop = _look(course, folder, bounds)
    tell_claims(now, course)
    if runs:
        who = "1 run that is asked for was begun" if len(runs) == 1 else f"{len(runs)} runs that are asked for were begun"
        say(f"{folder}: {who}, and did not end; the log beside a record says why")
        raise typer.Exit(FAILED)
    conclude(now, str(folder), stop, report, "--retry-failed runs them once more")


def settle_sweep(spec: "SweepSpec", claims: Sequence[str], terms: Terms, bounds: Bounds, folder: Path) -> None:
    """Run what settles some claims about the arms of a sweep, by a study file that is written beside the runs.

    Raises typer.Exit as `run_until_settled`, and UserError for claims that cannot be made of it.
    """
    from reglab.report.studies.registration import register
    from reglab.report.studies.study_file import read
    from reglab.settling import claimed
    from reglab.settling.courses import course_of

    file = claimed.write(spec, claims, folder)
    design = read(file)
    course = course_of(design, [spec], folder, bounds.most_seeds, terms.retry_failed)
    if said := register(folder, design):
        say(said)
    run_until_settled(course, folder, terms, bounds, f"reglab study report {file} --from {folder}")


def _carry_out(course: "Course", file: Path, folder: Path, terms: Terms) -> None:
    """Raises typer.Exit (75) where runs of the round are left that another call would go on with."""
    outcome = carry_out(file, terms, folder / file.stem)
    if outcome.interrupted or outcome.rest.runs:
        tell_claims(course.next(_records(folder)), course)
        left = counted(len(outcome.rest.runs), "runs")
        say(f"{folder}: {left} of {file.stem} to go; the same command goes on")
        raise typer.Exit(PREEMPTED)


def _look(course: "Course", folder: Path, bounds: Bounds) -> "tuple[Round, Sequence[Wanted], str]":
    """How the claims stand, the runs that come next, and why there are none."""
    now = course.next(_records(folder))
    runs = now.runs if bounds.seconds is None else now.within(bounds.seconds)
    return now, runs, "the budget is spent" if now.runs and not runs else ""


def _records(folder: Path) -> "list[RunRecord]":
    """The runs of a study on this machine. Those from elsewhere come among them as a round takes them for done."""
    from reglab.tracking.store import runs_within

    return runs_within(folder)


def in_words(now: "Round", runs: "Sequence[Wanted]") -> str:
    """What a round asks for, and how far the claims are."""
    from reglab.settling.rounds import Stand

    claims = now.are(Stand.open)
    known = [wanted.seconds for wanted in runs if wanted.seconds is not None]
    takes = f", about {duration(sum(known) / len(known) * len(runs))} of one worker" if known else ""
    settled = len(now.are(Stand.settled))
    return f"{counted(len(runs), 'runs')} for {counted(len(claims), 'claims')}{takes}; {settled} of {len(now.claims)} claims are settled"


def tell_claims(now: "Round", course: "Course") -> None:
    """Every claim, how it stands, with how many seeds of its arms."""
    from reglab.settling.rounds import Stand

    table = Table("", Column("claim", overflow="fold"), "verdict", "seeds", Column("", overflow="fold"), box=None, pad_edge=False)
    for claim in now.claims:
        chance = f" ({claim.why or f'chance {claim.chance:.0%}'})" if claim.stand in (Stand.futile, Stand.unclear) else ""
        why = f"next look at {claim.next}" if claim.next else f"{claim.stand}{chance}"
        table.add_row(str(claim.number), claim.text, claim.verdict, str(claim.now or "–"), why)
    show(table)
    there, arms = sum(now.there.values()), len(course.asked)
    tell(f"{counted(there, 'runs')} of {counted(arms, 'arms')}; {course.looks[-1]} seeds of each would be {arms * course.looks[-1]}")


def conclude(now: "Round", where: str, stop: str, report: str, mend: str) -> None:
    """Say what came of it, and how to mend what failed. Raises typer.Exit: 1 where runs failed, 4 where a claim stays undecided."""
    from reglab.settling.rounds import Stand

    settled, failed = now.are(Stand.settled), now.are(Stand.failed)
    open_ones = len(now.claims) - len(settled)
    why = f"{stop}: " if stop else ""
    said = "every claim is settled" if not open_ones else f"{why}{len(settled)} of {counted(len(now.claims), 'claims')} are settled"
    say(f"{where}: {said}; `{report}` shows it")
    if failed:
        say(f"{where}: runs failed that {counted(len(failed), 'claims')} ask for; {mend}")
        raise typer.Exit(FAILED)
    if open_ones:
        raise typer.Exit(UNDECIDED)


def say_outlook(course: "Course", folder: Path, effect: float | None, price: float | None) -> None:
    """What it is likely to take until the claims of a study are settled, by the runs in its folder and by what runs here took."""
    from reglab.settling import outlook as outlooks

    records = _records(folder)
    found = outlooks.outlook(course, records, outlooks.EFFECT if effect is None else effect)
    hours = outlooks.hours_of(course, records or _records(folder.parent))
    table = Table(
        "until settled", "runs", *(["GPU-hours"] if hours else []), *(["cost"] if hours and price else []), box=None, pad_edge=False
    )
    each = [found.runs(), found.runs(hours)] if hours else [found.runs()]
    for place, name in enumerate(("at least", "as likely as not", "in nine of ten", f"{course.looks[-1]} seeds of all")):
        row = [name, f"{each[0][place]:.0f}"]
        if hours:
            row.append(f"{each[1][place]:.2f}")
        if hours and price:
            row.append(f"{each[1][place] * price:,.2f}")
        table.add_row(*row)
    show(table)
    tell(found.basis)
