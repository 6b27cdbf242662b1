"""Which arms the claims of a study ask for, before or while there are runs of them."""

from collections.abc import Iterable

from reglab.report import stats
from reglab.report.asked import together
from reglab.report.claim_kinds import Claim, PublishedValue
from reglab.report.design import Design
from reglab.report.evidence import Evidence
from reglab.report.study import Study
from reglab.tracking.record import RunRecord, State


def asked_by(claim: Claim, study: Study) -> frozenset[str]:
    """The arms whose runs would speak to a claim, by what reports call an arm, where `study` is one of planned runs."""
    runs, found = Evidence(study, claim.question), set[str]()
    for _, comparison in claim.comparisons():
        for levels in [] if isinstance(comparison, PublishedValue) else together(comparison):
            for by_level in runs.cases(comparison.at, levels, runs.held(levels)).values():
                found.update(stats.arm(record) for by_seed in by_level for record in by_seed.values())
    return frozenset(found)


def of_plan(design: Design, planned: Iterable[RunRecord]) -> Study:
    """The study that planned runs will be. They stand there as runs that ended without a result, which claims look for, too."""
    return Study.of([record.changed(state=State.diverged) for record in planned], design)
