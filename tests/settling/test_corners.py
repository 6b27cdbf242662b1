"""Studies whose comparisons have unlike numbers of runs: nothing ends otherwise than in a word."""

import pytest

from reglab.report.claims import verdicts
from reglab.report.claims.claim_looks import standings
from reglab.report.claims.findings import Verdict
from reglab.report.comparisons.parts import LEVEL
from reglab.report.studies.study import Study
from reglab.settling.rounds import Stand, Wanted

TWO = """
claims:
  - text: A rate of 0.01 is better than 0.001, with two layers and with none.
    difference:
      - {of: test/accuracy, at: {layers: 0}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}
      - {of: test/accuracy, at: {layers: 2}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}
"""


def study(course_of, claimed, looks="[3, 5, 8, 12]"):
    return course_of().design.path.read_text().partition("claims:")[0].replace("looks: [3, 5, 8]", f"looks: {looks}") + claimed


def clear(config):
    return 0.6 + 0.1 * (config.optimizer.lr == 0.01)


@pytest.mark.parametrize(("of_the_open", "of_the_other"), [(3, 8), (5, 12), (8, 12), (8, 8)])
def test_what_is_still_needed_is_counted_from_the_comparison_that_is_open(course_of, carry_out, of_the_open, of_the_other):
    course = course_of(study(course_of, TWO))
    records = []
    for wanted in course.next([]).runs:
        if not wanted.seed:
            layers = wanted.arm.config.batchnorm.layers
            of = [Wanted(wanted.arm, seed, None) for seed in range(of_the_open if layers else of_the_other)]
            records += carry_out(of, spread=0.02) if layers else carry_out(of, clear)
    (found,) = verdicts.judge(Study.of(records, course.design)).each
    assert found.parts[0].holds and found.parts[1].holds is None
    assert found.more == "more seeds than can be foretold" or found.more.startswith("about ")
    if of_the_open < 12 and "foretold" not in found.more:
        more = int(found.more.split()[1])
        assert "beyond" in found.more or of_the_open + more in (5, 8, 12)


def test_a_target_that_no_first_seed_comes_to_leaves_its_claim_open(course_of, carry_out):
    claimed = """
claims:
  - text: A rate of 0.01 is sooner there.
    sooner: {at: {layers: 0}, between: {rate: 0.01}, and: {rate: 0.001}, cases: seeds}
"""
    course = course_of(study(course_of, claimed))
    first = course.next([]).runs
    later = [Wanted(run.arm, run.seed + 3, None) for run in first]
    records = carry_out(first, to_target=None) + carry_out(later, to_target=5.0)
    (claim,) = course.next(records).claims
    assert claim.stand in (Stand.open, Stand.futile)
    (found,) = verdicts.judge(Study.of(records, course.design)).each
    assert found.verdict == Verdict.undecided


def test_a_comparison_that_no_arm_speaks_to_keeps_its_claim_from_no_end(course_of, carry_out):
    """It can only be contradicted; where nothing looks as if it will be, it is given up."""
    claimed = TWO + "      - {of: test/accuracy, at: {layers: 3}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}\n"
    course, records = course_of(study(course_of, claimed)), []
    while found := course.next(records).runs:
        records += carry_out(found, clear)
    (claim,) = course.next(records).claims
    assert claim.stand in (Stand.futile, Stand.over) and len(records) == 12


def test_without_a_plan_a_comparison_of_one_seed_takes_none_from_another(course_of, carry_out):
    course = course_of(study(course_of, TWO, looks="[]"))
    plan = course_of(study(course_of, TWO))
    records = []
    for wanted in plan.next([]).runs:
        if not wanted.seed:
            seeds = range(1 if wanted.arm.config.batchnorm.layers else 8)
            records += carry_out([Wanted(wanted.arm, seed, None) for seed in seeds], clear)
    records = [record.model_copy(update={"sweep": "by hand"}) for record in records]
    (found,) = verdicts.judge(Study.of(records, course.design)).each
    assert [part.n for part in found.parts] == [8, 1]


def test_a_claim_whose_runs_came_first_is_judged_among_all_of_the_study(course_of, carry_out):
    """A round that was cut off: what is settled by its runs must stay so when those of the other claims come."""
    claimed = """
  - text: With this number of layers.
    difference: {of: test/accuracy, at: {layers: LAYERS}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}
"""
    course = course_of(study(course_of, "claims:" + claimed.replace("LAYERS", "0") + claimed.replace("LAYERS", "2")))
    wanted = course.next([]).runs
    first = carry_out([run for run in wanted if run.arm.config.batchnorm.layers == 0], clear)
    standing, without = standings(Study.of(first, course.design))
    assert (standing.decision.alpha, without.decision) == (LEVEL / 2, None)
    (found, _) = verdicts.judge(Study.of(first, course.design)).each
    assert found.joint.startswith("with the 1 other claim of the study: ")
    whole = standings(Study.of([*first, *carry_out([run for run in wanted if run.arm.config.batchnorm.layers], clear)], course.design))
    assert [each.verdict for each in whole] == [standing.verdict, Verdict.reproduced]
