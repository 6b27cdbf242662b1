"""The claims of a study, and whether these runs bear them out.

A claim is made of parts: comparisons of two levels over runs that have all else in common. What a part claims is a range. It holds where
its interval lies inside, fails where it lies outside, and is open otherwise. A claim is reproduced where all of its parts hold,
contradicted where any fails (by an interval as wide as it takes where any of several may), not tested where no run speaks to it.

Configurations are fixed levels, of equal weight; chance is from seed to seed, with the variance of all arms of the study
(`reglab/statistics/contrast.py`). Claims are decided at the looks of a plan (`reglab/report/plan.py`), which share what may err, each
claim alone and all that are tested jointly (`reglab/statistics/families.py`).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reglab.report import plan
from reglab.report.asked import asked_of
from reglab.report.beside import beside
from reglab.report.claim_kinds import Claim
from reglab.report.findings import Finding, Findings, Verdict, amounts, deciding, how, in_short
from reglab.report.margins import in_margins
from reglab.report.parts import LEVEL, Part, percent
from reglab.report.plan import Looks
from reglab.report.seen import Compared, Seen
from reglab.report.study import Study
from reglab.statistics.families import decided
from reglab.statistics.foretold import DRAWS
from reglab.statistics.looks import levels
from reglab.statistics.moderation import Array


def judge(study: Study) -> Findings:
    """What came out for every claim. Runs that failed or could not be built speak to none."""
    asked, tested, jointly = _judged(study)
    found = (each.finding(number, jointly.get(id(each)), len(tested)) for number, each in enumerate(asked, start=1))
    return Findings(tuple(found), _in_words(tested, [decision.verdict for decision in jointly.values()]))


@dataclass(frozen=True)
class Standing:
    """How a claim stands among all of a study: its verdict jointly with all that are tested, and the seeds of the look that came to it
    (None where it is open, and of one that is decided by its configurations as they come).
    """

    claim: Claim
    verdict: Verdict
    seeds: int | None
    _asked: "_Asked"

    def foretold(self, now: int, looks: Sequence[int], alpha: float) -> Array | None:
        """What later looks may say, drawn from what it comes to with `now` seeds, if it may err by `alpha` over all looks: (draws, looks),
        whether one of them decides it. None where nothing can be told: a comparison has too few runs that could be looked at now."""
        return self._asked.foretold(now, looks, alpha)


def standings(study: Study) -> list[Standing]:
    """How every claim stands."""
    asked, _, jointly = _judged(study)
    found = []
    for each in asked:
        decision = jointly.get(id(each), _Decision(Verdict.not_tested, None, LEVEL))
        is_decided = decision.verdict in (Verdict.reproduced, Verdict.contradicted)
        seeds = each.looks.taken[decision.place] if is_decided and decision.place is not None and not each.looks.is_of_cases else None
        found.append(Standing(each.claim, decision.verdict, seeds, each))
    return found


def _judged(study: Study) -> "tuple[list[_Asked], list[_Asked], dict[int, _Decision]]":
    """All claims, those that are tested, and the verdict on each of these among all, by its `id`."""
    asked = [_Asked(claim, study) for claim in study.design.claims]
    tested = [each for each in asked if each.is_tested]
    return asked, tested, dict(zip(map(id, tested), _jointly(tested), strict=True))


@dataclass(frozen=True)
class _Decision:
    """A verdict, the place of the look that came to it (the last one where it is open, None where there was none), and its level."""

    verdict: Verdict
    place: int | None
    level: float


class _Asked:
    """A claim, what its comparisons come to at each look, and what that says."""

    def __init__(self, claim: Claim, study: Study):
        self.claim, self.study = claim, study
        self.compared = [each for asked in asked_of(claim, claim.question, study) for each in asked.look()]

    @property
    def is_tested(self) -> bool:
        """Whether any run speaks to it."""
        return any(each.runs for each in self.compared)

    @cached_property
    def runs(self) -> list[str]:
        """The ids of those that do."""
        return sorted(frozenset[str]().union(*(each.runs for each in self.compared)))

    @cached_property
    def looks(self) -> Looks:
        """Those that its runs allow: of the study's plan, else the one at as many seeds as its sweeps give an arm, or as there are."""
        if not self.study.is_replicated:
            return Looks([1], 1, 1, is_of_cases=True)
        counts = [each.counts for each in self.compared]
        ends = max(2, min((each.seeds for each in self.compared if each.counts), default=2))
        return plan.taken(self.study.design.looks or (self._by_sweeps or ends,), counts)

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
        """What a comparison comes to at a look; None where it has too few seeds for it."""
        compared = self.compared[place]
        if compared.look is None or (look is not None and plan.reached(compared.counts, self.looks.first) < look):
            return None
        return compared.look(look)

    @cached_property
    def p_values(self) -> list[tuple[float, float]]:
        """At each look: of all parts holding, and of any failing; NaN where nothing tells."""
        found = []
        for look in self.looks.taken:
            there = [self.seen(place, self._seeds(look)) for place in range(len(self.compared))]
            holding = [math.nan if each is None else each.p_holds for each in there]
            failing = [each.p_fails for each in there if each is not None and not math.isnan(each.p_fails)]
            found.append((math.nan if any(map(math.isnan, holding)) else max(holding), len(there) * min(failing, default=math.nan)))
        return found

    def _seeds(self, look: int) -> int | None:
        return None if self.looks.is_of_cases else look

    @cached_property
    def _arms(self) -> int:
        """Whose variance is known so well as that of the comparison that knows it least."""
        seen = [self.seen(place, None) for place in range(len(self.compared))]
        return min((each.arms for each in seen if each is not None), default=2)

    def levels(self, alpha: float) -> tuple[float, ...]:
        """Of each look, if it may err by so much over all of them."""
        return self.looks.levels(alpha, self._arms)

    @property
    def p(self) -> list[float]:
        """At each look: of whichever verdict is nearer."""
        return [float(np.fmin(*each)) for each in self.p_values]

    def at(self, place: int, alpha: float) -> _Decision:
        """What the look at a place decides (-1: none did, and the last is told), if the claim may err by so much."""
        if not self.looks.taken:
            return _Decision(Verdict.undecided, None, alpha)
        level = self.levels(alpha)[place]
        if place < 0:
            return _Decision(Verdict.undecided, len(self.looks.taken) - 1, level)
        holds, _ = self.p_values[place]
        return _Decision(Verdict.reproduced if holds < level else Verdict.contradicted, place, level)

    def foretold(self, now: int, looks: Sequence[int], alpha: float) -> Array | None:
        """As `Standing` tells it."""
        seen = [None if self.looks.is_of_cases else self.seen(place, now) for place in range(len(self.compared))]
        if not seen or None in seen:
            return None
        taken = [*(look for look in self.looks.taken if look <= now), *looks]
        at = np.array(levels(taken, alpha, max(self.looks.most, taken[-1]), self._arms))[-len(looks) :]
        holding, failing = np.zeros(1), np.ones(1)
        for place, each in enumerate(seen):
            assert each
            holds, fails = each.foretold(now, looks, stream=place)
            holding, failing = np.maximum(holding, holds), np.minimum(failing, fails)
        decided: Array = np.broadcast_to((holding < at) | (failing * len(seen) < at), (DRAWS, len(looks)))
        return np.logical_or.accumulate(decided, axis=-1)

    @cached_property
    def alone(self) -> _Decision:
        """The verdict on it as the only one."""
        return self.at(_places([self], LEVEL)[0], LEVEL)

    # In words.

    def finding(self, number: int, jointly: _Decision | None, tested: int) -> Finding:
        """What is told of it."""
        claim, rule = self.claim, self.claim.rule or _rule(self.claim, self.study)
        if jointly is None:
            parts = tuple(each.part() for each in self.compared)
            note = beside(claim, self.study)
            return Finding(number, claim.text, rule, Verdict.not_tested, in_short(parts), parts, (), claim.figure or "", note)
        parts = self.parts(self.alone)
        return Finding(
            number,
            claim.text,
            rule,
            self.alone.verdict,
            in_short(parts),
            parts,
            tuple(self.runs),
            claim.figure or "",
            beside(claim, self.study),
            jointly.verdict,
            self._joint(jointly, tested),
            in_margins(parts),
            self._decided(),
            self._more(),
            tuple(how(parts)),
        )

    def parts(self, decision: _Decision) -> tuple[Part, ...]:
        """Each comparison as the look has it, with the interval at its level; of one that fails alone and not as one of several, with the
        one that leaves it open."""
        return tuple(self._part(place, each, decision) for place, each in enumerate(self.compared))

    def _part(self, place: int, compared: Compared, decision: _Decision) -> Part:
        look = None if decision.place is None else self._seeds(self.looks.taken[decision.place])
        seen = None if decision.place is None else self.seen(place, look)
        if seen is None:
            return compared.part(LEVEL, None, None, is_early=bool(compared.runs))
        level, wide = decision.level, decision.level / len(self.compared)
        if seen.p_holds < level:
            return compared.part(level, look, True)
        if seen.p_fails < wide:
            return compared.part(level, look, False)
        return compared.part(wide if seen.p_fails < level else level, look, None)

    def _joint(self, decision: _Decision, tested: int) -> str:
        if tested == 1 or decision.place is None:
            return ""
        decides = deciding(self.parts(decision))
        of = f"with the {tested - 1} other claim{'s' * (tested > 2)} that {'are' if tested > 2 else 'is'} tested"
        interval = "" if decides.low is None else f", at {percent(decides.confidence)} confidence: {decides.what}: {amounts(decides)}"
        return f"{of}: {decision.verdict}{interval}."

    def _decided(self) -> str:
        looks, place = self.looks, self.alone.place
        if looks.is_of_cases:
            return ""
        if place is None:
            there = f"{self._there} {'is' if self._there == 1 else 'are'} there"
            return f"Its first look is at {looks.first} seeds, and {there}: nothing is decided yet."
        if len(looks.taken) == 1 and looks.most == looks.taken[0]:
            return ""
        at = f"the look at {looks.taken[place]} seeds, at {percent(1 - self.alone.level)} confidence"
        said = f"Told as of {at}." if self.alone.verdict == Verdict.undecided else f"Decided at {at}."
        beyond = f" Its runs go beyond the plan, which is taken as one that ends at {looks.most} seeds."
        return said + beyond * looks.is_exceeded

    @property
    def _there(self) -> int:
        """Seeds of the comparison that has most."""
        return max(each.seeds for each in self.compared)

    def _more(self) -> str:
        """What would settle it: runs for what has none, and seeds for what is open."""
        if self.alone.verdict != Verdict.undecided:
            return ""
        silent = sum(not each.runs for each in self.compared)
        said = [f"runs for {silent} comparison{'s' * (silent > 1)} that {'have' if silent > 1 else 'has'} none"] if silent else []
        if self.looks.is_of_cases:
            said.append("a second seed")
        elif self.alone.place is None:
            more = self.looks.first - self._there
            said.append(f"{more} more seed{'s' * (more > 1)}, for its first look")
        elif any(part.holds is None and part.n for part in self.parts(self.alone)):
            said.append(self._seeds_more())
        return " and ".join(said)

    def _seeds_more(self) -> str:
        """For all that is open where it looks as if it holds, else for the part that is nearest to failing."""
        seen = [each for place in range(len(self.compared)) if (each := self.seen(place, None)) is not None]
        planned = [look for look in self.study.design.looks if look > self._there]
        most = planned[-1] if planned else None
        if failing := [each for each in seen if each.p_fails < 1]:
            found = [each.more(LEVEL / len(self.compared), most) for each in failing]
            more = min((each for each in found if each), default=0)
        else:
            found = [each.more(LEVEL, most) for each in seen if not each.p_holds < LEVEL]
            more = 0 if None in found else max((each for each in found if each), default=0)
        if not more:
            return "more seeds than can be foretold"
        if planned:
            more = min(look for look in planned if look >= self._there + more) - self._there
        return f"about {more} more seed{'s' * (more > 1)}" + ("" if planned else ", beyond the plan")


def _places(asked: Sequence[_Asked], alpha: float) -> list[int]:
    """At which of its own looks each of some claims is decided, -1 of what is open."""
    seeds = sorted({look for each in asked for look in each.looks.taken})
    if not seeds:
        return [-1] * len(asked)

    def spread(values: Callable[[_Asked], Sequence[float]]) -> Array:
        table = np.full((len(seeds), len(asked)), np.nan)
        for column, each in enumerate(asked):
            for look, value in zip(each.looks.taken, values(each), strict=True):
                table[seeds.index(look), column] = value
        return table

    found = decided(spread(lambda each: each.p), alpha, lambda share: spread(lambda each: each.levels(share)))
    return [-1 if place < 0 else list(each.looks.taken).index(seeds[place]) for each, place in zip(asked, found, strict=True)]


def _jointly(tested: Sequence[_Asked]) -> Iterator[_Decision]:
    """The verdict on each of all claims that are tested. What those that are decided had of alpha is the others'."""
    if not tested:
        return
    places = _places(tested, LEVEL)
    order = sorted(
        range(len(tested)), key=lambda each: (places[each] < 0, places[each], tested[each].p[places[each]] if places[each] >= 0 else 0)
    )
    decided_ones = sum(place >= 0 for place in places)
    rank = {each: min(number, decided_ones, len(tested) - 1) for number, each in enumerate(order)}
    for number, (each, place) in enumerate(zip(tested, places, strict=True)):
        yield each.at(place, LEVEL / (len(tested) - rank[number]))


def _rule(claim: Claim, study: Study) -> str:
    """What must be seen, where the study file does not say it in words."""
    return "; ".join(asked.rule for asked in asked_of(claim, claim.question, study)).capitalize() + "."


def _in_words(tested: Sequence[_Asked], verdicts: Sequence[Verdict]) -> str:
    """The plan of looks, those that were taken, and the levels."""
    if not tested:
        return ""
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts)
    jointly = "" if len(tested) == 1 else f"; jointly (Holm, over all {len(tested)} that are tested): {counted}"
    if tested[0].looks.is_of_cases:
        looks = (
            "One seed an arm: each claim is decided by its configurations as they come, which tells nothing of chance from seed to seed."
        )
    else:
        looks = " ".join(_of_looks(tested))
    return f"{looks} Alone, each errs with a probability of at most 5 %{jointly}."


def _of_looks(tested: Sequence[_Asked]) -> Iterator[str]:
    taken = sorted({look for each in tested for look in each.looks.taken})
    if planned := tested[0].study.design.looks:
        yield f"Looks at {_listed(planned)} seeds an arm, of which {_listed(taken) if taken else 'none'} could be taken."
        behind = frozenset(run for each in tested for run in each.runs)
        spent = [sum(record.run_id in behind for record in records) for records in tested[0].study.arms.values()]
        arms = sum(count > 0 for count in spent)
        yield f"Its claims rest on {sum(spent)} runs of {arms} arms; all seeds of the plan would have been {arms * planned[-1]}."
    else:
        given = sorted({each.looks.first for each in tested if each.is_planned})
        there = sorted({each.looks.first for each in tested if not each.is_planned})
        where = (
            [f"the {_listed(given)} seeds an arm that its sweeps give" + ("" if taken else ", which are not there yet")] if given else []
        )
        where += [f"the seeds that are there ({_listed(there)}), since no sweep of the study plans their number"] if there else []
        yield f"One look at each claim, at {'; or at '.join(where)}."
    if any(each.looks.is_exceeded for each in tested):
        yield "Some runs go beyond that: there the plan is taken as ending where they do."


def _listed(numbers: Sequence[int]) -> str:
    texts = list(map(str, numbers))
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
