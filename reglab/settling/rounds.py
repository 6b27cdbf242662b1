"""The next round of a study that is run until its claims are settled: which seeds of which arms, the most telling first.

A comparison of a claim is looked at where all arms that it asks for have as many seeds as a look of the study's plan. Where a claim is
open, the arms of those of its comparisons that do not hold yet are asked for up to the next look, unless no later look is likely to decide
it. Everything follows from the records, so a round that was cut off asks for what is left of it.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import accumulate

from reglab.errors import UserError
from reglab.report import stats
from reglab.report.claims import planned
from reglab.report.claims.claim_looks import Foretold, PartStanding, Standing, standings
from reglab.report.claims.findings import Verdict
from reglab.report.comparisons.parts import LEVEL
from reglab.report.studies.design import Design
from reglab.report.studies.study import Study
from reglab.settling.arms import PlannedArm, study_of
from reglab.tracking.record import RunRecord, State

FUTILE = 0.2
"""The probability of being decided by any look that is left, below which a claim gets no more runs."""


class Stand(StrEnum):
    """Where a claim stands."""

    settled = "settled"
    open = "open"
    futile = "unlikely to be settled by any look of the plan"
    over = "undecided at the last look of the plan"
    failed = "held up by runs that failed"
    timed = "left open by the turns of its arms"
    without = "not tested: no grid of the study has arms for it"
    unclear = "never decided as it is said"


@dataclass(frozen=True)
class ComparisonState:
    """A comparison of a claim: the arms that it asks for, how many seeds all of them have (`now`), the looks at it that are left (`later`),
    and whether it is `done`: it holds, or contradicts its claim, at a look that all of its arms have come to. `in_turns`: turns tell it,
    and no run would change it."""

    arms: frozenset[str]
    now: int
    later: tuple[int, ...] = ()
    done: bool | None = None
    in_turns: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it may still be decided."""
        return self.done is None and bool(self.later)


@dataclass(frozen=True)
class ClaimState:
    """A claim, and its comparisons that some arms of the study speak to.

    `chance`: that the next look decides it, as far as its runs foretell it, one half where there are none; of one that is unlikely to be
    settled, that any does. `looks` are those that are left, and `foretold` what they may say, where its runs tell. `why` its runs decide
    nothing, where that is so, of a claim that is given up or unclear.
    """

    number: int
    text: str
    stand: Stand
    verdict: Verdict
    comparisons: tuple[ComparisonState, ...] = ()
    looks: tuple[int, ...] = ()
    chance: float = 0.5
    foretold: Foretold | None = field(default=None, compare=False, repr=False)
    why: str = ""

    @property
    def arms(self) -> frozenset[str]:
        """All that it asks for."""
        return frozenset[str]().union(*(each.arms for each in self.comparisons))

    @property
    def now(self) -> int:
        """How many seeds all arms have of all comparisons that are not done, or, where all are, of all."""
        there = [each for each in self.comparisons if each.arms and not each.in_turns]
        return min([each.now for each in there if each.done is None] or [each.now for each in there], default=0)

    @property
    def next(self) -> int | None:
        """The seeds of the next look at any of its comparisons, where it is open."""
        return self.looks[0] if self.stand == Stand.open else None


@dataclass(frozen=True)
class Wanted:
    """A run that a round asks for. `seconds`: what it is expected to take; None where no run tells."""

    arm: PlannedArm
    seed: int
    seconds: float | None


@dataclass(frozen=True)
class Round:
    """How the claims stand, and the runs that come next: none where nothing is open. `there`: how many seeds each arm that is asked for
    has; `seconds`: what all of its runs took, those that failed included; `alpha`: what each open claim may err by.
    """

    claims: tuple[ClaimState, ...]
    runs: tuple[Wanted, ...]
    there: Mapping[str, int]
    seconds: float
    alpha: float

    def are(self, *stands: Stand) -> list[ClaimState]:
        """The claims that stand so."""
        return [claim for claim in self.claims if claim.stand in stands]

    def within(self, seconds: float) -> tuple[Wanted, ...]:
        """As many of the runs that come next as so much time is enough for, what all runs took so far included.

        Where nothing tells what a run takes, one is run to see.
        """
        left = seconds - self.seconds
        if left > 0 and any(wanted.seconds is None for wanted in self.runs):
            return self.runs[:1]
        taken = accumulate(wanted.seconds or 0.0 for wanted in self.runs)
        return self.runs[: sum(each <= left for each in taken)]


@dataclass(frozen=True)
class Course:
    """A study on its way: its design, the arms of its sweeps by name, and how many seeds an arm may come to (None: as the plan says).

    `retry_failed`: whether runs that failed are asked for again. `turns`: those of arms that took some, as runs.
    """

    design: Design
    arms: Mapping[str, PlannedArm]
    most_seeds: int | None = None
    retry_failed: bool = False
    turns: Sequence[RunRecord] = ()

    @cached_property
    def _plan(self) -> Study:
        return study_of(self.design, self.arms, self.turns)

    @cached_property
    def _asked(self) -> Sequence[Sequence[frozenset[str]]]:
        """The arms that each comparison of each claim asks for."""
        return [planned.asked_by(claim, self._plan) for claim in self.design.claims]

    @cached_property
    def _unclear(self) -> Sequence[Sequence[str]]:
        """Of each claim why some of its comparisons would decide nothing."""
        return [planned.several_by(claim, self._plan) for claim in self.design.claims]

    @cached_property
    def asked(self) -> frozenset[str]:
        """The arms that any claim asks for."""
        return frozenset[str]().union(*(arms for claim in self._asked for arms in claim))

    @property
    def looks(self) -> list[int]:
        """Those that may be taken."""
        return [look for look in self.design.looks if look <= (self.most_seeds or look)]

    def next(self, records: Iterable[RunRecord]) -> Round:
        """How the claims stand by all runs of a folder or a project, as a report on them has it, and what they ask for next.

        Raises UserError where most runs are of another set-up than these arms, which a report would leave out.
        """
        study = Study.of(records, self.design, self._plan.turns)  # of this set-up
        self._refuse_another_set_up(study)
        mine = [record for record in study.records if stats.arm(record) in self.asked]
        ended, took, standing = _seeds(mine), _Took(mine), standings(study)
        failed = set() if self.retry_failed else {(stats.arm(each), each.seed) for each in mine if each.state == State.failed}
        decided = sum(each.verdict in (Verdict.reproduced, Verdict.contradicted) for each in standing)
        alpha = LEVEL / max(len(standing) - decided, 1)
        claims = tuple(self._state(number, each, ended, failed, alpha) for number, each in enumerate(standing, start=1))
        there = {name: len(seeds) for name, seeds in ended.items()}
        return Round(claims, tuple(self._ordered(claims, ended, took)), there, sum(map(_spent, mine)), alpha)

    def _refuse_another_set_up(self, study: Study) -> None:
        there = study.fixed if study.records else {}
        odd = [f"{key} = {there[key]}, and not {value}" for key, value in self._plan.fixed.items() if there.get(key, value) != value]
        if odd:
            said = f"most runs that are there have {'; '.join(odd)}: a report would leave these arms out"
            raise UserError(f"{self.design.path}: {said}; give this one another --name, or project")

    def _state(
        self, number: int, standing: Standing, ended: Mapping[str, set[int]], failed: Set[tuple[str, int]], alpha: float
    ) -> ClaimState:
        there = ClaimState(number, standing.looks.claim.text, Stand.without, standing.verdict)
        asked = zip(self._asked[number - 1], standing.parts, strict=True)
        comparisons = tuple(self._comparison(arms, part, ended) for arms, part in asked)
        if not any(each.arms for each in comparisons):
            why = "; ".join(self._unclear[number - 1])
            return replace(there, stand=Stand.unclear, why=why) if why else there
        there = replace(there, comparisons=comparisons)
        if all(each.done for each in comparisons) or any(each.done is False for each in comparisons):
            return replace(there, stand=Stand.settled)
        if any(each.in_turns and each.done is None for each in comparisons):  # whatever its runs come to, it is not reproduced
            return replace(there, stand=Stand.timed)
        looks = tuple(sorted({look for each in comparisons if each.is_open for look in each.later}))
        if not looks:
            return replace(there, stand=Stand.over)
        there = replace(there, stand=Stand.open, looks=looks)
        if not failed.isdisjoint(self._missing(there, ended)):
            return replace(there, stand=Stand.failed)
        return self._foretold(there, standing, alpha) if there.now >= self.looks[0] else there

    def _comparison(self, arms: frozenset[str], part: PartStanding, ended: Mapping[str, set[int]]) -> ComparisonState:
        if not arms:  # whatever its runs say, no more of them come
            return ComparisonState(arms, 0, (), part.holds)
        if part.in_turns:
            return ComparisonState(arms, 0, (), part.holds, in_turns=True)
        now = min(len(ended.get(name, ())) for name in arms)
        most = min(self.arms[name].most or self.looks[-1] for name in arms)
        done = part.holds if part.seeds is not None and part.seeds <= now else None
        return ComparisonState(arms, now, tuple(look for look in self.looks if now < look <= most), done)

    def _foretold(self, there: ClaimState, standing: Standing, alpha: float) -> ClaimState:
        foretold = standing.looks.foretold([each.now for each in there.comparisons], there.looks, alpha)
        if foretold is None:
            return there
        decided = foretold.decided.mean(axis=0)
        if decided[-1] < FUTILE:
            return replace(there, stand=Stand.futile, chance=float(decided[-1]), why="; ".join(standing.looks.undecided))
        return replace(there, chance=float(decided[0]), foretold=foretold)

    def _ordered(self, claims: Iterable[ClaimState], ended: Mapping[str, set[int]], took: "_Took") -> Iterable[Wanted]:
        """The runs of the claim first that its runs are likeliest to settle, for each second that they take; what two claims ask for is
        run once, and the second has it for nothing."""
        left = {claim.number: self._missing(claim, ended) for claim in claims if claim.stand == Stand.open}
        chances = {claim.number: claim.chance for claim in claims}
        chosen: set[tuple[str, int]] = set()
        while left:
            seconds = {number: sum(took.seconds(self.arms[name]) or 1.0 for name, _ in runs) for number, runs in left.items()}
            first = max(left, key=lambda number: (chances[number] / max(seconds[number], 1e-9), -number))
            for name, seed in left.pop(first):
                chosen.add((name, seed))
                yield Wanted(self.arms[name], seed, took.seconds(self.arms[name]))
            left = {number: [run for run in runs if run not in chosen] for number, runs in left.items()}
            left = {number: runs for number, runs in left.items() if runs}

    def _missing(self, claim: ClaimState, ended: Mapping[str, set[int]]) -> list[tuple[str, int]]:
        """Seed by seed, so that what is cut short has every arm as often."""
        to_come, looked = dict[str, int](), dict[str, int]()
        for each in claim.comparisons:
            last = max((look for look in self.looks if look <= each.now), default=0)
            for name in each.arms if each.is_open else ():
                to_come[name] = max(to_come.get(name, 0), each.later[0])
                looked[name] = max(looked.get(name, 0), last)
        names = sorted(to_come, key=list(self.arms).index)
        seeds = [(name, self.arms[name].further(ended.get(name, set()), to_come[name], looked[name])) for name in names]
        runs = [(place, order, name, seed) for order, (name, each) in enumerate(seeds) for place, seed in enumerate(each)]
        return [(name, seed) for _, _, name, seed in sorted(runs, key=lambda run: run[:2])]


def _seeds(records: Iterable[RunRecord]) -> dict[str, set[int]]:
    """Of each arm the seeds whose runs have ended, and count: one that diverged counts as chance, or as never having come there."""
    found: dict[str, set[int]] = {}
    for record in records:
        if stats.counts(record) or record.state == State.diverged:
            found.setdefault(stats.arm(record), set()).add(record.seed)
    return found


def _spent(record: RunRecord) -> float:
    """Seconds that a run took; of one that did not come to its end, from its first word to its last."""
    return record.summary.time_wall_seconds if record.summary else (record.updated - record.created).total_seconds()


class _Took:
    """What runs of an arm took, or of any."""

    def __init__(self, records: Iterable[RunRecord]):
        by_arm: dict[str, list[float]] = {}
        for record in records:
            if record.summary:
                by_arm.setdefault(stats.arm(record), []).append(record.summary.time_wall_seconds)
        self._by_arm = {name: statistics.median(seconds) for name, seconds in by_arm.items()}

    def seconds(self, arm: PlannedArm) -> float | None:
        """None where there is no run at all."""
        if arm.name in self._by_arm:
            return self._by_arm[arm.name]
        return statistics.fmean(self._by_arm.values()) if self._by_arm else None
