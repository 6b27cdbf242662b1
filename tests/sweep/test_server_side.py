"""What W&B says of a sweep: its server only pretends."""

import threading

from reglab.sweep import server_side
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.server_side import ServerSide
from reglab.tracking.wandb_states import ListedRun
from tests.waiting import PATIENCE


def test_where_w_and_b_does_not_answer_the_states_are_those_that_it_last_had(monkeypatch):
    said, answer = [], threading.Event()
    monkeypatch.setattr(server_side, "ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(server_side, "runs_of_sweep", lambda *path: [ListedRun("a", "finished", None, {})])
    side = ServerSide(RemoteSweep("loopback", "p", "s", "grid"), said.append, lambda: False)
    assert side.states() == {"finished": 1}
    assert not said
    monkeypatch.setattr(server_side, "runs_of_sweep", lambda *path: answer.wait(PATIENCE))
    assert side.states() == {"finished": 1}
    assert said == ["W&B does not list the sweep's runs: no answer within 0.4 s"]
    answer.set()
