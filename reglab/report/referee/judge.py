"""Whether it is so, as these runs tell it: `reglab judge` and `reglab.judge`."""

import html
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reglab import exits
from reglab.errors import UserError
from reglab.report.collection import Progress, Runs, of_either, of_known_keys
from reglab.report.comparisons.parts import Claimed
from reglab.report.programs import roles
from reglab.report.programs.roles import DO_WITHOUT, AskedRoles
from reglab.report.referee import arms
from reglab.report.referee.ledger import FAMILY, Answer, QuestionStanding, opened
from reglab.report.referee.question import TIMES, JudgedQuestion
from reglab.report.studies.measures import POINTS
from reglab.report.writing import numbers
from reglab.report.writing.digits import decimals
from reglab.statistics.contrast import Contrast
from reglab.statistics.looks import MOST_SEEDS, further, levels
from reglab.tracking.csv_file import SUFFIX
from reglab.tracking.program_run import ProgramRun

LEVEL = 0.05
HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"

_ENDING = ".questions.jsonl"
_FIRST = 3
"""Seeds at which a first look is worth its share of alpha."""


@dataclass(frozen=True)
class Judgement:
    """The answer to a question. `estimate` is what `one` has more than `other`, in `unit` (empty: the metric's own), or how many `times` as
    long it takes, with the interval at the `level` of this look, None where there is none. `seeds`: of either side. `more_seeds`: how many
    more of each would settle it with a probability of four in five, if it is what it seems; None where none of its plan would, and where
    it is settled.
    """

    verdict: str
    question: str
    one: str
    other: str
    metric: str
    unit: str
    estimate: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]
    more_seeds: int | None
    level: float | None
    paired: bool
    correlation: float | None
    asked: int
    number: int
    family: str
    level_of_all: float
    ledger: str
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """That of `reglab judge`: 0, 3 or 4."""
        return {HOLDS: 0, FAILS: exits.FAILS, UNDECIDED: exits.UNDECIDED}[self.verdict]

    @property
    def decision(self) -> str:
        """`holds`, `fails`, or `undecided: about 4 more seeds of these`."""
        if self.verdict != UNDECIDED:
            return self.verdict
        if self.more_seeds is None:
            return "undecided, and no number of seeds of its plan is likely to settle it"
        return f"undecided: about {self.more_seeds} more seed{'s' * (self.more_seeds != 1)} of these"

    @property
    def amounts(self) -> str:
        """`+1.2 points (+0.3 to +2.1)`."""
        half = None if self.low is None or self.high is None else (self.high - self.low) / 2
        places = numbers.digits(half) if self.unit == POINTS else decimals(half, self.estimate)
        places = max(numbers.digits(half), 2) if self.unit == TIMES else places
        told = (self.estimate, self.low, self.high)
        estimate, low, high = ("" if each is None else numbers.plain(each, places, signed=self.unit != TIMES) for each in told)
        interval = f"({low} to {high})" if half is not None else "(no interval yet)"
        return " ".join(filter(None, (estimate, self.unit, interval)))

    def __str__(self) -> str:
        seeds = " and ".join(map(str, self.seeds)) if self.seeds[0] != self.seeds[1] else f"{self.seeds[0]}"
        asked = f"asked {self.asked} time{'s' * (self.asked != 1)}, question {self.number} of {self.family} in {self.ledger}"
        lines = [
            self.decision,
            f"{self.metric}, {self.one} against {self.other}: {self.amounts}, {seeds} seeds each",
            f"{asked}; all of its questions err with a probability of {100 * self.level_of_all:g} % together",
            *self.notes,
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        first, *rest = (html.escape(line) for line in str(self).splitlines())
        return f"<p><strong>{first}</strong><br>{'<br>'.join(rest)}</p>"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"exit_code": self.exit_code, "decision": self.decision}


def judge(
    runs: Runs | str | Path,
    question: str,
    *,
    ledger: str | Path | None = None,
    family: str = FAMILY,
    level: float = LEVEL,
    most_seeds: int | None = None,
    unit: str | None = None,
    chance: str | float | None = None,
    seed_key: str | None = None,
    group_by: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Judgement:
    """Answer `arm=a > arm=b in test/accuracy by 0.5`: whether it holds, fails, or is undecided as yet.

    All questions of a `family` in a `ledger` (beside the runs, where none is named) err with a probability of `level` together, however
    often they are asked and whatever is asked next. A question may be asked again as seeds are added, up to a plan of `most_seeds` (12).
    The keys are those of `reglab.runs`, and stand in place of those that a `Runs` was read with; `unit` (`share`, `percent` or `own`) says
    what the metric of another program is in. `chance` is what a run counts as that diverged, or that finished without a number where it is
    another program's; without it, those of reglab's count as guessing in an accuracy; all others are left out, and `notes` say how many.
    Raises `UserError` for what cannot be compared, and for a ledger that cannot be written.
    """
    asked = JudgedQuestion.read(question)
    if not 0 < level < 1:
        raise UserError(f"--level {level:g}: the probability of a wrong verdict lies between 0 and 1, such as 0.05")
    if most_seeds is not None and most_seeds < 2:
        raise UserError(f"--most-seeds {most_seeds}: two seeds are the least that tell of chance")
    if not family or len(family) > 255:
        raise UserError("--family: give a name")
    found = _read(runs, asked, seed_key, group_by, progress)
    compared = arms.sides(found, asked, unit, None if chance is None else str(chance))
    path = Path(ledger) if ledger is not None else beside(found.source)
    with opened(path) as book:
        standing = book.standing(family, level, _asks(asked, compared), compared.digests, most_seeds)
        if not standing.most_seeds:
            standing = replace(standing, most_seeds=most_seeds or max(MOST_SEEDS, compared.seeds))
        made = _judgement(asked, compared, standing, family, level, str(path))
        book.keep(_kept(made, asked, compared, standing))
    return replace(made, notes=(*made.notes, *found.said))


def _read(
    runs: Runs | str | Path, asked: JudgedQuestion, seed_key: str | None, group_by: Sequence[str] | None, progress: Progress | None
) -> Runs:
    keys = AskedRoles(
        asked.metric, "maximize" if asked.sign == ">" else "minimize", seed_key, DO_WITHOUT, None if group_by is None else tuple(group_by)
    )
    if not isinstance(runs, Runs):
        return of_either(str(runs), keys, is_keyed=seed_key is not None or group_by is not None, progress=progress)
    is_keyed = seed_key is not None or group_by is not None
    if runs.roles is None:
        if is_keyed:
            raise of_known_keys(runs.source)
        return runs
    if is_keyed or runs.roles.metric != asked.metric:
        seed = runs.roles.seed or DO_WITHOUT if seed_key is None else seed_key
        factors = tuple(key for key in runs.roles.factors if key not in (asked.metric, seed))
        known = replace(keys, seed=seed, group_by=factors if group_by is None else keys.group_by)
        theirs = [run for run in runs.found if isinstance(run, ProgramRun)]
        return replace(runs, roles=roles.read(theirs, known))
    return runs


def beside(source: str) -> Path:
    """Where the ledger of a source is, unless another is named."""
    if "://" in source:
        from reglab.settings import settings

        return settings().runs / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', source.partition('://')[2])}{_ENDING}"
    path = Path(source.partition(", ")[0])
    return path.with_suffix(_ENDING) if path.suffix == SUFFIX else path / _ENDING.lstrip(".")


def _asks(asked: JudgedQuestion, compared: arms.AskedMetric) -> tuple[str | float, ...]:
    """The same for a question in other words: `a < b` is `b > a`."""
    first, second = (compared.other, compared.one) if asked.sign == "<" else (compared.one, compared.other)
    if asked.sign == "=":
        first, second = sorted((first, second))
    return (first, "=" if asked.sign == "=" else ">", second, asked.metric, compared.unit.name, asked.margin)


def _judgement(
    asked: JudgedQuestion, compared: arms.AskedMetric, standing: QuestionStanding, family: str, level: float, ledger: str
) -> Judgement:
    """What the runs say."""
    found, seeds = compared.contrast(), compared.seeds
    at = _level_of(found, seeds, standing)
    bounds = _interval(found, at)
    verdict, notes = _verdict(asked, bounds), list[str]()
    if last := _that_stands(compared, standing):
        verdict = last.verdict
        if last.verdict != UNDECIDED:
            notes += [f"decided at {last.seeds} seeds, and asked no further: the estimate is of today's"] * (last.seeds != seeds)
        else:
            bounds = None, None
            notes.append(f"more runs, but no more seeds of both sides than at its last look, at {last.seeds}: they are not looked at yet")
    if standing.is_anew:
        notes.append("asked before of runs that are gone, or say otherwise now: it counts as another question")
    more = None
    if verdict == UNDECIDED:
        more = _more(asked, found, seeds, standing) if at is not None else max(1, _FIRST - seeds)
    return Judgement(
        verdict=verdict,
        question=asked.text,
        one=compared.one,
        other=compared.other,
        metric=asked.metric,
        unit=compared.unit.name,
        estimate=compared.unit.told(float(found.mean)),
        low=None if bounds[0] is None else compared.unit.told(bounds[0]),
        high=None if bounds[1] is None else compared.unit.told(bounds[1]),
        seeds=(compared.counts(0), compared.counts(1)),
        more_seeds=more,
        level=at,
        paired=bool(found.paired),
        correlation=None if found.correlation is None else round(float(found.correlation), 3),
        asked=standing.before + 1,
        number=standing.number,
        family=family,
        level_of_all=level,
        ledger=ledger,
        notes=(*notes, *_said_of(found, compared, asked, at)),
    )


def _kept(made: Judgement, asked: JudgedQuestion, compared: arms.AskedMetric, standing: QuestionStanding) -> Answer:
    """A judgement as the ledger keeps it."""
    return Answer(
        family=made.family,
        level=made.level_of_all,
        question=standing.number,
        asks=_asks(asked, compared),
        text=asked.text,
        most_seeds=standing.most_seeds,
        seeds=compared.seeds,
        at=made.level,
        verdict=made.verdict,
        runs=tuple(compared.digests),
    )


def _level_of(found: Contrast, seeds: int, standing: QuestionStanding) -> float | None:
    """Of a look at so many seeds: what it had before, else what the looks before it have left. None where nothing tells of chance."""
    error = float(found.error)
    if seeds < 2 or not math.isfinite(error) or (seeds == 2 and error == 0):  # two that happen to be alike tell nothing either
        return None
    known = {look.seeds: look.at for look in standing.looks if look.at is not None}
    if seeds in known:
        return known[seeds]
    before = [count for count in known if count < seeds]
    if len(before) < len(known):  # fewer seeds than were looked at, of the same runs and more: nothing was set aside for it
        return None
    known_so_well = int(float(found.freedom) / (seeds - 1))  # the arms whose variance is
    return levels([*before, seeds], standing.alpha, standing.most_seeds, known_so_well, tuple(known.values()))[-1]


def _that_stands(compared: arms.AskedMetric, standing: QuestionStanding) -> Answer | None:
    """The look whose verdict is the question's: the one that decided it, or one at as many seeds that other runs have come to since."""
    decided = next((look for look in standing.looks if look.verdict != UNDECIDED), None)
    of_others = (look for look in standing.looks if look.seeds >= compared.seeds and set(look.runs) != set(compared.digests))
    return decided or next(of_others, None)


def _interval(found: Contrast, at: float | None) -> tuple[float | None, float | None]:
    if not at:
        return None, None
    low, high = found.interval(at)
    return float(low), float(high)


def _verdict(asked: JudgedQuestion, bounds: tuple[float | None, float | None]) -> str:
    holds = Claimed(*asked.claimed()).holds(*bounds)
    return UNDECIDED if holds is None else HOLDS if holds else FAILS


def _more(asked: JudgedQuestion, found: Contrast, seeds: int, standing: QuestionStanding) -> int | None:
    away = min(abs(float(found.mean) - bound) for bound in asked.claimed() if math.isfinite(bound))
    return further(away, float(found.error), float(found.freedom), seeds, standing.alpha, standing.most_seeds)


def _said_of(found: Contrast, compared: arms.AskedMetric, asked: JudgedQuestion, at: float | None) -> list[str]:
    """How it was compared, for people."""
    said = [f"over the {len(compared.cases)} settings of all else that both sides have"] if len(compared.cases) > 1 else []
    said += compared.said(found, at)
    if compared.lost:
        hint = "" if compared.unit.name == TIMES else " (--chance says what they count as)"
        said.append(f"left out: {compared.lost} that diverged or finished without a number in {asked.metric}{hint}")
    if compared.unit.said:
        said.append(compared.unit.said)
    return said
