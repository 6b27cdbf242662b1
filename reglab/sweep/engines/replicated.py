"""A search whose draws are configurations: each is run with several seeds, and the engine hears their mean.

A single run tells a search as much of its seed as of its configuration; it would then settle where it was lucky.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from reglab.sweep.definition import Metric, value_at
from reglab.sweep.engines.engine import Engine, Trial
from reglab.sweep.engines.hyperband import numbers, values_of
from reglab.tracking.record import RunRecord, State

_COUNTED = (State.finished, State.stopped)


@dataclass
class _Configuration:
    """One draw of the engine within: its values without a seed, and which of our draws are its runs, by their seeds."""

    values: dict[str, Any]
    runs: dict[Any, int] = field(default_factory=dict)


class Replicated(Engine):
    """Draws for each configuration of another engine one run a seed, before it asks that for the next.

    `key` names the parameter of the seeds, whose `values` they are. `run_cap` counts runs, as it does for W&B: where it is no
    multiple of the seeds, the last configuration has fewer, and tells nothing. Early termination compares runs; a
    pruner of a study hears means alone, and ends none.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        drawn: Iterable[dict[str, Any]],
        key: Sequence[str],
        make: Callable[[Mapping[str, Any], Iterable[dict[str, Any]]], Engine],
    ):
        super().__init__(config)
        self._key = tuple(key)
        (seeds,) = (parameter.distribution.choices for parameter in self.parameters if parameter.names == self._key)
        self._seeds = list(seeds or ())
        self._configurations: list[_Configuration] = []
        self._positions: list[int] = []  # of each draw, that of its configuration
        for values in drawn:
            self._place(values)
        self._within = make(self._of_configurations(config), [each.values for each in self._configurations])

    def tell(self, number: int, record: RunRecord | None) -> None:
        """The engine within hears of a configuration once all of its seeds have ended; until then it is pending there."""
        super().tell(number, record)
        position = self._positions[number]
        self._within.tell(position, self._mean(self._configurations[position]))

    @property
    def exhausted(self) -> bool:
        return super().exhausted or (self._within.exhausted and not any(self._missing(each) for each in self._configurations))

    def close(self) -> None:
        self._within.close()

    def _draw(self) -> dict[str, Any] | None:
        configuration = next((each for each in self._configurations if self._missing(each)), None)
        if configuration is None:
            if (values := self._within.ask()) is None:
                return None
            configuration = _Configuration(values)
            self._configurations.append(configuration)
        seed = self._missing(configuration)[0]
        self._give(configuration, seed)
        return _with(configuration.values, self._key, seed)

    def _place(self, values: dict[str, Any]) -> None:
        """Take up a draw of before, under the first configuration that is the same and lacks its seed."""
        without, seed = _without(values, self._key), value_at(values, self._key)
        for configuration in self._configurations:
            if configuration.values == without and seed not in configuration.runs:
                break
        else:
            configuration = _Configuration(without)
            self._configurations.append(configuration)
        self._give(configuration, seed)
        self.trials.append(Trial(values))

    def _give(self, configuration: _Configuration, seed: Any) -> None:
        """The next draw is this configuration's, with this seed."""
        configuration.runs[seed] = len(self.trials)
        self._positions.append(next(place for place, each in enumerate(self._configurations) if each is configuration))

    def _missing(self, configuration: _Configuration) -> list[Any]:
        return [seed for seed in self._seeds if seed not in configuration.runs]

    def _mean(self, configuration: _Configuration) -> RunRecord | None:
        """A record of a configuration's runs in place of theirs: its metrics are the means of what they came to at best.

        Pending until all have ended. One seed that diverged is a configuration that diverges; runs that failed count only where all did.
        """
        records = [self.trials[number].record for number in configuration.runs.values()]
        ended = [record for record in records if record and record.state.ended]
        if self._missing(configuration) or len(ended) < len(records):
            return None
        if worst := next((record for record in ended if record.state == State.diverged), None):
            return worst
        counted = [record for record in ended if record.state in _COUNTED]
        if not counted:
            return ended[0]
        means = {metric.name: mean for metric in self.definition.objectives if (mean := _mean_of(counted, metric)) is not None}
        return counted[0].model_copy(update={"state": State.finished, "history": [], "summary": None, "rows": [means], "logged": means})

    def _of_configurations(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The sweep without its seeds: as many configurations as its runs come to, and no early termination, which compares runs."""
        within: dict[str, Any] = deepcopy(dict(config))
        within.pop("early_terminate", None)
        if (cap := self.definition.run_cap) is not None:
            within["run_cap"] = math.ceil(cap / len(self._seeds))
        *groups, key = self._key
        inside = within["parameters"]
        for group in groups:
            inside = inside[group]["parameters"]
        del inside[key]
        for depth in range(len(groups), 0, -1):  # a group of nothing else is no group
            outer = within["parameters"]
            for group in groups[: depth - 1]:
                outer = outer[group]["parameters"]
            if not outer[groups[depth - 1]]["parameters"]:
                del outer[groups[depth - 1]]
        return within


def _mean_of(records: Sequence[RunRecord], metric: Metric) -> float | None:
    best = [min(reached) for record in records if (reached := values_of(record, metric) + numbers([record.came_to], metric))]
    return metric.sign * sum(best) / len(best) if len(best) == len(records) else None


def _with(values: Mapping[str, Any], key: Sequence[str], value: Any) -> dict[str, Any]:
    name, *rest = key
    return {**values, name: _with(values.get(name) or {}, rest, value) if rest else value}


def _without(values: Mapping[str, Any], key: Sequence[str]) -> dict[str, Any]:
    name, *rest = key
    if not rest:
        return {each: value for each, value in values.items() if each != name}
    inside = _without(values.get(name) or {}, rest)
    return {each: inside if each == name else value for each, value in values.items() if each != name or inside}
