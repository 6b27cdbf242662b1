"""Metrics as a user might bring them, for tests: reached by name, such as `tests.training.own:spread`."""

import torch

from reglab.metrics import metric

torch.manual_seed(99)  # as a module might that is imported before a run has begun


@metric(title="spread of the answers", better="lower")
def spread(logits, labels):
    """It draws, and writes over what it was given."""
    logits += torch.rand(logits.shape)
    labels.zero_()
    return logits.std()


def mistakes(logits, labels):
    """It counts, and says nothing of itself."""
    return int((logits.argmax(1) != labels).sum())


def by_name(logits, labels, classes):
    """One number for each class, and one that is none."""
    return {name: float(place) for place, name in enumerate(classes)} | {"none": float("nan")}


def failing(logits, labels):
    """It fails."""
    raise ValueError("two\nlines")


def text(logits, labels):
    """No number."""
    return "good"


def each_image(logits, labels):
    """A number an image."""
    return (logits.argmax(1) == labels).float()


def imaginary(logits, labels):
    """A number that is not real."""
    return torch.tensor(1j)


def endless(logits, labels):
    """A number that no float holds."""
    return 10**400


def unnamed(logits, labels):
    """A number under no name."""
    return {"": 1.0}


def unprinted(logits, labels):
    """A number under a name that no record can hold."""
    return {"a\nb": 1.0}


def many(logits, labels):
    """More numbers than a record takes."""
    return dict.fromkeys(map(str, range(2000)), 0.0)


def accuracy(logits, labels):
    """It has the name of what every run logs."""
    return 1.0
