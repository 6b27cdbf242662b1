"""What a run that diverged counts as where accuracy is compared: what guessing has right."""

from reglab.report import stats
from reglab.tracking.record import RunRecord, State

ACCURACIES = ("test/accuracy", "val/accuracy", "train_clean/accuracy")
"""The measures in which it counts so; in all others it has no value."""

_CLASSES_OF_BEFORE = {"cifar10": 10, "cifar100": 100, "svhn": 10, "fashion_mnist": 10, "digits": 10}
"""By data source, of records that do not say it."""


def counts_as_chance(record: RunRecord, measure: str) -> bool:
    """Whether it diverged, and the measure is an accuracy."""
    return record.state == State.diverged and measure in ACCURACIES


def of_guessing(record: RunRecord) -> float | None:
    """The share that guessing has right among its images' classes; None where neither its record nor its data source tells how many."""
    classes = record.environment.classes if record.environment else None
    if classes is None and (config := stats.built(record)):
        classes = _CLASSES_OF_BEFORE.get(config.data.source)
    return 1 / classes if classes else None
