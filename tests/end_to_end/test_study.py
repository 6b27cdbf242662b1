"""The study as a person has it: two of its sweeps, the report on them, and whether the report still holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.waiting import PATIENCE

TINY = ("data.train_limit=64", "data.test_limit=64", "model.width=4")
"""Two steps an epoch: a second a run."""


@pytest.fixture
def study(tmp_path):
    """Runs `reglab` in a process of its own: returns its exit code and what it said."""

    def run(*words):
        command = [sys.executable, "-m", "reglab", *words]
        environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])}
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.slow
def test_a_study_is_run_reported_checked_and_not_repeated(study, tmp_path):
    sweeps = ("--quick", "--only", "cutout_screening,augmentation", "--workers", "2")
    code, said = study("study", "run", *sweeps, *TINY)
    assert code == 0, said
    assert said.index("sweep 1 of 2: augmentation") < said.index("sweep 2 of 2: cutout_screening")
    runs = tmp_path / "runs" / "study-quick"
    records = read_runs(runs)
    assert [record.state for record in records] == [State.finished] * 10
    assert {record.config["train"]["epochs"] for record in records} == {5, 10}

    code, said = study("study", "run", *sweeps, *TINY)
    assert code == 0, said
    assert said.count("finished before") == 10

    code, said = study("study", "report", "--quick")
    assert code == 0, said
    report = tmp_path / "reports" / "study-quick"
    assert said.strip() == str(Path("reports", "study-quick", "index.html"))
    assert len(pd.read_csv(report / "augmentation.csv")) == 5
    assert (report / "figure_9.png").stat().st_size > 10_000
    manifest = json.loads((report / "manifest.json").read_text())
    assert set(manifest["runs"]) == {record.run_id for record in records}
    assert {"augmentation", "cutout_screening"} <= manifest["sweeps"].keys()
    code, said = study("report", "check", str(report))
    assert (code, said.strip()) == (0, f"{report}: up to date")

    (report / "augmentation.md").write_text("all is well")
    code, said = study("report", "check", str(report))
    assert (code, said.strip()) == (1, f"{report}: altered: augmentation.md was changed after it was built")


def test_a_sweep_that_the_study_does_not_have_is_refused_with_the_nearest(study):
    code, said = study("study", "run", "--only", "final,cutout")
    assert code == 2
    assert "the study has no sweep cutout; did you mean cutout_per?" in said
