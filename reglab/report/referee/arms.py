"""The two sides of a question, and the arms beside them: found in runs of reglab, or of any program."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reglab.errors import UserError
from reglab.report import stats
from reglab.report.claims.evidence import Evidence, result_of, sharing
from reglab.report.collection import Runs
from reglab.report.compare import conditions, conditions_in, measured, refuse_unknown_keys
from reglab.report.comparisons.chance import counts_as_chance, of_guessing
from reglab.report.comparisons.sides import ArmResults, One, Sides, of_several
from reglab.report.programs.roles import setting
from reglab.report.referee.question import TIMES, JudgedQuestion, Unit, unit_of
from reglab.report.studies.columns import Condition, written
from reglab.report.studies.measures import POINTS, TRAIN_SECONDS, Kind
from reglab.report.studies.study import Study
from reglab.tracking.record import RunRecord
from reglab.tracking.state import State

CHANCE_OUT = "none"
"""In place of a value for runs that diverged: they are left out."""

_Arm = tuple[tuple[tuple[str, str], ...], str]
"""Its levels, written, by column, and what tells it from others that no column does."""


@dataclass(frozen=True)
class Known(ArmResults):
    """`levels` are written, by column."""

    levels: Mapping[str, str]


@dataclass(frozen=True)
class AskedMetric(Sides):
    """The sides of a question. `lost`: runs of theirs that diverged or finished without a number, and count for nothing."""

    arms: Sequence[Known]
    cases: Sequence[tuple[int, int]]
    one: str
    other: str
    unit: Unit
    lost: int = 0

    def counts(self, side: int) -> int:
        """Seeds of the arm of a side that has least."""
        return min(len(self.arms[pair[side]].results) for pair in self.cases)

    @property
    def seeds(self) -> int:
        """Of both sides, as a difference has them: 3 against 6 are 4."""
        one, other = self.counts(0), self.counts(1)
        return int(2 * one * other / (one + other) + 1e-9)

    @property
    def digests(self) -> list[str]:
        """Of each result that is compared: what was looked at. By arm and seed: a table without ids numbers its runs anew each time."""
        compared = (self.arms[place] for pair in self.cases for place in pair)
        told = (f"{sorted(arm.levels.items())} {each.seed} {each.value!r}" for arm in compared for each in arm.results)
        return sorted(hashlib.sha256(text.encode()).hexdigest()[:12] for text in told)


def sides(runs: Runs, question: JudgedQuestion, unit: str | None = None, chance: str | None = None) -> AskedMetric:
    """Raises UserError for a condition that no run meets, for sides that do not exclude each other, and where nothing can be compared."""
    return _of_programs(runs, question, unit, chance) if runs.roles else _of_records(runs, question, unit, chance)


def _of_programs(runs: Runs, question: JudgedQuestion, unit: str | None, chance: str | None) -> AskedMetric:
    programs = runs.programs
    names = [column.name for column in programs.columns.values()]
    (one, first), (other, second) = conditions(question.one, question.other, programs.conditions, programs.columns)
    seed = programs.roles.seed
    of_chance = None if chance in (None, CHANCE_OUT) else _number(chance)
    groups: dict[tuple[str, ...], list[One]] = {}
    told = [(run, programs.roles.value(run), False) for run in programs.counted]
    for run, value, diverged in (*told, *((run, of_chance, True) for run in programs.lost)):
        if value is not None:
            key = tuple(written(setting(run, each)) for each in programs.roles.factors)
            groups.setdefault(key, []).append(One(run.id, _seed(setting(run, seed)) if seed else None, value, diverged))
    levels = [dict(zip(names, key, strict=True)) for key in groups]
    arms = [Known(_each_seed_once(results), there) for there, results in zip(levels, groups.values(), strict=True)]
    pairs = _pairs(arms, first, second, one, other)
    values = [each.value for arm in arms for each in arm.results]
    gone = 0 if of_chance is not None else programs.lost_of((first, second))
    in_unit = unit_of(question, values, unit)
    return AskedMetric(arms, pairs, in_unit.scale, one, other, in_unit, gone)


def _of_records(runs: Runs, question: JudgedQuestion, unit: str | None, chance: str | None) -> AskedMetric:
    study, metric = runs.study, question.metric
    refuse_unknown_keys(runs)
    kind = measured(metric, study.records)
    if unit is not None:
        raise UserError(f"--unit: what {metric} of reglab's runs is in is known")
    (one, first), (other, second) = conditions_in(study, question.one, question.other)
    results, came_to_nothing = _by_arm(study, kind, metric, chance)
    arms = [Known(tuple(by_seed.values()), dict(levels)) for (levels, _), by_seed in results.items()]
    pairs = _pairs(arms, first, second, one, other)
    names = list(results)
    compared = (record for pair in pairs for place in pair for record in came_to_nothing.get(names[place], ()))
    if chance is None and (unknown := next((record for record in compared if counts_as_chance(record, metric)), None)):
        raise UserError(f"{unknown.run_id} diverged, and counts as chance: say with --chance what that is (0.1 of ten classes), or none")
    gone = [dict(levels) for (levels, _), records in came_to_nothing.items() for _ in records]
    lost = sum(_meets(there, first) or _meets(there, second) for there in gone)
    found = AskedMetric(arms, pairs, 1.0, one, other, Unit(""), lost)
    if kind.unit == POINTS:
        return replace(found, scale=100.0, unit=Unit(POINTS, 100.0))
    if kind.is_time:
        return _of_times(study, question, found, (first, second))
    if question.in_points:
        raise UserError(f"by {question.margin:g} points: {metric} is in a unit of its own, and has none")
    return found


def _by_arm(study: Study, kind: Kind, metric: str, chance: str | None) -> tuple[dict[_Arm, dict[int, One]], dict[_Arm, list[RunRecord]]]:
    """What the runs of each arm came to, by seeds, of each the first; and those that diverged, and came to nothing."""
    results: dict[_Arm, dict[int, One]] = {}
    came_to_nothing: dict[_Arm, list[RunRecord]] = {}
    for record in sorted(study.records, key=lambda each: (each.created, each.run_id)):
        treated = study.treated[record.run_id]
        if treated is None:
            continue
        arm = tuple((name, written(treated[name])) for name in study.design.names), stats.arm(record)
        is_told = counts_as_chance(record, metric) or (chance is not None and not kind.is_time)
        diverged = record.state == State.diverged and is_told and chance != CHANCE_OUT
        value = (of_guessing(record) if chance is None else _number(chance)) if diverged else _own_result(metric, record)
        if value is not None:
            results.setdefault(arm, {}).setdefault(record.seed, One(record.run_id, str(record.seed), value, diverged))
        elif record.state == State.diverged:
            came_to_nothing.setdefault(arm, []).append(record)
    return results, came_to_nothing


def _of_times(study: Study, question: JudgedQuestion, found: AskedMetric, conditions: tuple[Condition, Condition]) -> AskedMetric:
    """The sides of a question on a time: its logarithms, since times are compared by their ratio, beside those of all other arms.

    Raises UserError for times that turns tell, that are of several machines, or that a run never came to.
    """
    evidence, metric = Evidence(study, None), question.metric
    if metric == TRAIN_SECONDS and evidence.in_turns({}, conditions).each:
        raise UserError(f"{metric}: these arms took turns (`reglab study time`): `reglab.compare` goes by them, and judge by runs")
    results = [each for arm in found.compared for each in arm.results]
    compared = {each.run for each in results}
    if study.by_turns & compared:
        raise UserError(f"{metric}: these runs have their times by turns: `reglab.compare` goes by them, and judge by runs")
    _refuse_unlike(question, [record for record in study.records if record.run_id in compared])
    if any(math.isinf(each.value) for each in results):
        raise UserError(f"{metric}: some of these runs never got there, and no ratio of means says how much later that is")
    places = {place for pair in found.cases for place in pair}
    arms = [_in_logarithms(arm) if place in places else replace(arm, results=()) for place, arm in enumerate(found.arms)]
    beside = [Known(arm.results, {}) for arm in evidence.beside(metric, compared)]
    return replace(found, arms=[*arms, *beside], unit=Unit(TIMES))


def _own_result(metric: str, record: RunRecord) -> float | None:
    """What a run came to by itself: a run that diverged never came to a target, and to nothing else."""
    if counts_as_chance(record, metric) or not (stats.counts(record) or record.state == State.diverged):
        return None
    return result_of(metric, record)


def _in_logarithms(arm: Known) -> Known:
    return replace(arm, results=tuple(replace(each, value=math.log(each.value)) for each in arm.results))


def _refuse_unlike(question: JudgedQuestion, timed: Sequence[RunRecord]) -> None:
    """Raises UserError for runs whose times are of no machine of their own, or of several."""
    if unquiet := [record for record in timed if not stats.is_quiet(record)]:
        raise UserError(f"{question.metric}: {sharing(unquiet)}; let such runs have one machine to themselves, from start to end")
    there = set(map(stats.place, timed))
    if len(there) > 1:
        raise UserError(f"{question.metric}: these runs are of {len(there)} machines or versions, whose times are never compared")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"--chance {text}: give the result that guessing has, in the metric's own numbers (0.1 of ten classes), or none")
    return value


def _seed(value: object) -> str | None:
    return None if value is None else written(value)


def _each_seed_once(results: Sequence[One]) -> tuple[One, ...]:
    """Several runs of one seed are one, with their mean. Where one lacks its seed, none has any."""
    if any(each.seed is None for each in results):
        return tuple(One(each.run, None, each.value, each.diverged) for each in results)
    by_seed: dict[str | None, list[One]] = {}
    for each in results:
        by_seed.setdefault(each.seed, []).append(each)
    return tuple(
        One(
            " ".join(sorted(run.run for run in same)),
            seed,
            math.fsum(run.value for run in same) / len(same),
            any(run.diverged for run in same),
        )
        for seed, same in by_seed.items()
    )


def _pairs(arms: Sequence[Known], first: Condition, second: Condition, one: str, other: str) -> list[tuple[int, int]]:
    """Places of arms that meet the conditions and have all else in common."""
    named = {*first, *second}
    mine, its = (_meeting(arms, asked, named) for asked in (first, second))
    both = [rest for rest in mine if rest in its]
    for said, found in ((one, mine), (other, its)):
        if why := of_several(said, ([arms[place].levels for place in found[rest]] for rest in both), sorted(named)):
            raise UserError(why)
    pairs = [(mine[rest][0], its[rest][0]) for rest in both]
    if not pairs:
        raise UserError(f"{one} and {other}: no finished runs of the two have all else in common")
    return pairs


def _meets(there: Mapping[str, str], asked: Condition) -> bool:
    return all(there[name] in levels for name, levels in asked.items())


def _meeting(arms: Sequence[Known], asked: Condition, but: Iterable[str]) -> dict[tuple[tuple[str, str], ...], list[int]]:
    """Places of the arms that meet a condition, by what they have in all columns but some."""
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, arm in enumerate(arms):
        if _meets(arm.levels, asked):
            found.setdefault(tuple((name, level) for name, level in arm.levels.items() if name not in but), []).append(place)
    return found
