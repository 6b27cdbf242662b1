"""A sweep file: W&B's own format, whose parameters are keys of `RunConfig`. Read, adjusted and validated here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from reglab import names, yaml_files
from reglab.config import NETWORKS, ModelConfig, RunConfig, TrainConfig, absent, identity, nearest, parse_overrides
from reglab.errors import UserError, excerpt
from reglab.shipped import folder
from reglab.sweep import definition, engines, program, soundness
from reglab.sweep.definition import Fault, Place, Replicates, leaves, parameters_of, places
from reglab.sweep.engines import Engine
from reglab.sweep.engines.grid import Grid
from reglab.sweep.program import AskedRun, Program
from reglab.yaml_files import Document

QUICK: dict[str, Any] = {
    "data.source": "digits",
    "data.train_limit": None,
    "data.test_limit": None,
    "train.batch_size": 64,
}
"""What `--quick` sets where the file does not search over it, beside the size of its networks: every arm on a CPU, in minutes."""

QUICK_SHARE = 20
"""`--quick` trains one epoch for so many of the file's."""

QUICK_VALIDATION = 200
QUICK_RUN_CAP = 4


@dataclass(frozen=True)
class SweepSpec:
    """A validated sweep. `config` is what the search engine gets, and W&B: of `replicates` the seeds that are asked for, as plain values.

    `program` is what its runs start, where that is not `reglab train`.
    """

    name: str
    path: Path
    config: dict[str, Any]
    warnings: tuple[str, ...] = ()
    replicates: Replicates | None = None

    @cached_property
    def program(self) -> Program | None:
        """What its runs start, where that is not `reglab train`."""
        return Program.of(self.config, self.replicates.names if self.replicates else None)

    @property
    def method(self) -> str:
        """W&B's method, as the file has it: `grid`, `random`, `bayes` or `custom`."""
        return str(self.config["method"])

    @property
    def run_cap(self) -> int | None:
        """How many runs it has at most; None where the file does not say."""
        return self.config.get("run_cap")

    @property
    def engine(self) -> str:
        """Who searches: a scheduler's engine, or W&B's method."""
        return (self.config.get("scheduler") or {}).get("engine") or self.method

    def search(self, drawn: Iterable[dict[str, Any]] = ()) -> Engine:
        """Its search engine, which has drawn these values before. Raises UserError where its search runs with W&B's server only."""
        return engines.of(self.config, drawn, self.replicates.names if self.replicates else None)

    @property
    def learns(self) -> bool:
        """Whether what its runs come to decides what it draws next."""
        return self.method in ("bayes", "custom")

    @property
    def has_space_of_its_own(self) -> bool:
        """Whether a function of the user's says what is searched, in place of parameters."""
        return "search_space" in (self.config.get("scheduler") or {})

    def asked(self, values: dict[str, Any]) -> AskedRun:
        """What these values ask for. Raises UserError where `reglab train` can build nothing from them."""
        if self.program:
            return self.program.asked(values)
        config = RunConfig.parse(values)
        return AskedRun(identity(config), config.train.seed, config.label, config)

    @cached_property
    def cells(self) -> list[tuple[dict[str, Any], AskedRun]]:
        """Every cell of a grid up to the cap, as values and as what they are. Raises UserError where one cannot be built."""
        whole = [(values, self.asked(values)) for values in Grid(_without_cap(self.config)).rest()]
        if self.program:
            whole.sort(key=lambda cell: cell[1].seed)  # as the engine does with the seeds of `reglab train`
        return whole[: self.run_cap]  # those beyond the cap are looked at, too: W&B's server has an order of its own

    @cached_property
    def absent(self) -> list[str]:
        """Functions of the user's that its arms name, and whose modules are not on this machine, as `key = package.module:function`."""
        if self.program:
            return []
        found = soundness.absent(self.config) if self.method != "grid" else (each for _, one in self.cells for each in _absent(one.config))
        return list(dict.fromkeys(found))

    def check_functions(self) -> None:
        """Raises UserError where a module on this machine lacks a function that the runs, or a scheduler, would take of it."""
        if fault := next(soundness.lacking(self.config, self.program is None), None):
            raise UserError(f"{self.path}: {fault}")

    def grid(self) -> list[dict[str, Any]]:
        """The values of every cell of a grid, up to the cap."""
        return [values for values, _ in self.cells]

    @property
    def size(self) -> int:
        """How many cells it has, or draws; what does the same is counted again."""
        return len(self.cells) if self.method == "grid" else self.run_cap or 0

    def fingerprint(self, whatever_seeds: bool = False) -> str:
        """The same for two sweeps that ask for the same runs, whatever their files look like; or for the same but for how many seeds."""
        without = {"name", "description", "project", "entity"} | (set() if self.program else {"command", "program"})
        asked = {key: value for key, value in self.config.items() if key not in without}
        if whatever_seeds and self.replicates:
            *groups, key = self.replicates.names
            asked = deepcopy(asked) | {"replicates": [self.replicates.key, self.replicates.first]}
            inside = asked["parameters"]
            for group in groups:
                inside = inside[group]["parameters"]
            del inside[key]
        return json.dumps(asked, sort_keys=True)


def _absent(config: RunConfig | None) -> list[str]:
    return absent(config) if config else []


def _without_cap(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "run_cap"}


def shipped(name: str) -> Path:
    """The path of one of the sweeps that come with reglab, such as `final`."""
    return folder("sweeps") / f"{name}.yaml"


def read(path: Path, overrides: Iterable[str] = (), quick: bool = False, seeds: int | None = None) -> SweepSpec:
    """The sweep in `path`, with `section.key=value` words laid over its parameters; `section.key=[a, b]` searches over a key.

    `seeds`: so many of each arm, where the file has `replicates`; else those of its first round.
    Raises UserError, in one line that names file and line, for whatever would fail later: YAML, W&B's schema, a key that no
    configuration has, a configuration that it draws and that cannot be built.
    """
    document = _document(path)
    config = document.plain()
    overrides = list(overrides)
    _refuse(document, config, definition.faults(config) or list(program.faults(config)))
    is_ours = Program.of(config) is None
    changes = parse_overrides(overrides) if is_ours else _read_freely(overrides, config, path)
    _refuse(document, config, soundness.faults_of_form(_with_cap(config, quick), is_ours))
    if quick and not is_ours:
        raise UserError(f"{path}: --quick knows the keys of `reglab train`; lay KEY=VALUE words over those of another program")
    replicates = Replicates.model_validate(config["replicates"]) if "replicates" in config else None
    if replicates and replicates.key in changes:
        replicates = None  # the word says which seeds
    _check_seeds(seeds, replicates, path)
    if quick or changes or "replicates" in config:
        config = document.plain(shares=False)  # what is laid over one key is not laid over another that repeats it
        config.pop("replicates", None)
        if replicates:
            _set(config.setdefault("parameters", {}), replicates.names, replicates.values(seeds))
        if quick:
            _shrink(config)
            replicates = None  # of which one is left
        for key, value in changes.items():
            _set(config.setdefault("parameters", {}), _names(config, key), value)
        _refuse(document, config, definition.faults(config))
    _refuse(document, config, soundness.faults_of_size(config))
    if is_ours:
        _refuse(document, config, soundness.faults_of_selection(config))
    if fault := names.fault(path.stem):
        raise UserError(f"{path}: its runs go to a folder of its name, and {fault}: rename the file")
    notes = tuple(soundness.notes(config, is_ours))
    if replicates:
        notes += tuple(soundness.notes_of_replicates(config, len(replicates.values(seeds))))
    spec = SweepSpec(path.stem + ("-quick" if quick else ""), path, config, notes, replicates)
    if is_ours:
        _refuse(document, config, _faults_of_cells(spec) if spec.method == "grid" else soundness.faults_of_draws(config))
    return spec


def _check_seeds(seeds: int | None, replicates: Replicates | None, path: Path) -> None:
    """Raises UserError for more seeds than the file allows, and where it says nothing of seeds."""
    if seeds is None:
        return
    if replicates is None:
        raise UserError(f"--seeds {seeds}: {path} has no `replicates:`; add `replicates: {{key: train.seed, start: 3, most: 12}}`")
    if not 1 <= seeds <= (most := replicates.most or replicates.start):
        raise UserError(f"--seeds {seeds}: {path} allows 1 to {most} an arm; `most` in its `replicates` says how many")


def _read_freely(overrides: Iterable[str], config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """`KEY=VALUE` words for another program: a key is one of the file's, and its value is read as the file's are, as YAML."""
    known = [*places(config.get("parameters", {})), *([config["replicates"]["key"]] if "replicates" in config else [])]
    values = {}
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or key not in known:
            fault = f"{path} has no parameter {excerpt(key)}{nearest(key, known)}" if equals else "not KEY=VALUE"
            raise UserError(f"'{excerpt(word)}': {fault}; known are {', '.join(known)}")
        values[key] = _as_meant(yaml_files.value_of(text, excerpt(word)))
    return values


def _as_meant(value: Any) -> Any:
    """`1e-3` is a text to YAML; a word of a command line that looks so is a number."""
    if isinstance(value, list):
        return [_as_meant(each) for each in value]
    return float(value) if isinstance(value, str) and soundness.SCIENTIFIC.fullmatch(value) else value


def _names(config: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The names that lead to a parameter of this path, which may hold dots of their own."""
    place = places(config.get("parameters", {})).get(path)
    return tuple(map(str, place[1::2])) if place else tuple(path.split("."))


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
    parameters = parameters_of(spec.config)
    try:
        asked = [asked.config for _, asked in spec.cells if asked.config]
    except UserError as error:
        return [Fault(soundness.place_of(str(error), parameters), str(error))]
    return list(soundness.faults_of_images(asked, parameters))


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


def _set(parameters: dict[str, Any], names: Sequence[str], value: Any) -> None:
    *groups, key = names
    for group in groups:
        parameters = parameters.setdefault(group, {"parameters": {}})["parameters"]
    parameters[key] = {"values": value} if isinstance(value, list) else {"value": value}


def _shrink(config: dict[str, Any]) -> None:
    """Make a sweep quick: keys that it searches stay, all but the seeds, of which the first is kept."""
    found = dict(leaves(config["parameters"]))
    name = found.get("model.name", {"value": ModelConfig().name})
    networks = [NETWORKS[each] for each in name.get("values", [name.get("value")]) if each in NETWORKS]
    for path, value in {**QUICK, **{key: value for network in networks for key, value in network.quick.items()}}.items():
        if "value" in found.get(path, {"value": None}):
            _set(config["parameters"], path.split("."), value)
    if epochs := found.get("train.epochs", {"value": TrainConfig().epochs}).get("value"):
        _set(config["parameters"], ("train", "epochs"), max(1, round(epochs / QUICK_SHARE)))
    if found.get("data.validation", {}).get("value"):
        _set(config["parameters"], ("data", "validation"), QUICK_VALIDATION)
    if "values" in (seeds := found.get("train.seed", {})):
        _set(config["parameters"], ("train", "seed"), seeds["values"][0])
    if config.get("method") != "grid":
        config["run_cap"] = min(config.get("run_cap", QUICK_RUN_CAP), QUICK_RUN_CAP)
