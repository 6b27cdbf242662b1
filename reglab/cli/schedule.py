"""`reglab sweep schedule`: the scheduler of a sweep on W&B."""

from typing import Annotated

import typer

from reglab.cli.commands import MOST_AT_ONCE
from reglab.console import say
from reglab.errors import UserError
from reglab.exits import PREEMPTED
from reglab.processes.signals import Signals
from reglab.tracking import client


def schedule(
    path: Annotated[str, typer.Argument(metavar="ENTITY/PROJECT/SWEEP", help="As `reglab sweep create` prints it.")],
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, max=MOST_AT_ONCE, help="Runs that are chosen and have not ended; W&B's number by default."),
    ] = None,
    poll_interval: Annotated[
        float | None, typer.Option("--poll-interval", min=1, max=3600, help="Seconds between two looks at the runs; W&B's by default.")
    ] = None,
) -> None:
    """Choose the runs of a W&B sweep with a `scheduler`, until it ends: W&B's own `wandb sweep-scheduler`, looked after.

    Agents train the runs. Exit code 0: nothing is left to choose; 75: it was asked to end, and the same command goes on.
    """
    with Signals() as signals, signals.at_once():
        _look_after(path, batch_size, poll_interval, signals)


def _look_after(path: str, batch_size: int | None, poll_interval: float | None, signals: Signals) -> None:
    from reglab.settings import settings
    from reglab.sweep import remote
    from reglab.sweep.scheduling import SchedulerProcess

    client.check_online()
    sweep = remote.find(path)
    if sweep.scheduler is None:
        raise UserError(f"{path}: W&B's server chooses its runs, method {sweep.method}: its file has no `scheduler`")
    options = [f"--batch-size={batch_size}"] * (batch_size is not None) + [f"--poll-interval={poll_interval}"] * (poll_interval is not None)
    process = SchedulerProcess(sweep, settings().runs / sweep.sweep_id, options, say)
    say(f"{path}: {sweep.scheduler} chooses its runs from here; agents train them")
    with signals.calling(process.preempt):
        for _ in process.run():
            pass
    if not process.has_ended:
        say(f"{path}: no more runs are chosen here; the same command goes on")
        raise typer.Exit(PREEMPTED)
    say(f"{path}: {process.reason}")
