"""W&B's own optimizers, which its scheduler asks what to run next, for sweeps whose parameters are nested: and that scheduler, with them.

Its converters take flat parameters only. So the parameters of such a sweep are flat to an optimizer (`optimizer.lr`), and what it
suggests is nested for the run. A function of the file's own, `search_space`, nests what it returns itself.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reglab.tracking.wandb_library import wandb  # isort: skip  # before all of it that is imported below

from wandb.sdk.sweeps.run_state import RunState
from wandb.sdk.sweeps.scheduler import optimizer as theirs
from wandb.sdk.sweeps.scheduler.ipc import SchedulerServiceExitedError
from wandb.sdk.sweeps.scheduler.optimizer import Optimizer, Run, RunConfig, RunSuggestion, RunWithMetrics
from wandb.sdk.sweeps.sweep_info import SweepInfo

from reglab.exits import PREEMPTED
from reglab.sweep.definition import assembled, leaves, parameters_of

__all__ = ["Run", "RunConfig", "RunState", "RunWithMetrics", "SweepInfo", "make_optimizer", "wandb"]

_their_make_optimizer = theirs.make_optimizer

UNTOLD = "name each suggestion by its path, as in trial.suggest_float('optimizer.lr', …): else a study that goes on cannot be told of it"


def make_optimizer(sweep: SweepInfo) -> Optimizer:
    """As W&B's scheduler makes it: by the engine that the sweep's file names. Raises wandb.Error for what that one cannot search."""
    scheduler = sweep.config.get("scheduler") or {}
    if scheduler.get("engine") == "wandb":  # it nests by itself
        return Capped(sweep, sweep.config)
    if scheduler.get("search_space"):
        return ByFunction(sweep)
    return Nested(sweep)


class Capped(Optimizer):
    """One of W&B's optimizers, `inner`, that suggests no more runs than the sweep's `run_cap`.

    W&B's scheduler compares with that the runs that have ended, and would have as many more as it chooses ahead.
    """

    def __init__(self, sweep: SweepInfo, config: dict[str, Any]):
        self.inner = _their_make_optimizer(replace(sweep, config=config))
        self._cap: int | None = sweep.config.get("run_cap")
        self._count = 0
        self._under_way: set[Any] = set()
        super().__init__(sweep)

    def ask_n_runs(self, n: int) -> Sequence[RunSuggestion] | None:
        if self._cap is not None and (n := min(n, self._cap - self._count)) <= 0:
            return None if self._under_way else []
        if (suggested := self.inner.ask_n_runs(n)) is not None:
            self._count += len(suggested)
            self._under_way |= {each.run_id for each in suggested}
        return suggested

    def tell_run(self, run_id: Any, data: RunWithMetrics) -> None:
        self._settle(run_id, data)
        self.inner.tell_run(run_id, data)

    def forget_run(self, run_id: Any) -> None:
        self._count -= run_id in self._under_way
        self._under_way.discard(run_id)
        self.inner.forget_run(run_id)

    def tell_existing_finished_run(self, data: RunWithMetrics) -> None:
        self._count += 1
        self.inner.tell_existing_finished_run(data)

    def tell_existing_active_run(self, data: Run) -> Any:
        self._count += 1
        run_id = self.inner.tell_existing_active_run(data)
        self._under_way.add(run_id)
        return run_id

    def _settle(self, run_id: Any, data: Run) -> None:
        if theirs.is_terminal_state(data.state):
            self._under_way.discard(run_id)

    # All else is the inner one's.

    def validate_sweep_objective(self) -> None:
        """The inner one has looked."""

    def prune_runs(self, run_ids: Sequence[str], runs: Sequence[RunWithMetrics]) -> Sequence[str]:
        return self.inner.prune_runs(run_ids, runs)

    def has_terminator(self) -> bool:
        return self.inner.has_terminator()

    def should_terminate_sweep(self) -> bool:
        return self.inner.should_terminate_sweep()

    def route_library_logs(self, handler: logging.Handler) -> Callable[[], None]:
        return self.inner.route_library_logs(handler)


class Nested(Capped):
    """One over the parameters of a sweep's file: they are flat to the inner one, and nested to everyone else."""

    def __init__(self, sweep: SweepInfo):
        parameters = sweep.config.get("parameters") or {}
        self._parameters = {parameter.path: parameter for parameter in parameters_of({"parameters": parameters})}
        super().__init__(sweep, sweep.config | {"parameters": dict(leaves(parameters))})

    def ask_n_runs(self, n: int) -> Sequence[RunSuggestion] | None:
        suggested = super().ask_n_runs(n)
        return suggested and [RunSuggestion(self._nested(each.config), each.run_id) for each in suggested]

    def tell_existing_finished_run(self, data: RunWithMetrics) -> None:
        super().tell_existing_finished_run(replace(data, config=self._flat(data.config)))

    def tell_existing_active_run(self, data: Run) -> Any:
        return super().tell_existing_active_run(replace(data, config=self._flat(data.config)))

    def _nested(self, config: RunConfig) -> RunConfig:
        values = config.flat_dict()
        return RunConfig.from_values(assembled((self._parameters[name] for name in values), values.values()))

    def _flat(self, config: RunConfig) -> RunConfig:
        """Of all that a run says of itself, what this sweep draws."""
        there = dict(_paths(config.flat_dict()))
        return RunConfig.from_values({path: there[path] for path in self._parameters if path in there})


class ByFunction(Capped):
    """One over a space that a function of the file's own says, trial by trial; it nests what it returns itself.

    A run that it did not suggest itself is told to its study by the names of the function's suggestions: those are looked for among the
    run's keys, by their paths and by their last parts. W&B's own takes the keys for the names, and where they differ has the study learn
    the run's result for a draw that was another.
    """

    def __init__(self, sweep: SweepInfo):
        super().__init__(sweep, sweep.config)

    def tell_existing_finished_run(self, data: RunWithMetrics) -> None:
        self.tell_run(self.tell_existing_active_run(data), data)

    def tell_existing_active_run(self, data: Run) -> Any:
        """Raises ValueError where the study draws something else in its place."""
        known = _names(data.config.flat_dict())
        run_id = super().tell_existing_active_run(replace(data, config=RunConfig.from_values(known)))
        study: Any = self.inner.study  # type: ignore[attr-defined]  # Optuna's, the one engine that has such functions
        drawn = study.get_trials(deepcopy=False)[int(run_id)].params
        if any(name not in known or known[name] != value for name, value in drawn.items()):
            self._count += 1  # it is one of the sweep's, though the study does not know of it
            self.forget_run(run_id)
            raise ValueError(f"scheduler.search_space = {self._sweep.config['scheduler']['search_space']}: {UNTOLD}")
        return run_id


def _names(values: Mapping[str, Any]) -> dict[str, Any]:
    """What each path of nested values has, and each last part that only one path has."""
    paths = dict(_paths(values))
    tails = [path.rpartition(".")[2] for path in paths]
    return {tail: value for tail, value in zip(tails, paths.values(), strict=True) if tails.count(tail) == 1} | paths


def _paths(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in values.items()
        for pair in (_paths(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)])
    ]


def main() -> None:
    """W&B's own command, `wandb sweep-scheduler`, with these optimizers. It ends where nobody is left at its standard input."""
    from wandb.cli.cli import cli

    theirs.make_optimizer = make_optimizer
    threading.Thread(target=_end_with_whoever_started_it, daemon=True).start()
    try:
        cli(["sweep-scheduler", *sys.argv[1:]], prog_name="wandb")
    except SchedulerServiceExitedError:
        sys.exit(PREEMPTED)


def _end_with_whoever_started_it() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
