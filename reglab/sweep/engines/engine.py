"""What every engine answers: what to run next (`ask`), after it has heard what came out (`tell`), and what to stop (`prune`)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reglab.sweep.definition import Definition, assembled, parameters_of
from reglab.sweep.engines import hyperband
from reglab.tracking.record import RunRecord


@dataclass
class Trial:
    """One draw, and what its run came to so far; no record before it begins."""

    values: dict[str, Any]
    record: RunRecord | None = None


class Engine(ABC):
    """The search of one sweep.

    It has no state but its trials: an engine that is made of the same file and draws, and told the same, draws the same next. So a
    sweep goes on from its records, on any machine.
    """

    def __init__(self, config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = ()):
        self.config = config
        self.definition = Definition.model_validate(config)
        self.parameters = parameters_of(config)
        self.trials = [Trial(values) for values in drawn]

    def ask(self) -> dict[str, Any] | None:
        """The values of the next run; None where the search is exhausted."""
        if self.exhausted:
            return None
        if (values := self._draw()) is not None:
            self.trials.append(Trial(values))
        return values

    def tell(self, number: int, record: RunRecord | None) -> None:
        """What the run of a draw, counted from 0, has come to so far."""
        self.trials[number].record = record

    def prune(self) -> set[str]:
        """The ids of runs that early termination would end now."""
        if self.definition.early_terminate is None or self.definition.metric is None:
            return set()
        records = {trial.record.run_id: trial.record for trial in self.trials if trial.record}
        return hyperband.to_stop(self.definition.early_terminate, self.definition.metric, records.values())

    @property
    def exhausted(self) -> bool:
        """Whether it draws nothing more."""
        return self.definition.run_cap is not None and len(self.trials) >= self.definition.run_cap

    def rest(self) -> Iterator[dict[str, Any]]:
        """All that it still draws, if no run tells it anything. Endless where there is no cap."""
        while (values := self.ask()) is not None:
            yield values

    def close(self) -> None:  # noqa: B027  most hold nothing
        """Give back what it holds. It may be asked again."""

    @abstractmethod
    def _draw(self) -> dict[str, Any] | None:
        """The values of the next run; None where it finds out that there is none, and is exhausted from now on."""

    def _assembled(self, values: Iterable[Any]) -> dict[str, Any]:
        return assembled(self.parameters, values)
