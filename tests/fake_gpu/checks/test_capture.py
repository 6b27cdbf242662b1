"""Steps are captured whole, by PyTorch's own code: what a capture forbids fails here as it does on a device."""

import gc
import itertools
import math

import pytest
import torch

from reglab.processes.signals import Signals
from reglab.tracking.storage import File
from reglab.training import checkpoint
from tests.fake_gpu.fake import WORK, used
from tests.training.test_graph import waiting

REGULARIZERS = {
    "batchnorm": {"batchnorm": {"layers": 2}},
    "dropout": {"dropout": {"layers": 3, "p": 0.2}},
    "augmentation": {"augment": {"policy": "basic", "rotate": 15}, "cutout": {"images": 3}},
    "agc": {"agc": {"enabled": True}},
}
PAIRS = {f"{one}, {other}": REGULARIZERS[one] | REGULARIZERS[other] for one, other in itertools.combinations(REGULARIZERS, 2)}
ALL = {name: section for sections in REGULARIZERS.values() for name, section in sections.items()}
OTHERS = {
    "wide stem": {"model": {"stem": "cifar"}},
    "copies of each image": {"cutout": {"images": 2, "per": "image"}},
    "standardized and clipped": {"model": {"standardize": True}, "agc": {"enabled": True}},
    "sgd, fp16": {"optimizer": {"name": "sgd"}, "train": {"precision": "fp16"}},
    **{f"all, {precision}": ALL | {"train": {"precision": precision}} for precision in ("bf16", "fp16", "fp32")},
}
STEPS = 3
"""Of an epoch, the last of them smaller."""


def assert_captured(run, log, caplog):
    with log() as said:
        run.warm_up()
    assert run.captured, caplog.messages
    assert not caplog.messages
    assert not said.of("forbidden")
    assert not said.beside_captures()
    assert len(said.nodes) == 2 + run.step.has_probes
    with log() as said:
        run.train_until(math.inf, Signals())
    assert len(said.of("graph")) == run.batches.steps_per_epoch == STEPS
    assert [entry.what for entry in said.of("wait")] == ["device", "device"]  # the clock's
    assert len(said.of(*WORK)) <= 12 * STEPS + 20  # positions, generators' states, the rate; the order of the epoch


def test_every_technique_is_captured_whole(gpu_run, technique, log, caplog):
    assert_captured(gpu_run(**{name: section for name, section in technique.items() if name != "train"}), log, caplog)


@pytest.mark.parametrize("sections", (PAIRS | OTHERS).values(), ids=(PAIRS | OTHERS).keys())
def test_every_pair_of_regularizers_is_captured_whole(gpu_run, sections, log, caplog):
    assert_captured(gpu_run(**sections), log, caplog)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_that_waits_is_trained_eagerly_on_the_stream_that_was(gpu_run, precision, monkeypatch, log, caplog):
    run = waiting(gpu_run(**ALL | {"train": {"precision": precision}}), monkeypatch)
    stream = torch.cuda.current_stream()
    run.warm_up()
    assert not run.captured
    (line,) = [line for line in caplog.messages if "CUDA graph" in line]
    assert "not permitted when stream is capturing" in line
    assert torch.cuda.current_stream() == stream
    with log() as said:
        run.train_until(math.inf, Signals())
    assert run.epoch_is_complete
    assert {entry.capture for entry in said.entries} == {0}
    assert {entry.stream for entry in said.of(*WORK)} == {0}


def test_a_capture_that_failed_gives_its_memory_back(gpu_run, monkeypatch):
    torch.cuda.empty_cache()
    run = waiting(gpu_run("model.width=16 batchnorm.layers=3"), monkeypatch)
    before = used()
    run.warm_up()
    assert not run.captured
    gc.collect()
    torch.cuda.empty_cache()
    assert used() - before < 0.1 * torch.cuda.max_memory_allocated()


def test_a_graph_that_is_garbage_spoils_no_capture(gpu_run, log, caplog):
    run = gpu_run()
    run.warm_up()
    cycle = [run]
    cycle.append(cycle)
    del run, cycle
    assert_captured(gpu_run(), log, caplog)


def test_a_run_resumes_captured(gpu_run, tmp_path, log, caplog):
    words = "dropout.layers=3 dropout.p=0.3 augment.policy=basic"
    run, file = gpu_run(words), File(tmp_path / "checkpoint")
    run.warm_up()
    run.train_until(0.0, Signals())
    checkpoint.save(file, run.state_dict())
    again = gpu_run(words)
    assert again.resume(file)
    assert (again.steps_done, again.epochs_done) == (1, 0)
    again.warm_up()
    assert again.captured
    assert torch.equal(again.draws.get_state(), run.draws.get_state())
    again.train_until(math.inf, Signals())
    assert again.epoch_is_complete
