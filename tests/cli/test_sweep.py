"""`reglab sweep run`: what the command hands to the sweep."""

from pathlib import Path

import pytest

from reglab.cli.sweep import Terms, carry_out
from reglab.sweep import local, workers

SWEEPS = Path(__file__).parents[2] / "sweeps"


class BegunError(Exception):
    """The sweep would begin now, with so many workers."""


@pytest.mark.parametrize(
    ("stem", "asked", "overrides", "count"),
    [("final", None, [], 8), ("final", 3, [], 3), ("final", None, ["train.seed=0", "arm=baseline"], 1), ("dropout_bayes", None, [], 3)],
)
def test_a_sweep_has_as_many_workers_as_it_is_told_else_one_a_core(monkeypatch, tmp_path, stem, asked, overrides, count):
    def begin(spec, folder, workers, *rest):
        raise BegunError(workers)

    monkeypatch.setattr(workers, "cores", lambda: range(8))
    monkeypatch.setattr(workers, "memory_gb", lambda: 100.0)
    monkeypatch.setattr(local, "LocalSweep", begin)
    with pytest.raises(BegunError, match=f"^{count}$"):
        carry_out(SWEEPS / f"{stem}.yaml", Terms(overrides, asked), tmp_path)
