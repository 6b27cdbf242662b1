"""What it will take until a study is settled."""

import pytest

from reglab.settling.outlook import hours_of, outlook
from tests.settling.conftest import STUDY


def by_rate(config):
    return 0.6 + 0.1 * (config.optimizer.lr == 0.01)


def test_before_any_run_large_effects_take_the_first_look_and_small_ones_the_whole_plan(course_of):
    course = course_of()
    large = outlook(course, [], effect=10.0)
    assert large.runs() == (12, 12, 12, 32)
    small = outlook(course, [], effect=0.1)
    assert small.runs()[1] == 32
    assert "2 claims as if the arms that they compare differed by 0.1" in small.basis


def test_an_interaction_takes_more_seeds_than_a_difference_and_a_mean_fewer(course_of):
    """Of as large an effect: their variances are those of four arms, of two, and of one."""
    rates, layers = "between: {rate: 0.01}, and: {rate: 0.001}", "with: {layers: 0}, against: {layers: 2}"
    difference = "difference: {of: test/accuracy, at: {layers: 0}, between: {rate: 0.01}, and: {rate: 0.001}, at_least: 0}"
    kinds = {
        "mean": "threshold: {of: test/accuracy, at: {layers: 0}, between: {rate: [0.01, 0.001]}, at_least: 60}",
        "difference": difference,
        "interaction": f"interaction: {{of: test/accuracy, {rates}, {layers}, at_least: 0}}",
    }
    runs = {}
    for kind, claim in kinds.items():
        course = course_of(STUDY.partition("  - text: With two layers")[0].replace(difference, claim))
        _, middle, high, _ = outlook(course, [], effect=2.0).runs()
        runs[kind] = (middle + high) / len(course.asked)  # each of as many arms as it has
    assert runs["mean"] < runs["difference"] < runs["interaction"]


def test_what_is_settled_takes_nothing_and_what_is_open_what_its_runs_foretell(course_of, carry_out):
    course = course_of()
    first = course.next([]).runs
    settled = outlook(course, carry_out(first, by_rate))
    assert settled.runs()[:3] == (0, 0, 0) and settled.basis == "no claim is open, and all are settled"
    records = carry_out([run for run in first if not run.arm.config.batchnorm.layers], by_rate)
    records += carry_out([run for run in first if run.arm.config.batchnorm.layers], spread=0.02)
    found = outlook(course, records)
    assert found.basis == "1 open claim as its runs foretell it"
    assert 4 <= found.runs()[0] <= found.runs()[2] <= 10


def test_hours_are_those_of_runs_of_the_arm(course_of, carry_out):
    course = course_of()
    assert hours_of(course, []) == {}
    records = carry_out(course.next([]).runs, by_rate, seconds=3590.0)
    hours = hours_of(course, records)
    assert hours == pytest.approx(dict.fromkeys(course.asked, 1.0))
    assert outlook(course, records).runs(hours)[3] == pytest.approx(20)
