"""A claim at the looks of its plan: what each of its comparisons comes to, and whether they decide it.

A comparison that holds at a look holds from then on, and needs no more runs: where a claim is false, one of its comparisons is, and the
claim can be reproduced only by an error about that one (the intersection-union test, Berger 1982), over all looks at it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reglab.report.claims import plan
from reglab.report.claims.asked import asked_of
from reglab.report.claims.findings import Verdict
from reglab.report.claims.plan import TURNS, Looks
from reglab.report.comparisons.parts import LEVEL
from reglab.report.comparisons.seen import Compared, Seen
from reglab.report.studies.claim_kinds import Claim
from reglab.report.studies.study import Study
from reglab.statistics.families import decided
from reglab.statistics.foretold import DRAWS
from reglab.statistics.looks import levels
from reglab.statistics.moderation import Array


@dataclass(frozen=True)
class PartStanding:
    """Whether a comparison holds, or fails so that its claim is contradicted, and at the look at how many seeds: None of what is open.

    `in_turns`: it is told by turns, and no seeds would change it.
    """

    holds: bool | None = None
    seeds: int | None = None
    in_turns: bool = False


@dataclass(frozen=True)
class Foretold:
    """What later looks may say: by each of them (draws, looks) whether the claim is `decided`, and of each of its comparisons (draws,
    comparisons, looks) whether it has `held`."""

    decided: NDArray[np.bool_]
    held: NDArray[np.bool_]


@dataclass(frozen=True)
class Decision:
    """A verdict, the place of the look that came to it (the last one where it is open, None where there was none), and what the claim may
    err by over all of its looks."""

    verdict: Verdict
    place: int | None
    alpha: float


class ClaimLooks:
    """A claim, what each of its comparisons comes to at each look, and what that decides."""

    def __init__(self, claim: Claim, study: Study):
        self.claim, self.study = claim, study
        self.compared = [each for asked in asked_of(claim, claim.question, study) for each in asked.look()]

    @property
    def is_tested(self) -> bool:
        """Whether any run or turn speaks to it."""
        return any(each.runs for each in self.compared)

    @cached_property
    def runs(self) -> list[str]:
        """The ids of the runs that do."""
        return sorted(frozenset[str]().union(*(each.runs for each in self._by_seeds)))

    @cached_property
    def turns(self) -> int:
        """How many turns do."""
        return len(frozenset[str]().union(*(each.runs for each in self.compared if each.in_turns)))

    @property
    def _by_seeds(self) -> list[Compared]:
        """The comparisons that are told by runs."""
        return [each for each in self.compared if not each.in_turns]

    @cached_property
    def looks(self) -> Looks:
        """Those that its runs allow: of the study's plan, else the one at as many seeds as its sweeps give an arm, or as there are."""
        if self.runs and not self.study.is_replicated:
            return Looks([1], 1, 1, is_of_cases=True)
        ends = min((each.seeds for each in self._by_seeds if each.seeds > 1), default=2)
        found = plan.taken(self.study.design.looks or (self._by_sweeps or ends,), [each.counts for each in self._by_seeds])
        return replace(found, taken=[TURNS, *found.taken]) if self.turns else found

    @cached_property
    def _by_sweeps(self) -> int | None:
        """How many seeds the sweeps of its runs give an arm, where they say it."""
        runs = set(self.runs)
        there = [records for records in self.study.arms.values() if not runs.isdisjoint(record.run_id for record in records)]
        return plan.of_sweeps([{record.sweep for record in records} for records in there], self.study.design.planned)

    @property
    def is_planned(self) -> bool:
        """Whether anything but its runs says when it is looked at."""
        return bool(self.study.design.looks or self._by_sweeps)

    def seen(self, place: int, look: int | None) -> Seen | None:
        """What a comparison comes to at a look; None where it has too few seeds for it. By turns it comes to the same at each."""
        compared = self.compared[place]
        if compared.look and compared.in_turns:
            return compared.look(None)
        if compared.look is None or look == TURNS or (look is not None and plan.reached(compared.counts, self.looks.first) < look):
            return None
        return compared.look(look)

    @property
    def undecided(self) -> list[str]:
        """Why nothing is decided by what some comparisons come to, whatever it is: by times on shared cores, say."""
        seen = (self.seen(place, None) for place in range(len(self.compared)))
        return list(dict.fromkeys(each.undecided for each in seen if each is not None and each.undecided))

    @cached_property
    def _p_values(self) -> tuple[Array, Array]:
        """Of each comparison at each look (looks, comparisons): of its holding, and of its failing; NaN where nothing tells."""
        seen = [[self.seen(place, self.seeds_of(look)) for place in range(len(self.compared))] for look in self.looks.taken]
        holding = [[math.nan if each is None else each.p_holds for each in there] for there in seen]
        failing = [[math.nan if each is None else each.p_fails for each in there] for there in seen]
        shape = (len(seen), len(self.compared))
        return np.reshape(holding, shape), np.reshape(failing, shape)

    def _held(self, alpha: float) -> NDArray[np.bool_]:
        """Whether each comparison holds at a look, or has held at one before (looks, comparisons)."""
        holding, _ = self._p_values
        found: NDArray[np.bool_] = np.logical_or.accumulate(holding < self.levels(alpha), axis=0)
        return found

    def _failed(self, alpha: float) -> NDArray[np.bool_]:
        """Whether each comparison that has not held fails at a look, as one of several (looks, comparisons)."""
        _, failing = self._p_values
        found: NDArray[np.bool_] = (len(self.compared) * failing < self.levels(alpha)) & ~self._held(alpha)
        return found

    def decides(self, alpha: float) -> NDArray[np.bool_]:
        """Whether it is decided at each look, if it may err by so much over all of them."""
        found: NDArray[np.bool_] = self._held(alpha).all(axis=1) | self._failed(alpha).any(axis=1)
        return found

    def seeds_of(self, look: int) -> int | None:
        """The seeds of an arm that a look has; None, for all there are, where configurations are looked at as they come."""
        return None if self.looks.is_of_cases else look

    @cached_property
    def arms(self) -> int:
        """Whose variance is known so well as that of the comparison that knows it least."""
        seen = [self.seen(place, None) for place, each in enumerate(self.compared) if not each.in_turns]
        return min((each.arms for each in seen if each is not None), default=2)

    def levels(self, alpha: float) -> Array:
        """Of each comparison at each look (looks, comparisons), if it may err by so much over all of them: what is told by turns is looked
        at once, and has all of it."""
        found = np.empty((len(self.looks.taken), len(self.compared)))
        found[:] = np.reshape(self.looks.levels(alpha, self.arms), (-1, 1))
        found[:, [each.in_turns for each in self.compared]] = alpha
        return found

    def at(self, place: int, alpha: float) -> Decision:
        """What the look at a place decides (-1: none did, and the last is told), if the claim may err by so much."""
        if not self.looks.taken:
            return Decision(Verdict.undecided, None, alpha)
        if place < 0:
            return Decision(Verdict.undecided, len(self.looks.taken) - 1, alpha)
        return Decision(Verdict.reproduced if self._held(alpha)[place].all() else Verdict.contradicted, place, alpha)

    def told_at(self, number: int, decision: Decision) -> tuple[int | None, bool | None]:
        """The place of the look by which a comparison is told, and whether it holds: the first at which it does, else its last one."""
        if decision.place is None:
            return None, None
        held = self._held(decision.alpha)[: decision.place + 1, number]
        if held.any():
            return int(held.argmax()), True
        there = [place for place in range(decision.place + 1) if self.seen(number, self.seeds_of(self.looks.taken[place])) is not None]
        if not there:
            return None, None
        return there[-1], False if self._failed(decision.alpha)[there[-1], number] else None

    def standings(self, decision: Decision) -> tuple[PartStanding, ...]:
        """How each comparison stands by a decision. By configurations as they come nothing does."""
        told = [self.told_at(number, decision) for number in range(len(self.compared))]
        return tuple(self._standing(each, at, how) for each, (at, how) in zip(self.compared, told, strict=True))

    def _standing(self, compared: Compared, at: int | None, how: bool | None) -> PartStanding:
        if compared.in_turns:
            return PartStanding(how, None if how is None else TURNS, in_turns=True)
        if at is None or how is None or self.looks.is_of_cases:
            return PartStanding()
        return PartStanding(how, self.looks.taken[at])

    def foretold(self, now: Sequence[int], looks: Sequence[int], alpha: float) -> Foretold | None:
        """What later looks may say, drawn from what each comparison comes to with so many seeds as it has `now`, if the claim may err by
        `alpha` over all looks. None where nothing can be told: a comparison has too few runs that could be looked at now."""
        if self.looks.is_of_cases or not self.compared:
            return None
        taken = sorted({*self.looks.of_seeds, *looks})
        at = dict(zip(taken, levels(taken, alpha, max(self.looks.most, taken[-1]), self.arms), strict=True))
        held, failed = np.zeros((DRAWS, len(self.compared), len(looks)), dtype=bool), np.zeros((DRAWS, len(looks)), dtype=bool)
        holds_now = self._held(alpha)[-1] if self.looks.taken else np.zeros(len(self.compared), dtype=bool)
        for number, seeds in enumerate(now):
            if holds_now[number]:
                held[:, number] = True
                continue
            compared = self.compared[number]
            if not seeds or compared.look is None or compared.in_turns:  # what no arm speaks to, or has no value now, is taken to stay so
                continue
            if (seen := self.seen(number, seeds)) is None:
                return None
            later = [place for place, look in enumerate(looks) if look > seeds]
            if not later:
                continue
            needed = np.array([at[looks[place]] for place in later])
            holding, failing = seen.foretold(seeds, [looks[place] for place in later], stream=number)
            held[:, number, later] = holding < needed
            failed[:, later] |= failing * len(now) < needed
        held = np.logical_or.accumulate(held, axis=-1)
        return Foretold(np.logical_or.accumulate(held.all(axis=1) | failed, axis=-1), held)

    @cached_property
    def alone(self) -> Decision:
        """The verdict on it as the only one."""
        return next(jointly([self], LEVEL, 1))


@dataclass(frozen=True)
class Standing:
    """How a claim stands among all of a study: the decision on it jointly with so many (`among`, itself included), None where it is not
    tested. `is_of_plan`: whether these are all of the study, and not those that are tested."""

    looks: ClaimLooks
    decision: Decision | None
    among: int
    is_of_plan: bool

    @property
    def verdict(self) -> Verdict:
        """Of the decision."""
        return self.decision.verdict if self.decision else Verdict.not_tested

    @property
    def parts(self) -> Sequence[PartStanding]:
        """How each of its comparisons stands."""
        return self.looks.standings(self.decision or Decision(Verdict.not_tested, None, LEVEL))


def standings(study: Study) -> list[Standing]:
    """How every claim stands.

    Where looks are planned, all claims of the study are one family from its first run on: those that have none yet will have some, and a
    verdict that holds jointly with fewer would be taken back. Else the family is of those that are tested.
    """
    claims = [ClaimLooks(claim, study) for claim in study.design.claims]
    tested = [each for each in claims if each.is_tested]
    is_of_plan = bool(study.design.looks)
    among = len(claims) if is_of_plan else len(tested)
    decisions = dict(zip(map(id, tested), jointly(tested, LEVEL, among), strict=True))
    return [Standing(each, decisions.get(id(each)), among, is_of_plan) for each in claims]


def jointly(asked: Sequence[ClaimLooks], alpha: float, among: int) -> Iterator[Decision]:
    """The decision on each of some claims, all of which together, and with others up to so many, may err by `alpha`: what the decided ones
    had of it is the others'."""
    if not asked:
        return
    seeds = sorted({look for each in asked for look in each.looks.taken})

    def deciding(share: float) -> NDArray[np.bool_]:
        table = np.zeros((len(seeds), among), dtype=bool)
        for column, each in enumerate(asked):
            for look, is_decided in zip(each.looks.taken, each.decides(share), strict=True):
                table[seeds.index(look), column] = is_decided
        return table

    found, before = decided(deciding, among, alpha)
    for each, place, gone in zip(asked, found, before, strict=False):  # behind them are those without runs
        yield each.at(-1 if place < 0 else list(each.looks.taken).index(seeds[place]), alpha / (among - gone))
