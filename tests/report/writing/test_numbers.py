"""Numbers have as many digits as their interval leaves."""

import math

import pytest

from reglab.report.writing import numbers


@pytest.mark.parametrize(
    ("mean", "low", "high", "said"),
    [
        (70.61, 69.5, 71.72, "70.6 ± 1.1"),
        (82.684, 82.16, 83.208, "82.68 ± 0.52"),
        (28.4, 28.38, 28.42, "28.400 ± 0.020"),
        (55.4, 21.4, 89.4, "55 ± 34"),
        (95.4, 77.0, 100.0, "95 (77 to 100)"),
        (97.5, 97.5, 97.5, "97.5 (all equal)"),
        (97.46, None, None, "97.5"),
        (1234.5, 1200.0, 1269.0, "1,234 ± 34"),
        (None, None, None, "–"),
    ],
)
def test_a_mean_is_told_with_the_digits_of_its_interval(mean, low, high, said):
    assert numbers.told(mean, low, high, 3) == said


def test_a_difference_has_its_sign_and_nothing_has_none():
    assert numbers.told(-1.94, -4.87, 1.0, 3, signed=True) == "−1.9 ± 2.9"
    assert numbers.told(3.02, 1.0, 5.04, 3, signed=True) == "+3.0 ± 2.0"
    assert numbers.plain(-0.04, 1, signed=True) == numbers.plain(0.04, 1, signed=True) == "0.0"


def test_no_interval_is_told_of_one_run():
    assert numbers.told(70.0, 60.0, 80.0, 1) == "70.0"


@pytest.mark.parametrize(("half", "digits"), [(None, 1), (0.0, 1), (math.inf, 1), (12.0, 0), (1.2, 1), (0.12, 2), (1e-4, 3), (1e-9, 1)])
def test_two_digits_of_an_interval_are_told_and_three_behind_the_point_at_most(half, digits):
    assert numbers.digits(half) == digits


@pytest.mark.parametrize(("n", "said"), [(0, "0 seeds"), (1, "1 seed"), (3, "3 seeds")])
def test_one_of_a_kind_is_counted_as_one(n, said):
    assert numbers.counted(n, "seeds") == said


@pytest.mark.parametrize(("n", "said"), [(2, "Either of 2 arms"), (3, "Any of 3 arms"), (1200, "Any of 1,200 arms")])
def test_one_of_two_is_either(n, said):
    assert numbers.any_of(n, "arms") == said
