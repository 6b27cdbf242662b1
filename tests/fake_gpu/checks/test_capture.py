"""Steps are captured whole, by PyTorch's own code: what a capture forbids fails here as it does on a device."""

import gc
import itertools
import math
from dataclasses import replace

import pytest
import torch

from reglab.processes.signals import Signals
from reglab.tracking.storage import File
from reglab.training import checkpoint
from reglab.training.resume import resume
from tests.conftest import EACH
from tests.fake_gpu.fake import WORK, used
from tests.training.test_graph import waiting

PAIRS = {f"{one}, {other}": EACH[one] | EACH[other] for one, other in itertools.combinations(EACH, 2)}
ALL = {name: section for sections in EACH.values() for name, section in sections.items()}
OTHERS = {
    "wide stem": {"model": {"stem": "cifar"}},
    "copies of each image": {"cutout": {"images": 2, "per": "image"}},
    "copies of each image, mixed": {"cutout": {"images": 2, "per": "image"}, "mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1.0}},
    "standardized and clipped": {"model": {"standardize": True}, "agc": {"enabled": True}},
    "sgd, fp16": {"optimizer": {"name": "sgd"}, "train": {"precision": "fp16"}},
    **{f"all, {precision}": ALL | {"train": {"precision": precision}} for precision in ("bf16", "fp16", "fp32")},
}
BATCH, STEPS = 64, 3
"""Of an epoch; its last batch is smaller."""


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
    sized = {"train": technique.get("train", {}) | {"batch_size": BATCH}}
    assert_captured(gpu_run(**technique | sized), log, caplog)


@pytest.mark.parametrize("sections", (PAIRS | OTHERS).values(), ids=(PAIRS | OTHERS).keys())
def test_every_pair_of_techniques_is_captured_whole(gpu_run, sections, log, caplog):
    assert_captured(gpu_run(**sections), log, caplog)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("piece", ["gradients", "on_gradients"])  # before fp16's scaler has unscaled them, and after
def test_a_step_that_waits_is_trained_eagerly_on_the_stream_that_was(gpu_run, precision, piece, monkeypatch, log, caplog):
    run = waiting(gpu_run(**ALL | {"train": {"precision": precision}}), monkeypatch, piece)
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


def test_an_eager_step_comes_after_a_warm_up_that_failed_on_another_stream(gpu_run, monkeypatch, log):
    run = gpu_run()
    gradients, calls = run.step.gradients, itertools.count(1)

    def fails_once(batch):
        if next(calls) == 2:
            raise RuntimeError("no memory left")
        return gradients(batch)

    monkeypatch.setattr(run.step, "gradients", fails_once)
    with log() as said:
        run.warm_up()
    assert not run.captured
    asked = said.of(*WORK, "after")
    last = max(place for place, entry in enumerate(asked) if entry.stream > 0)  # of the warm-up's work
    assert asked[last].kind in WORK
    assert (asked[last + 1].stream, asked[last + 1].kind, asked[last + 1].what) == (0, "after", str(asked[last].stream))


def test_a_capture_that_failed_gives_its_memory_back(gpu_run, monkeypatch):
    torch.cuda.empty_cache()
    run = waiting(gpu_run("model.width=16 batchnorm.layers=3"), monkeypatch)
    before = used()
    run.warm_up()
    assert not run.captured
    gc.collect()
    torch.cuda.empty_cache()
    assert used() - before < 0.1 * torch.cuda.max_memory_allocated()


def test_a_graph_that_becomes_garbage_during_a_capture_does_not_spoil_it(gpu_run, monkeypatch, log, caplog):
    spent, run = gpu_run(), gpu_run()
    spent.warm_up()
    graphs, spent._advance = [spent._advance], spent._train_on
    gradients, thresholds = run.step.gradients, gc.get_threshold()

    def with_garbage(batch):
        if graphs and torch.cuda.is_current_stream_capturing():
            cycle = [graphs.pop()]
            cycle.append(cycle)
            del cycle
            gc.set_threshold(1)  # Python would collect it with whatever is made next
        return gradients(batch)

    monkeypatch.setattr(run.step, "gradients", with_garbage)
    try:
        assert_captured(run, log, caplog)
    finally:
        gc.set_threshold(*thresholds)
    assert not graphs


def test_a_run_resumes_captured_with_every_bit_that_it_had(gpu_run, tmp_path, log):
    words = "dropout.layers=3 dropout.p=0.3 augment.policy=basic train.precision=fp16"
    run, file = gpu_run(words), File(tmp_path / "checkpoint")
    run.warm_up()
    run.train_until(0.0, Signals())
    for tensor in (*run.network.state_dict().values(), *run.optimizer.state_dict()["state"][0].values(), *run.sums.tensors):
        tensor.copy_(torch.rand(tensor.shape))  # no kernel trained them
    state = run.state_dict()
    checkpoint.save(file, state)
    saved = numbers(state)  # before there is another run, which shares the device's generator
    again = gpu_run(words)
    assert resume(again, file)
    assert (again.steps_done, again.epochs_done) == (1, 0)
    again.warm_up()
    assert again.captured
    resumed = numbers(again.state_dict())
    assert resumed.keys() == saved.keys()
    assert [name for name, value in resumed.items() if not torch.equal(value, saved[name])] == []
    with log() as said:
        again.train_until(math.inf, Signals())
    assert again.epoch_is_complete
    assert len(said.of("graph")) == STEPS - 1


def test_a_run_that_was_left_behind_its_last_evaluation_still_tells_which_images_it_got_right(gpu_run, tmp_path):
    run, file = gpu_run(train={"epochs": 1}), File(tmp_path / "checkpoint")
    run.warm_up()
    run.train_until(math.inf, Signals())
    run.end_epoch(run.sums.read())
    run.images = replace(run.images, test_fingerprint="noise")
    checkpoint.save(file, run.state_dict())
    again = gpu_run(images=run.images, train={"epochs": 1})
    assert resume(again, file)
    assert again.per_image == run.per_image is not None


def numbers(state, path=""):
    """The tensors of a nested state by their places, on the host; clocks are floats, and not among them."""
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    found = {path: state.cpu()} if isinstance(state, torch.Tensor) else {}
    for name, part in items:
        found |= numbers(part, f"{path}/{name}")
    return found
