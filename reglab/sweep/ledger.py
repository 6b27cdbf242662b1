"""What a sweep asked for against what is there: finished, under way, lost, missing; and a sweep file for what is missing.

A cell of a grid is one identity and seed, whichever sweep or machine trained it. A search has no cells before it draws them:
of it, the runs that it may have drawn are counted against its cap, and what it drew twice counts twice.
"""

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import yaml

from reglab.config import RunConfig, current, flat, identity, nested, run_id
from reglab.errors import UserError
from reglab.sweep import engines
from reglab.sweep.definition import leaves, parameters_of
from reglab.sweep.distributions import Constant, Distribution, IntUniform
from reglab.sweep.spec import SweepSpec
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import RunRecord, State

MISSING = "missing"

_PREFERRED = (State.finished, State.stopped, State.diverged, State.running, State.preempted, State.pending, State.crashed, State.failed)
"""Of several runs of one cell, the one that tells most."""

_LOST = (MISSING, State.crashed, State.failed)

_WELL = (State.finished, State.stopped, State.diverged)

_FEW = 500
"""Of a search over fewer configurations than this, each is looked at."""


@dataclass(frozen=True)
class Cell:
    """One run that the sweep asks for, with the runs that answer it: the best first."""

    label: str
    seed: int
    values: dict[str, Any]
    records: tuple[RunRecord, ...]

    @property
    def state(self) -> str:
        return self.records[0].state if self.records else MISSING

    @property
    def duplicates(self) -> tuple[RunRecord, ...]:
        """Runs that were finished beside another that was."""
        return tuple(record for record in self.records[1:] if record.state == State.finished)

    @property
    def buildable(self) -> bool:
        try:
            RunConfig.parse(self.values)
        except UserError:
            return False
        return True


@dataclass(frozen=True)
class Ledger:
    """`undrawn`: how many runs a search may still draw. `others`: runs that this sweep does not ask for."""

    spec: SweepSpec
    cells: tuple[Cell, ...]
    undrawn: int
    others: tuple[RunRecord, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many cells are in each state."""
        return Counter([cell.state for cell in self.cells]) + Counter({MISSING: self.undrawn})

    @property
    def lost(self) -> tuple[Cell, ...]:
        """Cells that no run answers, nor will: never begun, crashed, or failed though they can be built."""
        return tuple(cell for cell in self.cells if cell.state in _LOST and cell.buildable)

    @property
    def complete(self) -> bool:
        return not self.undrawn and all(cell.state in _WELL for cell in self.cells)


def reckon(spec: SweepSpec, records: Sequence[RunRecord], draws: Sequence[dict[str, Any]] = ()) -> Ledger:
    """The ledger of a sweep with these runs. `draws`: the values that a search on this machine is known to have drawn.

    Raises UserError where its runs saw other images under one name.
    """
    found = _reckoned(spec, records, draws)
    refuse_mixed(record for cell in found.cells for record in cell.records)
    return found


def _reckoned(spec: SweepSpec, records: Sequence[RunRecord], draws: Sequence[dict[str, Any]]) -> Ledger:
    if spec.method == "grid":
        return _of_grid(spec, records)
    possible, asked = _possible(spec), {key: values for values in draws if (key := _key(values))}
    drawn, others = list[RunRecord](), list[RunRecord]()
    for record in records:
        is_known = (record.identity, record.seed) in possible | asked.keys()
        (drawn if is_known or draw(spec, record) is not None else others).append(record)
    groups = _by_run(drawn)
    cells = [_cell(group[0].config, group) for group in groups.values()]
    cells += [_cell(values, ()) for key, values in asked.items() if key not in groups]
    undrawn = max((spec.run_cap or 0) - max(len(draws), sum(map(_times_drawn, groups.values())), len(cells)), 0)
    there = groups.keys() | asked.keys()
    if undrawn and (possible <= there if possible else _draws_nothing_else(spec, drawn, there)):
        undrawn = 0
    return Ledger(spec, tuple(cells), undrawn, tuple(others))


def _times_drawn(group: Sequence[RunRecord]) -> int:
    """How often a search drew this arm and seed, as its runs tell: what W&B's server draws again runs again, in the same sweep."""
    return max(Counter(record.sweep for record in group if record.state in _WELL).values(), default=1)


def _key(values: dict[str, Any]) -> tuple[str, int] | None:
    """Identity and seed of what these values ask for; None where it cannot be built."""
    try:
        config = RunConfig.parse(values)
    except UserError:
        return None
    return identity(config), config.train.seed


def _possible(spec: SweepSpec) -> Set[tuple[str, int]]:
    """Identities and seeds of all runs that a search can draw, where they are few; else none."""
    searched = {parameter.path: _choices(parameter.distribution) for parameter in parameters_of(spec.config)}
    if not searched or math.prod(len(choices) if choices else _FEW for choices in searched.values()) >= _FEW:
        return frozenset()
    combinations = product(*(choices or () for choices in searched.values()))
    keys = (_key(nested(dict(zip(searched, values, strict=True)))) for values in combinations)
    return frozenset(key for key in keys if key)


def _draws_nothing_else(spec: SweepSpec, drawn: Sequence[RunRecord], there: Set[tuple[str, int]]) -> bool:
    """Whether all that a random search draws on this machine is there. W&B's server draws otherwise, and names its runs otherwise."""
    if spec.method != "random" or not all(record.is_named_after_identity for record in drawn):
        return False
    keys = (_key(values) for values in engines.of(spec.config).rest())
    return all(key in there for key in keys if key)


def _choices(distribution: Distribution) -> list[Any] | None:
    """All values that a key can be drawn with, where they can be counted."""
    if isinstance(distribution, IntUniform):
        return list(range(distribution.min, min(distribution.max, distribution.min + _FEW) + 1))
    return distribution.choices


def draw(spec: SweepSpec, record: RunRecord) -> dict[str, Any] | None:
    """The values with which a search may have drawn this run: they lie where it searches, and ask for this very run; None where none do."""
    there = flat(record.config)
    if spec.has_space_of_its_own:
        return record.config  # whatever it suggests is among the keys
    asked = {}
    for parameter in parameters_of(spec.config):
        path, distribution = parameter.path, parameter.distribution
        if isinstance(distribution, Constant):
            asked[path] = distribution.value
        elif _covers(distribution, value := there.get(current(path))):
            asked[path] = value
        else:
            return None
    values = nested(asked)
    try:
        is_it = run_id(RunConfig.parse(values)) == f"{record.identity}-s{record.seed}"
    except UserError:  # a run that cannot be built has its keys as they were drawn
        is_it = all(current(path) in there and _number(there[current(path)]) == _number(value) for path, value in asked.items())
    return values if is_it else None


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
    there = _by_run(records)
    cells: dict[tuple[str, int], Cell] = {}
    for values, config in spec.cells:
        key = identity(config), config.train.seed
        cells.setdefault(key, _cell(values, there.get(key, ())))  # two values without effect are one cell
    others = [record for key, group in there.items() if key not in cells for record in group]
    return Ledger(spec, tuple(_told_apart(spec, list(cells.values()))), 0, tuple(others))


def _told_apart(spec: SweepSpec, cells: Sequence[Cell]) -> list[Cell]:
    """Cells of one label and seed get the searched keys that they differ in added to it: `baseline (optimizer.lr 0.1)`."""
    searched = [path for path, definition in leaves(spec.config["parameters"]) if "value" not in definition]
    named = []
    for cell in cells:
        mine, twins = flat(cell.values), [flat(each.values) for each in cells if (each.label, each.seed) == (cell.label, cell.seed)]
        differing = [path for path in searched if any(twin[path] != mine[path] for twin in twins)]
        suffix = ", ".join(f"{path} {mine[path]}" for path in differing)
        named.append(replace(cell, label=f"{cell.label} ({suffix})") if suffix else cell)
    return named


def _by_run(records: Iterable[RunRecord]) -> dict[tuple[str, int], list[RunRecord]]:
    """Runs of one identity and seed together; those that could not be built have none, and stay alone."""
    found: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        found.setdefault((record.identity or record.run_id, record.seed), []).append(record)
    return found


def _cell(values: dict[str, Any], records: Sequence[RunRecord]) -> Cell:
    ranked = tuple(sorted(records, key=lambda record: _PREFERRED.index(record.state)))
    try:
        config = RunConfig.parse(values)
    except UserError:
        return Cell("cannot be built", 0, values, ranked)
    return Cell(config.label, config.train.seed, values, ranked)


def makeup(ledger: Ledger) -> str | None:
    """The text of a sweep file for exactly what is lost; None where nothing is.

    The lost cells of a grid are no product of values. So the file searches over one key, `cell`, whose every value names all
    that the original searched over; what all cells share stays as it was.
    """
    config = deepcopy(ledger.spec.config)
    if ledger.spec.method != "grid":
        missing = ledger.undrawn + len(ledger.lost)
        return yaml.safe_dump(config | {"run_cap": missing}, sort_keys=False) if missing else None
    if not ledger.lost:
        return None
    config.pop("run_cap", None)
    searched = [path for path, definition in leaves(config["parameters"]) if "value" not in definition]
    if "cell" in searched:  # a makeup of a makeup
        cells = [cell.values["cell"] for cell in ledger.lost]
    else:
        cells = [" ".join(_word(path, flat(cell.values)[path]) for path in searched) for cell in ledger.lost]
    parameters: dict[str, Any] = {"cell": {"values": cells}}
    for path, definition in leaves(config["parameters"]):
        if "value" in definition:
            section, _, key = path.rpartition(".")
            (parameters.setdefault(section, {"parameters": {}})["parameters"] if section else parameters)[key] = definition
    return yaml.safe_dump(config | {"parameters": parameters}, sort_keys=False, width=140)


def _word(path: str, value: Any) -> str:
    """`section.key=value`, as `parse_overrides` reads it again."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    return shlex.quote(f"{path}={text}")
