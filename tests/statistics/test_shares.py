"""Shares of cases that have runs in common."""

import numpy as np
import pytest
from scipy.stats import binomtest

from reglab.statistics.shares import SharedCases


def test_of_cases_without_a_run_in_common_it_is_no_shorter_than_the_exact_one():
    cases = [True] * 7 + [False] * 3
    low, high = SharedCases(cases, [(f"a{place}", f"b{place}") for place in range(10)]).interval()
    exact = binomtest(7, 10).proportion_ci()
    assert low <= exact.low + 1e-12 and high >= exact.high - 1e-12


def test_ten_cases_of_one_run_are_hardly_more_than_one():
    low, high = SharedCases([True] * 10, [("one", f"b{place}") for place in range(10)]).interval()
    assert (low, high) == (pytest.approx(binomtest(1, 1).proportion_ci().low), 1)
    assert SharedCases([True] * 10, [(f"a{place}", f"b{place}") for place in range(10)]).interval()[0] > 0.65


def test_runs_that_are_in_one_case_only_tell_no_more_than_one():
    """A case of nine runs of its own is one case."""
    cases = [True] * 10 + [False] * 2
    found = SharedCases(cases, [[f"{case} {run}" for run in range(9)] for case in range(12)])
    exact = binomtest(10, 12).proportion_ci()
    assert found.groups == 12
    assert found.interval()[0] == pytest.approx(exact.low)


def test_no_case_has_no_interval():
    with pytest.raises(ValueError, match="no cases"):
        SharedCases([], [])


def test_it_covers_the_share_where_a_few_runs_are_each_in_many_cases():
    """4 runs of one arm, each against 4 of another: the truth is that in half of all pairs the first is sooner."""
    rng, hits, plain = np.random.default_rng(0), 0, 0
    runs = [(f"a{one}", f"b{other}") for one in range(4) for other in range(4)]
    for _ in range(150):
        one, other = rng.standard_normal((2, 4))
        cases = [bool(one[a] < other[b]) for a in range(4) for b in range(4)]
        low, high = SharedCases(cases, runs).interval()
        exact = binomtest(sum(cases), 16).proportion_ci()
        hits, plain = hits + (low <= 0.5 <= high), plain + (exact.low <= 0.5 <= exact.high)
    assert hits / 150 > 0.93 > plain / 150
