"""The next round of a study that is run until its claims are settled: which seeds of which arms, the most telling first.

A claim is looked at where all arms that it asks for have as many seeds as a look of the study's plan. Where that leaves it open, its arms
are asked for up to the next look, unless no later look is likely to decide it. Everything follows from the records, so a round that was
cut off asks for what is left of it.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from reglab.errors import UserError
from reglab.report import planned, stats
from reglab.report.claims import Standing, standings
from reglab.report.design import Design
from reglab.report.findings import Verdict
from reglab.report.parts import LEVEL
from reglab.report.study import Study
from reglab.settling.arms import PlannedArm
from reglab.statistics.moderation import Array
from reglab.tracking.record import RunRecord, State

FUTILE = 0.1
"""The probability of being decided by any look that is left, below which a claim gets no more runs."""


class Stand(StrEnum):
    """Where a claim stands."""

    settled = "settled"
    open = "open"
    futile = "unlikely to be settled by any look of the plan"
    over = "undecided at the last look of the plan"
    failed = "held up by runs that failed"
    without = "not tested: no grid of the study has arms for it"


@dataclass(frozen=True)
class ClaimState:
    """A claim, the arms that it asks for, how many seeds all of them have (`now`), and the next look at it, where it is open.

    `chance`: that the next look decides it, as far as its runs foretell it, one half where there are none; of one that is unlikely to be
    settled, that any does. `foretold`: whether it is decided by each of its later looks (draws, looks), where its runs tell.
    """

    number: int
    text: str
    stand: Stand
    verdict: Verdict
    arms: frozenset[str]
    now: int
    next: int | None = None
    chance: float = 0.5
    foretold: Array | None = field(default=None, compare=False, repr=False)


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


@dataclass(frozen=True)
class Course:
    """A study on its way: its design, the arms of its sweeps by name, and how many seeds an arm may come to (None: as the plan says).

    `retry_failed`: whether runs that failed are asked for again.
    """

    design: Design
    arms: Mapping[str, PlannedArm]
    most_seeds: int | None = None
    retry_failed: bool = False

    @cached_property
    def _plan(self) -> Study:
        return planned.of_plan(self.design, [arm.planned() for arm in self.arms.values()])

    @cached_property
    def _asked(self) -> Sequence[frozenset[str]]:
        """The arms that each claim asks for."""
        return [planned.asked_by(claim, self._plan) for claim in self.design.claims]

    @cached_property
    def asked(self) -> frozenset[str]:
        """The arms that any claim asks for."""
        return frozenset[str]().union(*self._asked)

    @property
    def looks(self) -> list[int]:
        """Those that may be taken."""
        return [look for look in self.design.looks if look <= (self.most_seeds or look)]

    def next(self, records: Iterable[RunRecord]) -> Round:
        """How the claims stand by all runs of a folder or a project, as a report on them has it, and what they ask for next.

        Raises UserError where most runs are of another set-up than these arms, which a report would leave out.
        """
        study = Study.of(records, self.design)
        self._refuse_another_set_up(study)
        mine = [record for record in study.records if stats.arm(record) in self.asked]
        ended, took, standing = _seeds(mine), _Took(mine), standings(study)
        failed = set() if self.retry_failed else {(stats.arm(each), each.seed) for each in mine if each.state == State.failed}
        alpha = self._alpha(standing)
        claims = tuple(self._state(number, each, ended, failed, alpha) for number, each in enumerate(standing, start=1))
        there = {name: len(seeds) for name, seeds in ended.items()}
        return Round(claims, tuple(self._ordered(claims, ended, took)), there, sum(map(_spent, mine)), alpha)

    def _refuse_another_set_up(self, study: Study) -> None:
        there = study.fixed if study.records else {}
        odd = [f"{key} = {there[key]}, and not {value}" for key, value in self._plan.fixed.items() if there.get(key, value) != value]
        if odd:
            said = f"most runs that are there have {'; '.join(odd)}: a report would leave these arms out"
            raise UserError(f"{self.design.path}: {said}; give this one another --name, or project")

    def _alpha(self, standing: Sequence[Standing]) -> float:
        """What each claim that is open may err by, jointly with all others that these arms can decide."""
        decided = (Verdict.reproduced, Verdict.contradicted)
        left = sum(bool(arms) and each.verdict not in decided for arms, each in zip(self._asked, standing, strict=True))
        return LEVEL / max(left, 1)

    def _state(
        self, number: int, standing: Standing, ended: Mapping[str, set[int]], failed: Set[tuple[str, int]], alpha: float
    ) -> ClaimState:
        arms = self._asked[number - 1]
        if not arms:
            return ClaimState(number, standing.claim.text, Stand.without, standing.verdict, arms, 0)
        now = min(len(ended.get(name, ())) for name in arms)
        there = ClaimState(number, standing.claim.text, Stand.open, standing.verdict, arms, now)
        if standing.seeds is not None and standing.seeds <= now:
            return replace(there, stand=Stand.settled)
        later = self.later(there)
        if not later:
            return replace(there, stand=Stand.over)
        there = replace(there, next=later[0])
        if not failed.isdisjoint(self._missing(there, ended)):
            return replace(there, stand=Stand.failed, next=None)
        return self._foretold(there, standing, later, alpha) if now >= self.looks[0] else there

    def later(self, claim: ClaimState) -> list[int]:
        """The looks that a claim may still be looked at."""
        most = min(self.arms[name].most or self.looks[-1] for name in claim.arms)
        return [look for look in self.looks if claim.now < look <= most]

    def _foretold(self, there: ClaimState, standing: Standing, later: Sequence[int], alpha: float) -> ClaimState:
        foretold = standing.foretold(there.now, later, alpha)
        if foretold is None:
            return there
        decided = foretold.mean(axis=0)
        if decided[-1] < FUTILE:
            return replace(there, stand=Stand.futile, next=None, chance=float(decided[-1]))
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
        looked = max((look for look in self.looks if look <= claim.now), default=0)
        names = sorted(claim.arms, key=list(self.arms).index)
        seeds = [(name, self.arms[name].further(ended.get(name, set()), claim.next or 0, looked)) for name in names]
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
