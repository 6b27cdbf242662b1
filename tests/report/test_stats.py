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
from reglab.report.stats import Estimate, TimeToTarget

# Weeks in remission of 21 children with leukaemia under 6-MP (Freireich et al. 1963), and whether they relapsed then.
REMISSION = [
    *((6, True), (6, True), (6, True), (6, False), (7, True), (9, False), (10, True), (10, False), (11, False), (13, True), (16, True)),
    *((17, False), (19, False), (20, False), (22, True), (23, True), (25, False), (32, False), (32, False), (34, False), (35, False)),
]

run_times = st.lists(st.tuples(st.integers(1, 12).map(float), st.booleans()), min_size=1, max_size=25)


# Estimates.


def alone(values):
    """What one arm has that nothing stands beside."""
    return stats.estimates([values])[0]


def half(estimate):
    """Half of the interval's width."""
    return (estimate.high - estimate.low) / 2


def test_the_interval_of_one_arm_alone_is_scipys_own():
    values = [0.71, 0.74, 0.69, 0.73]
    estimate = alone(values)
    low, high = scipy_stats.t.interval(0.95, len(values) - 1, loc=statistics.fmean(values), scale=scipy_stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert half(estimate) == pytest.approx((high - low) / 2)


def test_three_seeds_of_one_arm_have_the_interval_of_the_table():
    estimate = alone([0.6, 0.7, 0.8])
    assert half(estimate) == pytest.approx(4.303 * 0.1 / math.sqrt(3), abs=1e-4)  # t of 2 degrees of freedom: 4.303


def test_one_value_has_no_interval_and_none_has_no_estimate():
    assert stats.estimates([[0.7], [], [0.6, 0.8], [0.5, 0.6], [0.5, 0.7]])[:2] == [Estimate(0.7, None, None, 1), None]
    assert stats.estimates([[], []]) == [None, None]
    assert stats.estimates([]) == []


def test_arms_of_one_spread_have_intervals_of_one_width():
    found = stats.estimates([[1.0, 1.4], [5.0, 5.5], [3.0, 3.3], [7.0, 7.6]])
    pooled = math.sqrt((0.08 + 0.125 + 0.045 + 0.18) / 4)
    assert [half(each) for each in found] == pytest.approx([2.776 * pooled / math.sqrt(2)] * 4, abs=1e-3)  # t of 4: 2.776


def test_an_arm_unlike_the_others_keeps_its_own_spread():
    *others, wild = stats.estimates([[70.1, 70.4, 70.2], [74.0, 74.3, 74.4], [81.2, 81.0, 81.4], [77.0, 77.3, 77.1], [55.2, 72.3, 78.0]])
    assert max(half(each) for each in others) < 0.5
    assert wild == alone([55.2, 72.3, 78.0])


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_intervals_of_arms_cover_their_means_and_are_shorter_than_students(seeds):
    chance = np.random.default_rng(seeds)
    covered, widths, students = [], [], []
    for _ in range(200):
        arms = chance.normal(size=(6, seeds))
        found = stats.estimates(arms.tolist())
        covered += [each.low <= 0 <= each.high for each in found]
        widths += [half(each) for each in found]
        students += (scipy_stats.t.ppf(0.975, seeds - 1) * arms.std(axis=-1, ddof=1) / math.sqrt(seeds)).tolist()
    assert 0.93 < np.mean(covered) < 0.975
    assert np.median(widths) < {2: 0.4, 3: 0.7, 5: 0.95}[seeds] * np.median(students)


@pytest.mark.parametrize(("arms", "least"), [(3, 0.8), (6, 0.85)])
def test_an_arm_of_three_times_the_spread_of_the_others_is_covered_oftener_than_by_one_variance(arms, least):
    chance = np.random.default_rng(arms)
    inside, pooled = [], []
    for _ in range(300):
        results = chance.normal(size=(arms, 3)) * np.array([1.0] * (arms - 1) + [3.0])[:, None]
        inside.append(abs(results[-1].mean()) <= half(stats.estimates(results.tolist())[-1]))
        one = scipy_stats.t.ppf(0.975, 2 * arms) * math.sqrt(results.var(axis=-1, ddof=1).mean() / 3)
        pooled.append(abs(results[-1].mean()) <= one)
    assert np.mean(inside) > max(least, np.mean(pooled) + 0.02)


def test_arms_whose_spread_goes_with_their_size_keep_their_own():
    """As losses over learning rates have it: the largest would leave nothing to say of the others."""
    sizes = (0.1, 0.2, 0.5, 1.0, 10.0, 100.0, 1000.0)
    arms = [[size * (1 + 0.1 * float(noise)) for noise in (-1, 0.2, 0.8)] for size in sizes]
    assert stats.estimates(arms) == [alone(values) for values in arms]
    accuracies = [[0.912, 0.915, 0.910], [0.921, 0.918, 0.922], [0.90, 0.91, 0.10]]
    assert [half(each) < 0.01 for each in stats.estimates(accuracies)] == [True, True, False]


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
        ([(10.0, True), (20.0, True)], 15.0, 2),
        ([(10.0, True), (20.0, True), (30.0, True), (math.inf, False)], 25.0, 3),
        ([(10.0, True), (100.0, False)], None, 1),
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


def test_an_interval_of_the_median_covers_it():
    """Of exponential times, some of them censored: the coverage with few runs that Greenwood's plain interval has not."""
    chance, inside = np.random.default_rng(0), {3: 0, 6: 0, 10: 0}
    for n in inside:
        for _ in range(1500):
            times, ends = chance.exponential(1 / math.log(2), n), chance.uniform(1, 6, n)
            found = TimeToTarget.of([(float(min(at, end)), bool(at <= end)) for at, end in zip(times, ends, strict=True)])
            inside[n] += (found.low or 0) <= 1 <= (found.high or math.inf)
    assert all(count / 1500 >= 0.93 for count in inside.values()), inside


def test_the_interval_of_shares_stays_between_0_and_1():
    (found,) = stats.share_estimates([[0.99, 0.999, 0.96]])
    assert (found.low > 0.9, found.high) == (True, 1.0)
    assert stats.share_estimates([[0.01, 0.0, 0.03]])[0].low == 0.0
    assert stats.share_estimates([[-0.02, 0.0, 0.03]], lowest=-1.0)[0].low < 0
    assert stats.share_estimates([[0.5], []]) == [alone([0.5]), None]


def test_the_interval_of_times_stays_above_0_and_has_the_mean_in_it():
    for values in ([1.0, 20.0], [1.0, 2.0, 300.0], [28.1, 28.3, 28.2]):
        (found,) = stats.time_estimates([values])
        assert 0 < found.low <= found.mean <= found.high
    alike = [28.1, 28.3, 28.2]
    assert half(stats.time_estimates([alike])[0]) == pytest.approx(half(alone(alike)), rel=0.02)


def test_times_spread_by_factors_whatever_their_size():
    assert stats.time_estimates([[120.0, 120.0], [7.0] * 3]) == [Estimate(120.0, 120.0, 120.0, 2), Estimate(7.0, 7.0, 7.0, 3)]
    short, *_, long = stats.time_estimates([[10.0, 10.5], [20.0, 19.2], [40.0, 41.5], [100.0, 97.0]])
    assert half(long) / long.mean == pytest.approx(half(short) / short.mean, rel=1e-2)
    assert stats.time_estimates([[5.0], [0.0, 2.0], []]) == [Estimate(5.0, None, None, 1), alone([0.0, 2.0]), None]


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["NVIDIA H100 80GB HBM3, bf16, torch 2.15", "Tesla V100, bf16, torch 2.15"], ["H100 80GB HBM3", "Tesla V100"]),
        (["a GPU, bf16, torch 2.15, reglab a", "a GPU, fp16, torch 2.15, reglab b"], ["a GPU, bf16, reglab a", "a GPU, fp16, reglab b"]),
        (["a GPU, bf16"], ["a GPU"]),
        ([], []),
    ],
)
def test_machines_are_named_by_their_device_and_what_tells_them_apart(names, short):
    assert stats.short_machines(names) == dict(zip(names, short, strict=True))
