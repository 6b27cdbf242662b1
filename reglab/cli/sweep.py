"""`reglab sweep`: check sweep files, and run them on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from reglab.cli.console import handling, is_terminal, progress, say
from reglab.cli.train import PREEMPTED
from reglab.errors import UserError
from reglab.tracking.state import State
from reglab.tracking.wandb_run import PROJECT

if TYPE_CHECKING:
    from reglab.sweep.local import Cell, LocalSweep

app = typer.Typer(help="Check sweep files, and run them.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Sweep YAML files.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Laid over the file's parameters.")]
Quick = Annotated[bool, typer.Option("--quick", help="Digits, width 8, a twentieth of the epochs, one seed: minutes on a CPU.")]

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
    from reglab.config import RunConfig, identity, run_id
    from reglab.sweep.spec import read

    table = Table(Column("file", overflow="fold"), "method", "cells", "arms", "runs", "shared*", box=None, pad_edge=False)
    seen: set[str] = set()
    for spec in [read(path, quick=quick) for path in files]:
        if spec.method == "grid":
            configs = [RunConfig.parse(values) for values in spec.grid()]
            runs = {run_id(config) for config in configs}
            arms = len({identity(config) for config in configs})
            table.add_row(str(spec.path), "grid", str(len(configs)), str(arms), str(len(runs)), str(len(runs & seen)))
            seen |= runs
        else:
            table.add_row(str(spec.path), spec.method, str(spec.run_cap), "drawn", str(spec.run_cap), "–")
        for warning in spec.warnings:
            say(f"{spec.path}: note: {warning}")
    Console().print(table)
    print("* runs that a file above has too: they are the same arm and seed, and run once")


@app.command()
def create(
    files: Files,
    entity: Annotated[str | None, typer.Option("--entity", envvar="WANDB_ENTITY", help="W&B account or team.")] = None,
    project: Annotated[str, typer.Option("--project", envvar="WANDB_PROJECT", help="W&B project.")] = PROJECT,
    again: Annotated[bool, typer.Option("--again", help="Register a second one where the same sweep is there already.")] = False,
    quick: Quick = False,
) -> None:
    """Register sweeps on W&B and print the agent's command for each. The same sweep is registered once."""
    from reglab.sweep import remote
    from reglab.sweep.spec import read

    specs = [read(path, quick=quick) for path in files]
    for spec in specs:  # all are valid before any is registered
        remote.check_command(spec.config, spec.path)
    for spec in specs:
        sweep = remote.create(spec, entity, project, again)
        before = f"registered before, and {sweep.state.lower()}"
        if sweep.state not in ("PENDING", "RUNNING"):
            before += " (--again registers a second one)"
        say(f"{spec.path}: {'registered' if sweep.is_new else before}; on each GPU machine, run this, or reglab agent instead")
        print(f"wandb agent {sweep.path}")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="A sweep YAML file.")],
    overrides: Overrides = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")] = 1,
    quick: Quick = False,
    name: Annotated[str | None, typer.Option("--name", help="Folder under runs/; the file's name by default.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells once more.")] = False,
) -> None:
    """Run a sweep here, without W&B's server: same file, same search engine. Run it again to finish what is missing."""
    from reglab.settings import settings

    if name in ("", ".", ".."):
        raise UserError(f"--name {name}: give the name of a folder")
    run_locally(file, overrides or [], workers, quick, settings().runs / name if name else None, retry_failed)


def run_locally(
    file: Path, overrides: list[str], workers: int, quick: bool, folder: Path | None = None, retry_failed: bool = False
) -> Path:
    """Run a sweep to its end and show it live; returns its folder, `runs/<file>` where none is given.

    Raises typer.Exit where it was interrupted (75), and where a run failed (1).
    """
    from reglab.cli.worker import start
    from reglab.settings import settings
    from reglab.sweep.local import LocalSweep
    from reglab.sweep.spec import read

    spec = read(file, overrides, quick)
    for warning in spec.warnings:
        say(f"note: {warning}")
    folder = folder or settings().runs / spec.name
    sweep = LocalSweep(spec, folder, workers, start, retry_failed)
    interrupted = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        sweep.preempt()

    with handling(interrupt), _display(sweep) as show:
        for _ in sweep.run():
            show()
    _close(sweep, interrupted)
    return folder


def _close(sweep: "LocalSweep", interrupted: bool) -> None:
    counts = {state: sum(cell.state == state for cell in sweep.cells) for state in State}
    total = len(sweep.cells) + sweep.undrawn
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    say(f"{sweep.folder}: {total} runs, " + ", ".join(parts))
    for cell in sweep.cells:
        if cell.record and cell.record.reason and cell.state in (State.failed, State.crashed):
            say(f"  {cell.label} s{cell.seed} {cell.state}: {cell.record.reason}")
    if interrupted:
        say("interrupted; the same command finishes what is missing")
        raise typer.Exit(PREEMPTED)
    if counts[State.failed] or counts[State.crashed]:
        raise typer.Exit(1)


@contextmanager
def _display(sweep: "LocalSweep") -> Iterator[Callable[[], None]]:
    """A live table on a terminal; elsewhere a line whenever a run begins, ends or completes an epoch."""
    if is_terminal():
        with Live(console=progress, refresh_per_second=4, transient=False) as live:
            yield lambda: live.update(table(sweep))
    else:
        yield _PlainLines(sweep)


class _PlainLines:
    def __init__(self, sweep: "LocalSweep"):
        self.sweep = sweep
        self.said: dict[str, tuple[State, int]] = {}

    def __call__(self) -> None:
        first_look = not self.said
        for cell in self.sweep.cells:
            now = (cell.state, cell.epochs_done)
            before = self.said.get(cell.run_id, (State.pending, 0))
            self.said[cell.run_id] = now
            if first_look and cell.state.ended:
                say(f"{cell.label} s{cell.seed}: {cell.state} before")
            elif now != before and (now[0] != before[0] or _is_milestone(cell)):
                say(
                    f"{cell.label} s{cell.seed}: {cell.state}, epoch {cell.epochs_done}/{cell.epochs}{_accuracies(cell)}{_left(self.sweep)}"
                )


def _is_milestone(cell: "Cell") -> bool:
    """Every tenth of a run: a log of a night's sweep should stay readable."""
    return cell.epochs_done % max(1, cell.epochs // 10) == 0


def _accuracies(cell: "Cell") -> str:
    if not cell.record or not cell.record.history:
        return ""
    row = cell.record.history[-1]
    return f", train {row.train_accuracy:.1%}" + (f", test {row.test_accuracy:.1%}" if row.test_accuracy is not None else "")


def _left(sweep: "LocalSweep") -> str:
    seconds = sweep.seconds_left()
    return f"  (about {duration(seconds)} left)" if seconds else ""


def duration(seconds: float) -> str:
    """In words, to the second or to the minute."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


ROWS = 30
"""Cells that the live table shows at most: a terminal's height."""


def table(sweep: "LocalSweep") -> Table:
    """How a sweep stands: its running cells, then the latest of the others."""
    done = sum(cell.state.ended for cell in sweep.cells)
    left = sweep.seconds_left()
    title = f"{sweep.folder.name}: {done} of {len(sweep.cells) + sweep.undrawn} runs" + (f", about {duration(left)} left" if left else "")
    view = Table("cell", "seed", "state", "epoch", "train", "test", "time", title=title, title_justify="left", box=None, pad_edge=False)
    order = sorted(sweep.cells, key=lambda cell: (cell.state != State.running, cell.state == State.pending))
    for cell in order[:ROWS]:
        row = cell.record.history[-1] if cell.record and cell.record.history else None
        view.add_row(
            cell.label,
            str(cell.seed),
            Text(cell.state, style=STYLES[cell.state]),
            f"{cell.epochs_done}/{cell.epochs}",
            f"{row.train_accuracy:.1%}" if row else "",
            f"{row.test_accuracy:.1%}" if row and row.test_accuracy is not None else "",
            duration(row.time_train_seconds) if row else "",
        )
    if len(order) > ROWS:
        view.add_row(Text(f"… {len(order) - ROWS} more", style="dim"))
    return view
