"""What runs come to: the measures that questions show and claims compare, by the names under which they are logged."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from reglab.tracking.record import RunRecord

POINTS, RATIO = "points", "ratio"
"""How two values are compared: points of per cent, or a ratio of times."""

Measure = Callable[[RunRecord], float | None]
"""What a run came to in something; None where it has no such value."""


def test_accuracy(record: RunRecord) -> float | None:
    """Return the accuracy on the test images, a fraction."""
    return record.summary.test_accuracy if record.summary else None


def validation_accuracy(record: RunRecord) -> float | None:
    """Return the accuracy on held-out training images, a fraction."""
    return record.summary.val_accuracy if record.summary else None


def clean_accuracy(record: RunRecord) -> float | None:
    """Return the accuracy on the training images in evaluation mode, a fraction."""
    return record.summary.train_clean_accuracy if record.summary else None


def gap(record: RunRecord) -> float | None:
    """Overfitting: clean training accuracy minus test accuracy, a fraction."""
    return record.summary.gap if record.summary else None


def train_seconds(record: RunRecord) -> float | None:
    """Return the seconds of training; None of a clock that never went."""
    return (record.summary.time_train_seconds or None) if record.summary else None


def seconds_to_target(record: RunRecord) -> float | None:
    """Return the training seconds to the target; infinite where it was never reached."""
    if record.summary is None:
        return None
    return (record.summary.time_to_target_seconds or None) if record.summary.time_to_target_reached else math.inf


@dataclass(frozen=True)
class Kind:
    """A measure with its unit and its name in words. `column` is that of tidy tables."""

    of: Measure
    unit: str
    words: str
    column: str


MEASURES = {
    "test/accuracy": Kind(test_accuracy, POINTS, "test accuracy", "test_accuracy"),
    "val/accuracy": Kind(validation_accuracy, POINTS, "accuracy on held-out images", "validation_accuracy"),
    "train_clean/accuracy": Kind(clean_accuracy, POINTS, "clean training accuracy", "train_accuracy"),
    "gap": Kind(gap, POINTS, "overfitting", "gap"),
    "time/train_seconds": Kind(train_seconds, RATIO, "training time", "train_seconds"),
    "time_to_target/seconds": Kind(seconds_to_target, RATIO, "time to the target", "time_to_target_seconds"),
}


@dataclass(frozen=True)
class Target:
    """The training accuracy whose time is taken, a fraction: the running one of an epoch's batches, or a clean one (`on`)."""

    share: float = 0.87
    on: str = "running"

    @property
    def words(self) -> str:
        """It in full, as `87 % running training accuracy`."""
        return f"{100 * self.share:g} % {self.on} training accuracy"

    @property
    def short(self) -> str:
        """It for a table's head, as `87 % (running)`."""
        return f"{100 * self.share:g} % ({self.on})"
