"""`reglab study`: every sweep of a study file, and the report on all of them."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reglab.cli.commands import Commands
from reglab.cli.local_sweep import Outcome, Terms, carry_out, fetched, left_undone, limit_of
from reglab.cli.report import write
from reglab.cli.settle import Bounds, run_until_settled, say_in_vain, say_outlook
from reglab.cli.sweep import Budget, Given, MostSeeds, PriceOfBudget, Quick, StopAfter, Workers, check_name
from reglab.console import counting, say
from reglab.errors import UserError
from reglab.exits import FAILED, PREEMPTED
from reglab.extras import need_training
from reglab.processes.signals import Signals
from reglab.report.writing.numbers import counted
from reglab.tracking.recognized import say_recognized

if TYPE_CHECKING:
    from reglab.report.studies.design import Design
    from reglab.sweep.limit import Rest

app = Commands(help="Run all sweeps of a study file, and report on them; the published study where none is given.")

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="Folder under runs/ and reports/; `study` for the published one, else the study file's name; with --quick and -quick.",
    ),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE] [KEY=VALUE]…", help="A study file; then what is laid over the parameters of all of its sweeps."),
]


@app.command()
def run(
    words: Words = None,
    only: Annotated[str | None, typer.Option("--only", metavar="SWEEP,…", help="These sweeps of the study, such as final,agc.")] = None,
    workers: Workers = None,
    quick: Quick = False,
    name: Name = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells once more.")] = False,
    stop_after: StopAfter = None,
    source: Given = None,
    until_settled: Annotated[
        bool,
        typer.Option(
            "--until-settled", help="Only what its claims ask for, look by look, until each has a verdict; 4 where one stays open."
        ),
    ] = False,
    most_seeds: MostSeeds = None,
    budget: Budget = None,
    price: PriceOfBudget = None,
) -> None:
    """Run every sweep of a study here, offline, in order of value. Run it again to finish what is missing."""
    from reglab.report.studies.registration import register
    from reglab.settling.courses import course_of
    from reglab.sweep.spec import read
    from reglab.tracking.fetch import bring_turns

    need_training()
    design, overrides = _study(words)
    bounds = Bounds(most_seeds, budget, price)
    bounds.check(until_settled)
    with Signals() as signals, signals.at_once():
        limit = limit_of(stop_after)
        folder = folder_of(name, quick, design)
        files = _chosen(only, design)
        if until_settled and only:
            raise UserError(f"--only {only}: with --until-settled the claims of the study say what runs")
        specs = [read(file, overrides, quick) for file in files]  # all are valid before any begins
        if not only:
            say_in_vain(design, specs)
        course = course_of(design, specs, folder, most_seeds, retry_failed, source) if until_settled else None
        terms = Terms(overrides, workers, quick, retry_failed, limit, beyond=limit is None, given=fetched(source), signals=signals)
        if said := register(folder, design, course.design.looks if course else (), source):  # nothing is refused from here on
            say(said)
        if source:
            bring_turns(folder, source)
        study = _same_study(words, quick, name)
        if course:
            run_until_settled(course, folder, terms, bounds, f"reglab study report {study}".strip())
            return
        outcomes = _each(files, terms, folder)
        if (
            limit
            and limit.can_start
            and (long := [file for file in outcomes if any(map(limit.is_short_for, outcomes[file].rest.runs.values()))])
        ):
            outcomes |= _each(long, replace(terms, beyond=True, retry_failed=False), folder)  # after all that fits in this call
        _close(folder, outcomes, len(files), terms, study)


def _each(files: list[Path], terms: Terms, folder: Path) -> dict[Path, Outcome]:
    """Run these sweeps, one after the other, all that the limit lets it look at. Raises typer.Exit where it is interrupted."""
    outcomes: dict[Path, Outcome] = {}
    for number, file in enumerate(files, start=1):
        if terms.limit and terms.limit.is_over:
            break
        say(f"sweep {number} of {len(files)}: {file.stem}")
        outcomes[file] = outcome = carry_out(file, terms, folder / file.stem)
        if outcome.interrupted or (terms.signals.received and number < len(files)):
            raise typer.Exit(PREEMPTED)
    return outcomes


def _same_study(words: list[str] | None, quick: bool, name: str | None) -> str:
    """The words of a command that mean the study which these mean, for a person to copy."""
    file = [words[0]] if words and "=" not in words[0] else []
    return shlex.join([*file, *(["--quick"] if quick else []), *(["--name", name] if name else [])])


def _close(folder: Path, outcomes: dict[Path, Outcome], sweeps: int, terms: Terms, study: str) -> None:
    unwell = [file.stem for file, outcome in outcomes.items() if outcome.has_failures]
    failures = f"; runs failed in {', '.join(unwell)}" if unwell else ""
    runs, rest = _together(list(outcomes.values()))
    say_recognized(frozenset[str]().union(*(outcome.recognized for outcome in outcomes.values())))
    if terms.limit and (rest.runs or len(outcomes) < sweeps):
        unseen = f"; not looked at: {counted(sweeps - len(outcomes), 'sweeps')}" if len(outcomes) < sweeps else ""
        workers = max((outcome.workers for outcome in outcomes.values()), default=1)
        say(f"{folder}: {left_undone(rest, len(runs), workers)}{unseen}{failures}")
        raise typer.Exit(PREEMPTED)
    if rest.runs:
        say(f"{folder}: {len(rest.runs)} of {len(runs)} runs are left; the same command goes on{failures}")
        raise typer.Exit(FAILED if unwell else PREEMPTED)
    say(f"{folder}: the study is done; `{f'reglab study report {study}'.strip()}` shows it{failures}")
    if unwell:
        raise typer.Exit(FAILED)


def _together(outcomes: list[Outcome]) -> "tuple[frozenset[str], Rest]":
    """All runs, and those left: one that several sweeps ask for counts once, and is done if any of them has done it."""
    from reglab.sweep.limit import Rest

    done = frozenset[str]().union(*(outcome.runs - outcome.rest.runs.keys() for outcome in outcomes))
    left = {name: seconds for outcome in outcomes for name, seconds in outcome.rest.runs.items() if name not in done}
    return done | left.keys(), Rest(left)


@app.command()
def plan(
    words: Words = None,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of an hour of one GPU.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Measure on this machine what no finished run tells.")] = False,
    quick: Quick = False,
    name: Name = None,
    until_settled: Annotated[bool, typer.Option("--until-settled", help="Of `study run --until-settled`, by the runs so far.")] = False,
    effect: Annotated[
        float | None,
        typer.Option(
            "--effect",
            min=0.1,
            help="For arms without runs: by how many standard deviations from seed to seed they are taken to differ; 2 by default.",
        ),
    ] = None,
) -> None:
    """Say what the sweeps of a study will take before anything starts: runs, hours of a GPU, cost."""
    from reglab.cli.ledger import say_plan
    from reglab.settling.courses import course_of
    from reglab.sweep.spec import read

    design, overrides = _study(words)
    if until_settled and probe:
        raise UserError("--probe: measures what sweeps take; with --until-settled finished runs tell it")
    specs = [read(file, overrides, quick) for file in design.files]
    say_in_vain(design, specs)
    if until_settled:
        folder = folder_of(name, quick, design)
        say_outlook(course_of(design, specs, folder), folder, effect, price)
        return
    if effect is not None:
        raise UserError(f"--effect {effect:g}: goes with --until-settled")
    say_plan(specs, price=price, probe=probe)


@app.command("time")
def take_time(
    words: Words = None,
    rounds: Annotated[int, typer.Option("--rounds", min=2, max=1000, help="How many turns each arm takes.")] = 5,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Training images of a turn; else what the first arm does in two seconds.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="SWEEP,…", help="All arms of these sweeps; else those whose times claims compare.")
    ] = None,
    quick: Quick = False,
    name: Name = None,
) -> None:
    """Time arms apart: an epoch each in turns, with nothing else on the machine. Claims on training time are judged by it."""
    from reglab.cli.turns import tell_turns
    from reglab.report.studies.registration import register
    from reglab.settling.arms import arms_to_time
    from reglab.sweep.spec import read

    need_training()
    from reglab.running.turns import Session  # which imports torch

    design, overrides = _study(words)
    with Signals() as signals, signals.at_once():
        folder = folder_of(name, quick, design)
        arms = arms_to_time(design, [read(file, overrides, quick) for file in _chosen(only, design)], all_of_them=only is not None)
        if said := register(folder, design):
            say(said)
        with counting("turns") as progress:
            Session(arms, rounds, images).run_beside(folder, progress)
        tell_turns(design, folder)


@app.command()
def report(
    words: Words = None,
    source: Annotated[str | None, typer.Option("--from", metavar="SOURCE", help="Where the runs are; runs/<name> by default.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="The report's folder; reports/<name> by default.")] = None,
    quick: Quick = False,
    name: Name = None,
) -> None:
    """Write a study's tables, figures, verdicts and page."""
    design, overrides = _study(words)
    if overrides:
        raise UserError(f"{overrides[0]}: a report takes the runs as they are; `reglab study run` takes KEY=VALUE words")
    write([source or str(folder_of(name, quick, design))], out or Path("reports") / name_of(name, quick, design), design.name)


def _study(words: list[str] | None) -> "tuple[Design, list[str]]":
    """The study that the first word names, where it is no KEY=VALUE; and the words behind it."""
    from reglab.report.studies.study_file import PUBLISHED, read

    words = words or []
    file, overrides = (words[0], words[1:]) if words and "=" not in words[0] else (PUBLISHED, words)
    return read(file), overrides


def folder_of(name: str | None, quick: bool, design: "Design") -> Path:
    """The folder of a study's runs. Raises UserError where it has no `name` of its own, and lies where the published study's do, or the
    other way round: a study file called study.yaml would take over the folder and its `study.lock`."""
    from reglab.report.studies.registration import LOCK, Lock
    from reglab.report.studies.study_file import PUBLISHED
    from reglab.settings import settings

    folder = settings().runs / name_of(name, quick, design)
    lock = Lock.read(folder) if name is None else None
    of = Path(lock.versions[-1].study).stem if lock else ""
    if of and of != Path(design.name).stem and PUBLISHED in (of, design.name):
        raise UserError(f"{folder} has the runs of the study {of}, as its {LOCK} says: give {design.name} a folder of its own with --name")
    return folder


def name_of(name: str | None, quick: bool, design: "Design") -> str:
    """What the folder of a study's runs is called. Raises UserError for a name that none can have."""
    if name is not None:
        check_name(name)
        return name
    from reglab.report.studies.study_file import PUBLISHED

    return ("study" if design.name == PUBLISHED else Path(design.name).stem) + ("-quick" if quick else "")


def _chosen(only: str | None, design: "Design") -> list[Path]:
    from reglab.config import nearest

    if not design.sweeps:
        raise UserError(f"{design.path}: it names no sweep; add `sweeps:`, a list of sweep files")
    if only is None:
        return design.files
    names = [name.strip() for name in only.split(",")]
    if unknown := [name for name in names if name not in design.stems]:
        raise UserError(f"--only {only}: the study has no sweep {unknown[0]}{nearest(unknown[0], design.stems)}")
    return [file for file in design.files if file.stem in names]
