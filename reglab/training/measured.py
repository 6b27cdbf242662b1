"""The metrics that a run asks for: functions of the user's, of logits and labels over the test images."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reglab import foreign
from reglab.config import RunConfig
from reglab.data.images import ImageSet
from reglab.errors import UserError, excerpt, shown
from reglab.metrics import Declared
from reglab.tracking.results import LARGEST, LONGEST_NAME, MOST_OWN, OwnMetric, own_name

_KEY = "train.metrics"


@dataclass(frozen=True)
class _Metric:
    """One of them: `function` as `reference` names it, of a file with the hash `code`; `takes_classes`: whether it asks for their names."""

    reference: str
    function: Callable[..., Any]
    takes_classes: bool
    declared: Declared
    code: str | None

    @property
    def name(self) -> str:
        """What its numbers are logged as."""
        return own_name(self.reference)


class Metrics:
    """The metrics of a run, imported, and tried once. They see what the network says of the test part, and change nothing of the run.

    Raises UserError for what cannot be imported, and for what fails or gives no number.
    """

    def __init__(self, config: RunConfig, images: ImageSet):
        self.classes = images.classes
        self.labels = torch.from_numpy(images.test.labels)
        self._all = [_load(reference) for reference in config.train.functions]
        if self._all:  # before a run trains for an hour: each class guessed, and taken for the next
            sure = torch.eye(len(self.classes))
            self._of(torch.cat([sure, sure.roll(1, 1)]), torch.arange(len(self.classes)).repeat(2))

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def measures(self) -> list[OwnMetric]:
        """What a record says of each."""
        return [
            OwnMetric(
                reference=each.reference,
                code=each.code,
                title=each.declared.title,
                share=each.declared.share,
                better=each.declared.better,
            )
            for each in self._all
        ]

    def of(self, logits: Tensor) -> dict[str, float]:
        """Their numbers by the names under which they are logged, for logits (N, classes) of the test part, fp32 and on the CPU.

        What is not finite is left out; of a network whose answers are not, everything is. Raises UserError where one fails.
        """
        return self._of(logits, self.labels) if logits.isfinite().all() else {}

    @torch.no_grad()
    def _of(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        found: dict[str, float] = {}
        for each in self._all:
            more = {"classes": list(self.classes)} if each.takes_classes else {}
            with torch.random.fork_rng(devices=[]):  # what it draws is missing from no run
                value = foreign.called(_KEY, each.reference, each.function, logits.clone(), labels.clone(), **more)
            found |= _numbers(each, value)
        return found


def _load(reference: str) -> _Metric:
    function = foreign.load(_KEY, reference)
    try:
        takes_classes = "classes" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function in C
        takes_classes = False
    declared = getattr(function, "declared", None)
    declared = declared if isinstance(declared, Declared) else Declared()
    return _Metric(reference, function, takes_classes, declared, foreign.source(reference))


def _numbers(metric: _Metric, value: Any) -> dict[str, float]:
    """The finite ones under their names: that of the metric, or, of a mapping, each below it."""
    if not isinstance(value, Mapping):
        return _kept({metric.name: _number(metric, value)})
    if len(value) > MOST_OWN:
        raise UserError(f"{_KEY} = {metric.reference}: it gives {len(value):,} numbers: at most {MOST_OWN:,} are recorded")
    found = {}
    for key, each in value.items():
        name = f"{metric.name}/{key}"
        if not isinstance(key, str) or not key or shown(name) != name or len(name) > LONGEST_NAME:
            fault = f"it names a number {excerpt(key)}: give a short text that can be printed"
            raise UserError(f"{_KEY} = {metric.reference}: {fault}")
        found[name] = _number(metric, each)
    return _kept(found)


def _number(metric: _Metric, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # the latter two of a complex tensor, and of a whole number of 400 digits
        given = foreign.brief(value) if hasattr(value, "shape") else type(value).__name__
        fault = f"it gives a {given}: it must be a number, or a mapping of names to numbers"
        raise UserError(f"{_KEY} = {metric.reference}: {fault}") from None


def _kept(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value) and abs(value) <= LARGEST}
