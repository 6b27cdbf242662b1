"""Which arms the claims of a study ask for, before or while there are runs of them."""

import itertools
from collections.abc import Iterable, Iterator

from reglab.report.claims.asked import looked_at
from reglab.report.claims.evidence import Evidence
from reglab.report.comparisons.seen import of_too_few
from reglab.report.studies.claim_kinds import BestClaim, Claim, ClaimedComparison, SoonerClaim
from reglab.report.studies.columns import in_order, meets, written
from reglab.report.studies.design import Design
from reglab.report.studies.measures import is_time
from reglab.report.studies.study import Study
from reglab.tracking.record import RunRecord, State


def asked_by(claim: Claim, study: Study) -> list[frozenset[str]]:
    """Of each comparison of a claim, in the order in which it is judged, the arms whose runs would speak to it, by what reports call an
    arm, where `study` is one of planned runs. None of one that no arm speaks to, or whose runs would decide nothing."""
    runs = Evidence(study, claim.question)
    return [arms for comparison in claim.claimed for arms in _asked_by(comparison, runs)]


def timed_by(design: Design, plan: Study) -> frozenset[str]:
    """The arms whose times the claims of a study compare, of training or to the target, by what reports call an arm."""
    asked = (
        (comparison, Evidence(plan, claim.question)) for claim in design.claims for comparison in claim.claimed if is_time(comparison.of)
    )
    return frozenset(arm for comparison, runs in asked for arms in _asked_by(comparison, runs) for arm in arms)


def _asked_by(comparison: ClaimedComparison, runs: Evidence) -> Iterator[frozenset[str]]:
    for looked in looked_at(comparison):
        found = [runs.cases(comparison.at, levels, runs.held(levels)) for levels in looked]
        cases = (by_level for each in found for by_level in each.each.values() if not any(each.several for each in found))
        yield frozenset(runs.study.arm_of[record.run_id] for case in cases for by_seed in case for record in by_seed.values())


def several_by(claim: Claim, study: Study) -> list[str]:
    """Of each comparison of a claim that would decide nothing, why: several of the arms that are planned meet one of its levels."""
    runs = Evidence(study, claim.question)
    looked = ((each.at, levels) for each in claim.claimed for some in looked_at(each) for levels in some)
    found = (runs.cases(at, levels, runs.held(levels)).several for at, levels in looked)
    return list(dict.fromkeys(filter(None, found)))


def of_plan(design: Design, planned: Iterable[RunRecord], turns: Iterable[RunRecord] = ()) -> Study:
    """The study that planned runs will be, with those of some turns that are in its set-up. They stand there as runs that ended without a
    result, which claims look for, too."""
    return Study.of([record.changed(state=State.diverged) for record in planned], design, turns)


def in_vain(design: Design, plan: Study) -> list[str]:
    """What of its claims a study would train for in vain, in a line each: levels that no planned arm has, or that several have, and shares
    of fewer configurations than any seeds could decide."""
    several = ((number, why) for number, claim in enumerate(design.claims, start=1) for why in several_by(claim, plan))
    undecided = (f"{design.path}: claim {number} would decide nothing: {why}" for number, why in several)
    few = ((number, why) for number, claim in enumerate(design.claims, start=1) for why in few_by(claim, plan))
    return [*_absent(design, plan), *undecided, *(f"{design.path}: claim {number} can never hold: {why}" for number, why in few)]


def few_by(claim: Claim, study: Study) -> list[str]:
    """Of each comparison of a claim that counts configurations, and has too few of them for a share that is surely above one half, why it
    can never hold, and what could be claimed instead."""
    runs, found = Evidence(study, claim.question), []
    for comparison in claim.claimed:
        match comparison:
            case BestClaim():
                kind, instead = "best", "claim a `difference` from each of the other levels (a `ratio` of times), which seeds decide"
            case SoonerClaim(cases="configurations"):
                kind, instead = "sooner", "`cases: seeds` counts the runs of each seed"
            case _:
                continue
        for levels in itertools.chain.from_iterable(looked_at(comparison)):
            if few := of_too_few(len(runs.cases(comparison.at, levels).each)):
                found.append(f"`{kind}`: {few}; {instead}")
    return list(dict.fromkeys(found))


def _absent(design: Design, plan: Study) -> list[str]:
    """Of each claim the levels that no planned arm has, in a line: a comparison with them would never be tested."""
    treated = list(filter(None, plan.treated.values()))
    lines = []
    for number, claim in enumerate(design.claims, start=1):
        for column, level in dict.fromkeys(_levels(claim)):
            if not any(meets(each, {column: (level,)}, plan.base) for each in treated):
                there = ", ".join(written(each) for each in sorted({each[column] for each in treated}, key=in_order))
                lines.append(
                    f"{design.path}: claim {number} is about {column}: {level}, and no arm of its sweeps has that; they have {there}"
                )
    return lines


def _levels(claim: Claim) -> Iterator[tuple[str, str]]:
    for comparison in claim.claimed:
        for _, condition in comparison.conditions():
            for column, levels in condition.items():
                yield from ((column, level) for level in levels)
