"""One run, from the configuration that was asked for to its record."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.config import FIELDS, RunConfig, acting, code_of, effective, foreign, identity, run_id, with_overrides
from reglab.console import say
from reglab.errors import MachineError, ReglabError, UserError, machine_fault
from reglab.exits import PREEMPTED
from reglab.extras import need_training
from reglab.processes.signals import FROM_OUTSIDE, Interrupted, Meaning, Signals
from reglab.running.alone import alone
from reglab.running.announced import Announcer, outcome
from reglab.running.not_begun import ended_before_it_began, record_unbuildable, tell_again
from reglab.settings import settings
from reglab.sweep import assignment
from reglab.tracking import storage
from reglab.tracking.images import refuse_other, saw_others
from reglab.tracking.recognized import say_recognized
from reglab.tracking.record import RunRecord, Sink, State
from reglab.tracking.results import own_name
from reglab.tracking.store import RECORD, LocalRun, former_names, read_run, readable, refuse_other_code, run_folders, set_aside
from reglab.tracking.wandb_run import WandbRun

if TYPE_CHECKING:
    import torch

    from reglab.data.images import ImageSet
    from reglab.training.run import Run

_LENGTH = frozenset({"optimizer.warmup_epochs", "optimizer.schedule"})
"""Keys outside `train` that say how long, or in what course, a run trains."""


def carry_out(
    meaning: Meaning, overrides: Sequence[str] = (), again: bool = False, as_new: bool = False, job: assignment.Assignment | None = None
) -> int:
    """Train the run that these words ask for, or the `job` that an agent or a sweep hands over, and say what it came to.

    Signals mean what `meaning` says. Returns the exit code. Raises Interrupted where a run by hand is asked to end before it has begun.
    """
    with Signals(meaning) as signals:
        ended = _begun(asked(job, overrides, again, as_new), job, again, as_new, signals)
    say(outcome(ended))
    return PREEMPTED if ended.state == State.preempted else 0


def asked(job: assignment.Assignment | None, overrides: Sequence[str] = (), again: bool = False, as_new: bool = False) -> RunConfig:
    """The configuration of a run. Raises UserError for one that cannot be; of a sweep's run that is its recorded end."""
    try:
        config = RunConfig.parse(with_overrides(job.values if job else {}, overrides))
        if job and (again or as_new):
            raise UserError("--again and --as-new are for runs by hand: a run of a sweep goes on where its sweep has it, under that id")
    except UserError as error:
        if job:
            record_unbuildable(job, str(error))
        raise
    return config


def train(config: RunConfig | Mapping[str, Any], again: bool = False) -> RunRecord:
    """Train one run here as `reglab train` does, with what is said on standard error, and return its record: `reglab.train`.

    It lies in `runs/train/`. One that has finished is not trained once more, unless `again`; one that was interrupted goes on from its
    checkpoint, where an interrupt leaves one. Raises `UserError` for a configuration that cannot be.
    """
    need_training()
    built = config if isinstance(config, RunConfig) else RunConfig.parse(config)
    with Signals(FROM_OUTSIDE) as signals:
        return _begun(built, None, again, False, signals)


def _begun(config: RunConfig, job: assignment.Assignment | None, again: bool, as_new: bool, signals: Signals) -> RunRecord:
    """Train a run, or go on with it; returns its record."""
    sweep = job.sweep if job else "train"
    others = () if job and job.run_id else _others(config, settings().runs / sweep)
    name = job.run_id if job and job.run_id else _name(config, others)
    own = identity(config)
    record = RunRecord(
        run_id=name,
        sweep=sweep,
        label=config.label,
        identity=job.identity if job and job.identity else own,
        seed=config.train.seed,
        config=config.model_dump(mode="json"),
    )
    folder = settings().runs / sweep / name
    if record.identity != own:
        with _failures_recorded([LocalRun(folder)], record, folder, True):
            raise _edited(config, "since its sweep named this run: start the sweep again")
    record = record.changed(code=code_of(config) or None)
    try:
        kin = None if job or again else _unfinished_kin(config, others)
        return _run(config, record, folder, kin, in_sweep=job is not None, again=again, as_new=as_new, signals=signals)
    except Interrupted as asked:
        if job is None:
            raise
        return ended_before_it_began(asked.request, record, folder)


def _edited(config: RunConfig, when: str) -> MachineError:
    """That its code is none that its identity is of: the same command goes on, with other names."""
    named = ", ".join(f"{key} = {reference}" for key, reference in foreign(config).items()) or "a technique of another package"
    return _edited_of(named, when)


def _edited_of(named: str, when: str) -> MachineError:
    return MachineError(f"{named}: the code was edited {when}, which trains the code as it is then")


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
            if record.is_named_after_identity and before.identity not in ("", record.identity):
                refuse_other_code(before, folder)
            if before.formerly and not in_sweep:
                say_recognized([before.run_id])
            if before.state not in (State.failed, State.pending) or local.checkpoint.modified():  # else nothing of it is lost
                with _failures_recorded(sinks, record, folder, in_sweep):
                    refuse_other(before, images.fingerprint, folder)
            if before.state.ended and before.state != State.failed:
                _leave(before, config, folder, as_new)
                if in_sweep:
                    tell_again(before, folder, lambda: signals.received)
                return before
        elif kin:
            say(kin)
        with _failures_recorded(sinks, record, folder, True):
            with signals.at_once():
                has_a_past = not again and not (before and saw_others(before, images.fingerprint))
                may_be_anew = not in_sweep or record.is_named_after_identity
                # Should it fail before it is known whether the checkpoint is taken, one that is there counts.
                wandb_run.anew = may_be_anew and not (has_a_past and local.checkpoint.modified())
                run = _built(config, images, device, record)
                goes_on = has_a_past and _taken_up(run, local, before)
                record = _named(record, before, goes_on, again, as_new)
                wandb_run.anew = may_be_anew and not goes_on
                record = wandb_run.begin(record)  # what it refuses leaves the run as it was
            if again:
                local.checkpoint.remove()
            return _train(run, record, sinks, local, signals)


def _leave(before: RunRecord, config: RunConfig, folder: Path, as_new: bool) -> None:
    """Leave a run that has ended as it is, but for what its training left over, and say how it is trained or sent anew."""
    say(f"{folder} holds this run already{_lacking(config, before)}; --again trains it anew")
    storage.remove_left_over(folder)
    if before.damage:
        say(f"note: {before.damage}")
    if as_new:
        say("`reglab sync --as-new` sends it to W&B under a new id")


def _lacking(config: RunConfig, before: RunRecord) -> str:
    """What is asked of a finished run that it has not: its weights, or metrics that it was trained without."""
    if before.state != State.finished:
        return ""
    measured = {each.reference for each in before.measures or ()}
    lacks = ["its weights"] * (config.train.keep_weights and not before.weights)
    lacks += [own_name(reference) for reference in config.train.functions if reference not in measured]
    return f", without {' and '.join(lacks)}" if lacks else ""


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


def _built(config: RunConfig, images: "ImageSet", device: "torch.device", record: RunRecord) -> "Run":
    """The run in memory, at its first step. Raises MachineError where its code is not that of the record."""
    from reglab.running.threads import take_threads
    from reglab.training import cautions, shortage
    from reglab.training.run import Run

    take_threads()
    with shortage.told_while_placing(device):
        run = Run(config, images, device)
    if run.code != (record.code or {}):
        raise _edited(config, "as this run began: begin it again")
    if edited := [technique.name for technique in acting(config) if technique.is_edited]:
        raise _edited_of(f"technique {', '.join(edited)}", "since this process or its sweep began: start that again")
    for line in cautions.of(run):
        say(line)
    return run


def _taken_up(run: "Run", local: LocalRun, before: RunRecord | None) -> bool:
    """Whether the run goes on from its checkpoint: one that is there may be another's, of another version, or damaged."""
    from reglab.training import shortage
    from reglab.training.resume import resume

    with shortage.told_while_placing(run.device):
        return resume(run, local.checkpoint, before.formerly if before else None)


def _train(run: "Run", record: RunRecord, sinks: Sequence[Sink], local: LocalRun, signals: Signals) -> RunRecord:
    from reglab.training import environment, loop

    where = environment.describe(run.device, run.precision.name, run.compiled, run.images)
    return loop.train(run, record, where, sinks, local.checkpoint, signals, local.weights)


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
            if not latest.state.has_results:
                for sink in sinks:
                    with suppress(Exception):  # one that fails, on a full disk, say, keeps the reason from no other
                        sink.ended(latest.changed(state=state, reason=reason))
        if fault:
            raise fault from error
        raise
