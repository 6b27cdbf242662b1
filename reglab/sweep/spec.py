"""A sweep file: W&B's own format, whose parameters are keys of `RunConfig`. Read, adjusted and validated here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reglab import names, yaml_files
from reglab.config import RunConfig, TrainConfig, parse_overrides
from reglab.errors import UserError
from reglab.shipped import folder
from reglab.sweep import definition, soundness
from reglab.sweep.definition import Fault, Place, leaves, parameters_of
from reglab.sweep.engines.grid import Grid
from reglab.yaml_files import Document

QUICK: dict[str, Any] = {
    "data.source": "digits",
    "data.train_limit": None,
    "data.test_limit": None,
    "model.width": 8,
    "train.batch_size": 64,
}
"""What `--quick` sets where the file does not search over it: a sweep's every arm on a CPU, in minutes."""

QUICK_SHARE = 20
"""`--quick` trains one epoch for so many of the file's."""

QUICK_VALIDATION = 200
QUICK_RUN_CAP = 4


@dataclass(frozen=True)
class SweepSpec:
    """A validated sweep. `config` is what the search engine gets, and W&B."""

    name: str
    path: Path
    config: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        return self.config["method"]

    @property
    def run_cap(self) -> int | None:
        return self.config.get("run_cap")

    @property
    def engine(self) -> str:
        """Who searches: a scheduler's engine, or W&B's method."""
        return (self.config.get("scheduler") or {}).get("engine") or self.method

    @property
    def learns(self) -> bool:
        """Whether what its runs come to decides what it draws next."""
        return self.method in ("bayes", "custom")

    @property
    def has_space_of_its_own(self) -> bool:
        """Whether a function of the user's says what is searched, in place of parameters."""
        return "search_space" in (self.config.get("scheduler") or {})

    @cached_property
    def cells(self) -> list[tuple[dict[str, Any], RunConfig]]:
        """Every cell of a grid up to the cap, as values and as what they are. Raises UserError where one cannot be built."""
        whole = [(values, RunConfig.parse(values)) for values in Grid(_without_cap(self.config)).rest()]
        return whole[: self.run_cap]  # those beyond the cap are looked at, too: W&B's server has an order of its own

    def grid(self) -> list[dict[str, Any]]:
        """The values of every cell of a grid, up to the cap."""
        return [values for values, _ in self.cells]

    @property
    def size(self) -> int:
        """How many cells it has, or draws; what does the same is counted again."""
        return len(self.cells) if self.method == "grid" else self.run_cap or 0

    def fingerprint(self) -> str:
        """The same for two sweeps that ask for the same runs, whatever their files look like."""
        asked = {
            key: value
            for key, value in self.config.items()
            if key not in ("name", "description", "project", "entity", "command", "program")
        }
        return json.dumps(asked, sort_keys=True)


def _without_cap(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "run_cap"}


def shipped(name: str) -> Path:
    """The path of one of the sweeps that come with reglab, such as `final`."""
    return folder("sweeps") / f"{name}.yaml"


def read(path: Path, overrides: Iterable[str] = (), quick: bool = False) -> SweepSpec:
    """The sweep in `path`, with `section.key=value` words laid over its parameters; `section.key=[a, b]` searches over a key.

    Raises UserError, in one line that names file and line, for whatever would fail later: YAML, W&B's schema, a key that no
    configuration has, a configuration that it draws and that cannot be built.
    """
    document = _document(path)
    config = document.plain()
    changes = parse_overrides(overrides)
    _refuse(document, config, definition.faults(config) or soundness.faults_of_form(_with_cap(config, quick)))
    if quick or changes:
        config = document.plain(shares=False)  # what is laid over one key is not laid over another that repeats it
        if quick:
            _shrink(config)
        for key, value in changes.items():
            _set(config.setdefault("parameters", {}), key, value)
        _refuse(document, config, definition.faults(config))
    _refuse(document, config, soundness.faults_of_size(config))
    _refuse(document, config, soundness.faults_of_selection(config))
    if fault := names.fault(path.stem):
        raise UserError(f"{path}: its runs go to a folder of its name, and {fault}: rename the file")
    spec = SweepSpec(path.stem + ("-quick" if quick else ""), path, config, tuple(soundness.notes(config)))
    _refuse(document, config, _faults_of_cells(spec) if spec.method == "grid" else soundness.faults_of_draws(config))
    return spec


def _document(path: Path) -> Document:
    if not path.exists():
        raise UserError(f"{path}: no such file; give a sweep YAML, such as sweeps/final.yaml, which `reglab init` puts here")
    document = yaml_files.read(path)
    if not isinstance(document.root.content, dict):
        raise document.error((), "not a sweep; it needs `method:` and `parameters:`")
    return document


def _with_cap(config: dict[str, Any], quick: bool) -> dict[str, Any]:
    """`--quick` caps a search that has no cap of its own."""
    return {"run_cap": QUICK_RUN_CAP} | config if quick else config


def _faults_of_cells(spec: SweepSpec) -> list[Fault]:
    try:
        _ = spec.cells
    except UserError as error:
        return [Fault(soundness.place_of(str(error), parameters_of(spec.config)), str(error))]
    return []


def _refuse(document: Document, config: Mapping[str, Any], faults: Iterable[Fault]) -> None:
    """Raises UserError for the first of these faults, with its line where it is the file's, and not of what was laid over it."""
    found = list(faults)
    if not found:
        return
    fault = found[0]
    said = fault.said + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
    if _at(document.plain(), fault.place) == _at(config, fault.place):
        raise document.error(fault.place, said)
    raise UserError(f"{document.path}: {said}")


def _at(values: Any, place: Place) -> Any:
    for key in place:
        try:
            values = values[key]
        except (LookupError, TypeError):
            return None
    return values


def _set(parameters: dict[str, Any], path: str, value: Any) -> None:
    section, _, key = path.rpartition(".")
    if section:
        parameters = parameters.setdefault(section, {"parameters": {}})["parameters"]
    parameters[key] = {"values": value} if isinstance(value, list) else {"value": value}


def _shrink(config: dict[str, Any]) -> None:
    """Make a sweep quick: keys that it searches stay, all but the seeds, of which the first is kept."""
    found = dict(leaves(config["parameters"]))
    for path, value in QUICK.items():
        if "value" in found.get(path, {"value": None}):
            _set(config["parameters"], path, value)
    if epochs := found.get("train.epochs", {"value": TrainConfig().epochs}).get("value"):
        _set(config["parameters"], "train.epochs", max(1, round(epochs / QUICK_SHARE)))
    if found.get("data.validation", {}).get("value"):
        _set(config["parameters"], "data.validation", QUICK_VALIDATION)
    if "values" in (seeds := found.get("train.seed", {})):
        _set(config["parameters"], "train.seed", seeds["values"][0])
    if config.get("method") != "grid":
        config["run_cap"] = min(config.get("run_cap", QUICK_RUN_CAP), QUICK_RUN_CAP)
