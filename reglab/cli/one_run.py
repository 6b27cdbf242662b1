"""One run, from the configuration that was asked for to its record. Imported by the commands that train."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout

from reglab.cli.console import is_terminal, progress, say, say_recognized
from reglab.config import FIELDS, RunConfig, effective, identity, run_id, with_overrides
from reglab.errors import MachineError, ReglabError, UserError, machine_fault
from reglab.exits import PREEMPTED
from reglab.extras import need_training
from reglab.processes import signals as meanings
from reglab.processes.signals import Interrupted, Request, Signals
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.sweep.workers import cores
from reglab.tracking import client
from reglab.tracking.images import KEPT, refuse_other, saw_others
from reglab.tracking.record import Epoch, RunRecord, Sink, State
from reglab.tracking.store import RECORD, RUN_LOCK, DamagedError, LocalRun, former_names, read_run, readable, run_folders, set_aside
from reglab.tracking.wandb_run import WandbRun

if TYPE_CHECKING:
    import torch
    from rich.progress import Progress, TaskID

    from reglab.data.images import ImageSet

_PATIENCE_SECONDS = 30.0

_LENGTH = frozenset({"optimizer.warmup_epochs", "optimizer.schedule"})
"""Keys outside `train` that say how long, or in what course, a run trains."""


def ordered(
    job: assignment.Assignment | None, overrides: Sequence[str], print_config: bool, again: bool, signals: Signals, as_new: bool = False
) -> RunRecord | None:
    """Do what the command line or the agent asks for; returns the record of the run, if there was one.

    Raises Interrupted where a run by hand is asked to end before it has begun.
    """
    try:
        config = RunConfig.parse(with_overrides(job.values if job else {}, overrides))
        if job and (again or as_new):
            raise UserError("--again and --as-new are for runs by hand: a run of a sweep goes on where its sweep has it, under that id")
    except UserError as error:
        if job:
            _record_unbuildable(job, str(error))
        raise
    if print_config:
        sys.stdout.write(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        return None
    return _begun(config, job, again, as_new, signals)


def train(config: RunConfig | Mapping[str, Any], again: bool = False) -> RunRecord:
    """Train one run here as `reglab train` does, with what is said on standard error, and return its record: `reglab.train`.

    It lies in `runs/train/`. One that has finished is not trained once more, unless `again`; one that was interrupted goes on from its
    checkpoint, where an interrupt leaves one. Raises `UserError` for a configuration that cannot be.
    """
    need_training()
    built = config if isinstance(config, RunConfig) else RunConfig.parse(config)
    with Signals(meanings.FROM_OUTSIDE) as signals:
        return _begun(built, None, again, False, signals)


def _begun(config: RunConfig, job: assignment.Assignment | None, again: bool, as_new: bool, signals: Signals) -> RunRecord:
    """Train a run, or go on with it; returns its record."""
    sweep = job.sweep if job else "train"
    others = () if job and job.run_id else _others(config, settings().runs / sweep)
    name = job.run_id if job and job.run_id else _name(config, others)
    record = RunRecord(
        run_id=name,
        sweep=sweep,
        label=config.label,
        identity=identity(config),
        seed=config.train.seed,
        config=config.model_dump(mode="json"),
    )
    folder = settings().runs / sweep / name
    try:
        kin = None if job or again else _unfinished_kin(config, others)
        return _run(config, record, folder, kin, in_sweep=job is not None, again=again, as_new=as_new, signals=signals)
    except Interrupted as asked:
        if job is None:
            raise
        return _ended_before_it_began(asked.request, record, folder)


def _others(config: RunConfig, folder: Path) -> Sequence[RunRecord]:
    """The runs in this folder, where this one is not among them under its own name."""
    if (folder / run_id(config) / RECORD).exists():
        return ()
    return list(readable(sorted(run_folders(folder))))


def _name(config: RunConfig, others: Iterable[RunRecord]) -> str:
    """What a run is called: after its identity; one among the others that began under an earlier version of identities keeps its name."""
    return former_names(others).get((identity(config), config.train.seed), run_id(config))


def _run(
    config: RunConfig, record: RunRecord, folder: Path, kin: str | None, in_sweep: bool, again: bool, as_new: bool, signals: Signals
) -> RunRecord:
    """Train, or go on, or leave a run that has ended as it is; returns its record. `kin` is said where the run begins."""
    from reglab.data.sources import load
    from reglab.training.environment import pick_device

    local, wandb_run = LocalRun(folder), WandbRun(folder, signals.stop, hurried=lambda: signals.received)
    sinks: list[Sink] = [local, wandb_run, Announcer(config)]
    with _failures_recorded(sinks, record, folder, in_sweep), signals.at_once():
        device = pick_device(settings().device)
        images = load(config.data, settings().cache)
    with alone(folder, signals):
        before = None if again else set_aside(folder)
        if before:
            if before.formerly and not in_sweep:
                say_recognized([before.run_id])
            if before.state not in (State.failed, State.pending) or local.checkpoint.modified():  # else nothing of it is lost
                with _failures_recorded(sinks, record, folder, in_sweep):
                    refuse_other(before, images.fingerprint, folder)
            if before.state.ended and before.state != State.failed:
                without = config.train.keep_weights and before.state == State.finished and not before.weights
                say(f"{folder} holds this run already{', without its weights' if without else ''}; --again trains it anew")
                if before.damage:
                    say(f"note: {before.damage}")
                if as_new:
                    say("`reglab sync --as-new` sends it to W&B under a new id")
                if in_sweep:
                    _tell_again(before, folder, lambda: signals.received)
                return before
        elif kin:
            say(kin)
        with _failures_recorded(sinks, record, folder, True):
            with signals.at_once():
                goes_on = _goes_on(before, local, images) and not again
                record = _named(record, before, goes_on, again, as_new)
                wandb_run.anew = not goes_on and (not in_sweep or record.is_named_after_identity)
                record = wandb_run.begin(record)  # what it refuses leaves the run as it was
            if again:
                local.checkpoint.remove()
                local.weights.remove()
            return _train(config, images, device, record, sinks, local, signals)


def _goes_on(before: RunRecord | None, local: LocalRun, images: "ImageSet") -> bool:
    """Whether the run begins behind its first step: there is a checkpoint, and the record, if there is one, is of the same images."""
    return not (before and saw_others(before, images.fingerprint)) and local.checkpoint.modified() is not None


def _named(record: RunRecord, before: RunRecord | None, goes_on: bool, again: bool, as_new: bool) -> RunRecord:
    """The record with what W&B calls the run: another training has an id of its own there, so that no page shows epochs of two."""
    if before:
        record = record.changed(formerly=before.formerly, again=before.again)
        if goes_on:
            record = record.changed(created=before.created, wandb_id=before.wandb_id)
    if as_new:
        return record.changed(wandb_id=record.with_id_of(datetime.now(UTC)))
    return record.changed(wandb_id=record.id_of_its_own, again=True) if again else record


def _unfinished_kin(config: RunConfig, others: Iterable[RunRecord]) -> str | None:
    """Says in a line which of the others is unfinished, and is this run but for how it trains: it may have been meant."""
    mine, found = effective(config), []
    for record in others:
        if not record.state.ended and record.seed == config.train.seed:
            with suppress(UserError):  # of keys that are no more
                its = effective(RunConfig.parse(record.config))
                differing = sorted(key for key in mine.keys() | its.keys() if mine.get(key) != its.get(key))
                if differing and all(key in _LENGTH or key.startswith("train.") for key in differing):
                    found.append((record.updated, record.run_id, {key: its.get(key, FIELDS[key].default) for key in differing}))
    if not found:
        return None
    _, kin, values = max(found, key=lambda each: each[:2])
    words = " ".join(f"{key}={value}" for key, value in values.items())
    return f"this is another run than {kin}, which is unfinished and has {words}: it starts at epoch 1 (with {words} that one goes on)"


def _train(
    config: RunConfig,
    images: "ImageSet",
    device: "torch.device",
    record: RunRecord,
    sinks: Sequence[Sink],
    local: LocalRun,
    signals: Signals,
) -> RunRecord:
    import torch

    from reglab.training import cautions, environment, loop, shortage
    from reglab.training.run import Run

    torch.set_num_threads(settings().threads or min(torch.get_num_threads(), len(cores())))
    with signals.at_once():
        with shortage.told_while_placing(device):
            run = Run(config, images, device)
        for line in cautions.of(run):
            say(line)
    where = environment.describe(device, run.precision.name, run.compiled, images)
    return loop.train(run, record, where, sinks, local.checkpoint, signals, local.weights)


def _tell_again(record: RunRecord, folder: Path, hurried: Callable[[], object]) -> None:
    """W&B hands a run out that has ended here: its process was killed before W&B had the end."""
    wandb_run = WandbRun(folder, hurried=hurried)
    wandb_run.started(record)
    wandb_run.ended(record)


@contextmanager
def _failures_recorded(sinks: Sequence[Sink], record: RunRecord, folder: Path, begun: bool) -> Iterator[None]:
    """Whatever goes wrong inside is the run's recorded reason; where the machine is at fault, the run goes on another time.

    `begun`: else, by hand, an input or a machine that cannot be used leaves no record behind.
    """
    try:
        yield
    except Exception as error:
        fault = machine_fault(error)
        if begun or not (fault or isinstance(error, UserError)):
            kind = "" if isinstance(error, ReglabError) else f"{type(error).__name__}: "
            state, reason = (State.preempted, str(fault)) if fault else (State.failed, " ".join(f"{kind}{error}".split()))
            latest = record
            with suppress(ReglabError):  # a damaged record, a disk that is away
                latest = read_run(folder) or record
            if latest.state not in KEPT:
                for sink in sinks:
                    with suppress(Exception):  # one that fails, on a full disk, say, keeps the reason from no other
                        sink.ended(latest.changed(state=state, reason=reason))
        if fault:
            raise fault from error
        raise


@contextmanager
def alone(folder: Path, signals: Signals) -> Iterator[None]:
    """Hold the run in `folder`: two processes must not train it at once. Waits for one that is leaving its checkpoint."""
    lock = FileLock(folder / RUN_LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with signals.at_once():
            lock.acquire(timeout=_PATIENCE_SECONDS)
    except Timeout:
        raise UserError(f"{folder}: another process is training this run; wait for it to end") from None
    except OSError as error:
        raise MachineError(f"{folder} cannot be written ({error.strerror}): set REGLAB_RUNS to a folder that can") from None
    try:
        yield
    finally:
        lock.release()


def not_here() -> int:
    """The run that an agent was handed does not begin on this machine: W&B gives it to another. Returns the exit code.

    If it has begun before, its record says how far it is.
    """
    job = assignment.received()
    assert job and job.run_id, "an agent started it"
    folder = settings().runs / job.sweep / job.run_id
    fresh = RunRecord(run_id=job.run_id, sweep=job.sweep, label=job.run_id, identity="", seed=0, config=job.values)
    _hand_back(_known(folder) or fresh, folder)
    return PREEMPTED


def _known(folder: Path) -> RunRecord | None:
    """How far the run is, where its record can be read."""
    with suppress(DamagedError):
        return read_run(folder)
    return None


def _hand_back(record: RunRecord, folder: Path) -> None:
    """Have W&B give the run, which is as far as its record says, to another agent."""
    wandb_run = WandbRun(folder)
    wandb_run.started(record)
    wandb_run.preempting()
    wandb_run.ended(record.changed(state=State.preempted))


def _ended_before_it_began(request: Request, record: RunRecord, folder: Path) -> RunRecord:
    """The run of a sweep was asked to end before this process trained any of it: its record says so, and W&B hears of it.

    Not where it has ended here before, nor where another process trains it: the record is that one's. Returns the record.
    """
    ended = latest = _known(folder) or record
    if not latest.state.ended or latest.state == State.failed:
        if request == Request.stop:
            ended = latest.changed(state=State.stopped, reason="stopped on request, before it began")
        else:
            ended = latest.changed(state=State.preempted, reason=None)
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(Timeout), FileLock(folder / RUN_LOCK, timeout=0):
            local = LocalRun(folder)
            local.ended(ended)
            if request == Request.stop:
                local.checkpoint.remove()
    if client.mode() == "online":
        if ended.state == State.preempted:
            _hand_back(latest, folder)
        else:
            _tell_again(ended, folder, lambda: True)
    return ended


def _record_unbuildable(job: assignment.Assignment, reason: str) -> None:
    name = job.run_id or "unbuildable"
    folder = settings().runs / job.sweep / name
    record = RunRecord(run_id=name, sweep=job.sweep, label=name, identity="", seed=0, config=job.values)
    for sink in (LocalRun(folder), WandbRun(folder)):
        sink.ended(record.changed(state=State.failed, reason=reason))


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
        line += f", test accuracy {summary.test_accuracy:.2%} after {summary.epochs} epochs, {summary.time_train_seconds:.1f} s of training"
        if summary.time_to_target_reached:
            line += f", target reached after {summary.time_to_target_seconds:.1f} s"
        if summary.shared_its_cores:
            line += f"; others ran on its cores ({summary.time_cpu_share:.0%} of its threads' time was its own): its times are marked"
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
