"""A sweep file: W&B's own format, whose parameters are keys of `RunConfig`. Read, adjusted and validated here."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from reglab import names
from reglab.config import FIELDS, RunConfig, nearest, nested, parse_overrides, unknown_key
from reglab.errors import UserError
from reglab.sweep.search import Search, ends, schema_fault
from reglab.tracking.record import METRICS

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
    """A validated sweep. `config` is what W&B's search engine gets."""

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

    def grid(self) -> list[dict[str, Any]]:
        """Every cell of a grid, up to the cap."""
        return Search(self.config).grid()[: self.run_cap]

    @property
    def size(self) -> int:
        """How many cells it has, or draws; what does the same is counted again."""
        return len(self.grid()) if self.method == "grid" else self.run_cap or 0

    def fingerprint(self) -> str:
        """The same for two sweeps that ask for the same runs, whatever their files look like."""
        asked = {
            key: value
            for key, value in self.config.items()
            if key not in ("name", "description", "project", "entity", "command", "program")
        }
        return json.dumps(asked, sort_keys=True)


def shipped(name: str) -> Path:
    """The path of one of the sweeps that come with reglab, such as `final`."""
    packaged = Path(str(resources.files("reglab"))) / "_sweeps" / f"{name}.yaml"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "sweeps" / f"{name}.yaml"


def read(path: Path, overrides: Iterable[str] = (), quick: bool = False) -> SweepSpec:
    """The sweep in `path`, with `section.key=value` words laid over its parameters; `section.key=[a, b]` searches over a key.

    Raises UserError, in one line that names the file, for whatever would fail later: YAML, W&B's schema, a key that no
    configuration has, a candidate that it does not accept.
    """
    config = _parse(path)
    try:
        _validate_form(config)
        if quick:
            _shrink(config)
        for key, value in parse_overrides(overrides).items():
            _set(config["parameters"], key, value)
        _validate_selection(config)
        for values in _candidates(config):
            RunConfig.parse(values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    if fault := names.fault(path.stem):
        raise UserError(f"{path}: its runs go to a folder of its name, and {fault}: rename the file")
    return SweepSpec(path.stem + ("-quick" if quick else ""), path, config, tuple(_warnings(config)))


class _Strict(yaml.SafeLoader):
    """YAML's own reader keeps the last of two keys of one name, loses the rest without a word, and takes 010 for 8 and 1:30 for 90."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{name}: is there twice", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> int | float:
        kind = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        value: int | float = kind(node)
        if not re.fullmatch(r"[-+]?(0|[1-9]\d*)?(\.\d*)?(e[-+]?\d+)?|[-+]?\.(inf|nan)", node.value, re.IGNORECASE):
            said = f"{node.value} is {value} to YAML: write that, or, for a text, '{node.value}' in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        return value


for _tag in ("int", "float"):
    _Strict.add_constructor(f"tag:yaml.org,2002:{_tag}", _Strict.construct_decimal)


def _parse(path: Path) -> dict[str, Any]:
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), _Strict)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `reglab sweep run` takes a sweep YAML such as sweeps/final.yaml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(f"{path}{line}: not YAML ({getattr(error, 'problem', None) or error})") from None
    if not isinstance(config, dict) or not isinstance(config.get("parameters"), dict):
        raise UserError(f"{path}: not a sweep; it needs `method:` and `parameters:`")
    return config


def leaves(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each searched or fixed key of nested parameters: its path (`dropout.p1`) and its definition (`{"min": 0.1, …}`)."""
    for name, definition in parameters.items():
        if isinstance(definition, dict) and isinstance(definition.get("parameters"), dict):
            yield from leaves(definition["parameters"], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", definition


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
    if epochs := found.get("train.epochs", {"value": RunConfig().train.epochs}).get("value"):
        _set(config["parameters"], "train.epochs", max(1, round(epochs / QUICK_SHARE)))
    if found.get("data.validation", {}).get("value"):
        _set(config["parameters"], "data.validation", QUICK_VALIDATION)
    if "values" in (seeds := found.get("train.seed", {})):
        _set(config["parameters"], "train.seed", seeds["values"][0])
    if config.get("method") != "grid":
        config["run_cap"] = min(config.get("run_cap", QUICK_RUN_CAP), QUICK_RUN_CAP)


def _warnings(config: Mapping[str, Any]) -> Iterator[str]:
    metric = config.get("metric")
    selects = config.get("method") == "bayes" or "early_terminate" in config
    if selects and isinstance(metric, dict) and str(metric.get("name")).startswith("test/"):
        yield f"it selects on {metric['name']}: set data.validation and select on val/accuracy, so that the test set stays unseen"


def _validate_form(config: Mapping[str, Any]) -> None:
    """Everything about a sweep but its values: keys, schema, cap and metric."""
    for path, _ in leaves(config["parameters"]):
        if path not in FIELDS:
            raise UserError(f"parameters: {unknown_key(path)}")
    for name in config["parameters"]:
        if "." in str(name):
            section, _, key = str(name).partition(".")
            nested_form = f"{section}: {{parameters: {{{key}: …}}}}"
            raise UserError(f"parameters: {name}: W&B does not split names at dots; write {nested_form}")
    if fault := schema_fault(config):
        raise UserError(f"not a sweep as W&B defines it: {fault}")
    run_cap, metric = config.get("run_cap"), config.get("metric")
    if run_cap is not None and (isinstance(run_cap, bool) or not isinstance(run_cap, int) or run_cap < 1):
        raise UserError(f"run_cap = {run_cap}: must be a whole number of runs, at least 1")
    if config["method"] != "grid" and run_cap is None:
        raise UserError(f"method {config['method']} never ends by itself: add `run_cap:`, the number of runs")
    if not metric and (config["method"] == "bayes" or "early_terminate" in config):
        raise UserError("it selects by a metric and names none: add `metric: {name: val/accuracy, goal: maximize}`")
    if metric and metric["name"] not in METRICS:
        raise UserError(f"metric.name = {metric['name']}: no run logs that{nearest(metric['name'], METRICS)}")


def _validate_selection(config: Mapping[str, Any]) -> None:
    held_out = ends(dict(leaves(config["parameters"])).get("data.validation", {"value": 0}))
    if (name := (config.get("metric") or {}).get("name", "")).startswith("val/") and not all(held_out):
        raise UserError(f"metric.name = {name}: no run logs that without held-out images; set data.validation, for example to 5000")


def _candidates(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Configurations that stand for all: every cell of a grid; else each key's ends or choices, one key at a time."""
    if config["method"] == "grid":
        yield from Search(config).grid()
        return
    choices = {path: ends(definition) for path, definition in leaves(config["parameters"])}
    first = {path: values[0] for path, values in choices.items() if values}
    for path, values in choices.items():
        for value in values:
            yield nested(first | {path: value})
