"""Bayesian search: draws where a Gaussian process, fitted to what the runs came to, expects the most.

The process is Optuna's `GPSampler`, in a child process (`gaussian_process.py`), since it needs PyTorch and a sweep does without.
It works on shares, so that every distribution of W&B's can be searched; runs under way count, so that several at a time differ.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reglab.sweep.definition import value_at
from reglab.sweep.distributions import Distribution, IntUniform, same
from reglab.sweep.engines.engine import Trial
from reglab.sweep.engines.grid import SEED
from reglab.sweep.engines.hyperband import numbers, values_of
from reglab.sweep.engines.process import EngineProcess
from reglab.sweep.engines.random import Random, seed
from reglab.tracking.record import RunRecord, State

STARTUP = 5, 10
"""Before so many runs have ended draws are random: a third of all that there will be, within these bounds."""

_COUNTS = (State.finished, State.stopped)
"""Whose metric is taken as it is. Of what failed or diverged it is imputed, as the file says, and what has not ended is pending."""

_MIDDLE = 0.005, 0.995
"""The shares between which a distribution without ends is searched: a search tries the ends of every axis, and chance does not."""

_FEW = 100
"""Whole numbers that are searched one by one; more of them are searched as real numbers are."""

_OUTCOMES = (*_COUNTS, State.failed, State.diverged)


class Bayes(Random):
    """Learns from its runs, whatever their seeds: a seed is drawn by chance, and runs that differ in nothing else tell of one place.

    Its draws depend on what they came to and on how many there were: told the same, it draws the same."""

    def __init__(self, config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = ()):
        super().__init__(config, drawn)
        assert self.definition.metric is not None
        self._metric = self.definition.metric
        self._searched = [each for each in self.parameters if each.distribution.is_searched and each.names != SEED]
        self._process = EngineProcess("reglab.sweep.engines.gaussian_process", "method = bayes")

    def _draw(self) -> dict[str, Any]:
        told = [{"at": at, "value": value} for trial, value in self._outcomes() if (at := self._coordinates(trial.values))]
        fewest, most = STARTUP
        if sum(each["value"] is not None for each in told) < min(max((self.definition.run_cap or most) // 3, fewest), most):
            return super()._draw()
        asked: dict[str, Any] = {"axes": [_axis(parameter.distribution) for parameter in self._searched], "trials": told}
        asked["seed"] = seed(self.config, len(self.trials))
        found = iter(self._process.answer(lambda is_new: asked)["at"])
        drawn, searched = super()._draw(), {parameter.path for parameter in self._searched}
        values = self._assembled(
            _value(parameter.distribution, next(found)) if parameter.path in searched else value_at(drawn, parameter.names)
            for parameter in self.parameters
        )
        is_new = all(trial.values != values for trial in self.trials)
        return values if is_new else drawn  # a run is reproducible: once more, it tells nothing

    def close(self) -> None:
        self._process.end()

    def _coordinates(self, values: Mapping[str, Any]) -> list[float] | None:
        """Where a draw lies on each axis; none for values that this sweep does not draw."""
        try:
            return [_place(parameter.distribution, value_at(values, parameter.names)) for parameter in self._searched]
        except (ValueError, TypeError):
            return None

    def _outcomes(self) -> Iterator[tuple[Trial, float | None]]:
        """Each trial with the number that the search makes small; none while it is pending."""
        ended = [trial.record for trial in self.trials if trial.record and trial.record.state in _OUTCOMES]
        worst = max((max(reached) for record in ended if (reached := self._reached(record))), default=0.0)
        for trial in self.trials:
            record = trial.record
            if record is None or record.state not in _OUTCOMES:
                yield trial, None
            elif record.state in _COUNTS and (reached := self._reached(record)):
                yield trial, min(reached)
            else:
                yield trial, self._imputed(record, worst)

    def _imputed(self, record: RunRecord, worst: float) -> float:
        reached = self._reached(record)
        if self._metric.impute == "best":
            return min(reached, default=0.0)
        if self._metric.impute == "latest":
            return values_of(record, self._metric)[-1] if values_of(record, self._metric) else 0.0
        return worst

    def _reached(self, record: RunRecord) -> list[float]:
        """All that the metric came to in a run, its summary included, turned so that lower is better."""
        summary = numbers([record.came_to], self._metric)
        return values_of(record, self._metric) + summary


def _axis(distribution: Distribution) -> dict[str, Any]:
    """What the search is told of a parameter: a number of choices, a range of whole numbers, or one of shares."""
    if (choices := distribution.choices) is not None:
        return {"choices": len(choices)}
    if isinstance(distribution, IntUniform) and distribution.count <= _FEW:
        return {"from": distribution.min, "to": distribution.max}
    low, high = (0.0, 1.0) if all(map(math.isfinite, distribution.limits)) else _MIDDLE
    return {"low": low, "high": high}


def _place(distribution: Distribution, value: Any) -> float:
    """A value on its axis. Raises ValueError or TypeError for one that the parameter cannot have."""
    axis = _axis(distribution)
    if (choices := distribution.choices) is not None:
        return [same(choice) for choice in choices].index(same(value))
    if "from" in axis:
        return int(value)
    if math.isnan(share := distribution.share(value)):
        raise ValueError(f"{value} is no number")
    low, high = float(axis["low"]), float(axis["high"])
    return min(max(share, low), high)


def _value(distribution: Distribution, place: float) -> Any:
    if (choices := distribution.choices) is not None:
        return choices[int(place)]
    return int(place) if "from" in _axis(distribution) else distribution.at(place)
