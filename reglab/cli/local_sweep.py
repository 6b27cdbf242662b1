"""A sweep on this machine, as `sweep run`, `study run` and `demo` run it: on what terms, and what is said of what it came to."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reglab.cli.sweep_view import display, duration
from reglab.console import counting, say
from reglab.errors import UserError
from reglab.exits import FAILED, PREEMPTED
from reglab.processes.signals import Signals
from reglab.report.writing.numbers import counted
from reglab.tracking.recognized import say_recognized
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.config import DataConfig
    from reglab.sweep.draws import DrawnCell
    from reglab.sweep.limit import Limit, Rest
    from reglab.sweep.local import LocalSweep
    from reglab.sweep.program import Program
    from reglab.tracking.record import RunRecord


@dataclass(frozen=True)
class Terms:
    """How sweeps are run: all that the sweeps of a study share.

    `seeds`: of each arm; None is as the file says. `beyond` as in `LocalSweep`; `workers`: None is `machine.at_once`; `signals` are open.
    """

    overrides: list[str]
    workers: int | None = None
    quick: bool = False
    retry_failed: bool = False
    limit: "Limit | None" = None
    beyond: bool = True
    given: "tuple[RunRecord, ...]" = ()
    signals: Signals = field(default_factory=Signals)
    seeds: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to in this call, with so many workers: its `runs`, of which `rest` would begin or go on another time.

    `interrupted`: whether it was asked to end, and left some.
    `recognized` are those that began under an earlier version of identities.
    """

    folder: Path
    workers: int
    runs: frozenset[str]
    rest: "Rest"
    recognized: frozenset[str]
    has_failures: bool
    interrupted: bool


def limit_of(stop_after: str | None) -> "Limit | None":
    """Raises UserError for what is not a duration."""
    from reglab.sweep.limit import Limit, seconds_of

    return Limit(seconds_of(stop_after)) if stop_after is not None else None


def fetched(source: str | None) -> "tuple[RunRecord, ...]":
    """The finished runs in a source, with their epochs where it has them. Raises UserError where it holds no run, and no turns."""
    from reglab.tracking.fetch import fetch

    if source is None:
        return ()
    with counting("reading runs") as progress:
        records = fetch(source, progress=progress)
    finished = tuple(record for record in records if record.state == State.finished)
    say(f"{source}: {len(finished)} finished runs")
    return finished


def run_locally(file: Path, terms: Terms, folder: Path | None = None) -> Path:
    """Run a sweep to its end, or to the limit, and show it live; returns its folder, `runs/<file>` where none is given.

    Raises typer.Exit where it was interrupted, or the limit or a preempted worker left runs undone (75), and where a run failed (1).
    """
    outcome = carry_out(file, terms, folder)
    say_recognized(outcome.recognized)
    if terms.limit and outcome.rest.runs and not outcome.interrupted:
        say(f"{outcome.folder}: {left_undone(outcome.rest, len(outcome.runs), outcome.workers)}")
        raise typer.Exit(PREEMPTED)
    if outcome.interrupted:
        raise typer.Exit(PREEMPTED)
    if outcome.has_failures:
        raise typer.Exit(FAILED)
    if outcome.rest.runs:
        raise typer.Exit(PREEMPTED)
    return outcome.folder


def carry_out(file: Path, terms: Terms, folder: Path | None = None) -> Outcome:
    """Run a sweep as far as the terms let it, show it live, and say what it came to."""
    from reglab.processes import sockets
    from reglab.running import worker
    from reglab.settings import settings
    from reglab.sweep import machine
    from reglab.sweep.health import cache_fault
    from reglab.sweep.local import LocalSweep
    from reglab.sweep.spec import read

    spec = read(file, terms.overrides, terms.quick, terms.seeds)
    if spec.program:
        _check_program(spec.program)
    elif fault := cache_fault():
        raise fault
    if spec.absent:
        mend = "install its package, or set PYTHONPATH to the folder that it is in"
        raise UserError(
            f"{file}: {spec.absent[0]}: there is no such module here, so nobody can tell what has run, nor train the rest: {mend}"
        )
    spec.check_functions()
    sockets.folder()  # one fault of the machine, not one for each run
    for warning in spec.warnings:
        say(f"note: {warning}")
    folder = folder or settings().runs / spec.name
    count = terms.workers or machine.at_once(spec.size, learns=spec.learns)

    def decoded(data: "DataConfig") -> str:
        """The fingerprint of the images, which may have to be decoded, or another process waited for that decodes them."""
        from reglab.data.sources import load

        return load(data, settings().cache).fingerprint

    def fingerprint(data: "DataConfig") -> str:
        with terms.signals.at_once():
            return decoded(data)

    start = worker.starts(spec.program)[0] if spec.program else worker.start
    sweep = LocalSweep(spec, folder, count, start, terms.retry_failed, terms.limit, terms.beyond, terms.given, fingerprint)
    with closing(sweep.run()) as course:
        with terms.signals.at_once():
            next(course)
            needed = {cell.config.data for cell in sweep.cells if cell.config and not cell.state.ended}
            if len(needed) == 1:  # what keeps all runs from them is said once, before the first begins
                decoded(next(iter(needed)))
        with terms.signals.calling(sweep.preempt), display(sweep) as show:
            show()
            for _ in course:
                show()
    return _close(sweep, bool(terms.signals.received))


def _check_program(program: "Program") -> None:
    """Raises UserError where it is not here, or W&B's client would keep nothing of what it logs."""
    from reglab.tracking import client

    program.check_is_here()
    if client.mode() == "disabled":
        raise UserError(f"W&B is disabled here, and `{program.shown}` comes to what it logs there: set WANDB_MODE=offline")


def _close(sweep: "LocalSweep", asked_to_end: bool) -> Outcome:
    counts = {state: sum(cell.state == state for cell in sweep.cells) for state in State}
    total = len(sweep.cells) + sweep.undrawn
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    say(f"{sweep.folder}: {counted(total, 'runs')}, " + ", ".join(parts))
    for line in _complaints(sweep.cells):
        say(f"  {line}")
    if sweep.complaint:
        say(f"{sweep.folder}: this machine cannot go on: {sweep.complaint}")
    rest = sweep.rest()
    if interrupted := asked_to_end and bool(rest.runs):
        say("interrupted; the same command finishes what is missing")
    recognized = frozenset(cell.run_id for cell in sweep.cells if cell.record and cell.record.formerly)
    has_failures = bool(counts[State.failed] or counts[State.crashed])
    return Outcome(sweep.folder, sweep.workers, sweep.names, rest, recognized, has_failures, interrupted)


def _complaints(cells: "Sequence[DrawnCell]") -> Iterator[str]:
    """Why runs failed, or could not begin or go on, each reason once with the runs that have it; and what is damaged."""
    failed: dict[tuple[State, str], list[DrawnCell]] = {}
    for cell in cells:
        if cell.record and cell.record.reason and cell.state in (State.failed, State.crashed, State.preempted):
            failed.setdefault((cell.state, cell.record.reason), []).append(cell)
    for (state, reason), group in failed.items():
        first = f"{group[0].label} s{group[0].seed}"
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        yield f"{first}{more} {state}: {reason}"
    yield from (f"{cell.label} s{cell.seed}: {cell.record.damage}" for cell in cells if cell.record and cell.record.damage)


def left_undone(rest: "Rest", total: int, workers: int) -> str:
    """What a limit left, in words."""
    takes = "nothing tells yet how long they take" if rest.seconds is None else f"about {duration(rest.seconds / workers)}"
    return f"the time is up: {total - len(rest.runs)} of {total} runs are done, {len(rest.runs)} left, {takes}; the same command goes on"
