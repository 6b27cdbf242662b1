"""W&B's own engine, `scheduler: {engine: wandb}`: its package `sweeps`, an extra, since its metadata asks for numpy below 2."""

import logging
import random
import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from reglab.errors import UserError
from reglab.extras import how
from reglab.sweep.engines.engine import Engine, Trial
from reglab.sweep.engines.random import seed
from reglab.tracking.record import State

_STATES = {State.finished: "finished", State.stopped: "finished", State.diverged: "failed", State.failed: "failed"}
"""As the engine sees an ended run; every other counts as running."""


class Wandb(Engine):
    """Reproducible as the others: the engine draws from both global generators, which are seeded for each draw."""

    def __init__(self, config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = ()):
        super().__init__(config, drawn)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import sweeps
                import sweeps.bayes_search  # now: it draws from the generators as it is imported
        except ModuleNotFoundError:
            raise UserError(f"scheduler.engine = wandb: needs W&B's package sweeps: {how('sweeps')}") from None
        logging.getLogger("sweeps").setLevel(logging.ERROR)
        self._sweeps = sweeps

    def _draw(self) -> dict[str, Any]:
        random.seed(start := seed(self.config, len(self.trials)))
        np.random.seed(start)
        config = {key: value for key, value in self.config.items() if key != "scheduler"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the fit of its Gaussian process
            run = self._sweeps.next_run(deepcopy(config), [self._run(trial) for trial in self.trials])
        return {key: _plain(entry["value"]) for key, entry in run.config.items()}

    def _run(self, trial: Trial) -> Any:
        record = trial.record
        return self._sweeps.SweepRun(
            name=record.run_id if record else None,
            config={key: {"value": value} for key, value in trial.values.items()},
            state=_STATES.get(record.state, "running") if record else "pending",
            summaryMetrics=dict(record.came_to) if record else {},
            sampledHistory=list(record.steps) if record else [],
        )


def _plain(value: Any) -> Any:
    """It draws numpy's numbers, which neither JSON nor YAML can write."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
