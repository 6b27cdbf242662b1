"""What runs come to: the measures that questions show and claims compare, by the names under which they are logged."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from reglab.tracking.record import RunRecord
from reglab.tracking.results import OWN, OwnMetric, is_of, is_own

_log = logging.getLogger(__name__)

POINTS, RATIO, NUMBER = "points", "ratio", "number"
"""How two values are compared: percentage points, a ratio of times, or as they are."""

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
    """A measure with its unit and its name in words. `column` is that of tidy tables. `better`: 1 where more is, -1 where less is, or 0."""

    of: Measure
    unit: str
    words: str
    column: str
    better: int

    @property
    def is_time(self) -> bool:
        """Whether it is compared by factors, on one machine."""
        return self.unit == RATIO

    @property
    def is_detail(self) -> bool:
        """Whether it is one of several numbers that a metric of the user's gives."""
        return self.column.count("/") > 1

    @property
    def scale(self) -> float:
        """How many times as large it is told: a share in per cent."""
        return 100.0 if self.unit == POINTS else 1.0


TRAIN_SECONDS, TO_TARGET, GAP = "time/train_seconds", "time_to_target/seconds", "gap"

MEASURES = {
    "test/accuracy": Kind(test_accuracy, POINTS, "test accuracy", "test_accuracy", 1),
    "val/accuracy": Kind(validation_accuracy, POINTS, "accuracy on held-out images", "validation_accuracy", 1),
    "train_clean/accuracy": Kind(clean_accuracy, POINTS, "clean training accuracy", "train_accuracy", 1),
    GAP: Kind(gap, POINTS, "overfitting", "gap", -1),
    TRAIN_SECONDS: Kind(train_seconds, RATIO, "training time", "train_seconds", -1),
    TO_TARGET: Kind(seconds_to_target, RATIO, "time to the target", "time_to_target_seconds", -1),
}
"""Those of every run. Metrics of the user's are beside them, as far as runs have them: `measured`."""


def measured(name: str, records: Iterable[RunRecord]) -> Kind | None:
    """The measure of this name, as these runs have it; None where it is neither one of all runs nor a metric of any of them.

    What a metric of the user's is in, its runs say. Where they say two things, most of them are believed, and a note tells of it.
    """
    if name in MEASURES or not is_own(name):
        return MEASURES.get(name)
    told = Counter(each for record in records if _own(name, record) is not None and (each := _declared(name, record)))
    if not told:
        return None
    if len(told) > 1:
        _log.warning("note: %s was measured by %d versions of its code in these runs: compare what one of them measured", name, len(told))
    declared = told.most_common(1)[0][0]
    detail = name[len(declared.name) + 1 :]
    title = declared.title or declared.name.removeprefix(OWN).replace("_", " ")
    words = f"{title} of {detail}" if detail else title
    better = {"higher": 1, "lower": -1, None: 0}[declared.better]
    return Kind(partial(_own, name), POINTS if declared.share else NUMBER, words, name, better)


def is_time(name: str) -> bool:
    """Whether a measure of this name is a time: one of the user's is none."""
    return name in MEASURES and MEASURES[name].is_time


def value_of(name: str, record: RunRecord) -> float | None:
    """What a run came to in a measure of this name."""
    return MEASURES[name].of(record) if name in MEASURES else _own(name, record)


def unmeasured(name: str) -> Kind:
    """A metric of the user's that no run has."""
    return Kind(partial(_own, name), NUMBER, name.removeprefix(OWN).replace("_", " "), name, 1)


def names_of(records: Iterable[RunRecord]) -> list[str]:
    """The measures that some of these runs have, those of the user's last."""
    own = dict.fromkeys(name for record in records if record.summary for name in record.summary.own)
    return [*MEASURES, *own]


def _own(name: str, record: RunRecord) -> float | None:
    return record.summary.own.get(name) if record.summary else None


def _declared(name: str, record: RunRecord) -> OwnMetric | None:
    return next((each for each in record.measures or () if is_of(name, each.name)), None)


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
