"""What a sweep asked for against what is there: finished, under way, lost, missing; and a sweep file for what is missing.

A cell of a grid is one identity and seed, whichever sweep or machine trained it; of code that is not here, whatever that was. A search has
no cells before it draws them: of it, the runs that it may have drawn are counted against its cap, and what it drew twice counts twice.
"""

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol

import yaml

from reglab.config import RunConfig, absent, current, flat, identity_here, names_functions, parse_overrides
from reglab.errors import UserError
from reglab.sweep.definition import Parameter, assembled, leaves, parameters_of, value_at
from reglab.sweep.distributions import Constant, Distribution, IntUniform
from reglab.sweep.program import AskedRun
from reglab.sweep.spec import SweepSpec
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import RunRecord, State

MISSING = "missing"

_PREFERRED = (State.finished, State.stopped, State.diverged, State.running, State.preempted, State.pending, State.crashed, State.failed)
"""Of several runs of one cell, the one that tells most."""

_LOST = (MISSING, State.crashed, State.failed)

_FEW = 500
"""Of a search over fewer configurations than this, each is looked at."""


@dataclass(frozen=True)
class AskedCell:
    """One run that the sweep asks for, with the runs that answer it: the best first."""

    label: str
    seed: int
    values: dict[str, Any]
    records: tuple[RunRecord, ...]
    buildable: bool = True

    @property
    def state(self) -> str:
        """The state of its best run, or `missing`."""
        return self.records[0].state if self.records else MISSING

    @property
    def duplicates(self) -> tuple[RunRecord, ...]:
        """Runs that were finished beside another that was."""
        return tuple(record for record in self.records[1:] if record.state == State.finished)


@dataclass(frozen=True)
class Ledger:
    """`undrawn`: how many runs a search may still draw. `others`: runs that this sweep does not ask for."""

    spec: SweepSpec
    cells: tuple[AskedCell, ...]
    undrawn: int
    others: tuple[RunRecord, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many cells are in each state."""
        return Counter([cell.state for cell in self.cells]) + Counter({MISSING: self.undrawn})

    @property
    def lost(self) -> tuple[AskedCell, ...]:
        """Cells that no run answers, nor will: never begun, crashed, or failed though they can be built."""
        return tuple(cell for cell in self.cells if cell.state in _LOST and cell.buildable)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to draw, and each cell has a run that ended well."""
        return not self.undrawn and all(cell.records and cell.records[0].state.has_results for cell in self.cells)


def reckon(spec: SweepSpec, records: Sequence[RunRecord], draws: Sequence[dict[str, Any]] = (), is_over: bool = False) -> Ledger:
    """The ledger of a sweep with these runs. `draws`: the values that a search on this machine is known to have drawn, which may be over.

    Raises UserError where its runs saw other images under one name.
    """
    found = _reckoned(spec, records, draws)
    if is_over:
        found = replace(found, undrawn=0)
    refuse_mixed(record for cell in found.cells for record in cell.records)
    return found


def _reckoned(spec: SweepSpec, records: Sequence[RunRecord], draws: Sequence[dict[str, Any]]) -> Ledger:
    if spec.method == "grid":
        return _of_grid(spec, records)
    possible, asked = _possible(spec), {key: values for values in draws if (key := _key(spec, values))}
    drawn, others = list[RunRecord](), list[RunRecord]()
    for record in records:
        is_known = _answers(spec, record) in possible | asked.keys()
        (drawn if is_known or draw(spec, record) is not None else others).append(record)
    groups = _by_run(spec, drawn)
    cells = [_cell(spec, group[0].config, group) for group in groups.values()]
    cells += [_cell(spec, values, ()) for key, values in asked.items() if key not in groups]
    undrawn = max((spec.run_cap or 0) - max(len(draws), sum(map(_times_drawn, groups.values())), len(cells)), 0)
    there = groups.keys() | asked.keys()
    if undrawn and (possible <= there if possible else _draws_nothing_else(spec, drawn, there)):
        undrawn = 0
    return Ledger(spec, tuple(cells), undrawn, tuple(others))


def _times_drawn(group: Sequence[RunRecord]) -> int:
    """How often a search drew this arm and seed, as its runs tell: what W&B's server draws again runs again, in the same sweep."""
    return max(Counter(record.sweep for record in group if record.state.has_results).values(), default=1)


def _key(spec: SweepSpec, values: dict[str, Any]) -> tuple[str, int] | None:
    """Identity and seed of what these values ask for; None where it cannot be built."""
    try:
        asked = spec.asked(values)
    except UserError:
        return None
    return _identity(asked), asked.seed


def _identity(asked: AskedRun) -> str:
    """By what the runs that answer this are known here."""
    return identity_here(asked.config) if asked.config else asked.identity


def _answers(spec: SweepSpec, record: RunRecord) -> tuple[str, int]:
    """Identity and seed of what a run of this sweep's program answers, wherever it ran; one that could not be built answers to its id.

    Of another program its configuration tells, in what the sweep asks for: W&B's server gives its runs ids of its own, and the program
    may add keys.
    """
    if not spec.program:
        return known_as(record), record.seed
    asked = spec.program.asked(record.config) if record.program == spec.program.shown else None
    return (asked.identity, asked.seed) if asked else (record.run_id, record.seed)


def known_as(record: RunRecord) -> str:
    """The identity of a run, or, where code of the user's that it names is not here, that of its configuration without any."""
    if record.identity and names_functions(record.config):
        with suppress(UserError):
            if absent(config := RunConfig.parse(record.config)):
                return identity_here(config)
    return record.identity or record.run_id


def _possible(spec: SweepSpec) -> Set[tuple[str, int]]:
    """Identities and seeds of all runs that a search can draw, where they are few; else none."""
    parameters = parameters_of(spec.config)
    searched = [_choices(parameter.distribution) for parameter in parameters]
    if not searched or math.prod(len(choices) if choices else _FEW for choices in searched) >= _FEW:
        return frozenset()
    combinations = product(*(choices or () for choices in searched))
    keys = (_key(spec, assembled(parameters, values)) for values in combinations)
    return frozenset(key for key in keys if key)


def _draws_nothing_else(spec: SweepSpec, drawn: Sequence[RunRecord], there: Set[tuple[str, int]]) -> bool:
    """Whether all that a random search draws on this machine is there. W&B's server draws otherwise, and names its runs otherwise."""
    if spec.method != "random" or not all(record.is_named_after_identity for record in drawn):
        return False
    keys = (_key(spec, values) for values in spec.search().rest())
    return all(key in there for key in keys if key)


def _choices(distribution: Distribution) -> list[Any] | None:
    """All values that a key can be drawn with, where they can be counted."""
    if isinstance(distribution, IntUniform):
        return list(range(distribution.min, min(distribution.max, distribution.min + _FEW) + 1))
    return distribution.choices


def draw(spec: SweepSpec, record: RunRecord) -> dict[str, Any] | None:
    """The values with which a search may have drawn this run: they lie where it searches, and ask for this very run; None where none do."""
    if spec.has_space_of_its_own:
        return record.config  # whatever it suggests is among the keys
    parameters, asked = parameters_of(spec.config), list[Any]()
    for parameter in parameters:
        value, distribution = _of(spec, record, parameter), parameter.distribution
        if isinstance(distribution, Constant):
            asked.append(distribution.value)
        elif _covers(distribution, value):
            asked.append(value)
        else:
            return None
    values = assembled(parameters, asked)
    if (key := _key(spec, values)) is not None:
        return values if key == _answers(spec, record) else None
    # A run that cannot be built has its keys as they were drawn.
    there = [_of(spec, record, parameter) for parameter in parameters]
    return values if [_number(value) for value in there] == [_number(value) for value in asked] else None


def _of(spec: SweepSpec, record: RunRecord, parameter: Parameter) -> Any:
    """What a run has for a parameter: of `reglab train` under the name of today."""
    return value_at(record.config, parameter.names if spec.program else current(parameter.path).split("."))


def _covers(distribution: Distribution, value: Any) -> bool:
    """Whether a searched key may take this value."""
    if distribution.choices is not None:
        return _number(value) in [_number(choice) for choice in distribution.choices]
    return isinstance(value, int | float) and distribution.covers(value)


def _number(value: Any) -> Any:
    """`1e-05` is text in YAML and a number in a configuration."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _of_grid(spec: SweepSpec, records: Sequence[RunRecord]) -> Ledger:
    there = _by_run(spec, records)
    cells: dict[tuple[str, int], AskedCell] = {}
    for values, asked in spec.cells:
        key = _identity(asked), asked.seed
        cells.setdefault(key, _cell(spec, values, there.get(key, ())))  # two values without effect are one cell
    others = [record for key, group in there.items() if key not in cells for record in group]
    labels = told_apart(spec, list(cells.values()))
    named = tuple(replace(cell, label=label) for cell, label in zip(cells.values(), labels, strict=True))
    return Ledger(spec, named, 0, tuple(others))


class Labelled(Protocol):
    """A cell of a sweep: what it is called, its seed, and the values that it asks for."""

    @property
    def label(self) -> str:
        """What its arm is called."""

    @property
    def seed(self) -> int:
        """The seed that it asks for."""

    @property
    def values(self) -> dict[str, Any]:
        """The values that it asks for, by key."""


def told_apart(spec: SweepSpec, cells: Sequence[Labelled]) -> list[str]:
    """A label for each cell. Cells of one label and seed get the searched keys that they differ in added: `baseline (optimizer.lr 0.1)`."""
    if spec.program:  # whose labels have all that is searched
        return [cell.label for cell in cells]
    fixed = {path for path, definition in leaves(spec.config.get("parameters", {})) if "value" in definition}
    spelled = [_spelled(cell.values) for cell in cells]
    searched = [path for path in dict.fromkeys(path for values in spelled for path in values) if path not in fixed]
    twins: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell, values in zip(cells, spelled, strict=True):
        twins.setdefault((cell.label, cell.seed), []).append(values)
    labels = []
    for cell, mine in zip(cells, spelled, strict=True):
        alike = twins[cell.label, cell.seed]
        differing = [path for path in searched if path in mine and any(twin.get(path) != mine[path] for twin in alike)]
        suffix = ", ".join(f"{path} {mine[path]}" for path in differing)
        labels.append(f"{cell.label} ({suffix})" if suffix else cell.label)
    return labels


def _spelled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by their keys, with those that the key `cell` names in place of it."""
    found = flat(values)
    words = found.pop("cell", None)
    return found if words is None else {**parse_overrides(shlex.split(words), are_kept=True), **found}


def _by_run(spec: SweepSpec, records: Iterable[RunRecord]) -> dict[tuple[str, int], list[RunRecord]]:
    """Runs of one identity and seed together; those that could not be built have none, and stay alone."""
    found: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        found.setdefault(_answers(spec, record), []).append(record)
    return found


def _cell(spec: SweepSpec, values: dict[str, Any], records: Sequence[RunRecord]) -> AskedCell:
    ranked = tuple(sorted(records, key=lambda record: _PREFERRED.index(record.state)))
    try:
        asked = spec.asked(values)
    except UserError:
        return AskedCell("cannot be built", 0, values, ranked, buildable=False)
    return AskedCell(asked.label, asked.seed, values, ranked)


def makeup(ledger: Ledger) -> list[str]:
    """The texts of sweep files for exactly what is lost; none where nothing is.

    The lost cells of a grid are no product of values. So one file searches over one key, `cell`, whose every value names all
    that the original searched over; what all cells share stays as it was. Another program has no such key: of its cells, each file
    has as many as are a product.
    """
    config = deepcopy(ledger.spec.config)
    if ledger.spec.method != "grid":
        missing = ledger.undrawn + len(ledger.lost)
        return [yaml.safe_dump(config | {"run_cap": missing}, sort_keys=False)] if missing else []
    if not ledger.lost:
        return []
    config.pop("run_cap", None)
    if ledger.spec.program:
        asked = parameters_of(config)
        lost = [[value_at(cell.values, parameter.names) for parameter in asked] for cell in ledger.lost]
        return [yaml.safe_dump(_over(config, asked, choices), sort_keys=False, width=140) for choices in products(lost)]
    searched = [path for path, definition in leaves(config["parameters"]) if "value" not in definition]
    if "cell" in searched:  # a makeup of a makeup
        cells = [cell.values["cell"] for cell in ledger.lost]
    else:
        cells = [words_of({path: flat(cell.values)[path] for path in searched}) for cell in ledger.lost]
    parameters: dict[str, Any] = {"cell": {"values": cells}}
    for path, definition in leaves(config["parameters"]):
        if "value" in definition:
            *groups, key = path.split(".")
            inside = parameters
            for group in groups:
                inside = inside.setdefault(group, {"parameters": {}})["parameters"]
            inside[key] = definition
    return [yaml.safe_dump(config | {"parameters": parameters}, sort_keys=False, width=140)]


def _over(config: Mapping[str, Any], parameters: Sequence[Parameter], values: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The same sweep over these values of each parameter."""
    changed = deepcopy(dict(config))
    for parameter, choices in zip(parameters, values, strict=True):
        inside: Any = changed
        for key in parameter.place[:-1]:
            inside = inside[key]
        inside[parameter.place[-1]] = {"values": list(choices)} if len(choices) > 1 else {"value": choices[0]}
    return changed


def products(cells: Iterable[Sequence[Any]]) -> list[list[list[Any]]]:
    """Cells, each a value of every parameter, as products of choices: in each product a list of choices for every parameter.

    Each cell is in one product. Those that differ in one parameter alone become one, parameter by parameter: few products, though not
    always the fewest.
    """
    found: list[list[list[Any]]] = [[[value] for value in cell] for cell in cells]
    for number in range(len(found[0]) if found else 0):
        alike: dict[str, list[list[Any]]] = {}
        for each in found:
            there = alike.setdefault(json.dumps([*each[:number], *each[number + 1 :]]), each)
            if there is not each:
                there[number] = there[number] + each[number]
        found = list(alike.values())
    return found


def words_of(values: Mapping[str, Any]) -> str:
    """Keys and values as `section.key=value` words, which the key `cell` takes and `parse_overrides` reads again."""
    return " ".join(_word(path, value) for path, value in values.items())


def _word(path: str, value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return shlex.quote(f"{path}={text}")
