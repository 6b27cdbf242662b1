"""What a sweep says while it runs, where it is no terminal's."""

from types import SimpleNamespace

import pytest

from reglab.cli import sweep_view
from reglab.tracking.state import State


@pytest.mark.parametrize(
    ("count", "said"), [(12, "arm s11: finished before\n"), (13, "13 of 13 runs ended before: 12 finished, 1 diverged\n")]
)
def test_runs_that_are_there_before_are_named_where_they_are_few(monkeypatch, capsys, count, said):
    states = [State.diverged if number == 12 else State.finished for number in range(count)]
    cells = [SimpleNamespace(state=state, epochs_done=1, run_id=f"r{number}", seed=number) for number, state in enumerate(states)]
    monkeypatch.setattr(sweep_view, "_Names", lambda sweep: [(cell, "arm") for cell in sweep.cells])
    lines = sweep_view._PlainLines(SimpleNamespace(cells=cells))
    lines()
    told = capsys.readouterr().err
    assert told.endswith(said)
    assert told.count("\n") == (count if count <= 12 else 1)
    lines()
    assert not capsys.readouterr().err
