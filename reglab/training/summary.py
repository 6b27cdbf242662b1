"""What a run comes to."""

import math
import statistics

from reglab.processes.signals import Signals
from reglab.tracking.results import Summary, first_at
from reglab.training import memory
from reglab.training.run import Run


def summary(run: Run, signals: Signals | None = None) -> Summary:
    """What its history comes to so far; the clean training accuracy is measured now, where the last test accuracy is of now, too.

    Raises Interrupted for a preemption meanwhile.
    """
    reached = first_at(run.history, run.config.train.target_accuracy, run.config.train.target_on)
    tested = [row for row in run.history if row.test_accuracy is not None]
    best = max(tested, key=lambda row: row.test_accuracy or 0, default=None)
    final = tested[-1].test_accuracy if tested else None
    validated = [row.val_accuracy for row in run.history if row.val_accuracy is not None]
    clean = run.evaluate(run.clean_train, signals).accuracy if _is_as_tested(run) else None
    return Summary(
        test_accuracy=final,
        test_best_accuracy=best.test_accuracy if best else None,
        test_best_epoch=best.epoch if best else None,
        val_accuracy=validated[-1] if validated else None,
        val_best_accuracy=max(validated, default=None),
        train_accuracy=run.history[-1].train_accuracy if run.history else None,
        train_clean_accuracy=clean,
        gap=clean - final if clean is not None and final is not None else None,
        time_to_target_reached=reached is not None,
        time_to_target_seconds=reached.time_train_seconds if reached else None,
        time_to_target_epoch=reached.epoch if reached else None,
        time_train_seconds=run.clock.train_seconds,
        time_wall_seconds=run.clock.wall_seconds,
        time_warmup_seconds=run.warmup_seconds,
        time_cpu_seconds=run.clock.cpu_seconds,
        time_cpu_share=run.clock.cpu_share,
        gpu_runs=run.clock.gpu_runs,
        throughput_images_per_second=_median([row.throughput_images_per_second for row in run.history]),
        peak_memory_gb=memory.device_peak_gb(run.device),
        parameters=sum(parameter.numel() for parameter in run.network.parameters()),
        epochs=run.epochs_done,
        own=tested[-1].own if tested else {},
    )


def _is_as_tested(run: Run) -> bool:
    """Whether the network is the one that was tested last, and its loss was finite: no step of another epoch has changed it."""
    loss = run.history[-1].test_loss if run.history else None
    return run.order is None and loss is not None and math.isfinite(loss)


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None
