"""W&B's own engine, `scheduler: {engine: wandb}`: its package `sweeps`, an extra, since its metadata asks for numpy below 2.

It draws in a child process (`wandb_process.py`), which is ended where it gives no answer.
"""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from reglab.errors import UserError
from reglab.extras import how
from reglab.sweep.engines.engine import Engine, Trial
from reglab.sweep.engines.process import EngineProcess
from reglab.sweep.engines.random import seed
from reglab.tracking.record import State

_STATES = {State.finished: "finished", State.stopped: "finished", State.diverged: "failed", State.failed: "failed"}
"""As the engine sees an ended run; every other counts as running."""


class Wandb(Engine):
    """Reproducible as the others: the generators that the engine draws from are seeded for each draw."""

    def __init__(self, config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = ()):
        super().__init__(config, drawn)
        package = find_spec("sweeps")
        if package is None or package.origin is None:  # a folder of that name, as of sweep files, is no package
            raise UserError(f"scheduler.engine = wandb: needs W&B's package sweeps: {how('sweeps')}")
        self._process = EngineProcess("reglab.sweep.engines.wandb_process", "scheduler.engine = wandb")

    def close(self) -> None:
        self._process.end()

    def _draw(self) -> dict[str, Any]:
        asked = {
            "config": {key: value for key, value in self.config.items() if key != "scheduler"},
            "runs": [self._run(trial) for trial in self.trials],
            "seed": seed(self.config, len(self.trials)),
        }
        values: dict[str, Any] = self._process.answer(lambda is_new: asked)["values"]
        return values

    def _run(self, trial: Trial) -> dict[str, Any]:
        """A run as the engine is told of it: of what it logged, the metrics that are searched on."""
        record, names = trial.record, [metric.name for metric in self.definition.objectives]
        return {
            "name": record.run_id if record else None,
            "config": {key: {"value": value} for key, value in trial.values.items()},
            "state": _STATES.get(record.state, "running") if record else "pending",
            "summaryMetrics": _only(names, record.came_to) if record else {},
            "sampledHistory": [_only(names, row) for row in record.steps] if record else [],
        }


def _only(names: Iterable[str], logged: Mapping[str, Any]) -> dict[str, Any]:
    return {name: logged[name] for name in names if name in logged}
