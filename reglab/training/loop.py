"""The life of one run: epochs, checkpoints, and its end."""

import logging
import math
import time
import traceback
from collections.abc import Sequence
from typing import Any

from reglab.errors import ReglabError, in_one_line, machine_fault
from reglab.models import buffers
from reglab.processes.signals import Interrupted, Request, Signals
from reglab.tracking.record import Environment, RunRecord, Sink, State
from reglab.tracking.storage import File
from reglab.training import checkpoint, shortage, weights
from reglab.training.run import Run
from reglab.training.summary import summary as summary_of

_log = logging.getLogger(__name__)


def train(
    run: Run,
    record: RunRecord,
    environment: Environment | None,
    sinks: Sequence[Sink],
    file: File,
    signals: Signals,
    kept: File | None = None,
) -> RunRecord:
    """Train `run` from where it is (`resume`) to its end, or to a request, with checkpoints in `file`, and report to `sinks`.

    A run that finishes leaves its weights in `kept`, where its configuration says so. Returns the record as it ended: finished, stopped,
    diverged or preempted. Raises Interrupted for a request before it begins, ReglabError where the memory does not do, and MachineError,
    with a checkpoint left where one can be, where the disk does not.
    """
    try:
        return _train(run, record, environment, sinks, file, signals, kept)
    except (RuntimeError, MemoryError) as error:
        if not shortage.is_one(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the step's tensors
    raise ReglabError(run.shortage())


def _train(
    run: Run,
    record: RunRecord,
    environment: Environment | None,
    sinks: Sequence[Sink],
    file: File,
    signals: Signals,
    kept: File | None,
) -> RunRecord:
    with signals.at_once():
        run.warm_up()
    environment = environment and _here(environment, run)
    record = record.changed(
        state=State.running,
        reason=None,
        environment=environment,
        history=run.history,
        code=run.code or None,
        measures=run.metrics.measures or None,
    )
    try:
        for sink in sinks:
            sink.started(record)
        record = record.changed(**_train_to_an_end(run, sinks, file, signals), history=run.history)
        if kept and run.config.train.keep_weights and record.state == State.finished:
            record = record.changed(weights=_keep(run, kept))
        for sink in sinks:
            sink.ended(record)
    except OSError as error:
        if (fault := machine_fault(error)) is None:
            raise
        for sink in sinks:
            sink.preempting()
        _save(run, file)  # on another disk, perhaps
        raise fault from error
    if record.state.ended:  # after all of them: a machine that is lost before W&B has the end loses no run
        _remove(file)
    return record


def _here(environment: Environment, run: Run) -> Environment:
    """What the run goes on in, once its steps are ready; it tells where else the run has been trained."""
    here = environment.model_copy(update={"captured": run.captured})
    return here.model_copy(update={"elsewhere": run.clock.goes_on_at(here.machine) or None})


def _train_to_an_end(run: Run, sinks: Sequence[Sink], file: File, signals: Signals) -> dict[str, Any]:
    """The state a run ends in, its reason and its summary."""
    saved = time.perf_counter()
    try:
        while run.epochs_done < run.config.train.epochs:
            run.train_until(saved + run.config.train.checkpoint_every, signals)
            signals.check()  # before the evaluation of a complete epoch: there may be no time for it
            if run.epoch_is_complete:
                sums = run.sums.read()
                if (step := run.diverged_step(sums)) is not None:
                    return _diverged(run, run.epochs_done + 1, step)
                row = run.end_epoch(sums, signals)
                for sink in sinks:
                    sink.epoch(row)
                if row.test_loss is not None and not math.isfinite(row.test_loss):
                    return _diverged(run, row.epoch, None)
            if signals.received == Request.stop:
                return {"state": State.stopped, "reason": "stopped on request", "summary": summary_of(run)}
            if time.perf_counter() - saved >= run.config.train.checkpoint_every and run.epochs_done < run.config.train.epochs:
                _save(run, file)
                saved = time.perf_counter()
        return {"state": State.finished, "summary": summary_of(run, signals), "per_image": run.per_image}
    except Interrupted:
        for sink in sinks:
            sink.preempting()
        saved_at_all = _save(run, file)
        return {"state": State.preempted, "reason": None if saved_at_all else "no checkpoint could be written"}


def _save(run: Run, file: File) -> bool:
    """Whether it was written. A checkpoint that is not costs no run: the one before it stays, and training goes on."""
    try:
        checkpoint.save(file, run.state_dict())
    except Exception as error:  # a full disk, a store that is away: each store has kinds of its own
        _log.warning("%s was not written (%s); an older one stays where there is one", file, in_one_line(error))
        return False
    return True


def _keep(run: Run, file: File) -> str | None:
    """The hash of the weights' file; None where it could not be written, which costs no run."""
    normalization, network = run.batches.normalize, run.network.state_dict() | buffers.unsaved(run.network)
    try:
        return weights.save(
            file, weights.Kept(run.config, run.images.classes, run.images.extent, normalization, run.precision.name, network)
        )
    except Exception as error:  # a full disk, a store that is away: each store has kinds of its own
        _log.warning("%s was not written (%s): the weights are lost", file, in_one_line(error))
        return None


def _remove(file: File) -> None:
    """One that stays costs room, and no run."""
    try:
        file.remove()
    except Exception as error:
        _log.warning("%s was not removed (%s)", file, in_one_line(error))


def _diverged(run: Run, epoch: int, step: int | None) -> dict[str, Any]:
    """The end of a run whose loss is not finite: in a training step, or, if `step` is None, on the test images after the epoch."""
    where = f"in epoch {epoch}, step {step}" if step else f"on test images after epoch {epoch}"
    summary = summary_of(run).model_copy(update={"diverged_epoch": epoch, "diverged_step": step})
    return {"state": State.diverged, "reason": f"loss not finite {where}", "summary": summary}
