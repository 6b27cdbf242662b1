from dataclasses import replace

import pytest
import torch

from reglab.config import identity
from reglab.processes.signals import Signals
from reglab.training import cautions
from reglab.training.run import Run


def test_a_plain_run_is_cautioned_of_nothing(make_run, monkeypatch):
    monkeypatch.setattr(cautions, "slowness", lambda run: pytest.fail("nothing to measure"))
    assert list(cautions.of(make_run())) == []


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_slow_precision_on_a_cpu_is_named_with_its_measured_ratio(make_run, monkeypatch, precision):
    run = make_run(train={"precision": precision})
    monkeypatch.setattr(cautions, "slowness", lambda run: 104.3)
    (line,) = cautions.of(run)
    assert line.startswith(f"train.precision = {precision} takes 104.3 times as long as fp32 on this CPU")
    monkeypatch.setattr(cautions, "slowness", lambda run: 0.9)
    assert list(cautions.of(run)) == []


@pytest.mark.parametrize(
    "sections", [{}, {"batchnorm": {"layers": 3}, "dropout": {"layers": 3, "p": 0.5}}, {"model": {"standardize": True}}]
)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_the_measurement_leaves_the_run_as_it_is(make_run, precision, sections):
    run, untouched = (make_run(train={"precision": precision}, **sections) for _ in range(2))
    rng, draws = torch.get_rng_state(), run.draws.get_state()
    assert 0 < cautions.slowness(run) < float("inf")
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(run.draws.get_state(), draws)
    assert run.network.training == untouched.network.training
    assert not run.flat.buffer[1].any()
    for one in (run, untouched):
        torch.set_rng_state(rng)
        one.train_until(float("inf"), Signals())
    its, other = run.network.state_dict(), untouched.network.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in its.items())


def test_the_slower_of_two_precisions_has_a_ratio_above_one(make_run, monkeypatch):
    """By a clock that an autocast step moves ten times as far."""
    run, now = make_run(train={"precision": "bf16"}), [0.0]
    forward = type(run.network).forward

    def counted(network, images):
        now[0] += 10 if torch.is_autocast_enabled("cpu") else 1
        return forward(network, images)

    monkeypatch.setattr(type(run.network), "forward", counted)
    monkeypatch.setattr(cautions.time, "perf_counter", lambda: now[0])
    assert cautions.slowness(run) == 10


def test_a_batch_larger_than_the_training_part_is_named(make_run, make_config):
    (line,) = cautions.of(make_run(train={"batch_size": 500}))
    assert line == "train.batch_size = 500, and there are 128 training images: each epoch is one step on all of them"
    assert list(cautions.of(make_run(train={"batch_size": 128}))) == []
    assert identity(make_config(train={"batch_size": 500})) != identity(make_config(train={"batch_size": 128}))


def test_test_images_that_are_trained_on_are_counted(make_config, images):
    test = images.test.images.copy()
    test[:3] = images.train.images[5]  # of any label
    shared = replace(images, test=replace(images.test, images=test))
    (line,) = cautions.of(Run(make_config(), shared, torch.device("cpu")))
    assert line.startswith("the training images hold 3 of the 64 test images, too, pixel by pixel: test accuracy is in part that of images")


def test_a_network_with_frozen_and_unused_parts_has_a_slowness(make_run):
    assert 0 < cautions.slowness(make_run(model={"name": "tests.models.own:Odd"})) < float("inf")


def test_mirrored_digits_are_told_of(make_run):
    (line,) = cautions.of(make_run(augment={"policy": "basic"}))
    assert line.startswith("augment.flip mirrors digits, and a mirrored digit is another one or none")
    assert not list(cautions.of(make_run(augment={"policy": "basic", "flip": False})))
    assert not list(cautions.of(make_run(augment={"flip": True})))


def test_where_labels_are_mixed_the_target_is_better_taken_on_clean_images(make_run):
    (line,) = cautions.of(make_run(mixup={"alpha": 0.2}))
    assert "train.target_on=clean" in line
    assert not list(cautions.of(make_run(mixup={"alpha": 0.2}, train={"target_on": "clean"})))
