"""The claims of a study, and whether these runs bear them out.

A claim is made of parts: comparisons of two levels over runs that have all else in common. What a part claims is a range. It holds where
its interval lies inside, fails where it lies outside, and is open otherwise. A claim is reproduced where all of its parts hold,
contradicted where any fails (by an interval as wide as it takes where any of several may), not tested where no run speaks to it.

Configurations are fixed levels, of equal weight; chance is from seed to seed, with the variance of all arms of the study
(`reglab/statistics/contrast.py`). Claims are decided at the looks of a plan (`plan.py`), which share what may err, each
claim alone and all of a family jointly (`reglab/statistics/families.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reglab.report.claims import plan
from reglab.report.claims.asked import asked_of
from reglab.report.claims.beside import beside
from reglab.report.claims.claim_looks import ClaimLooks, Decision, Standing, standings
from reglab.report.claims.findings import Finding, Findings, Verdict, amounts, deciding, how, in_short
from reglab.report.claims.margins import in_margins
from reglab.report.claims.plan import TURNS, Looks
from reglab.report.comparisons.parts import LEVEL, Part, percent
from reglab.report.comparisons.seen import Compared, OfShare, Seen
from reglab.report.studies.claim_kinds import Claim
from reglab.report.studies.study import Study
from reglab.report.writing.numbers import counted

_MORE_ROUNDS = "more rounds, in a folder of their own (`reglab study time --rounds --name`)"
"""Not in the same one: the first session there has decided, and a later one is no second look."""


def judge(study: Study) -> Findings:
    """What came out for every claim. Runs that failed or could not be built speak to none."""
    each = standings(study)
    found = (_Told(standing).finding(number) for number, standing in enumerate(each, start=1))
    return Findings(tuple(found), _in_words([standing for standing in each if standing.decision]))


@dataclass(frozen=True)
class _Told:
    """A claim in words."""

    standing: Standing

    @property
    def _asked(self) -> ClaimLooks:
        return self.standing.looks

    @property
    def _looks(self) -> Looks:
        return self._asked.looks

    @property
    def _alone(self) -> Decision:
        return self._asked.alone

    def finding(self, number: int) -> Finding:
        """What is told of it."""
        claim, study, jointly = self._asked.claim, self._asked.study, self.standing.decision
        rule = claim.rule or _rule(claim, study)
        if jointly is None:
            parts = tuple(each.part() for each in self._asked.compared)
            note = beside(claim, study)
            return Finding(number, claim.text, rule, Verdict.not_tested, in_short(parts), parts, (), claim.figure or "", note)
        parts = self.parts(self._alone)
        return Finding(
            number,
            claim.text,
            rule,
            self._alone.verdict,
            in_short(parts),
            parts,
            self._behind(parts),
            claim.figure or "",
            beside(claim, study),
            self._asked.turns,
            jointly.verdict,
            self._joint(jointly),
            in_margins(parts),
            self._decided(),
            self._more(),
            tuple(how(parts)),
        )

    def _behind(self, parts: Sequence[Part]) -> tuple[str, ...]:
        """The ids of the runs that its parts are told by: not of seeds or configurations that the look leaves out."""
        of_seeds = (part.runs for part, each in zip(parts, self._asked.compared, strict=True) if not each.in_turns)
        return tuple(sorted(frozenset[str]().union(*of_seeds)))

    def parts(self, decision: Decision) -> tuple[Part, ...]:
        """Each comparison as the look has it, with the interval at its level; of one that fails, or would alone, with that by which any of
        several does."""
        return tuple(self._part(place, each, decision) for place, each in enumerate(self._asked.compared))

    def _part(self, number: int, compared: Compared, decision: Decision) -> Part:
        place, holds = self._asked.told_at(number, decision)
        if place is None:
            return compared.part(LEVEL, None, None, is_early=bool(compared.runs))
        look = None if compared.in_turns else self._asked.seeds_of(self._looks.taken[place])
        level = float(self._asked.levels(decision.alpha)[place, number])
        seen, wide = self._asked.seen(number, look), level / len(self._asked.compared)
        is_wide = holds is False or (holds is None and seen is not None and seen.p_fails < level)
        return compared.part(wide if is_wide else level, look, holds)

    def _joint(self, decision: Decision) -> str:
        others = self.standing.among - 1
        if not others or decision.place is None:
            return ""
        decides = deciding(self.parts(decision))
        whose = "of the study" if self.standing.is_of_plan else f"that {'are' if others > 1 else 'is'} tested"
        of = f"with the {others} other claim{'s' * (others > 1)} {whose}"
        interval = "" if decides.low is None else f", at {percent(decides.confidence)} confidence: {decides.what}: {amounts(decides)}"
        return f"{of}: {decision.verdict}{interval}."

    def _decided(self) -> str:
        looks, place = self._looks, self._alone.place
        if looks.is_of_cases or not self._asked.runs:
            return ""
        if not looks.of_seeds and self._alone.verdict == Verdict.undecided:
            there = f"{self._there} {'is' if self._there == 1 else 'are'} there"
            yet = "nothing is decided by runs yet" if self._asked.turns else "nothing is decided yet"
            return f"Its first look is at {looks.first} seeds, and {there}: {yet}."
        assert place is not None
        if looks.taken[place] == TURNS:
            return "Decided by arms that took turns."
        if len(looks.of_seeds) == 1 and looks.most == looks.of_seeds[0]:
            return ""
        level = looks.levels(self._alone.alpha, self._asked.arms)[place]
        at = f"the look at {looks.taken[place]} seeds, at {percent(1 - level)} confidence"
        said = f"Decided at {at}."
        if self._alone.verdict == Verdict.undecided:
            runs = (number for number, each in enumerate(self._asked.compared) if not each.in_turns)
            places = {self._asked.told_at(number, self._alone)[0] for number in runs} - {None}
            said = f"Told as of {at}." if len(places) < 2 else "Each comparison is told as of the last look at it."
        beyond = f" Its runs go beyond the plan, which is taken as one that ends at {looks.most} seeds."
        return said + beyond * looks.is_exceeded

    @property
    def _there(self) -> int:
        """Seeds of the comparison that has most."""
        return max(each.seeds for each in self._asked.compared if not each.in_turns)

    def _more(self) -> str:
        """What would settle it: runs for what has none, and seeds for what is open."""
        if self._alone.verdict != Verdict.undecided:
            return ""
        if several := dict.fromkeys(each.several for each in self._asked.compared if each.several):
            return f"a claim that one arm meets each level of: {'; '.join(several)}"
        apart = [each for each in self._asked.compared if not each.runs and each.are_apart]
        silent = sum(not each.runs for each in self._asked.compared) - len(apart)
        said = [f"runs for {silent} comparison{'s' * (silent > 1)} that {'have' if silent > 1 else 'has'} none"] if silent else []
        if apart:
            said.append(f"runs that can be compared (times: of one machine) for {len(apart)} comparison{'s' * (len(apart) > 1)}")
        open_ones = [
            each for part, each in zip(self.parts(self._alone), self._asked.compared, strict=True) if part.holds is None and part.n
        ]
        said += [_MORE_ROUNDS] * any(each.in_turns for each in open_ones)
        if all(each.in_turns for each in open_ones):
            return " and ".join(said)
        if self._looks.is_of_cases:
            said.append("a second seed")
        elif not self._looks.of_seeds:
            more = self._looks.first - self._there
            said.append(f"{more} more seed{'s' * (more > 1)}, for its first look")
        else:
            said.append(self._seeds_more())
        return " and ".join(said)

    def _seeds_more(self) -> str:
        """For all that is open where it looks as if it holds, else for the part that is nearest to failing."""
        compared = self._asked.compared
        left = [place for place, each in enumerate(compared) if not each.in_turns and self._asked.told_at(place, self._alone)[1] is None]
        seen = {place: each for place in left if (each := self._asked.seen(place, None)) is not None}
        if failing := {place: each for place, each in seen.items() if each.p_fails < 1}:
            found = [self._of_one(place, each, LEVEL / len(compared)) for place, each in failing.items()]
            more, is_beyond = min((each for each in found if each), default=(0, False))
        else:
            wanted = [self._of_one(place, each, LEVEL) for place, each in seen.items() if not each.p_holds < LEVEL]
            more, is_beyond = (0, False) if None in wanted else max((each for each in wanted if each), default=(0, False))
        if not more and (why := self._asked.undecided):
            return f"other runs ({'; '.join(why)})"
        if few := dict.fromkeys(each.too_few for each in seen.values() if isinstance(each, OfShare) and each.too_few):
            return f"other configurations: {'; '.join(few)}"
        if not more:
            return "more seeds than can be foretold"
        return f"about {more} more seed{'s' * (more > 1)}" + ", beyond the plan" * is_beyond

    def _of_one(self, place: int, seen: Seen, alpha: float) -> tuple[int, bool] | None:
        """How many more seeds would settle one comparison, up to a look that it has not come to, or beyond the plan; None where none."""
        there = plan.reached(self._asked.compared[place].counts, self._looks.first)
        left = [look for look in self._asked.study.design.looks if look > there]
        if not (more := seen.more(alpha, left[-1] if left else None)):
            return None
        look = next((look for look in left if look >= there + more), None)
        return (more, True) if look is None else (look - there, False)


def _rule(claim: Claim, study: Study) -> str:
    """What must be seen, where the study file does not say it in words."""
    return "; ".join(asked.rule for asked in asked_of(claim, claim.question, study)).capitalize() + "."


def _in_words(standing: Sequence[Standing]) -> str:
    """The plan of looks, those that were taken, and the levels, of claims that are tested."""
    if not standing:
        return ""
    tested = [each.looks for each in standing if each.looks.runs]
    verdicts, among = [each.verdict for each in standing], standing[0].among
    whose = "of the study" if standing[0].is_of_plan else "that are tested"
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts)
    jointly = "" if among == 1 else f"; jointly (Holm, over all {among} {whose}): {counted}"
    if not tested:
        looks = "Arms took turns, an epoch each in a round, and are looked at once."
    elif tested[0].looks.is_of_cases:
        looks = (
            "One seed an arm: each claim is decided by its configurations as they come, which tells nothing of chance from seed to seed."
        )
    else:
        looks = " ".join(_of_looks(tested))
    return f"{looks} Alone, each errs with a probability of at most 5 %{jointly}."


def _of_looks(tested: Sequence[ClaimLooks]) -> Iterator[str]:
    taken = sorted({look for each in tested for look in each.looks.of_seeds})
    if planned := tested[0].study.design.looks:
        yield f"Looks at {_listed(planned)} seeds an arm: {f'at {_listed(taken)} they were taken' if taken else 'none could be taken yet'}."
        behind = frozenset(run for each in tested for run in each.runs)
        spent = [sum(record.run_id in behind for record in records) for records in tested[0].study.arms.values()]
        arms = sum(count > 0 for count in spent)
        rest = f"{counted(sum(spent), 'runs')} of {counted(arms, 'arms')}"
        yield f"Its claims rest on {rest}; all seeds of the plan would have been {arms * planned[-1]:,}."
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
