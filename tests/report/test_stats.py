import math
import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.multitest import multipletests

from reglab.report import stats
from reglab.report.stats import Difference, Estimate, TimeToTarget

# Weeks in remission of 21 children with leukaemia under 6-MP (Freireich et al. 1963), and whether they relapsed then.
REMISSION = [
    *((6, True), (6, True), (6, True), (6, False), (7, True), (9, False), (10, True), (10, False), (11, False), (13, True), (16, True)),
    *((17, False), (19, False), (20, False), (22, True), (23, True), (25, False), (32, False), (32, False), (34, False), (35, False)),
]

run_times = st.lists(st.tuples(st.integers(1, 12).map(float), st.booleans()), min_size=1, max_size=25)


# Estimates.


def test_an_interval_is_scipys_own():
    values = [0.71, 0.74, 0.69, 0.73]
    estimate = Estimate.of(values)
    low, high = scipy_stats.t.interval(0.95, len(values) - 1, loc=statistics.fmean(values), scale=scipy_stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.half_width == pytest.approx((high - low) / 2)


def test_three_seeds_have_the_interval_of_the_table():
    estimate = Estimate.of([0.6, 0.7, 0.8])
    assert estimate.half_width == pytest.approx(4.303 * 0.1 / math.sqrt(3), abs=1e-4)  # t of 2 degrees of freedom: 4.303


def test_one_value_has_no_interval_and_none_has_no_estimate():
    assert Estimate.of([0.7]) == Estimate(0.7, None, None, 1)
    assert Estimate.of([0.7]).half_width is None
    assert Estimate.of([]) is None


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), min_size=2, max_size=12))
def test_a_difference_is_scipys_paired_t_test(paired):
    one, other = np.array(paired).T
    assume(np.std(one - other) > 1e-6)
    expected = scipy_stats.ttest_rel(one, other)
    found = Difference.of(list(one - other))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-6, abs=1e-12)


def test_the_sleep_of_students_ten_patients():
    gained = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]  # hours, one drug against the other (Student 1908)
    found = Difference.of(gained)
    assert (found.mean, found.deviation) == pytest.approx((1.58, 1.23), abs=5e-3)
    assert found.p == pytest.approx(0.00283, abs=5e-6)
    assert (found.low, found.high) == pytest.approx((0.70, 2.46), abs=5e-3)


def test_one_pair_has_no_interval_and_no_test():
    assert Difference.of([0.1]) == Difference(0.1, None, None, 1, None, None)
    assert Difference.of([]) is None


@pytest.mark.parametrize(("value", "p"), [(0.25, 0.0), (0.0, 1.0)])
def test_differences_that_do_not_spread_are_certain(value, p):
    assert Difference.of([value] * 3) == Difference(value, value, value, 3, 0.0, p)


# Time to the target.


def test_the_curve_of_the_children_in_remission():
    curve = stats.survival(REMISSION)
    assert [at for at, _, _ in curve] == [6, 7, 10, 13, 16, 22, 23]
    assert [share for _, share, _ in curve] == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)
    assert [error for _, _, error in curve] == pytest.approx([0.0764, 0.0869, 0.0963, 0.1068, 0.1141, 0.1282, 0.1346], abs=5e-5)


def test_the_median_of_the_children_in_remission():
    found = TimeToTarget.of(REMISSION)
    assert (found.median_seconds, found.low, found.high, found.reached, found.n) == (23, 13, None, 9, 21)


@given(run_times)
def test_the_curve_is_statsmodels_own(times):
    assume(any(event for _, event in times))
    expected = SurvfuncRight([at for at, _ in times], [event for _, event in times])
    curve = stats.survival(times)
    assert [at for at, _, _ in curve] == list(expected.surv_times)
    assert [share for _, share, _ in curve] == pytest.approx(list(expected.surv_prob), abs=1e-12)
    there = expected.surv_prob > 1e-12  # where none is left, statsmodels has no standard error
    assert np.array([error for _, _, error in curve])[there] == pytest.approx(expected.surv_prob_se[there], abs=1e-12)


@given(run_times)
def test_the_interval_of_the_median_is_statsmodels_own(times):
    times = [*times, (13.0, False)]  # statsmodels has no standard error where all have reached it
    assume(any(event for _, event in times))
    expected = SurvfuncRight([at for at, _ in times], [event for _, event in times])
    low, high = expected.quantile_ci(0.5, method="cloglog")
    assume(not math.isnan(low))  # where no point of the curve is near one half it gives none
    found = TimeToTarget.of(times)
    assert (found.low, found.high or math.inf) == (low if len(times) > 5 else None, high)


@given(run_times)
def test_the_median_is_inside_its_interval(times):
    found = TimeToTarget.of(times)
    if found.median_seconds is not None:
        assert (found.low or 0) <= found.median_seconds <= (found.high or math.inf)


@pytest.mark.parametrize(
    ("times", "median", "reached"),
    [
        ([(30.0, True), (10.0, True), (20.0, True)], 20.0, 3),
        ([(10.0, True), (20.0, True), (100.0, False)], 20.0, 2),
        ([(10.0, True), (100.0, False), (100.0, False)], None, 1),
        ([(10.0, True), (20.0, True), (math.inf, False)], 20.0, 2),
        ([(100.0, False)], None, 0),
    ],
)
def test_a_run_that_never_reaches_the_target_counts_as_later_than_all_others(times, median, reached):
    found = TimeToTarget.of(times)
    assert (found.median_seconds, found.reached, found.n) == (median, reached, len(times))


def test_the_median_of_one_run_has_no_interval():
    assert TimeToTarget.of([(10.0, True)]) == TimeToTarget(10.0, None, None, 1, 1)
    assert TimeToTarget.of([]) is None


def test_the_median_of_fewer_than_six_runs_has_no_bounds():
    """All three lie on one side of it in a quarter of all cases."""
    assert TimeToTarget.of([(10.0, True), (20.0, True), (30.0, True)]) == TimeToTarget(20.0, None, None, 3, 3)
    assert TimeToTarget.of([(10.0 * n, True) for n in range(1, 7)]).low == 10.0


def test_the_interval_of_a_median_that_the_curve_jumps_over_begins_at_the_jump():
    times = [(10.0, True)] * 30 + [(20.0, True)]
    assert TimeToTarget.of(times) == TimeToTarget(10.0, 10.0, 10.0, 31, 31)


# Families and plans.


@pytest.mark.parametrize(
    "p_values", [[0.03], [0.01, 0.04, 0.03], [0.9, 0.001, 0.5, 0.6, 0.02], [0.01, 0.01, 0.01], [0.0, 1.0, 0.3, 0.004, 0.05]]
)
def test_holms_adjustment_is_statsmodels_own(p_values):
    assert stats.holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


def test_what_was_not_tested_is_no_member_of_the_family():
    assert stats.holm([None, 0.01, None, 0.04, 0.03]) == [None, pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert stats.holm([]) == []


@pytest.mark.parametrize("n", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 5, 8))])
def test_so_many_seeds_more_bring_the_interval_down_four_times_of_five(n):
    """Studies of which so many pairs are there: the further ones are drawn, and the interval of all of them is taken."""
    chance, kept, promised = np.random.default_rng(n), 0, 0
    for _ in range(800):
        first = chance.normal(0, 0.01, n)
        further = stats.further_seeds(Difference.of(list(first)), 0.01)
        if further:  # else the interval is as narrow already, or no number of seeds is promised to do
            whole = Difference.of([*first, *chance.normal(0, 0.01, further)])
            promised += 1
            kept += (whole.high - whole.low) / 2 <= 0.01
    assert promised > 100
    assert kept / promised >= 0.77


def test_an_interval_that_is_narrow_enough_needs_no_seed():
    assert stats.further_seeds(Difference.of([0.001, 0.002, 0.003]), 0.01) == 0
    assert stats.further_seeds(Difference.of([0.2, -0.1]), 0.0001) is None


def test_an_interval_of_the_median_covers_it():
    """Of exponential times, some of them censored: the coverage with few runs that Greenwood's plain interval has not."""
    chance, inside = np.random.default_rng(0), {3: 0, 6: 0, 10: 0}
    for n in inside:
        for _ in range(1500):
            times, ends = chance.exponential(1 / math.log(2), n), chance.uniform(1, 6, n)
            found = TimeToTarget.of([(float(min(at, end)), bool(at <= end)) for at, end in zip(times, ends, strict=True)])
            inside[n] += (found.low or 0) <= 1 <= (found.high or math.inf)
    assert all(count / 1500 >= 0.93 for count in inside.values()), inside


def test_one_pair_says_nothing_of_further_seeds():
    assert stats.further_seeds(Difference.of([0.1])) is None


def test_a_difference_of_runs_that_are_no_pairs_is_welch_s():
    one, other = [0.9, 0.8, 0.95, 0.7], [0.5, 0.52]
    found = stats.Unpaired.between(one, other)
    peer = scipy_stats.ttest_ind(one, other, equal_var=False)
    assert found.p == pytest.approx(peer.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(peer.confidence_interval()))
    assert found.n == 6


@pytest.mark.parametrize(("one", "other"), [([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0])])
def test_where_nothing_spreads_there_is_no_interval(one, other):
    found = stats.Unpaired.between(one, other)
    assert (found.low, found.high, found.p) == (None, None, None)
    assert stats.Unpaired.between(one, []) is None


def test_two_differences_that_are_alike_but_for_rounding_say_nothing_of_the_spread():
    """Means of fractions of one number of images agree often: their last digit is no spread, and gave p < 0.001."""
    found = Difference.of([0.1 + 0.2, 0.3])
    assert (found.low, found.p, found.deviation) == (None, None, None)
    assert Difference.of([0.1 + 0.2, 0.3, 0.3]).p == 0.0
    assert stats.Unpaired.between([0.1 + 0.2, 0.3], [0.5, 0.5]).p is None


def test_no_more_seeds_are_asked_for_where_a_difference_is_told_from_none():
    """It was 41 more, at p < 0.001."""
    found = stats.Difference.of([0.10, 0.14, 0.12, 0.15])
    assert found.p < 0.01 and stats.further_seeds(found) > 0
    assert stats.seeds_to_settle(found) == 0


def test_seeds_that_settle_a_difference_bring_its_interval_down_to_it():
    found = stats.Difference.of([0.06, 0.01, 0.03])
    further = stats.seeds_to_settle(found)
    assert further == stats.further_seeds(found, abs(found.mean)) > 0
    small = stats.Difference.of([0.02, -0.021])
    assert stats.seeds_to_settle(small) == stats.further_seeds(small, 0.01)  # shown to be about as small


def test_the_interval_of_shares_stays_between_0_and_1():
    found = Estimate.of_shares([0.99, 0.999, 0.96])
    assert (found.low > 0.9, found.high) == (True, 1.0)
    assert Estimate.of_shares([0.01, 0.0, 0.03]).low == 0.0
    assert Estimate.of_shares([-0.02, 0.0, 0.03], lowest=-1.0).low < 0
    assert Estimate.of_shares([0.5]) == Estimate.of([0.5])


def test_the_interval_of_times_stays_above_0_and_has_the_mean_in_it():
    for values in ([1.0, 20.0], [1.0, 2.0, 300.0], [28.1, 28.3, 28.2]):
        found = Estimate.of_times(values)
        assert 0 < found.low <= found.mean <= found.high
    alike = [28.1, 28.3, 28.2]
    assert Estimate.of_times(alike).half_width == pytest.approx(Estimate.of(alike).half_width, rel=0.02)
