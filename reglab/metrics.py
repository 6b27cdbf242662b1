"""Metrics of a network's answers to the test images, to be named in `train.metrics`: what ships, and how one of the user's declares itself.

A metric is a function of logits (N, classes), fp32, and labels (N,), int64, both on the CPU; where it takes `classes`, of their names, too.
It returns a number, or a mapping of names to numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

BINS = 15
"""Of the calibration error (Guo et al. 2017)."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Declared:
    """What a metric says of its numbers: their `title` in reports, whether they are shares of 1, and which are better."""

    title: str | None = None
    share: bool = False
    better: Literal["higher", "lower"] | None = None


def metric(
    title: str | None = None, share: bool = False, better: Literal["higher", "lower"] | None = None
) -> Callable[[_Function], _Function]:
    """Declare of a function what its numbers are. Without it, they are told in their own unit, and neither more nor less is better.

    `title`: what reports call it. `share`: it is from 0 to 1, told in per cent, and compared in points. `better`: higher or lower.
    """
    if better not in (None, "higher", "lower"):
        raise ValueError(f"better={better!r}: must be 'higher' or 'lower'")

    def declare(function: _Function) -> _Function:
        function.declared = Declared(title, share, better)  # type: ignore[attr-defined]
        return function

    return declare


@metric(title="expected calibration error", share=True, better="lower")
def ece(logits: Tensor, labels: Tensor) -> float:
    """Return how far confidence is from accuracy, a share: the mean over the images of each bin's distance (Guo et al. 2017, eq. 3).

    `logits`: (N, classes); `labels`: (N,). The confidence is the softmax's largest probability, in 15 bins of equal width, each open below.
    """
    confidence, guesses = logits.double().softmax(1).max(1)
    correct = (guesses == labels).double()
    place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    sums = torch.zeros(2, BINS, dtype=torch.float64).index_add_(1, place, torch.stack([confidence, correct]))
    return float((sums[0] - sums[1]).abs().sum() / len(labels))


@metric(title="accuracy", share=True, better="higher")
def class_accuracy(logits: Tensor, labels: Tensor, classes: Sequence[str]) -> dict[str, float]:
    """Return the share of each class's images that are classified rightly, by its name; a class without images is not among them.

    `logits`: (N, classes); `labels`: (N,).
    """
    correct = (logits.argmax(1) == labels).double()
    images = torch.bincount(labels, minlength=len(classes))
    right = torch.zeros(len(classes), dtype=torch.float64).index_add_(0, labels, correct)
    return {name: float(right[place] / images[place]) for place, name in enumerate(classes) if images[place]}
