"""`reglab agent --study` on two machines, one of which loses its power: the rounds go on until the claims are settled."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.test_agent import new_machine as new_machine
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")]

SWEEP = """
method: grid
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}, train_limit: {value: 320}, test_limit: {value: 64}}}
  model: {parameters: {width: {value: 4}}}
  batchnorm: {parameters: {layers: {value: 3}}}
  optimizer: {parameters: {lr: {values: [0.000001, 0.01, 0.0101]}}}
  train: {parameters: {epochs: {value: 12}, batch_size: {value: 32}, checkpoint_every: {value: 0.1}, seed: {values: [0, 1, 2]}}}
"""

STUDY = """
title: Does the rate matter?
sweeps: [rates.yaml]
factors: {rate: optimizer.lr}
looks: [3, 5]
questions: [{name: rates, x: rate}]
claims:
  - text: A rate of 0.01 gains twenty points over a millionth.
    difference: {of: train_clean/accuracy, between: {rate: 0.01}, and: {rate: 0.000001}, at_least: 20}
  - text: It is within thirty points of 0.0101.
    difference: {of: test/accuracy, between: {rate: 0.01}, and: {rate: 0.0101}, within: 30}
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "rates.yaml").write_text(SWEEP, encoding="utf-8")
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return str(tmp_path / "study.yaml")


def test_two_machines_follow_the_rounds_of_a_study_and_one_of_them_to_its_end(new_machine, study, wandb_server, tmp_path):
    first, second = (new_machine(name).start("agent", "--study", study, "--project", "p") for name in ("first", "second"))
    (killed, *_) = wait_for(first.begun, lambda: first.process.poll() is not None)
    first.lose_power()
    world = wandb_server.world
    project = world.project("p")
    world.silence_seconds = 3.0
    wait_for(lambda: world.settle(project.runs.values()) or project.runs[killed.run_id].state != "running")
    world.silence_seconds = 300
    assert second.wait() in (0, 4), second.said

    rounds = sorted(int(re.search(r"round (\d+)\]", sweep.config["description"]).group(1)) for sweep in project.sweeps.values())
    # Each is registered; by both where they come to it within the same seconds, and then all runs are of the one that they agree on.
    assert set(rounds) == set(range(1, max(rounds) + 1)), second.said
    finished = [run for run in project.runs.values() if run.state == "finished"]
    seeds = Counter(run.values["optimizer"]["lr"] for run in finished)
    assert len({(run.values["optimizer"]["lr"], run.values["train"]["seed"]) for run in finished}) == len(finished) == sum(seeds.values())
    assert seeds[0.01] >= 3 and seeds[0.000001] >= 3
    assert "of 2 claims are settled" in second.said or "every claim is settled" in second.said

    again = new_machine("again").start("agent", "--study", study, "--project", "p")
    assert again.wait() == second.process.returncode, again.said
    assert len(project.sweeps) == len(rounds)

    desk = new_machine("desk").start("study", "report", study, "--from", "wandb://loopback/p", "--out", str(tmp_path / "report"))
    assert desk.wait() == 0, desk.said
    assert "Looks at 3 and 5 seeds an arm" in (tmp_path / "report" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_what_machines_must_agree_on_is_asked_for(new_machine, study, tmp_path):
    Path(study).write_text(STUDY.replace("looks: [3, 5]\n", ""), encoding="utf-8")
    machine = new_machine("machine").start("agent", "--study", study, "--project", "p")
    assert machine.wait() == 2 and "add `looks: [3, 5, 8, 12]`" in machine.said
    for words in (["agent"], ["agent", "a/b/c", "--quick"], ["agent", "--study", study, "--count", "2"]):
        assert machine.start(*words).wait() == 2
