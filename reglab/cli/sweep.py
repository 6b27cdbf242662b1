"""`reglab sweep`: check sweep files, and run them on this machine."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Column, Table

from reglab import names
from reglab.cli.console import (
    MOST_AT_ONCE,
    Commands,
    Entity,
    Project,
    counting,
    is_terminal,
    progress,
    say,
    say_recognized,
    show,
    styled,
    tell,
)
from reglab.errors import UserError, excerpt
from reglab.exits import FAILED, PREEMPTED
from reglab.extras import need_training
from reglab.processes.signals import Signals
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.config import DataConfig
    from reglab.sweep.limit import Limit, Rest
    from reglab.sweep.local import Cell, LocalSweep
    from reglab.sweep.program import Program
    from reglab.tracking.record import RunRecord

app = Commands(help="Check sweep files, and run them.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Sweep YAML files.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Laid over the file's parameters.")]
Quick = Annotated[bool, typer.Option("--quick", help="Digits, width 8, a twentieth of the epochs, one seed: minutes on a CPU.")]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=MOST_AT_ONCE,
        help="Runs at a time; by default one a GPU, or, without one, one a CPU core, of one thread each.",
    ),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        "--stop-after",
        metavar="DURATION",
        help="End within 90s, 9m or 1h30m: starts the runs that fit, in what is left checkpoints. Exit code 75 where runs are left.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, metavar="N", help="Of each arm, where the file has `replicates`; those of its first round by default."),
]
Given = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="Finished runs there are done: a folder, reports/<name>, wandb://entity/project. Image folders count by their name.",
    ),
]

STYLES = {
    State.pending: "dim",
    State.running: "cyan",
    State.finished: "green",
    State.stopped: "yellow",
    State.preempted: "yellow",
    State.diverged: "magenta",
    State.failed: "red",
    State.crashed: "red",
}


@app.command()
def check(files: Files, quick: Quick = False) -> None:
    """Validate sweep files against W&B's schema and the configuration; count cells, arms and duplicates."""
    from reglab.sweep.spec import read

    table = Table(Column("file", overflow="fold"), "method", "cells", "arms", "runs", "shared*", box=None, pad_edge=False)
    seen: set[tuple[str, int]] = set()
    for spec in [read(path, quick=quick) for path in files]:
        if spec.method == "grid":
            runs = {(asked.identity, asked.seed) for _, asked in spec.cells}
            arms = len({arm for arm, _ in runs})
            table.add_row(str(spec.path), "grid", str(spec.size), str(arms), str(len(runs)), str(len(runs & seen)))
            seen |= runs
        else:
            cap = str(spec.run_cap or "no cap")
            table.add_row(str(spec.path), spec.engine, cap, "drawn", cap, "–")
        for warning in spec.warnings:
            say(f"{spec.path}: note: {warning}")
    show(table)
    tell("* runs that a file above has too: they are the same arm and seed, and run once")


@app.command()
def create(
    files: Files,
    entity: Entity = None,
    project: Project = None,
    again: Annotated[bool, typer.Option("--again", help="Register a second one where the same sweep is there already.")] = False,
    quick: Quick = False,
) -> None:
    """Register sweeps on W&B and print the agent's command for each. The same sweep is registered once."""
    from reglab.sweep import remote
    from reglab.sweep.spec import read
    from reglab.tracking import client

    specs = [read(path, quick=quick) for path in files]
    for spec in specs:  # all are valid before any is registered
        remote.check_command(spec.config, spec.path)
    for spec in specs:
        sweep = remote.create(spec, *client.destination(entity, project, spec.config), again)
        before = f"registered before, and {sweep.state.lower()}"
        if sweep.state not in ("PENDING", "RUNNING"):
            before += " (--again registers a second one)"
        say(f"{spec.path}: {'registered' if sweep.is_new else before}; on each GPU machine, run this, or reglab agent instead")
        tell(f"wandb agent {shlex.quote(sweep.path)}")
        if sweep.scheduler:
            say(f"{spec.path}: and on one machine this, which chooses its runs, with {sweep.scheduler}")
            tell(f"reglab sweep schedule {shlex.quote(sweep.path)}")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A sweep YAML file.")],
    overrides: Overrides = None,
    workers: Workers = None,
    quick: Quick = False,
    name: Annotated[str | None, typer.Option("--name", help="Folder under runs/; the file's name by default.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells once more.")] = False,
    stop_after: StopAfter = None,
    source: Given = None,
    seeds: Seeds = None,
) -> None:
    """Run a sweep here, without W&B's server: same file, same search engine. Run it again to finish what is missing."""
    from reglab.settings import settings
    from reglab.sweep.spec import read

    if name is not None:
        check_name(name)
    with Signals() as signals, signals.at_once():
        limit = limit_of(stop_after)
        spec = read(file, overrides or [], quick, seeds)  # before runs are fetched
        if spec.program is None:
            need_training()
        elif source is not None:
            raise UserError(f"--from {source}: takes runs of `reglab train` for done, and {file} starts `{spec.program.shown}`")
        terms = Terms(overrides or [], workers, quick, retry_failed, limit, given=fetched(source), signals=signals, seeds=seeds)
        folder = run_locally(file, terms, settings().runs / name if name else None)
        say(f"next: reglab report build --from {folder} --out {Path('reports') / folder.name}")


def check_name(name: str) -> None:
    """Raises UserError where a folder of runs cannot be called so."""
    if fault := names.fault(name):
        raise UserError(f"--name {excerpt(name)}: {fault}: give another")


@dataclass(frozen=True)
class Terms:
    """How sweeps are run: all that the sweeps of a study share.

    `seeds`: of each arm; None is as the file says. `beyond` as in `LocalSweep`; `workers`: None is `workers.at_once`; `signals` are open.
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
    """The finished runs in a source, with their epochs where it has them. Raises UserError where it holds no run."""
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
    from reglab.cli import worker
    from reglab.processes import sockets
    from reglab.settings import settings
    from reglab.sweep import workers
    from reglab.sweep.health import cache_fault
    from reglab.sweep.local import LocalSweep
    from reglab.sweep.spec import read

    spec = read(file, terms.overrides, terms.quick, terms.seeds)
    if spec.program:
        _check_program(spec.program)
    elif fault := cache_fault():
        raise fault
    sockets.folder()  # one fault of the machine, not one for each run
    for warning in spec.warnings:
        say(f"note: {warning}")
    folder = folder or settings().runs / spec.name
    count = terms.workers or workers.at_once(spec.size, learns=spec.learns)

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
        with terms.signals.calling(sweep.preempt), _display(sweep) as show:
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
    say(f"{sweep.folder}: {total} runs, " + ", ".join(parts))
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


def _complaints(cells: "Sequence[Cell]") -> Iterator[str]:
    """Why runs failed, each reason once with the runs that have it; and what is damaged."""
    failed: dict[tuple[State, str], list[Cell]] = {}
    for cell in cells:
        if cell.record and cell.record.reason and cell.state in (State.failed, State.crashed):
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


@contextmanager
def _display(sweep: "LocalSweep") -> Iterator[Callable[[], None]]:
    """A live table on a terminal; elsewhere a line whenever a run begins, ends or completes an epoch."""
    if is_terminal():
        names = _Names(sweep)
        with Live(console=progress, refresh_per_second=4, transient=False) as live:
            yield lambda: live.update(table(sweep, names))
    else:
        yield _PlainLines(sweep)


class _PlainLines:
    def __init__(self, sweep: "LocalSweep"):
        self.sweep, self.names = sweep, _Names(sweep)
        self.said: dict[str, tuple[State, int]] = {}

    def __call__(self) -> None:
        first_look = not self.said
        for cell, label in self.names:
            now = (cell.state, cell.epochs_done)
            before = self.said.get(cell.run_id, (State.pending, 0))
            self.said[cell.run_id] = now
            if first_look and cell.state.ended:
                say(f"{label} s{cell.seed}: {cell.state} before")
            elif now != before and (now[0] != before[0] or _is_milestone(cell)):
                say(f"{label} s{cell.seed}: {cell.state}, {_how_far(cell)}{_left(self.sweep)}")


class _Names:
    """The cells of a sweep under names that tell them apart, by what it searches. They are made anew where it has drawn more."""

    def __init__(self, sweep: "LocalSweep"):
        self.sweep = sweep
        self.labels: list[str] = []

    def __iter__(self) -> "Iterator[tuple[Cell, str]]":
        from reglab.sweep.ledger import told_apart

        cells = self.sweep.cells
        if len(cells) != len(self.labels):
            self.labels = told_apart(self.sweep.spec, cells)
        return zip(cells, self.labels, strict=True)


def _how_far(cell: "Cell") -> str:
    if cell.record and cell.record.program:
        return f"logged {cell.epochs_done} times"
    return f"epoch {cell.epochs_done}/{cell.epochs}{_accuracies(cell)}"


def _is_milestone(cell: "Cell") -> bool:
    """Every tenth of a run: a log of a night's sweep should stay readable."""
    if not cell.epochs:
        return False
    return cell.epochs_done % max(1, cell.epochs // 10) == 0


def _accuracies(cell: "Cell") -> str:
    if not cell.record or not cell.record.history:
        return ""
    row = cell.record.history[-1]
    return f", train {row.train_accuracy:.1%}" + (f", test {row.test_accuracy:.1%}" if row.test_accuracy is not None else "")


def _left(sweep: "LocalSweep") -> str:
    seconds = sweep.seconds_left()
    return f"  (about {duration(seconds)} left{_until(sweep)})" if seconds else ""


def _until(sweep: "LocalSweep") -> str:
    return f", the limit is in {duration(max(0.0, sweep.limit.left))}" if sweep.limit else ""


def duration(seconds: float) -> str:
    """In words, to the second or to the minute."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


ROWS = 30
"""Cells that the live table shows at most: a terminal's height."""


def table(sweep: "LocalSweep", names: "Iterable[tuple[Cell, str]] | None" = None) -> Table:
    """How a sweep stands: its running cells, then the latest of the others."""
    done = sum(cell.state.ended for cell in sweep.cells)
    left = sweep.seconds_left()
    title = f"{sweep.folder.name}: {done} of {len(sweep.cells) + sweep.undrawn} runs" + (f", about {duration(left)} left" if left else "")
    title += _until(sweep)
    view = Table("cell", "seed", "state", "epoch", "train", "test", "time", title=title, title_justify="left", box=None, pad_edge=False)
    order = sorted(names or _Names(sweep), key=lambda pair: (pair[0].state != State.running, pair[0].state == State.pending))
    for cell, label in order[:ROWS]:
        row = cell.record.history[-1] if cell.record and cell.record.history else None
        view.add_row(
            label,
            str(cell.seed),
            styled(cell.state, STYLES[cell.state]),
            f"{cell.epochs_done}/{cell.epochs}" if cell.epochs else str(cell.epochs_done),
            f"{row.train_accuracy:.1%}" if row else "",
            f"{row.test_accuracy:.1%}" if row and row.test_accuracy is not None else "",
            duration(row.time_train_seconds) if row else "",
        )
    if len(order) > ROWS:
        view.add_row(styled(f"… {len(order) - ROWS} more", "dim"))
    return view
