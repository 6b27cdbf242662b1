"""A GPU whose memory does not do: the run fails in one line that names what would fit, and leaves nothing behind."""

import gc
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from reglab.errors import ReglabError
from reglab.processes.signals import Signals
from reglab.tracking.record import State
from reglab.tracking.storage import File
from reglab.training import shortage
from reglab.training.run import Run
from tests.fake_gpu import fake
from tests.fake_gpu.conftest import noise
from tests.training import trained

MB = 10**6
BIG = "model.stem=cifar batchnorm.layers=1 dropout.layers=3 dropout.p=0.1 agc.enabled=true train.epochs=1"

EVERY = 7
"""One in so many of a run's allocations is refused in turn: each takes a run."""


@pytest.fixture(autouse=True)
def losses_are_finite(monkeypatch):
    """No kernel computes one."""
    monkeypatch.setattr(Run, "diverged_step", lambda run, sums: None)


@pytest.fixture
def train(make_record, tmp_path):
    def to_its_end(run):
        return trained.train(run, make_record(run), None, [], File(tmp_path / "checkpoint"), Signals())

    return to_its_end


@pytest.fixture
def many(noise_images):
    return replace(noise_images, train=noise(600))


def empty():
    """Bytes on the device that are not free when all that can be given back is; cuBLAS keeps some for each stream."""
    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    return fake.used()


def test_batches_that_do_not_fit_are_told_with_the_number_that_does(gpu_run, many, train):
    words = f"{BIG} model.width=32"
    run = gpu_run(f"{words} train.batch_size=512", many)
    before = empty()
    with fake.memory(before + 1000 * MB):
        with pytest.raises(ReglabError) as told:
            train(run)
        free = shortage.free_gb(run.device)
        found = re.fullmatch(
            r"out of GPU memory with batches of 512: about (\d+) would fit in the ([\d.]+) GB that are free "
            r"\(train\.batch_size=\1, which is another treatment\)",
            str(told.value),
        )
        assert found, told.value
        assert float(found[2]) == pytest.approx(free, abs=0.06)
        assert (told.value.__cause__, told.value.__context__) == (None, None)  # which would hold the step's tensors
        assert empty() < before + 20 * MB
        del run, told
        empty()
        smaller = gpu_run(f"{words} train.batch_size={found[1]}", many)
        assert train(smaller).state == State.finished
    assert 8 < int(found[1]) < 512


def test_what_its_graphs_hold_is_given_back_before_anything_is_tried(gpu_run, many):
    run = gpu_run(f"{BIG} model.width=32 train.batch_size=256", many)
    run.warm_up()
    assert run.captured
    with fake.memory(empty() + 100 * MB):  # an evaluation wanted more, say
        assert re.search(r": they fit|: about [12]\d\d would fit", run.shortage())  # without theirs, not even 8 do


def test_where_not_even_a_few_images_fit_that_is_said(gpu_run, many, train):
    run = gpu_run(f"{BIG} train.batch_size=512", many)
    with fake.memory(empty() + 3 * MB), pytest.raises(ReglabError, match=r"not even 8 would fit in the 0\.\d GB that are free$"):
        train(run)


def test_a_network_that_does_not_fit_is_told(gpu_run):
    with fake.memory(empty() + 1 * MB), pytest.raises(ReglabError, match="the network and its images do not fit in the"):
        with shortage.told_while_placing(torch.device("cuda")):
            gpu_run("model.width=16")
    with pytest.raises(RuntimeError, match="another"), shortage.told_while_placing(torch.device("cuda")):
        raise RuntimeError("another")


def test_wherever_memory_ends_a_run_fails_in_a_line_or_trains_on_eagerly(gpu_run, train, caplog):
    words = f"{BIG} model.width=8 train.precision=fp16"
    train(gpu_run(words))  # what is allocated once in a process
    empty()
    start = fake.allocations()
    train(gpu_run(words))
    count = fake.allocations() - start
    before, ends = empty(), set()
    assert count > 5
    for number in range(1, count + 1, EVERY):
        caplog.clear()
        fake.refuse(number)
        try:
            with shortage.told_while_placing(torch.device("cuda")):
                run = gpu_run(words)
            record = train(run)
            assert record.state == State.finished
            ends.add("captured" if run.captured else "eager")
            assert run.captured or "CUDA graph" in caplog.text
        except ReglabError as error:
            assert re.match("out of GPU memory(:| with batches of 64:) (the network and its images|they fit|about|not even)", str(error))
            assert "\n" not in str(error)
            ends.add("failed")
        finally:
            fake.refuse(0)
        run = record = None
        assert empty() <= before + 4 * MB, f"at allocation {number} of {count}"
    assert {"failed", "eager"} <= ends


def test_a_sweep_goes_on_after_a_run_that_does_not_fit(tmp_path):
    (tmp_path / "sweep.yaml").write_text(
        "name: sizes\nmethod: grid\nmetric: {name: test/accuracy, goal: maximize}\n"
        "parameters: {train: {parameters: {batch_size: {values: [1024, 32]}, seed: {values: [0]}}}}\n"
    )
    usual = ["data.source=digits", "model.width=8", "model.stem=cifar", "train.epochs=1"]
    command = ["sweep", "run", str(tmp_path / "sweep.yaml"), "--name", "sizes", "--workers", "1", *usual]
    variables = {"REGLAB_DEVICE": "cuda", "REGLAB_RUNS": str(tmp_path / "runs"), "FAKE_GPU_BYTES": str(420 * MB)}
    done = subprocess.run(
        [sys.executable, "-m", "reglab", *command], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    records = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "sizes").glob("*/run.json")]
    ends = {record["config"]["train"]["batch_size"]: record for record in records}
    assert set(ends) == {1024, 32}, done.stdout + done.stderr
    assert ends[1024]["state"] == "failed"
    assert re.match(r"out of GPU memory with batches of 1024: about \d+ would fit in the 0\.\d GB", ends[1024]["reason"])
    assert ends[32]["state"] == "diverged"  # trained: no kernel computes its loss
