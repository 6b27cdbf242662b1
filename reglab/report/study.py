"""The runs of a report as one study: what they have in common, what its base is, and which runs are of another set-up."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from reglab.config import RunConfig
from reglab.report import stats
from reglab.report.factors import Factors, base, factors, setup
from reglab.report.stats import Cell
from reglab.tracking.record import RunRecord, State

_STUDY = RunConfig()
"""The set-up of the published study, as far as its text gives it."""

SEEDS = 3
"""Of each arm, where a study is whole."""


class Asked(Protocol):
    """A question, as far as a study answers it."""

    @property
    def order(self) -> str: ...

    def is_about(self, treated: Factors, base: Factors) -> bool: ...


@dataclass(frozen=True)
class Study:
    """`records`: those of the study's set-up, whatever came of them. `others`: runs that differ in what a study holds fixed.

    `again` are runs of an arm and seed that the records have already: each counts once. `treated` are the records' factors, by
    run id; `base` is what they depart from. `fixed` is the set-up, key by key; `differing` names the keys in which others differ
    from it, with all values there are.
    """

    records: tuple[RunRecord, ...]
    others: tuple[RunRecord, ...]
    again: tuple[RunRecord, ...]
    treated: Mapping[str, Factors | None]
    base: Factors
    fixed: Mapping[str, Any]
    differing: Mapping[str, tuple[Any, ...]]
    departures: Mapping[Factors, frozenset[str]]
    """In which factors each treatment differs from the base."""

    @classmethod
    def of(cls, records: Iterable[RunRecord]) -> "Study":
        """The study that most of the runs belong to."""
        parsed = [(record, stats.built(record)) for record in records]
        setups = [setup(config) if config else None for _, config in parsed]  # what cannot be built belongs to any
        fixed = _commonest([held for (record, _), held in zip(parsed, setups, strict=True) if held and stats.counts(record)] or setups)
        mine: list[tuple[RunRecord, RunConfig | None]] = []
        others: list[RunRecord] = []
        for (record, config), held in zip(parsed, setups, strict=True):
            if held is None or all(fixed.get(key, value) == value for key, value in held.items()):
                mine.append((record, config))
            else:
                others.append(record)
        mine, again = _each_once(mine)
        values = {key: dict.fromkeys(held[key] for held in setups if held and key in held) for key in fixed}
        differing = {key: tuple(found) for key, found in values.items() if len(found) > 1}
        treated = {record.run_id: factors(config) if config else None for record, config in mine}
        arms = {treatment for treatment in treated.values() if treatment}
        plain = base(arms)
        departures = {treatment: treatment.departures(plain) for treatment in arms}
        return cls(tuple(record for record, _ in mine), tuple(others), tuple(again), treated, plain, fixed, differing, departures)

    @property
    def target(self) -> float:
        """The training accuracy whose time is taken."""
        return self.fixed.get("train.target_accuracy", _STUDY.train.target_accuracy)

    @property
    def seeds(self) -> int:
        """Of the arm that has most."""
        return max(Counter(stats.arm(record) for record in self.records if stats.counts(record)).values(), default=0)

    def asks(self, question: Asked, record: RunRecord) -> bool:
        """Whether a run is one that the question is about."""
        treated = self.treated[record.run_id]
        return treated is not None and question.is_about(treated, self.base)

    def answers(self, question: Asked) -> list[Cell]:
        """The arms that answer a question, in the order of its table."""
        return _ordered(stats.cells(record for record in self.records if self.asks(question, record)), question.order)

    def unasked(self, questions: Collection[Asked]) -> list[Cell]:
        """The arms that answer none of the questions, and runs that could not be built."""
        return stats.cells(record for record in self.records if not any(self.asks(question, record) for question in questions))

    def varying(self, names: Collection[str], diverged: bool = False) -> Iterator[tuple[Factors, RunRecord]]:
        """The finished runs that depart from the base in these factors only; with those that diverged, where asked for."""
        allowed = frozenset(names)
        for record in self.records:
            treated = self.treated[record.run_id]
            ended = stats.counts(record) or (diverged and record.state == State.diverged and record.summary is not None)
            if treated and ended and self.departures[treated] <= allowed:
                yield treated, record

    def images(self) -> list[set[str]]:
        """Fingerprints of the images, a set for each number of them that was held out: one in each where all runs saw the same."""
        seen: dict[int, set[str]] = {}
        for record in self.records:
            if record.environment and (treated := self.treated[record.run_id]):
                seen.setdefault(treated.held_out, set()).add(record.environment.data_fingerprint)
        return list(seen.values())

    def unlike_the_published(self) -> list[str]:
        """In which ways this is not the published study's own set-up, for people."""
        images = {record.environment.data: record.environment.train_images for record in self.records if record.environment}
        said = [f"{' and '.join(images)} instead of CIFAR-10"] if self.fixed.get("data.source") != "cifar10" and images else []
        if limit := self.fixed.get("data.train_limit"):
            said.append(f"{limit:,} training images instead of 50,000")
        departures = (
            ("width {}", self.fixed.get("model.width"), _STUDY.model.width),
            ("{} epochs", self.base.epochs, _STUDY.train.epochs),
            ("batch size {}", self.base.batch_size, _STUDY.train.batch_size),
            ("{} seed" if self.seeds == 1 else "{} seeds", self.seeds, SEEDS),
        )
        return said + [
            f"{form.format(there)} instead of {expected}" for form, there, expected in departures if there not in (None, expected)
        ]


def _commonest(setups: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """The set-up of most runs: as a whole in what all runs have, then key by key in what only some techniques have."""
    there = [held for held in setups if held]
    everywhere = frozenset.intersection(*(frozenset(held) for held in there)) if there else frozenset()
    core = Counter(frozenset((key, held[key]) for key in everywhere) for held in there)
    fixed = dict(core.most_common(1)[0][0]) if core else {}
    for held in (held for held in there if all(held[key] == fixed[key] for key in everywhere)):
        for key in held.keys() - fixed.keys():
            values = Counter(other[key] for other in there if key in other)
            fixed[key] = values.most_common(1)[0][0]
    return fixed


_Parsed = tuple[RunRecord, RunConfig | None]


def _each_once(parsed: Sequence[_Parsed]) -> tuple[list[_Parsed], list[RunRecord]]:
    """One run of each arm and seed, a finished one where there is one, and the earliest of those; and the others."""
    kept: dict[tuple[str, int], _Parsed] = {}
    for record, config in sorted(parsed, key=lambda pair: (not stats.counts(pair[0]), pair[0].created)):
        kept.setdefault((stats.arm(record), record.seed), (record, config))
    ids = {record.run_id for record, _ in kept.values()}
    return [pair for pair in parsed if pair[0].run_id in ids], [record for record, _ in parsed if record.run_id not in ids]


def _ordered(cells: Sequence[Cell], order: str) -> list[Cell]:
    if order == "accuracy":
        return sorted(cells, key=_rank)
    return sorted(cells, key=_place) if order == "factors" else list(cells)


def _rank(cell: Cell) -> tuple[bool, float]:
    """The best first; what was searched for behind what was chosen, by the images that it was searched with."""
    searched = bool(cell.factors and cell.factors.held_out)
    by = cell.validation_accuracy if searched else cell.test_accuracy
    return searched, -(by.mean if by else 0)


def _place(cell: Cell) -> tuple[Any, ...]:
    """In a table by factors."""
    treated = cell.factors or Factors()
    layers = treated.clip or 0, treated.batchnorm, treated.placement, treated.layers, treated.dropout
    return *layers, treated.batch_size, treated.transformations, treated.per, treated.cutout, cell.label
