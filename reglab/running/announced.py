"""What is said of a run: as it goes on, and at its end."""

from typing import TYPE_CHECKING

from reglab.config import RunConfig
from reglab.console import is_terminal, progress, say
from reglab.report.writing.numbers import counted
from reglab.tracking.record import RunRecord, State
from reglab.tracking.results import Epoch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def outcome(record: RunRecord) -> str:
    """Say in a line what a run came to, and how it goes on where it does."""
    if record.state == State.preempted and record.reason:
        return f"{record.label} s{record.seed}: preempted, and {record.reason}; the same command goes on from an older one, or begins anew"
    if record.state == State.preempted:
        return f"{record.label} s{record.seed}: checkpoint left after epoch {len(record.history)}; the same command goes on from there"
    line = f"{record.label} s{record.seed}: {record.state}"
    if record.reason:
        line += f" ({record.reason})"
    if (summary := record.summary) and summary.test_accuracy is not None:
        line += f", test accuracy {summary.test_accuracy:.2%} after {counted(summary.epochs, 'epochs')}"
        line += f", {summary.time_train_seconds:.1f} s of training"
        if summary.time_to_target_reached:
            line += f", target reached after {summary.time_to_target_seconds:.1f} s"
        if summary.shared == "GPU":
            line += f"; its GPU was for {summary.gpu_runs} runs at a time: its times are marked"
        elif summary.shared:
            line += f"; others ran on its cores ({summary.time_cpu_share:.0%} of its threads' time was its own): its times are marked"
        if record.environment and record.environment.elsewhere:
            line += f"; it went on here after {' / '.join(record.environment.elsewhere)}: its times are marked"
    if record.weights:
        line += ", weights kept"
    return line


class Announcer:
    """Shows a run on the terminal as it goes on: a bar there, a line an epoch elsewhere; a `Sink`."""

    def __init__(self, config: RunConfig):
        self.epochs = config.train.epochs
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def started(self, record: RunRecord) -> None:
        """Say where the run begins or goes on; on a terminal, show its bar."""
        where = record.environment
        resumed = f", resumed after epoch {len(record.history)}" if record.history else ""
        if where:
            say(f"{record.label} s{record.seed} on {where.device}, {where.precision}, {where.data}: {where.train_images:,} images{resumed}")
        if is_terminal():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=progress, transient=True)
            self._task = self._bar.add_task("", total=self.epochs, completed=len(record.history))
            self._bar.start()

    def epoch(self, row: Epoch) -> None:
        """Show an epoch: its accuracies, its loss, its pace in images/s."""
        line = f"train {row.train_accuracy:.1%}" + (f"  test {row.test_accuracy:.1%}" if row.test_accuracy is not None else "")
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, description=line)
        else:
            say(f"epoch {row.epoch}/{self.epochs}  {line}  loss {row.train_loss:.3f}  {row.throughput_images_per_second:,.0f} images/s")

    def preempting(self) -> None:
        """Say that a checkpoint is being left."""
        say("leaving a checkpoint")

    def ended(self, record: RunRecord) -> None:
        """Take the bar away; what the run came to is said by `outcome`."""
        if self._bar is not None:
            self._bar.stop()
