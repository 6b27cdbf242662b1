"""The runs of a report as one study: what they have in common, what its base is, and which runs are of another set-up."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from reglab.config import FIELDS, SPEED_KEYS, as_given, effective
from reglab.report import stats
from reglab.report.studies import quiet
from reglab.report.studies.blocks import Treated
from reglab.report.studies.cells import Cell, cells, told_apart
from reglab.report.studies.columns import Condition, Treatment, in_order, meets, of_base, written
from reglab.report.studies.design import Design, Question
from reglab.report.studies.measures import MEASURES, Kind, Target, measured, names_of, unmeasured
from reglab.tracking.record import RunRecord, State


@dataclass(frozen=True)
class Study:
    """`records`: those of the study's set-up, whatever came of them. `others`: runs that differ in what a study holds fixed.

    `again` are runs of an arm and seed that the records have already: each counts once. `treated` is what each run has in the
    columns of the design, by its id; `base` is what they depart from. `fixed` is the set-up, key by key; `differing` names the keys
    in which others differ from it, with all values there are. `turns` are turns of arms in this set-up, as runs that tell their training
    time and nothing else; `other_turns` those in another, or that cannot be built; and `measured` are the records as the runs have
    them, by their ids, where the times of some are told by turns (`quiet.py`).
    """

    records: tuple[RunRecord, ...]
    others: tuple[RunRecord, ...]
    again: tuple[RunRecord, ...]
    design: Design
    treated: Mapping[str, Treatment | None]
    base: Treatment
    fixed: Mapping[str, Any]
    differing: Mapping[str, tuple[Any, ...]]
    turns: tuple[RunRecord, ...] = ()
    other_turns: tuple[RunRecord, ...] = ()
    measured: Mapping[str, RunRecord] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[RunRecord], design: Design, turns: Iterable[RunRecord] = ()) -> "Study":
        """Return the study that most of the runs belong to; where there are turns only, most of those."""
        runs, timed = ([_Read.of(record, design) for record in some] for some in (records, turns))
        told = runs or timed
        fixed = _commonest([run.held for run in told if stats.counts(run.record) and run.held] or [run.held for run in told])
        mine, again = _each_once([run.record for run in runs if run.is_of(fixed)])
        others = tuple(run.record for run in runs if not run.is_of(fixed))
        values = {key: dict.fromkeys(run.held[key] for run in told if run.held and key in run.held) for key in fixed}
        differing = {key: tuple(found) for key, found in values.items() if len(found) > 1}
        treated = {run.record.run_id: run.treated for run in (*runs, *timed)}
        took_turns, others_took = (
            tuple(run.record for run in timed if (run.treated is not None and run.is_of(fixed)) is which) for which in (True, False)
        )
        measured, mine = {record.run_id: record for record in mine}, quiet.told_by_most(mine, quiet.sessions(took_turns))
        there, ended, at_least = (
            {each for record in some if (each := treated[record.run_id])} for some in (mine, filter(stats.counts, mine), took_turns)
        )
        plain = base(design, ended or there or at_least)
        return cls(mine, others, again, design, treated, plain, fixed, differing, took_turns, others_took, measured)

    @cached_property
    def departures(self) -> Mapping[Treatment, frozenset[str]]:
        """In which factors each treatment differs from the base."""
        return {each: departures(self.design, each, self.base) for each in set(self.treated.values()) if each}

    @property
    def target(self) -> Target:
        """The training accuracy whose time is taken."""
        share, on = (self.fixed.get(key, FIELDS[key].default) for key in ("train.target_accuracy", "train.target_on"))
        return Target(share, on)

    @cached_property
    def arm_of(self) -> Mapping[str, str]:
        """What reports call the arm of each run and turn, by its id."""
        return {record.run_id: stats.arm(record) for record in (*self.records, *self.turns)}

    @cached_property
    def arms(self) -> Mapping[str, tuple[RunRecord, ...]]:
        """The finished runs of each arm that could be built, by their seeds; the arms in the order of their names."""
        return self._by_arm(self.records)

    @cached_property
    def timed_arms(self) -> Mapping[str, tuple[RunRecord, ...]]:
        """The turns of each arm, by their rounds."""
        return self._by_arm(self.turns)

    def _by_arm(self, records: Iterable[RunRecord]) -> Mapping[str, tuple[RunRecord, ...]]:
        found: dict[str, list[RunRecord]] = {}
        for record in sorted(records, key=lambda record: record.seed):
            if stats.counts(record) and self.treated[record.run_id]:
                found.setdefault(self.arm_of[record.run_id], []).append(record)
        return {arm: tuple(found[arm]) for arm in sorted(found)}

    @cached_property
    def by_turns(self) -> frozenset[str]:
        """The ids of runs whose times are told by turns where arms are shown beside each other."""
        return frozenset(record.run_id for record in self.records if self.is_by_turns(record))

    def is_by_turns(self, record: RunRecord) -> bool:
        """Whether the times of a run are told by turns here, and not as it has them."""
        return record is not self.measured.get(record.run_id, record)

    def together(self, records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        """Runs whose times are compared: by turns that their arms took together, where they shared what they ran on."""
        if not self.sessions:
            return tuple(records)
        measured = [self.measured[record.run_id] for record in records]
        return quiet.told_together(measured, self.sessions, self.records)

    @cached_property
    def sessions(self) -> tuple[quiet.Rounds, ...]:
        """The quiet turns, session by session."""
        return quiet.sessions(self.turns)

    @property
    def seeds(self) -> int:
        """Of the arm that has most."""
        return max(map(len, self.arms.values()), default=0)

    @property
    def is_replicated(self) -> bool:
        """Whether any arm has two seeds, so that something tells of chance from seed to seed."""
        return self.seeds > 1

    def measure(self, name: str) -> Kind:
        """The measure of this name, as its runs have it; one that none of them has is None of each."""
        if name not in self._measures:
            self._measures[name] = measured(name, self.records) or unmeasured(name)
        return self._measures[name]

    @cached_property
    def _measures(self) -> dict[str, Kind]:
        return {}

    @cached_property
    def own(self) -> Sequence[Kind]:
        """The metrics of the user's that its runs have, or its figures show."""
        shown = (name for question in self.design.questions for figure in question.figures for name in figure.y)
        return [self.measure(name) for name in dict.fromkeys([*names_of(self.records), *shown]) if name not in MEASURES]

    def is_about(self, question: Question, treated: Treatment) -> bool:
        """Say whether the question is about an arm."""
        return is_about(question, treated, self.base, self.departures[treated])

    def asks(self, question: Question, record: RunRecord) -> bool:
        """Whether a run is one that the question is about."""
        treated = self.treated[record.run_id]
        return treated is not None and self.is_about(question, treated)

    @cached_property
    def cells(self) -> list[Cell]:
        """All arms, the best first."""
        return cells(self.records, self.treated, self.design, self.own)

    def _cells(self, asked: Callable[[RunRecord], bool]) -> list[Cell]:
        """The arms that are asked for, the best first, under labels that tell these apart."""
        return told_apart([cell for cell in self.cells if asked(cell.records[0])], self.design)

    def answers(self, question: Question) -> list[Cell]:
        """The arms that answer a question, in the order of its table."""
        return self._ordered(self._cells(partial(self.asks, question)), question.order)

    def unasked(self, questions: Collection[Question]) -> list[Cell]:
        """The arms that answer none of the questions, and runs that could not be built."""
        return self._cells(lambda record: not any(self.asks(question, record) for question in questions))

    @cached_property
    def timed_cells(self) -> list[Cell]:
        """The arms that took turns, in the order of their factors; of each what its turns tell, which is its training time."""
        return self._ordered(told_apart(cells(self.turns, self.treated, self.design), self.design), "factors")

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What each run is called among all: by its id. No two arms have one name."""
        everything = told_apart(cells((*self.records, *self.others, *self.again), self.treated, self.design), self.design, self.base)
        return {record.run_id: cell.label for cell in everything for record in cell.records}

    def is_baseline(self, question: Question, treated: Treatment) -> bool:
        """Whether an arm is the one that the question's table compares with."""
        return is_baseline(self.design, question, treated, self.base)

    def ended(self, question: Question | None, at: Condition, diverged: bool = False, turns: bool = False) -> Iterator[Treated]:
        """The finished runs of a question, or of all, at some levels, or the turns; with those that diverged, where asked for."""
        for record in self.turns if turns else self.records:
            treated = self.treated[record.run_id]
            counts = stats.counts(record) or (diverged and record.state == State.diverged)
            if treated and counts and (question is None or self.is_about(question, treated)) and meets(treated, at, self.base):
                yield treated, record

    def images(self) -> list[set[str]]:
        """Fingerprints of the images, a set for each number of them that was held out: one in each where all runs saw the same."""
        seen: dict[int, set[str]] = {}
        for record in self.records:
            if record.environment and self.treated[record.run_id]:
                held_out = record.config.get("data", {}).get("validation", 0)
                seen.setdefault(held_out, set()).add(record.environment.data_fingerprint)
        return list(seen.values())

    def unlike_the_published(self) -> list[str]:
        """In which ways this is not the set-up in which the study was published, for people."""
        environments = [record.environment for record in self.records if record.environment]
        by_key = {column.sources[0]: name for name, column in self.design.by_name.items() if column.kind == "key"}
        there: dict[str, Any] = {
            "images": " and ".join(dict.fromkeys(each.data for each in environments)),
            "train_images": max((each.train_images for each in environments), default=None),
            "seeds": self.seeds,
        }
        said = []
        for key, expected in self.design.setup.items():
            found = there[key] if key in there else self.base[by_key[key]] if key in by_key else self.fixed.get(key)
            if found not in (None, "", expected):
                name = "" if key == "images" else key.rpartition(".")[2].replace("_", " ") + " "
                said.append(f"{name}{_counted(found)} instead of {_counted(expected)}".replace("train images", "training images"))
        return said

    def _ordered(self, cells: Sequence[Cell], order: str) -> list[Cell]:
        if order == "best":
            return sorted(cells, key=_rank)
        columns = [self.design.by_name[name] for name in (self.design.names if order == "factors" else (order,))]
        return sorted(cells, key=lambda cell: [column.place(cell.treatment[column.name]) for column in columns] if cell.treatment else [])


@dataclass(frozen=True)
class _Read:
    """A run with what it has in the columns of a design, and what it holds fixed, key by key; None of both where it cannot be built."""

    record: RunRecord
    treated: Treatment | None
    held: Mapping[str, Any] | None

    @classmethod
    def of(cls, record: RunRecord, design: Design) -> "_Read":
        config = stats.built(record)
        if config is None:
            return cls(record, None, None)
        acting, given = effective(config), as_given(config)
        return cls(record, design.treatment(given | acting), _setup(acting, given, design))

    def is_of(self, fixed: Mapping[str, Any]) -> bool:
        """Whether it is of this set-up; one that cannot be built is of any."""
        return self.held is None or all(fixed.get(key, value) == value for key, value in self.held.items())


def _counted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _rank(cell: Cell) -> tuple[bool, float]:
    """The best first; what was searched for behind what was chosen, by the images that it was searched with."""
    by = cell.validation_accuracy if cell.is_searched else cell.test_accuracy
    return cell.is_searched, -(by.mean if by else 0)


def departures(design: Design, treated: Treatment, base: Treatment) -> frozenset[str]:
    """The factors in which a treatment differs from the base."""
    return frozenset(name for name in design.names if written(treated[name]) != written(base[name]))


def is_about(question: Question, treated: Treatment, base: Treatment, departures: Collection[str]) -> bool:
    """Whether a treatment departs from the base in what the question varies only, and is among those that it takes."""
    allowed = question.varies is None or set(departures) <= set(question.varies)
    return allowed and (not question.among or any(meets(treated, condition, base) for condition in question.among))


def is_baseline(design: Design, question: Question, treated: Treatment, base: Treatment) -> bool:
    """Whether a treatment is the one that the question compares with."""
    if question.against is None:
        return False
    wanted = {name: of_base(levels[0], base[name]) for name, levels in question.against.items()}
    return all(written(treated[name]) == wanted.get(name, written(base[name])) for name in design.names)


def base(design: Design, treatments: Iterable[Treatment]) -> Treatment:
    """The plain arm of a study: every factor at its default, or, where the study says so, at what most arms have."""
    treatments = list(treatments)
    levels = {}
    for name, column in design.by_name.items():
        if column.is_factor:
            common = Counter(treated[name] for treated in treatments) if column.is_common else Counter()
            levels[name] = max(common, key=lambda level: (common[level], in_order(level))) if common else column.plain
    return design.with_columns(levels)


def _setup(acting: Mapping[str, Any], given: Mapping[str, Any], design: Design) -> dict[str, Any]:
    """What a study holds fixed while its factors vary, as far as it has an effect on a run's results: key paths and values.

    As they were given: AdamW stays AdamW where a factor takes its decay away.
    """
    fixed = {key: value for key, value in acting.items() if key not in design.covered | SPEED_KEYS}
    return {key: value if given.get(key) is None else given[key] for key, value in fixed.items()}


def _commonest(setups: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
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


def _each_once(records: Sequence[RunRecord]) -> tuple[tuple[RunRecord, ...], tuple[RunRecord, ...]]:
    """One run of each arm and seed, a finished one where there is one, and the earliest of those; and the others."""
    kept: dict[tuple[str, int], RunRecord] = {}
    for record in sorted(records, key=lambda record: (not stats.counts(record), record.created)):
        kept.setdefault((stats.arm(record), record.seed), record)
    ids = {record.run_id for record in kept.values()}
    return tuple(record for record in records if record.run_id in ids), tuple(record for record in records if record.run_id not in ids)
