"""W&B's own search engine, run here: the configurations it asks for, and the runs it wants stopped."""

import hashlib
import json
import logging
import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import jsonschema
import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its pydantic models are of version 1's style
    import sweeps
    from sweeps.params import HyperParameterSet

from reglab.tracking.record import RunRecord, State

_STATES = {
    State.finished: sweeps.RunState.finished,
    State.stopped: sweeps.RunState.finished,  # what it reached counts
    State.diverged: sweeps.RunState.failed,
    State.failed: sweeps.RunState.failed,
}
"""As the engine sees an ended run; every other state counts as running."""

_EVERY_CELL = 1_000_000

logging.getLogger("sweeps").setLevel(logging.ERROR)


def schema_fault(config: Mapping[str, Any]) -> str | None:
    """Why W&B would not take this sweep, in its own words; None for a good one."""
    known = {key: value for key, value in config.items() if key != "run_cap"}  # the server reads that one, the engine's schema does not
    faults = sweeps.schema_violations_from_proposed_config(deepcopy(known))
    if not faults:
        try:  # its schema does not look into nested parameters
            parameters = HyperParameterSet.from_config(deepcopy(config["parameters"]))
            if config["method"] == "grid":
                sweeps.next_run(deepcopy(dict(config)), [])
        except (ValueError, AssertionError, jsonschema.ValidationError) as error:
            faults = [str(error)]
        else:
            faults = [f"{p.name}: min is above max" for p in parameters if p.config.get("min", 0) > p.config.get("max", math.inf)]
    return " ".join(min(faults, key=len).replace(HyperParameterSet.NESTING_DELIMITER, ".").split()) if faults else None


def ends(definition: Mapping[str, Any]) -> list[Any]:
    """The values that stand for all that a parameter can take: every choice, or both ends, or the middle of what has none."""
    if "values" in definition:
        return list(definition["values"])
    if "value" in definition:
        return [definition["value"]]
    if "min" in definition and "max" in definition:
        if "log" in (distribution := definition.get("distribution", "")) and not distribution.endswith("_values"):
            sign = -1 if distribution.startswith("inv_") else 1  # the ends are exponents of e
            return [math.exp(sign * definition["min"]), math.exp(sign * definition["max"])]
        return [definition["min"], definition["max"]]
    return [definition["mu"]] if "mu" in definition else []


class Search:
    """Asks the engine about one sweep, given as W&B's configuration.

    Draws are reproducible: they depend on the sweep and on how many were made before.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.config = deepcopy(dict(config))  # not sweeps.SweepConfig, which loses nested parameters

    def grid(self) -> list[dict[str, Any]]:
        """Every cell of a grid, one seed after the other, so that a sweep cut short has every arm once."""
        cells = [_values(run) for run in sweeps.next_runs(self.config, [], n=_EVERY_CELL) if run]
        return sorted(cells, key=lambda values: values.get("train", {}).get("seed", 0))

    def draw(self, drawn: Sequence[tuple[Mapping[str, Any], RunRecord | None]]) -> dict[str, Any]:
        """The next configuration of a random or bayes search, given those drawn before with what they came to."""
        digest = hashlib.sha256(f"{json.dumps(self.config, sort_keys=True)} {len(drawn)}".encode()).digest()
        import sweeps.bayes_search  # the engine imports it at its first call, and that draws from the generators

        seed = int.from_bytes(digest[:4], "big")
        random.seed(seed)  # the engine draws from both global generators
        np.random.seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the fit of its Gaussian process
            run = sweeps.next_run(self.config, [_engine_run(values, record) for values, record in drawn])
        assert run is not None, "only a grid ends"
        return _values(run)

    def to_stop(self, running: Sequence[tuple[Mapping[str, Any], RunRecord | None]]) -> set[str]:
        """The ids of runs that early termination would end now."""
        if "early_terminate" not in self.config:
            return set()
        runs = [_engine_run(values, record) for values, record in running if record]
        return {run.name for run in sweeps.stop_runs(self.config, runs) if run.name}


def _values(run: sweeps.SweepRun) -> dict[str, Any]:
    return {key: _plain(entry["value"]) for key, entry in run.config.items()}


def _plain(value: Any) -> Any:
    """The engine draws numpy's numbers, which neither JSON nor YAML can write."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return value.item() if isinstance(value, np.generic | np.ndarray) else value


def _engine_run(values: Mapping[str, Any], record: RunRecord | None) -> sweeps.SweepRun:
    """A run as the engine wants it: it returns nested parameters nested, but recognizes them by their flattened names only."""
    return sweeps.SweepRun(
        name=record.run_id if record else None,
        config={name: {"value": value} for name, value in _flattened(values)},
        state=_STATES.get(record.state, sweeps.RunState.running) if record else sweeps.RunState.pending,
        summaryMetrics=record.summary.metrics() if record and record.summary else {},
        sampledHistory=[row.metrics() for row in record.history] if record else [],
    )


def _flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}{HyperParameterSet.NESTING_DELIMITER}")
        else:
            yield prefix + name, value
