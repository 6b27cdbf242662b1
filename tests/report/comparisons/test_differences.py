"""What one side has more than the other, as tables tell it."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats as scipy_stats

from reglab.report.comparisons.differences import of_sides
from reglab.report.comparisons.sides import ArmResults, One, Sides
from reglab.report.studies.measures import POINTS
from reglab.statistics.contrast import contrast


def arm(*values, first=0, seeded=True):
    return ArmResults(tuple(One(f"r{place}", str(first + place) if seeded else None, value) for place, value in enumerate(values)))


def against(one, other, *beside):
    return of_sides(Sides([one, other, *beside], [(0, 1)], 1.0), POINTS)


def test_two_arms_whose_runs_are_no_pairs_are_compared_as_welch_does():
    one, other = [90.0, 80.0, 95.0, 70.0], [50.0, 52.0, 47.0]
    found = against(arm(*one, seeded=False), arm(*other, seeded=False))
    peer = scipy_stats.ttest_ind(one, other, equal_var=False)
    assert found.p == pytest.approx(peer.pvalue)
    assert found.interval(0.05) == pytest.approx(tuple(peer.confidence_interval()))
    assert (found.n, found.over) == (3, "seeds")


def test_where_seeds_say_it_all_runs_are_compared_as_pairs():
    seeds = np.array([0.0, 30.0, 60.0, 90.0, 10.0])
    one, other, third = seeds + np.array([3.0, 3.1, 2.9, 3.0, 3.2]), seeds, seeds + np.array([0.1, -0.1, 0.0, 0.1, -0.1])
    found = against(arm(*one), arm(*other), arm(*third))
    assert found.found.paired and found.p < 1e-4
    assert found.each == pytest.approx((3.0, 3.1, 2.9, 3.0, 3.2))


def test_all_arms_tell_of_the_variance():
    """Three seeds of two arms know little of it, of eight arms much."""
    arms = [arm(*(level + place / 10 + step for step in (-1.0, 0.1, 0.9))) for place, level in enumerate((5, 0, 1, 2, 3, 4, 2, 1))]
    arms = [ArmResults(tuple(One(each.run, None, each.value) for each in one.results)) for one in arms]
    alone, among = against(*arms[:2]), against(*arms)
    width = [float(np.diff(found.interval(0.05))[0]) for found in (alone, among)]
    assert width[1] < 0.8 * width[0]
    weights = np.array([1.0, -1.0, *[0.0] * 6])
    same = contrast(np.array([[each.value for each in arm.results] for arm in arms]), weights, may_pair=False)
    assert among.interval(0.05) == pytest.approx(tuple(map(float, same.interval(0.05))))


def test_four_arms_are_compared_as_the_interaction_of_a_two_way_analysis():
    """A factor gains 5 with another one, and 2 without it."""
    levels, spread = {(1, 1): 9.0, (0, 1): 4.0, (1, 0): 3.0, (0, 0): 1.0}, (-1.0, 0.1, 0.9)
    arms = [arm(*(level + each for each in spread), seeded=False) for level in levels.values()]
    found = Sides(arms, [(0, 1, 2, 3)], 1.0).contrast()
    rows = [(one, other, each.value) for (one, other), arm in zip(levels, arms, strict=True) for each in arm.results]
    fit = smf.ols("value ~ one * other", pd.DataFrame(rows, columns=["one", "other", "value"])).fit()
    assert float(found.mean) == pytest.approx(fit.params["one:other"]) == pytest.approx(3.0)
    assert float(found.error) == pytest.approx(fit.bse["one:other"])
    assert float(found.freedom) == pytest.approx(fit.df_resid) == 8


def test_four_arms_are_compared_seed_by_seed_where_that_pays():
    seeds = np.array([0.0, 30.0, 60.0, 90.0])
    chance = [(0.0, 0.1, -0.1, 0.0), (0.1, 0.0, 0.1, -0.2), (-0.1, 0.1, 0.0, 0.1), (0.2, -0.1, 0.0, 0.0)]
    arms = [arm(*(seeds + level + each)) for level, each in zip((9, 4, 3, 1), chance, strict=True)]
    found = Sides(arms, [(0, 1, 2, 3)], 1.0).contrast()
    assert found.paired and float(found.mean) == pytest.approx(3.0, abs=0.2) and float(found.error) < 0.2


def test_where_no_arm_has_two_runs_pairs_are_taken_as_they_come():
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]  # hours, one drug against the other (Student 1908)
    arms = [arm(value) for gain in gained for value in (gain, 0.0)]
    found = of_sides(Sides(arms, [(2 * place, 2 * place + 1) for place in range(10)], 1.0), POINTS)
    assert (found.n, found.over) == (10, "cases")
    assert found.p == pytest.approx(0.00283, abs=5e-6)
    assert found.interval(0.05) == pytest.approx((0.70, 2.46), abs=5e-3)


@pytest.mark.parametrize(("one", "other"), [([1.0], [2.0]), ([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0]), ([0.1 + 0.2, 0.3], [0.5, 0.5])])
def test_one_seed_and_two_that_are_alike_but_for_rounding_tell_nothing_of_chance(one, other):
    found = against(arm(*one), arm(*other))
    assert (found.interval(0.05), found.p, found.seeds_more(1.0)) == (None, None, None)


def test_three_that_are_alike_are_certain():
    assert against(arm(2.0, 2.0, 2.0), arm(1.0, 1.0, 1.0)).p == 0.0
    assert against(arm(2.0, 2.0, 2.0), arm(2.0, 2.0, 2.0)).p == 1.0


def test_a_side_without_a_result_has_no_difference():
    assert against(arm(1.0, 2.0), arm()) is None


def test_seeds_are_asked_for_where_a_difference_is_neither_told_from_none_nor_small():
    clear = against(arm(90.0, 90.5, 89.5), arm(80.5, 79.5, 80.0))
    assert clear.seeds_more(1.0) == 0
    unclear = against(arm(90.0, 92.0, 88.0), arm(89.5, 86.0, 87.0))
    assert 0 < unclear.seeds_more(1.0) < 50
    assert unclear.seeds_more(100.0) == 0  # as small as that it surely is
    tiny = against(arm(90.0, 99.0, 81.0), arm(98.0, 82.0, 90.01))
    assert tiny.seeds_more(0.0001) is None
