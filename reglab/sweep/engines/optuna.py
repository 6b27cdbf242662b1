"""`scheduler: {engine: optuna}`: W&B's own optimizer over an Optuna study, in a child process, as `wandb sweep-scheduler` has it.

The study is Optuna's default one, or what the function of the file makes that `scheduler.source` and `optimizer` name; it searches the
file's parameters, or what the function `search_space` says.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reglab.errors import UserError
from reglab.sweep.engines.engine import Engine, Trial
from reglab.sweep.engines.process import EngineProcess
from reglab.sweep.engines.random import seed
from reglab.tracking.record import RunRecord, State

_STATES = {State.finished: "finished", State.stopped: "killed", State.diverged: "failed", State.failed: "failed"}
"""As the optimizer sees an ended run; every other is under way."""


class Optuna(Engine):
    """Told the same, the default study draws the same. A study of the user's is as reproducible as it is made.

    It may end by itself, where its sampler or its terminator says so, and it prunes, where its pruner does.
    """

    def __init__(self, config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = ()):
        super().__init__(config, drawn)
        assert self.definition.scheduler is not None
        source = self.definition.scheduler.source
        if source and not Path(source).is_file():
            raise UserError(f"scheduler.source = {source}: is not in this folder, where W&B's scheduler looks for it, too: go where it is")
        self._process = EngineProcess("reglab.sweep.engines.optuna_process", "scheduler.engine = optuna")
        self._prunes = self.definition.scheduler.optimizer is not None and len(self.definition.objectives) == 1
        self._known: dict[int, RunRecord | None] = {}  # to the process: what it was told of each draw
        self._behind: set[int] = set()
        self._is_over = False

    @property
    def exhausted(self) -> bool:
        return self._is_over or super().exhausted

    def prune(self) -> set[str]:
        if self._prunes and self._news():
            self._answer()
        records = [self.trials[number].record for number in self._behind]
        return {record.run_id for record in records if record and not record.state.ended}

    def close(self) -> None:
        self._process.end()

    def _draw(self) -> dict[str, Any] | None:
        number = len(self.trials)
        values: dict[str, Any] | None = self._answer(ask=number, seed=seed(self.config, number))["values"]
        if values is None:
            self._is_over = True
        else:
            self._known[number] = None
        return values

    def _answer(self, **asked: Any) -> dict[str, Any]:
        """What the process says, which hears first what is new."""

        def question(is_new: bool) -> Mapping[str, Any]:
            if is_new:
                self._known.clear()
            return {"config": self.config, "told": [(number, self._as_told(self.trials[number])) for number in self._news()]} | asked

        answered = self._process.answer(question)
        self._known |= {number: self.trials[number].record for number in self._news()}
        self._behind |= set(answered["stop"])
        return answered

    def _news(self) -> list[int]:
        """The draws of which the process does not know the latest."""
        return [number for number, trial in enumerate(self.trials) if number not in self._known or self._known[number] is not trial.record]

    def _as_told(self, trial: Trial) -> dict[str, Any]:
        """A run as W&B's scheduler sees it: the metrics that are searched on, and of its summary the latest where that has none."""
        record, names = trial.record, [metric.name for metric in self.definition.objectives]
        rows = list(record.steps) if record else []
        latest = {name: row[name] for row in rows for name in names if name in row}
        summary = record.came_to if record else {}
        return {
            "values": trial.values,
            "state": _STATES.get(record.state, "running") if record else "running",
            "summary": latest | {name: summary[name] for name in names if name in summary},
            "history": [{"_step": step} | {name: row[name] for name in names if name in row} for step, row in enumerate(rows, start=1)],
        }
