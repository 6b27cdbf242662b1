"""W&B's own search engine, run here: the configurations it asks for, and the runs it wants stopped."""

import hashlib
import json
import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

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
    return " ".join(min(faults, key=len).split()) if faults else None


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
    return {key: entry["value"] for key, entry in run.config.items()}


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
