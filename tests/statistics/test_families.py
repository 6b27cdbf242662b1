"""Families of questions and of claims."""

import numpy as np
import pytest

from reglab.report.stats import holm
from reglab.statistics import families
from reglab.statistics.families import share_of
from reglab.statistics.looks import levels


def decided(p_values, looks, alpha):
    return places(p_values, alpha, lambda each: np.array(levels(looks, each))[:, None])


def places(p_values, alpha, levels_of):
    return families.decided(lambda each: p_values < levels_of(each), p_values.shape[-1], alpha)[0]


def test_the_shares_of_all_questions_are_one():
    assert sum(share_of(question) for question in range(1, 100_000)) == pytest.approx(1, abs=1e-4)


def test_at_one_look_it_is_holms_procedure():
    p_values = np.random.default_rng(0).random((200, 1, 6)) ** 4
    found = decided(p_values, (12,), 0.05) == 0
    peer = np.array([holm(row[0]) for row in p_values]) < 0.05
    assert (found == peer).all()
    assert found.any() and not found.all()


def test_what_a_decided_claim_had_goes_to_those_that_are_open():
    alone = decided(np.array([[[0.02, 0.9], [0.03, 0.9]]]), (6, 12), 0.05)
    after = decided(np.array([[[0.02, 1e-9], [0.03, 1e-9]]]), (6, 12), 0.05)
    assert alone[0, 0] == -1
    assert list(after[0]) == [1, 0]


def test_a_claim_that_cannot_be_tested_counts_and_is_open():
    assert list(decided(np.array([[0.03, np.nan]]), (12,), 0.05)) == [-1, -1]
    assert list(decided(np.array([[0.02, np.nan]]), (12,), 0.05)) == [0, -1]


def test_claims_may_have_looks_of_their_own():
    """The first is looked at with 3 of 3 seeds, the other with 3 and 6 of 6."""

    def levels_of(alpha):
        return np.array([[alpha, levels((3, 6), alpha, 6)[0]], [np.nan, levels((3, 6), alpha, 6)[1]]])

    assert list(places(np.array([[0.02, 0.02], [np.nan, 0.02]]), 0.05, levels_of)) == [0, 1]


def test_a_claim_is_told_how_many_were_decided_before_it():
    """Three of four, the last of them only by what the first two leave it."""
    p_values = np.array([[0.001, 0.002, 0.022, 0.9]])
    found, before = families.decided(lambda each: p_values < each, 4, 0.05)
    assert list(found) == [0, 0, 0, -1] and list(before) == [0, 0, 2, 3]
