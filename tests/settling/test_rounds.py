"""Runs are spent where a claim is open, and nowhere else."""

import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from reglab.cli.settle import tell_claims
from reglab.errors import UserError
from reglab.report.claims import verdicts
from reglab.report.studies.study import Study
from reglab.settling.rounds import Round, Stand, Wanted
from reglab.tracking.record import State
from reglab.tracking.turns import as_runs


def by_rate(config):
    """A rate of 0.01 is better by ten points."""
    return 0.6 + 0.1 * (config.optimizer.lr == 0.01)


def only_without_layers(config):
    return 0.6 + 0.1 * (config.optimizer.lr == 0.01 and not config.batchnorm.layers)


def asked(found):
    """How many runs of each arm, by its layers and its rate."""
    return Counter((wanted.arm.config.batchnorm.layers, wanted.arm.config.optimizer.lr) for wanted in found.runs)


def test_the_first_round_has_the_seeds_of_the_first_look_of_the_arms_that_claims_ask_for(course_of):
    found = course_of().next([])
    assert asked(found) == {(layers, rate): 3 for layers in (0, 2) for rate in (0.001, 0.01)}  # none asks for 0.1
    assert {wanted.seed for wanted in found.runs} == {0, 1, 2}
    assert [claim.stand for claim in found.claims] == [Stand.open] * 2


def test_no_run_is_spent_on_a_claim_that_would_decide_nothing(course_of):
    study = course_of().design.path.read_text()
    found = course_of(study.replace("at: {layers: 2}, between: {rate: 0.01}", "between: {rate: 0.01, layers: 2}")).next([])
    assert asked(found) == {(0, rate): 3 for rate in (0.001, 0.01)}
    claim = found.claims[1]
    assert (claim.stand, claim.why) == (Stand.unclear, "rate 0.001 is said of 2 arms that differ in layers: say its level, too")


def test_where_all_is_settled_nothing_is_asked_for(course_of, carry_out):
    course = course_of()
    found = course.next(carry_out(course.next([]).runs, by_rate))
    assert [(claim.stand, claim.verdict) for claim in found.claims] == [(Stand.settled, "reproduced")] * 2
    assert not found.runs and sum(found.there.values()) == 12


def test_only_an_open_claim_gets_more_seeds_up_to_the_next_look(course_of, carry_out):
    course = course_of()
    first = course.next([]).runs
    records = carry_out([run for run in first if not run.arm.config.batchnorm.layers], by_rate)
    records += carry_out([run for run in first if run.arm.config.batchnorm.layers], spread=0.02)
    found = course.next(records)
    assert [claim.stand for claim in found.claims] == [Stand.settled, Stand.open]
    assert asked(found) == {(2, 0.001): 2, (2, 0.01): 2}
    assert {wanted.seed for wanted in found.runs} == {3, 4}  # the file has 0 to 2


def test_a_comparison_that_holds_gets_no_more_while_another_of_its_claim_is_open(course_of, carry_out):
    study = course_of().design.path.read_text()
    head, _, claimed = study.partition("claims:")
    first, second = re.findall(r"difference: (.*)", claimed)
    course = course_of(f"{head}claims:\n  - text: A rate of 0.01 is better.\n    difference: [{first}, {second}]\n")
    runs = course.next([]).runs
    records = carry_out([run for run in runs if not run.arm.config.batchnorm.layers], by_rate)
    noisy = [run for run in runs if run.arm.config.batchnorm.layers]
    records += carry_out(noisy, lambda config: 0.7 + 0.04 * (config.optimizer.lr == 0.01), spread=0.02)
    found = course.next(records)
    assert [[each.done for each in claim.comparisons] for claim in found.claims] == [[True, None]]
    assert asked(found) == {(2, 0.001): 2, (2, 0.01): 2}
    records += carry_out(found.runs, lambda config: 0.6 + 0.3 * (config.optimizer.lr == 0.01), spread=0.02)
    while found := course.next(records).runs:
        assert {run.arm.config.batchnorm.layers for run in found} == {2}
        records += carry_out(found, lambda config: 0.6 + 0.3 * (config.optimizer.lr == 0.01), spread=0.02)
    (claim,) = verdicts.judge(Study.of(records, course.design)).each
    assert claim.jointly == "reproduced"
    assert claim.parts[0].n == 3 < claim.parts[1].n


def test_what_contradicts_a_claim_settles_it_whatever_its_other_comparisons_are(course_of, carry_out):
    study = course_of().design.path.read_text()
    head, _, claimed = study.partition("claims:")
    first, second = re.findall(r"difference: (.*)", claimed)
    course = course_of(f"{head}claims:\n  - text: A rate of 0.01 is better.\n    difference: [{first}, {second}]\n")
    runs = [run for run in course.next([]).runs if not run.arm.config.batchnorm.layers]
    found = course.next(carry_out(runs, lambda config: 0.6 - 0.1 * (config.optimizer.lr == 0.01)))
    assert [(claim.stand, claim.verdict) for claim in found.claims] == [(Stand.settled, "contradicted")] and not found.runs


def test_a_round_that_was_cut_off_asks_for_what_is_left_of_it(course_of, carry_out):
    course = course_of()
    first = list(course.next([]).runs)
    found = course.next(carry_out(first[:7], by_rate))
    assert {(run.arm.name, run.seed) for run in found.runs} == {(run.arm.name, run.seed) for run in first[7:]}


def test_what_no_look_is_likely_to_settle_gets_no_more_and_is_told_with_its_chance(course_of, carry_out, capsys):
    """Whether one of two arms that are alike is the better: hardly ever told, and not by eight seeds."""
    course, records = course_of(), []
    while found := course.next(records).runs:
        records += carry_out(found, spread=0.01)
    now = course.next(records)
    assert {claim.stand for claim in now.claims} == {Stand.futile}
    assert len(records) < 4 * 8
    tell_claims(now, course)
    assert re.search(r"unlikely to be settled by any look of the plan \(chance \d%\)", " ".join(capsys.readouterr().out.split()))


def test_equivalence_is_contradicted_by_what_differs_and_settled_by_what_does_not(course_of, carry_out):
    course = course_of(course_of().design.path.read_text().replace("at_least: 0}", "within: 5}"))
    first = course.next([]).runs
    found = course.next(carry_out(first, only_without_layers, spread=0.002))
    assert [claim.verdict for claim in found.claims] == ["contradicted", "reproduced"]


def test_what_settles_most_for_its_time_comes_first(course_of, carry_out):
    course = course_of()
    first = course.next([]).runs
    slow = [run for run in first if not run.arm.config.batchnorm.layers]
    fast = [run for run in first if run.arm.config.batchnorm.layers]
    records = carry_out(slow[:2], seconds=1000.0) + carry_out(fast[:2], seconds=10.0)
    found = course.next(records)
    assert [run.arm.config.batchnorm.layers for run in found.runs] == [2] * 4 + [0] * 4
    assert found.runs[0].seconds == 20  # ten of training, and ten beside it


def test_runs_that_failed_hold_up_their_claim_until_they_are_asked_for_again(course_of, carry_out):
    course = course_of()
    first = course.next([]).runs
    broken = next(run for run in first if run.arm.config.batchnorm.layers)
    records = [*carry_out([run for run in first if run != broken], by_rate), *carry_out([broken], state=State.failed)]
    found = course.next(records)
    assert [claim.stand for claim in found.claims] == [Stand.settled, Stand.failed]
    assert not found.runs
    again = course_of(retry_failed=True).next(records)
    assert [(run.arm.name, run.seed) for run in again.runs] == [(broken.arm.name, broken.seed)]


def test_a_run_that_diverged_counts_as_one_that_ended(course_of, carry_out):
    course = course_of()
    first = course.next([]).runs
    records = carry_out(first[:-1], by_rate) + carry_out(first[-1:], state=State.diverged)
    assert not {(run.arm.name, run.seed) for run in course.next(records).runs} & {(run.arm.name, run.seed) for run in first}


def test_most_seeds_and_what_replicates_allow_end_the_plan_early(course_of, carry_out):
    sweep = course_of().design.files[0].read_text()
    replicated = sweep.replace("method: grid", "method: grid\nreplicates: {key: train.seed, first: 7, start: 2, most: 4}").replace(
        ", seed: {values: [0, 1, 2]}", ""
    )
    for course in (course_of(most_seeds=4), course_of(sweep=replicated)):
        first = course.next([]).runs
        assert len(first) == 12
        found = course.next(carry_out(first, spread=0.02))
        assert {claim.stand for claim in found.claims} == {Stand.over} and not found.runs
    assert {run.seed for run in first} == {7, 8, 9}


def test_what_cannot_be_looked_at_yet_stays_open(course_of, carry_out):
    """Of three seeds one diverged, and has no gap: the others may come to a look."""
    course = course_of(course_of().design.path.read_text().replace("of: test/accuracy", "of: gap"))
    first = list(course.next([]).runs)
    found = course.next(carry_out(first[:-1], by_rate) + carry_out(first[-1:], state=State.diverged))
    assert Stand.open in {claim.stand for claim in found.claims} <= {Stand.open, Stand.settled}


def test_what_no_run_has_a_value_of_is_given_up(course_of, carry_out):
    """A run that diverged has no gap."""
    course = course_of(course_of().design.path.read_text().replace("of: test/accuracy", "of: gap"))
    first = course.next([]).runs
    records = carry_out([run for run in first if not run.arm.config.batchnorm.layers])
    found = course.next(records + carry_out([run for run in first if run.arm.config.batchnorm.layers], state=State.diverged))
    assert found.claims[1].stand == Stand.futile
    assert {run.arm.config.batchnorm.layers for run in found.runs} <= {0}


def test_a_folder_of_another_set_up_is_refused(course_of, carry_out):
    """A report on it would be one on the runs that were there before."""
    course = course_of()
    longer = course_of(sweep=course.design.files[0].read_text().replace("epochs: {value: 1}", "epochs: {value: 2}"))
    records = carry_out(longer.next([]).runs)
    with pytest.raises(UserError, match=r"most runs that are there have train\.epochs = 2, and not 1"):
        course_of().next(records)


def test_runs_that_no_claim_asks_for_tell_of_the_variance_as_in_a_report(course_of, carry_out):
    course = course_of()
    other = [Wanted(arm, seed, None) for arm in course.arms.values() if arm.name not in course.asked for seed in range(3)]
    assert len(other) == 6
    mine = carry_out(course.next([]).runs, by_rate, spread=0.001)
    noisy = mine + carry_out(other, spread=0.1)
    for records in (mine, noisy):
        told = [found.jointly for found in verdicts.judge(Study.of(records, course.design)).each]
        assert [claim.verdict for claim in course.next(records).claims] == told


def test_seeds_that_are_there_count_whichever_they_are(course_of, carry_out):
    course = course_of()
    shifted = [replace(wanted, seed=wanted.seed + 10) for wanted in course.next([]).runs]
    found = course.next(carry_out(shifted, by_rate))
    assert [claim.stand for claim in found.claims] == [Stand.settled] * 2 and not found.runs


def test_the_seconds_of_a_run_that_failed_are_counted(course_of, carry_out):
    course = course_of()
    (record,) = carry_out(course.next([]).runs[:1], state=State.failed)
    record = record.model_copy(update={"updated": record.created + timedelta(seconds=50)})
    assert course.next([record]).seconds == 50


def test_arms_of_another_set_up_are_not_asked_for(course_of):
    """Of a claim whose levels no sweep has, nothing can be run, and the page says not tested."""
    study = course_of().design.path.read_text().replace("{rate: 0.001}, at_least: 0}", "{rate: 0.5}, at_least: 0}", 1)
    found = course_of(study).next([])
    assert [claim.stand for claim in found.claims] == [Stand.without, Stand.open]
    assert asked(found) == {(2, 0.001): 3, (2, 0.01): 3}


@pytest.mark.parametrize("spread", [0.005, 0.02])
def test_the_course_of_a_study_ends_and_is_the_same_each_time(course_of, carry_out, spread):
    course, records, rounds = course_of(), [], []
    while found := course.next(records).runs:
        assert [(run.arm.name, run.seed) for run in course.next(records[::-1]).runs] == [(run.arm.name, run.seed) for run in found]
        records += carry_out(found, lambda config: 0.6 + 0.02 * (config.optimizer.lr == 0.01), spread=spread)
        rounds.append(len(found))
    assert sum(rounds) == len(records) <= 4 * 8


TIMES = """
claims:
  - text: Two layers take longer, and are better.
    ratio: {of: time/train_seconds, between: {layers: 2}, and: {layers: 0}, at_least: 1}
    difference: {of: test/accuracy, between: {layers: 2}, and: {layers: 0}, at_least: 0}
"""


@pytest.fixture
def timed(course_of, make_turns):
    """Makes the course of a claim on time and accuracy, whose arms took turns: so many times as long with layers."""

    def make(times, text=TIMES):
        course = course_of(course_of().design.path.read_text().partition("claims:")[0] + text)
        took = []
        for arm in course.arms.values():
            many = times if arm.config.batchnorm.layers else 1.0
            config = arm.config.model_dump(exclude={"arm", "cell"})
            took.append(make_turns(config, [many * noise for noise in (1.0, 1.02, 0.99, 1.01)]))
        return replace(course, turns=as_runs(took))

    return make


def test_what_turns_tell_needs_no_run_and_the_rest_of_its_claim_does(timed, carry_out):
    course = timed(1.5)
    found = course.next([])
    assert [[(each.done, each.is_open) for each in claim.comparisons] for claim in found.claims] == [[(None, True), (True, False)]]
    assert len(found.runs) == 18  # three seeds of six arms
    found = course.next(carry_out(found.runs, lambda config: 0.6 + 0.05 * config.batchnorm.layers))
    assert [(claim.stand, claim.verdict) for claim in found.claims] == [(Stand.settled, "reproduced")]


def test_what_turns_contradict_is_settled_without_a_run(timed):
    found = timed(0.7).next([])
    assert [(claim.stand, claim.verdict) for claim in found.claims] == [(Stand.settled, "contradicted")]
    assert not found.runs


def test_turns_that_leave_a_claim_open_ask_for_no_run(timed):
    found = timed(1.0, TIMES.partition("    difference")[0]).next([])
    assert [(claim.stand, claim.verdict) for claim in found.claims] == [(Stand.timed, "undecided")]
    assert not found.runs
    assert not timed(1.0).next([]).runs  # nor does what else the claim compares: with that open it is not reproduced


def test_turns_in_another_set_up_than_the_arms_settle_nothing(timed):
    course = timed(0.7)
    narrow = [turn.model_copy(update={"config": turn.config | {"model": {"width": 8}}}) for turn in course.turns]
    found = replace(course, turns=narrow).next([])
    assert [claim.stand for claim in found.claims] == [Stand.open] and found.runs


@pytest.mark.parametrize(
    ("seconds", "spent", "told", "run"),
    [(100, 40, [20, 30, 30], 2), (100, 100, [20], 0), (100, 0, [20, 30], 2), (100, 10, [None, 30], 1), (100, 100, [None, 30], 1)],
)
def test_a_budget_pays_for_the_first_runs_and_for_one_to_see_what_runs_take(seconds, spent, told, run):
    runs = tuple(Wanted(None, seed, each) for seed, each in enumerate(told))
    assert Round((), runs, {}, spent, 0.05).within(seconds) == runs[:run]
