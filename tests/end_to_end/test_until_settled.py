"""A study run until its claims are settled: what is settled gets no more seeds, a kill costs nothing, the report tells the looks."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import reglab
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from tests.waiting import PATIENCE, wait_for

SWEEP = """
method: grid
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}, train_limit: {value: 320}, test_limit: {value: 64}}}
  model: {parameters: {width: {value: 4}}}
  batchnorm: {parameters: {layers: {value: 3}}}
  optimizer: {parameters: {lr: {values: [0.000001, 0.01, 0.0101]}}}
  train: {parameters: {epochs: {value: 6}, batch_size: {value: 32}, seed: {values: [0, 1, 2]}}}
"""

STUDY = """
title: Does the rate matter?
sweeps: [rates.yaml]
factors: {rate: optimizer.lr}
questions: [{name: rates, x: rate}]
claims:
  - text: A rate of 0.01 gains twenty points over a millionth.
    difference: {of: train_clean/accuracy, between: {rate: 0.01}, and: {rate: 0.000001}, at_least: 20}
  - text: It is within a twentieth of a point of 0.0101.
    difference: {of: test/accuracy, between: {rate: 0.01}, and: {rate: 0.0101}, within: 0.05}
"""


@pytest.fixture
def start(tmp_path):
    """Starts `reglab` in a process of its own, in a group of its own."""
    (tmp_path / "rates.yaml").write_text(SWEEP, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    processes = []

    def begin(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "reglab", *words],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ended(process):
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def rates(records):
    return Counter(record.config["optimizer"]["lr"] for record in records if record.state == State.finished)


@pytest.mark.slow
def test_runs_go_where_a_claim_is_open_and_a_kill_costs_nothing(start, tmp_path):
    command = ("study", "run", "study.yaml", "--until-settled", "--workers", "2")
    first = start(*command)
    runs = tmp_path / "runs" / "study"
    wait_for(lambda: len(list(runs.glob("round_1/*/run.json"))) >= 2, lambda: first.poll() is not None)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()

    code, said = ended(start(*command))
    assert code in (0, 4), said
    records = read_runs(runs)
    there = rates(records)
    assert there[0.000001] == 3, said  # settled at the first look
    assert there[0.01] == there[0.0101] > 3 or "unlikely to be settled" in said, said
    assert {record.state for record in records} == {State.finished}
    assert len({(record.identity, record.seed) for record in records}) == len(records)
    assert json.loads((runs / "study.lock").read_text())["versions"][0]["looks"] == [3, 5, 8, 12]

    again, told = ended(start(*command))
    assert again == code and len(read_runs(runs)) == len(records), told

    code, said = ended(start("study", "report", "study.yaml"))
    assert code == 0, said
    page = (tmp_path / "reports" / "study" / "index.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert "Looks at 3, 5, 8 and 12 seeds an arm" in page
    assert f"Its claims rest on {len(records)} runs of 3 arms; all seeds of the plan would have been 36." in page


@pytest.mark.slow
def test_a_budget_ends_it_between_two_runs(start, tmp_path):
    """It pays for a second of one worker: for a run or two of the nine that come first."""
    code, said = ended(start("study", "run", "study.yaml", "--until-settled", "--budget", "0.0003", "--price", "1"))
    assert code == 4 and "the budget is spent" in said, said
    assert 1 <= len(read_runs(tmp_path / "runs" / "study")) < 9


@pytest.mark.slow
def test_a_sweep_of_no_study_is_run_until_a_claim_of_its_arms_is_settled(start, tmp_path):
    claim = "lr=0.01 > lr=0.000001 in train_clean/accuracy by 20"
    code, said = ended(start("sweep", "run", "rates.yaml", "--until-settled", claim, "--workers", "2"))
    assert code == 0 and "every claim is settled" in said, said
    folder = tmp_path / "runs" / "rates-settled"
    assert rates(read_runs(folder)) == {0.01: 3, 0.000001: 3}
    code, said = ended(start("study", "report", str(folder / "study.yaml"), "--from", str(folder), "--out", "report"))
    assert code == 0 and claim.replace(">", "&gt;") in (tmp_path / "report" / "index.html").read_text(encoding="utf-8"), said
