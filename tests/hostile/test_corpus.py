"""Every input of the corpus, met by the command that meets it, in a process with limits of memory and time."""

import os
import resource
import subprocess
import sys

import pytest

from tests.hostile import corpus
from tests.hostile.conftest import HEADROOM, ROOT
from tests.waiting import PATIENCE

CASES = [(kind, name) for kind, made in corpus.KINDS.items() for name in made()]

AGENT = {"WANDB_SWEEP_PARAM_PATH": "parameters.yaml", "WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", corpus.KINDS)
def test_a_hostile_input_is_told_in_a_line_and_costs_little(kind, warm, tmp_path, record_property):
    faults, answers = [], []
    for number, (name, arrange) in enumerate(corpus.KINDS[kind]().items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = arrange(folder)
        answer = warm.run(words, folder, **(AGENT if kind == "what an agent hands over" else {}))
        answers.append(answer)
        if answer.fault or (folder / "trapped").exists():
            faults.append(f"{name}: {answer.fault or 'what it holds was run'}: {answer.said[-300:]}")
    record_property("longest", max(answer.seconds for answer in answers))
    record_property("largest", max(answer.bytes for answer in answers))
    print(f"\n| {kind} | {len(answers)} | {max(each.seconds for each in answers):.1f} | {max(each.bytes for each in answers) / 1e6:.0f} |")
    assert not faults, "\n".join(faults)


COLD = [
    ("files that are none", "record: a device without end"),
    ("files that are none", "archive of a report: a pipe"),
    ("archives", "archive of a report: a gigabyte of zeros"),
    ("words", "a list of ten thousand brackets"),
    ("image folders", "13,000 by 13,000, scaled"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), COLD, ids=[name for _, name in COLD])
def test_so_it_is_in_a_process_of_its_own(kind, name, tmp_path):
    """As a user starts it; libraries that are imported take 6 GB of addresses, and the input none."""
    words = [str(ROOT / "sweeps" / "final.yaml") if word == "SWEEP" else word for word in corpus.KINDS[kind]()[name](tmp_path)]
    most = 6 * 10**9 + HEADROOM
    places = {"REGLAB_CACHE": str(tmp_path / "cache"), "REGLAB_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "reglab", *words],
        cwd=tmp_path,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        check=False,
    )
    told = [line for line in ended.stderr.splitlines() if line.startswith("reglab: ")]
    assert ended.returncode == 2 and len(told) == 1 and "unexpected" not in ended.stderr, ended.stderr[-1000:]
