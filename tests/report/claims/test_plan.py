"""Which looks of a plan some runs allow."""

import pytest

from reglab.report.claims.plan import Looks, of_sweeps, taken


@pytest.mark.parametrize(
    ("counts", "looks"),
    [
        ([], Looks([], 3, 8)),
        ([[2, 2]], Looks([], 3, 8)),
        ([[3]], Looks([3], 3, 8)),
        ([[4]], Looks([3], 3, 8)),  # between two looks nothing is looked at
        ([[2, 5]], Looks([3, 5], 3, 8)),  # one case has them
        ([[8, 3]], Looks([3], 3, 8)),  # with the one case alone it would be another question
        ([[8], [3]], Looks([3, 5, 8], 3, 8)),
        ([[9], [8]], Looks([3, 5, 8], 3, 8)),  # one comparison of two goes beyond
        ([[9], [12, 10]], Looks([3, 5, 8, 9], 3, 9, is_exceeded=True)),
    ],
)
def test_looks_are_those_for_which_there_are_seeds(counts, looks):
    assert taken((3, 5, 8), counts) == looks


def test_one_look_has_all_that_may_err_and_several_share_it():
    assert taken((3,), [[3]]).levels(0.05, 6) == (0.05,)
    first, last = taken((3, 12), [[12]]).levels(0.05, 6)
    assert first < 0.01 < last < 0.05
    beyond = taken((3,), [[6]]).levels(0.05, 6)
    assert beyond[0] < 0.05 and len(beyond) == 2


@pytest.mark.parametrize(
    ("sweeps", "seeds"),
    [
        ([["a"], ["a"]], 3),
        ([["a"], ["b"]], 3),
        ([["a", "b"], ["b"]], 5),  # an arm of two sweeps has the seeds of either
        ([["a"], ["by hand"]], None),
        ([["a-quick"], ["a-quick"]], None),  # one seed plans no look
        ([], None),
    ],
)
def test_sweeps_plan_as_many_seeds_as_all_arms_have(sweeps, seeds):
    assert of_sweeps(sweeps, {"a": 3, "b": 5}) == seeds
