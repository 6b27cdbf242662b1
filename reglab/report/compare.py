"""Whether one setting is better than another, or it is chance: `reglab.compare`."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab.config import nearest
from reglab.errors import UserError, excerpt
from reglab.report import stats
from reglab.report.claims import asked
from reglab.report.claims.evidence import Evidence
from reglab.report.claims.findings import Verdict
from reglab.report.collection import Runs
from reglab.report.comparisons.parts import ANYTHING
from reglab.report.comparisons.sides import of_several
from reglab.report.sections import per_image
from reglab.report.sections.per_image import OnTheSameImages
from reglab.report.studies.columns import Column, Condition, brief, meets, written
from reglab.report.studies.measures import NUMBER, POINTS, Kind, names_of, value_of
from reglab.report.studies.measures import measured as measured_by
from reglab.report.studies.study import Study
from reglab.report.writing.digits import decimals
from reglab.report.writing.numbers import counted
from reglab.tracking.record import RunRecord

Setting = str | Mapping[str, Any]
"""`{"optimizer.lr": 0.1}`, `"optimizer.lr=0.1 train.batch_size=64"`, or what a report calls an arm."""

_Asked = tuple[str, Condition]
"""What a setting is called, and the levels that it asks for, by the names of columns."""

_TEST = "test/accuracy"


@dataclass(frozen=True)
class Comparison:
    """What `a` has more than `b` in `on`, in `unit` (`points` of per cent, `times` as much, or none: the program's own numbers).

    The interval is a 95 % one over `n` of `over`, and None where these are too few. `verdict`: `a is better`, `b is better`
    (`has more`, in a metric of the user's that says neither is), `alike` (within the margin that was asked for), or `undecided`.
    `why`: where nothing is decided whatever the interval says, as of times on shared cores, the reason in a line.
    `images`: of test accuracies, which images only one gets right, where the runs tell; `apart` says in a line why that is not compared,
    where they were tested on other images. `left_out`: of another program's runs, how many of either setting diverged, or finished without
    a number in `on`; the estimate is without them.
    """

    a: str
    b: str
    on: str
    estimate: float
    low: float | None
    high: float | None
    n: int
    over: str
    unit: str
    verdict: str
    images: OnTheSameImages | None = None
    apart: str | None = None
    why: str = ""
    left_out: int = 0

    def __str__(self) -> str:
        side, _, rest = self.verdict.partition(" ")
        verdict = f"{self.a if side == 'a' else self.b} {rest}" if rest else self.verdict
        line = f"{self.on}, {self.a} against {self.b}: {self._amounts()}, n = {counted(self.n, self.over)}: {verdict}" + (
            f" ({self.why})" if self.why else ""
        )
        return "; ".join(filter(None, (line, self._images(), self._left_out())))

    def _left_out(self) -> str:
        return f"left out: {self.left_out} that diverged or finished without a number in {self.on}" if self.left_out else ""

    def _images(self) -> str | None:
        return self.images.said(self.a, self.b) if self.images else self.apart

    def _amounts(self) -> str:
        half = None if self.low is None or self.high is None else (self.high - self.low) / 2
        places = 1 if self.unit == POINTS else 2 if self.unit == "times" else decimals(half, self.estimate)
        sign = "" if self.unit == "times" else "+"
        low, high = ("" if bound is None else f"{bound:{sign}z,.{places}f}" for bound in (self.low, self.high))
        interval = f"{low} to {high}" if half is not None else "no interval"
        return " ".join(filter(None, (f"{self.estimate:{sign}z,.{places}f}", self.unit, f"({interval})")))

    def _repr_html_(self) -> str:
        cells = {
            "on": self.on,
            "a": self.a,
            "b": self.b,
            "a against b": self._amounts(),
            "n": counted(self.n, self.over),
            "verdict": f"{self.verdict} ({self.why})" if self.why else self.verdict,
        } | ({"on the same images": images} if (images := self._images()) else {})
        cells |= {"left out": self._left_out().removeprefix("left out: ")} if self.left_out else {}
        heads, row = (
            "".join(f"<{tag}>{html.escape(each)}</{tag}>" for each in texts) for tag, texts in (("th", cells), ("td", cells.values()))
        )
        return f"<table><tr>{heads}</tr><tr>{row}</tr></table>"


def compare(runs: Runs, a: Setting, b: Setting, on: str | None = None, margin: float = 0.0) -> Comparison:
    """Compare two settings over pairs of runs that have all else in common, seed included where there are seeds.

    `on` is a measure (`test/accuracy` by default, `gap`, `time/train_seconds`, `test/ece` where `train.metrics` has that, …), of another
    program's runs their metric. With a `margin`, in the unit of the result (of times a share: 0.1 is 10 %), one is better only by more
    than it, and they are alike within.
    Raises `UserError` for what no run has, where several arms are compared as one, and where no two runs can be compared.
    """
    return _of_programs(runs, a, b, on, margin) if runs.roles else _of_records(runs, a, b, on or _TEST, margin)


def _of_records(runs: Runs, a: Setting, b: Setting, on: str, margin: float) -> Comparison:
    study = runs.study
    refuse_unknown_keys(runs)
    kind = measured(on, study.records)
    (one, first), (other, second) = conditions_in(study, a, b)
    _refuse_untold(study, {one: first, other: second})
    evidence = Evidence(study, None)
    cases = evidence.cases({}, (first, second))
    if cases.several:
        raise UserError(cases.several)
    part = asked.pair(on, evidence, {}, first, second, ANYTHING).part()
    if part.estimate is None:
        raise _no_pair(one, other, "and ran on one machine" if kind.is_time else "and the same seed")
    verdict = (
        Verdict.undecided.value if part.undecided else _verdict(part.low, part.high, 1.0 if kind.is_time else 0.0, margin, kind.better)
    )
    unit = {POINTS: POINTS, NUMBER: ""}.get(kind.unit, "times")
    images = apart = None
    if on == _TEST:
        try:
            images = per_image.compared(cases.each.values())
        except UserError as error:
            apart = str(error)
    return Comparison(one, other, on, part.estimate, part.low, part.high, part.n, part.over, unit, verdict, images, apart, part.undecided)


def _of_programs(runs: Runs, a: Setting, b: Setting, on: str | None, margin: float) -> Comparison:
    programs = runs.programs
    metric = programs.roles.metric
    if on not in (None, metric):
        raise UserError(f"on={excerpt(on)}: these runs are told by {metric}; reglab.runs(…, metric={on!r}) reads them by another")
    names = {column.name: key for key, column in programs.columns.items()}
    (one, first), (other, second) = conditions(a, b, programs.conditions, programs.columns)
    mine, its = (
        [arm for arm in programs.arms if all(written(arm.levels[names[name]]) in levels for name, levels in wanted.items())]
        for wanted in (first, second)
    )
    but = [names[name] for name in {*first, *second}]
    cases = programs.in_common(mine, its, but)
    for said, sides in ((one, [side for side, _ in cases]), (other, [side for _, side in cases])):
        levels = ([{column.name: arm.levels[key] for key, column in programs.columns.items()} for arm in side] for side in sides)
        if why := of_several(said, levels, sorted({*first, *second})):
            raise UserError(why)
    found = programs.contrast(mine, its, but)
    if found is None:
        raise _no_pair(one, other, "")
    low, high = found.estimate.low, found.estimate.high
    verdict, lost = _verdict(low, high, 0.0, margin, programs.sign), programs.lost_of((first, second))
    return Comparison(one, other, metric, found.estimate.mean, low, high, found.estimate.n, found.over, "", verdict, left_out=lost)


def refuse_unknown_keys(runs: Runs) -> None:
    """Raises UserError where no run has a configuration of this installation, so that nothing is known to differ."""
    if runs.said and not any(runs.study.treated.values()):
        raise UserError(runs.said[0])


def measured(on: str, records: Sequence[RunRecord]) -> Kind:
    """The measure of this name, as these runs have it. Raises UserError where none has."""
    found = measured_by(on, records)
    if found is None:
        known = names_of(records)
        raise UserError(f"on={excerpt(on)}: no run is told by that{nearest(on, known)}; there are {', '.join(known)}")
    ended = [record for record in records if stats.counts(record)]
    if ended and all(value_of(on, record) is None for record in ended):
        raise UserError(f"{on}: none of the {len(ended)} finished runs has a value of it")
    return found


def conditions_in(study: Study, a: Setting, b: Setting) -> tuple[_Asked, _Asked]:
    """As `conditions`, of the arms of a study."""
    arms = {
        study.labels[record.run_id]: {name: (written(treated[name]),) for name in study.design.names}
        for record in study.records
        if (treated := study.treated[record.run_id])
    }
    return conditions(a, b, arms, {column.sources[0]: column for column in study.design.by_name.values()})


def conditions(a: Setting, b: Setting, arms: Mapping[str, Condition], keys: Mapping[str, Column]) -> tuple[_Asked, _Asked]:
    """What two settings are called, and what each asks for. `arms`: their levels, by what they are called.

    Raises UserError for what no run has, and where one run could meet both.
    """
    one, other = _condition(a, arms, keys), _condition(b, arms, keys)
    _refuse_same(one[1], other[1])
    return one, other


def _condition(given: Setting, arms: Mapping[str, Condition], keys: Mapping[str, Column]) -> _Asked:
    called = {frozenset(label.split(" · ")): label for label in arms}
    if isinstance(given, str) and (label := called.get(frozenset(given.split(" · ")))):  # its parts in any order
        return given, arms[label]
    if isinstance(given, str) and "=" not in given:
        raise UserError(f"{excerpt(given)}: no arm is called so{nearest(given, arms)}; there are {'; '.join(list(arms)[:12])}")
    pairs = [word.partition("=")[::2] for word in given.split()] if isinstance(given, str) else [*given.items()]
    words = dict(pairs)
    if len(words) < len(pairs):
        raise UserError(f"{excerpt(given)}: it has a key twice; give each key one value")
    by_name = {column.name: column for column in keys.values()} | dict(keys)
    for key, level in words.items():
        if key not in by_name:
            differing = f"what does is {', '.join(keys)}" if keys else "nothing does"
            raise UserError(f"{excerpt(key)} does not differ among these runs{nearest(key, by_name)}; {differing}")
        there = sorted({each for levels in arms.values() for each in levels[by_name[key].name]})
        if written(level) not in there:
            raise UserError(f"{excerpt(key)} is {excerpt(level)} in no run; there are {', '.join(map(excerpt, there[:12]))}")
    said = " · ".join(f"{by_name[key].title} {brief(level)}" for key, level in words.items())
    return said, {by_name[key].name: (written(level),) for key, level in words.items()}


def _refuse_same(one: Condition, other: Condition) -> None:
    """Raises UserError where one run could meet both."""
    if all(set(one[name]) & set(other[name]) for name in one.keys() & other.keys()):
        raise UserError("the two settings may be one run's: give both a value of one key, and unlike ones")


def _refuse_untold(study: Study, asked: Mapping[str, Condition]) -> None:
    """Raises UserError where arms that no level tells apart meet a condition: the first run of each seed would be taken for all."""
    for said, wanted in asked.items():
        there: dict[tuple[str, ...], set[str]] = {}
        for record in filter(stats.counts, study.records):
            treated = study.treated[record.run_id]
            if treated and meets(treated, wanted, study.base):
                there.setdefault(tuple(written(treated[name]) for name in study.design.names), set()).add(stats.arm(record))
        if any(len(arms) > 1 for arms in there.values()):
            raise UserError(
                f"{said} is said of several arms that no setting of these runs tells apart, as nothing and the text none, or two versions "
                "of one's own code: read them alone"
            )


def _no_pair(one: str, other: str, more: str) -> UserError:
    return UserError(" ".join(filter(None, (f"{one} and {other}: no two finished runs have all else in common", more))))


def _verdict(low: float | None, high: float | None, nothing: float, margin: float, sign: int) -> str:
    if low is None or high is None:
        return Verdict.undecided.value
    below, above = nothing - margin, nothing + margin
    if low > above or high < below:
        if not sign:
            return "a has more" if low > above else "b has more"
        return "a is better" if (low > above) == (sign > 0) else "b is better"
    return "alike" if margin and below < low and high < above else Verdict.undecided.value
