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


def course_of(
    design: "Design",
    specs: "Sequence[SweepSpec]",
    folder: Path,
    most_seeds: int | None = None,
    retry_failed: bool = False,
    source: str | None = None,
) -> "Course":
    """The arms that these sweeps of a study give it, and the plan of its looks: its file's, else the one with which its runs in a folder,
    or those that are taken from elsewhere, were begun, else that of any.

    Raises UserError for a study that claims nothing, and where no sweep has an arm that a claim asks for.
    """
    from reglab.report.claims.plan import LOOKS
    from reglab.report.studies.registration import lock_of
    from reglab.settling.arms import arms_of
    from reglab.settling.rounds import Course
    from reglab.tracking import turns
    from reglab.tracking.fetch import turns_of

    if not design.claims:
        raise UserError(f"{design.path}: --until-settled: it claims nothing that could be settled; add `claims:`")
    if lock := lock_of(folder, design, source):
        design = lock.planned(design)
    if not design.looks:
        design = design.model_copy(update={"looks": LOOKS})
    if most_seeds is not None and most_seeds < design.looks[0]:
        raise UserError(f"--most-seeds {most_seeds}: the first look of {design.path} is at {design.looks[0]} seeds; give at least that")
    if missing := next((each for spec in specs for each in spec.absent), None):
        raise UserError(
            f"{design.path}: {missing}: there is no such module here, so nobody can tell which runs are of its code: install it"
        )
    course = Course(design, arms_of(specs), most_seeds, retry_failed, turns.as_runs(turns_of([str(folder), *([source] if source else [])])))
    if not course.asked:
        raise UserError(f"{design.path}: no grid among its sweeps has arms for any of its claims: nothing would be settled by more runs")
    least = min(arm.most or design.looks[0] for name, arm in course.arms.items() if name in course.asked)
    if least < design.looks[0]:
        raise UserError(
            f"{design.path}: the first look is at {design.looks[0]} seeds, and `replicates` of its sweeps allow {least}: raise `most`"
        )
    for spec in specs:
        if spec.method != "grid" or spec.program:
            kind = "starts another program" if spec.program else "is a search"
            say(f"note: {spec.path} {kind}: of its arms nothing is known beforehand; `reglab sweep run` runs it")
    return course


def say_in_vain(design: "Design", specs: "Sequence[SweepSpec]") -> None:
    """Note what the claims of a study are about and none of its sweeps has, or too many: before anything is trained in vain."""
    from reglab.report.claims import planned
    from reglab.settling.arms import arms_of, study_of

    if all(spec.method == "grid" and not spec.program for spec in specs):  # what a search draws is not known beforehand
        for line in planned.in_vain(design, study_of(design, arms_of(specs))):
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
        say(f"{folder}: {len(runs)} runs that are asked for were begun, and did not end; their logs beside their records say why")
        raise typer.Exit(FAILED)
    conclude(now, str(folder), stop, report, "--retry-failed runs them once more")


def settle_sweep(spec: "SweepSpec", claims: Sequence[str], terms: Terms, bounds: Bounds, folder: Path) -> None:
    """Run what settles some claims about the arms of a sweep, by a study file that is written beside the runs.

    Raises typer.Exit as `run_until_settled`, and UserError for claims that cannot be made of it.
    """
    from reglab.atomic import write_whole
    from reglab.report.studies.registration import register
    from reglab.report.studies.study_file import read
    from reglab.settling.claimed import text_of

    text = text_of(spec, claims, spec.path.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.yaml"
    write_whole(file, lambda stream: stream.write(text.encode()))
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
        say(f"{folder}: {len(outcome.rest.runs)} runs of {file.stem} are left; the same command goes on")
        raise typer.Exit(PREEMPTED)


def _records(folder: Path) -> "list[RunRecord]":
    """The runs of a study on this machine. Those from elsewhere come among them as a round takes them for done."""
    from reglab.tracking.store import runs_within

    return runs_within(folder)


def _look(course: "Course", folder: Path, bounds: Bounds) -> "tuple[Round, Sequence[Wanted], str]":
    """How the claims stand, the runs that come next, and why there are none."""
    now = course.next(_records(folder))
    return now, *_within(now, bounds)


def _within(now: "Round", bounds: Bounds) -> "tuple[Sequence[Wanted], str]":
    """As many of the runs that come next as the budget pays for, and why there are none. Where nothing tells what a run takes, and a budget
    is given, one is run to see."""
    if bounds.seconds is None:
        return now.runs, ""
    if now.seconds < bounds.seconds and any(wanted.seconds is None for wanted in now.runs):
        return now.runs[:1], ""
    there: list[Wanted] = []
    left = bounds.seconds - now.seconds
    for wanted in now.runs:
        left -= wanted.seconds or 0.0
        if left < 0:
            break
        there.append(wanted)
    return there, "the budget is spent" if now.runs and not there else ""


def in_words(now: "Round", runs: "Sequence[Wanted]") -> str:
    """What a round asks for, and how far the claims are."""
    from reglab.settling.rounds import Stand

    claims = now.are(Stand.open)
    known = [wanted.seconds for wanted in runs if wanted.seconds is not None]
    takes = f", about {duration(sum(known) / len(known) * len(runs))} of one worker" if known else ""
    settled = len(now.are(Stand.settled))
    return f"{len(runs)} runs for {_claims(len(claims))}{takes}; {settled} of {len(now.claims)} claims are settled"


def _claims(count: int) -> str:
    return f"{count} claim{'s' * (count != 1)}"


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
    tell(f"{there} runs of {arms} arms; {course.looks[-1]} seeds of each would be {arms * course.looks[-1]}")


def conclude(now: "Round", where: str, stop: str, report: str, mend: str) -> None:
    """Say what came of it, and how to mend what failed. Raises typer.Exit: 1 where runs failed, 4 where a claim stays undecided."""
    from reglab.settling.rounds import Stand

    settled, failed = now.are(Stand.settled), now.are(Stand.failed)
    open_ones = len(now.claims) - len(settled)
    why = f"{stop}: " if stop else ""
    said = "every claim is settled" if not open_ones else f"{why}{len(settled)} of {_claims(len(now.claims))} are settled"
    say(f"{where}: {said}; `{report}` shows it")
    if failed:
        say(f"{where}: runs failed that {_claims(len(failed))} ask for; {mend}")
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
