"""What a step asks of the device: how many launches, and in which layout."""

import math
import re
from pathlib import Path

import pytest
import torch

from reglab.processes.signals import Signals
from tests.fake_gpu.fake import WORK

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.mark.parametrize("words", ["", "batchnorm.layers=3", "model.stem=cifar", "model.standardize=true", "train.precision=fp32"])
def test_gradients_are_copied_in_a_few_launches(gpu_run, words, log, monkeypatch):
    run, copy, launches = gpu_run(words), torch._foreach_copy_, []

    def counted(*tensors):
        with log() as said:
            copy(*tensors)
        launches.append(len(said.of(*WORK)))

    run._train_on(torch.arange(64, device="cuda"), probed=False)
    monkeypatch.setattr(torch, "_foreach_copy_", counted)
    run._train_on(torch.arange(64, device="cuda"), probed=False)
    assert 0 < sum(launches) <= 4  # a gradient whose strides are not its place's costs one for each tensor


@pytest.mark.parametrize("words", ["batchnorm.layers=3", "model.stem=cifar", "model.standardize=true"])
def test_convolutions_have_channels_last(gpu_run, words, log):
    run = gpu_run(words)
    with log() as said:
        run.warm_up()
    tensors = [found for entry in said.of("convolution") for found in re.findall(r"\[([\d ]+)\|([\d ]+)\]", entry.what)]
    assert tensors
    for extents, strides in tensors:
        channels_last = int(strides.split()[1]) == 1
        assert channels_last or extents.split()[2:] == ["1", "1"]  # where both orders are one


def test_products_of_the_last_stage_are_in_tf32_as_the_convolutions_are(gpu_run, log):
    run = gpu_run("train.precision=fp32 train.graph=false")
    with log() as said:
        run._train_on(torch.arange(64, device="cuda"), probed=False)
    products = {entry.what.split()[0] for entry in said.of("product")}
    assert products == {"tf32"}


def test_clipping_is_two_launches(gpu_run, log):
    run = gpu_run("agc.enabled=true")
    (agc,) = run.applied
    agc.clip()
    with log() as said:
        agc.clip()
    first, mean = (entry.what for entry in said.of(*WORK))
    assert first.startswith("triton ")
    assert "reduce" in mean


def test_an_eager_step_waits_for_nothing(gpu_run, log):
    run = gpu_run("train.graph=false dropout.layers=3 dropout.p=0.1 agc.enabled=true augment.policy=basic")
    run.warm_up()
    with log() as said:
        run.train_until(math.inf, Signals())
    assert [entry.what for entry in said.of("wait")] == ["device", "device"]


def test_an_evaluation_waits_once_and_brings_every_answer_with_it(gpu_run, noise_images, log, monkeypatch):
    monkeypatch.setattr("reglab.data.batches.EVALUATION_BATCH", 16)  # four batches
    run = gpu_run("train.graph=false")
    with log() as said:
        found = run.evaluate(run.clean_test)
    assert len(said.of("wait")) == 1
    assert (found.correct.device.type, len(found.correct)) == ("cpu", len(noise_images.test))


def test_metrics_of_the_user_s_cost_no_wait_more(gpu_run, log):
    waits = []
    for words in ("", "train.metrics=reglab.metrics:ece,reglab.metrics:class_accuracy"):
        run = gpu_run(words)
        with log() as said:
            run.evaluate(run.clean_test)
        waits.append([entry.what for entry in said.of("wait")])
    assert waits[0] == waits[1] and len(waits[0]) == 1


def rows():
    """The table of benchmarks/README.md: what each configuration's step comes to in launches."""
    text = (ROOT / "benchmarks" / "README.md").read_text()
    return re.findall(r"^\| `([^`|]*)` \| ([\d,]+) \|$", text.partition("### Launches of a step")[2], re.MULTILINE)


def test_the_table_has_ten_configurations():
    assert len(rows()) == 10


@pytest.mark.parametrize(("words", "launches"), rows(), ids=[words for words, _ in rows()])
def test_a_step_has_no_more_launches_than_the_table_says(gpu_run, words, launches, log):
    run = gpu_run(words.replace("the defaults", ""))
    with log() as said:
        run.warm_up()
    now, then = said.nodes[0], int(launches.replace(",", ""))
    if f"torch=={torch.__version__.partition('+')[0]}" in LOCK:
        assert now <= then, f"{words}: {now} launches a step; benchmarks/README.md says {then}"
    else:  # another torch has other kernels: about as many
        assert now <= 1.2 * then, f"{words}: {now} launches a step; benchmarks/README.md says {then}"
