"""Rounds that several machines work on: when one is over for this machine."""

from collections import Counter

import pytest

from reglab.errors import ReglabError, UserError
from reglab.settling import remote
from reglab.settling.remote import Rounds


@pytest.fixture
def rounds(monkeypatch):
    """Makes the rounds of a study whose last one stands so, look by look: its runs by W&B's states, or an error."""
    monkeypatch.setattr(remote, "LOOK_SECONDS", 0)

    def make(*looks):
        left = iter(looks)

        def under_way(self, sweeps):
            if isinstance(found := next(left), Exception):
                raise found
            return Counter(found)

        monkeypatch.setattr(Rounds, "beside", lambda self, sweep: [sweep])
        monkeypatch.setattr(Rounds, "under_way", under_way)
        return Rounds(None, None, None)

    return make


def test_it_is_over_when_no_machine_has_a_run_of_it(rounds):
    assert not rounds({"running": 2}, {"preempting": 1}, {}).leaves_some(None, has_worked=True)


def test_what_another_machine_leaves_meanwhile_is_there_to_go_on_with(rounds):
    assert rounds({"running": 2}, {"running": 1, "crashed": 1}).leaves_some(None, has_worked=False)


@pytest.mark.parametrize("has_worked", [True, False])
def test_what_was_preempted_is_handed_out_to_whom_a_run_ended_at(rounds, has_worked):
    assert rounds({"preempted": 1}).leaves_some(None, has_worked) == has_worked


def test_wandb_may_be_away_for_a_while_and_a_key_that_is_not_good_is_told_at_once(rounds):
    away = ReglabError("W&B does not answer")
    assert not rounds(*[away] * remote.TRIES, {}).leaves_some(None, has_worked=False)
    with pytest.raises(ReglabError, match="does not answer"):
        rounds(*[away] * (remote.TRIES + 1)).leaves_some(None, has_worked=False)
    with pytest.raises(UserError):
        rounds(UserError("the key")).leaves_some(None, has_worked=False)
