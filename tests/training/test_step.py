import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from reglab.data.batches import Batch
from reglab.errors import UserError
from reglab.processes.signals import Signals
from reglab.techniques.agc.clip import AdaptiveClip
from reglab.techniques.applied import Applied
from reglab.techniques.units import unit_length
from reglab.training.step import EpochSums, Precision, TrainingStep

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("wanted", "device", "bf16", "resolved"),
    [
        ("auto", CPU, False, "fp32"),
        ("auto", CUDA, True, "bf16"),
        ("auto", CUDA, False, "fp16"),
        ("fp32", CUDA, True, "fp32"),
        ("bf16", CPU, False, "bf16"),
        ("fp16", CPU, False, "fp16"),
    ],
)
def test_auto_is_what_the_device_computes_in(monkeypatch, wanted, device, bf16, resolved):
    """Emulated bf16 (older GPUs) does not count."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or bf16)
    found = Precision.resolve(wanted, device)
    assert found.name == resolved
    assert found.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[resolved]


@pytest.mark.parametrize(("name", "scales"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_only_fp16_scales_its_loss(name, scales):
    precision = Precision(name, CPU)
    assert precision.scaler().is_enabled() == scales
    assert (precision.scaler().scale(torch.ones(())) > 1) == scales


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_forward_pass_computes_in_the_precision_and_weights_stay_fp32(make_run, name, dtype):
    run, seen = make_run(train={"precision": name}), []
    run.network.layer1[0].conv2.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    run.train_until(0.0, Signals())
    assert seen == [dtype]
    assert {parameter.dtype for parameter in run.network.parameters()} == {torch.float32}
    assert {value.dtype for state in run.optimizer.state.values() for value in state.values()} == {torch.float32}


def a_batch(run):
    return run.batches.batch(run.batches.positions(run.batches.order(run.draws), 0), run.draws)


def test_agc_sees_the_gradients_that_fp32_would_have(make_run, monkeypatch):
    """The scaler's factor is gone before they are compared with the weights."""
    seen = {}
    for precision in ("fp32", "fp16"):
        run = make_run(train={"precision": precision}, agc={"enabled": True})

        def clip(self, precision=precision, run=run):
            seen[precision] = run.flat.weights.grad.clone()
            return torch.zeros(())

        monkeypatch.setattr(AdaptiveClip, "__call__", clip)
        run.step(a_batch(run))
    assert seen["fp32"].norm() > 0
    assert (seen["fp16"] - seen["fp32"]).norm() < 0.1 * seen["fp32"].norm()


def test_gradients_are_unscaled_then_clipped_then_used(make_run, monkeypatch):
    run, events = make_run(train={"precision": "fp16"}, agc={"enabled": True}), []

    def spy(owner, name):
        call = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments, **options: (events.append(name), call(*arguments, **options))[1])

    spy(run.step.scaler, "unscale_")
    spy(AdaptiveClip, "__call__")
    spy(run.optimizer, "step")
    spy(run.step.scaler, "update")
    run.step(a_batch(run))
    assert events == ["unscale_", "__call__", "step", "update"]


def test_the_optimizer_gets_what_agc_leaves(make_run, monkeypatch):
    run, used = make_run(agc={"enabled": True, "clip": 1e-6}), []
    step = run.optimizer.step

    def keep(*arguments, **options):
        clipped = [parameter for parameter in run.network.parameters() if parameter is not run.network.fc.weight]
        used.extend((parameter.detach().clone(), parameter.grad.clone()) for parameter in clipped)
        return step(*arguments, **options)

    monkeypatch.setattr(run.optimizer, "step", keep)
    run.step(a_batch(run))
    for weight, gradient in used:
        longest, length = (tensor.reshape(-1, unit_length(tensor)).norm(dim=1) for tensor in (weight, gradient))
        assert (length <= 1e-6 * longest.clamp(min=run.config.agc.eps) * 1.001).all()


def test_without_agc_gradients_are_left_alone(make_run, monkeypatch):
    monkeypatch.setattr(AdaptiveClip, "__call__", lambda *arguments: pytest.fail("clipped"))
    run = make_run()
    run.step(a_batch(run))
    assert run.sums.probes(run.sums.read(), 1) == {}


def test_an_overflow_in_fp16_skips_the_step_and_lowers_the_scale(make_run):
    run = make_run(train={"precision": "fp16"})
    run.step(a_batch(run))
    run.step.scaler.load_state_dict(run.step.scaler.state_dict() | {"scale": 2.0**120})
    before, scale = [parameter.detach().clone() for parameter in run.network.parameters()], run.step.scaler.get_scale()
    run.step(a_batch(run))
    assert all(torch.equal(old, new) for old, new in zip(before, run.network.parameters(), strict=True))
    assert run.step.scaler.get_scale() == scale / 2


def test_the_loss_is_smoothed_cross_entropy(make_run):
    run = make_run(label_smoothing={"rate": 0.2})
    batch = a_batch(run)
    with torch.no_grad():
        likelihood = F.log_softmax(run.network.train()(batch.images), 1)
    own = likelihood.gather(1, batch.labels[:, None]).mean()
    loss, _ = run.step.gradients(batch)
    assert loss.item() == pytest.approx(-(0.8 * own + 0.2 * likelihood.mean()).item(), rel=1e-5)


def test_two_losses_in_place_of_cross_entropy_are_refused(make_run):
    run, other = make_run(label_smoothing={"rate": 0.2}), make_run(label_smoothing={"rate": 0.1})
    with pytest.raises(UserError, match="label_smoothing and label_smoothing each have a loss of their own"):
        TrainingStep(run.network, run.flat, run.optimizer, run.config, run.precision, run.sums, [*run.applied, *other.applied])


def test_gradients_are_of_one_batch_only(make_run):
    run = make_run()
    batch = a_batch(run)
    run.step.gradients(batch)
    once = [parameter.grad.clone() for parameter in run.network.parameters()]
    run.step.gradients(batch)
    assert all(torch.equal(old, parameter.grad) for old, parameter in zip(once, run.network.parameters(), strict=True))


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"agc": {"enabled": True}, "dropout": {"layers": 3, "p": 0.2}, "batchnorm": {"layers": 1}},
        {
            "augment": {"policy": "basic", "rotate": 15},
            "cutout": {"images": 2},
            "label_smoothing": {"rate": 0.1},
            "mixup": {"alpha": 0.2},
            "cutmix": {"alpha": 1.0},
            "optimizer": {"name": "sgd"},
        },
        {"stochastic_depth": {"rate": 0.5}, "weight_decay": {"rate": 0.1, "of": "weights"}},
    ],
)
def test_a_step_never_waits_for_the_device(make_run, monkeypatch, sections):
    """Nothing in it is read as a Python number."""
    run = make_run(**sections)
    order = run.batches.order(run.draws)
    run.step(run.batches.batch(run.batches.positions(order, 0), run.draws))  # the optimizer makes its state

    def wait(*arguments, **options):
        pytest.fail("waits for the device")

    for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, wait)
    with run.step.probing():
        run.step(run.batches.batch(run.batches.positions(order, 1), run.draws))


@pytest.fixture
def batch():
    return Batch(torch.zeros(4, 3, 32, 32), torch.tensor([0, 1, 2, 2]))


LOGITS = torch.eye(3)[[0, 1, 2, 0]]
"""Right for the first three of the four labels."""


class Counting(Applied):
    """A technique that counts its steps, twice."""

    name = "counting"

    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.int64)

    def measured(self, sums, steps):
        return {"counting/steps": sums[0] / steps, "counting/twice": sums[1]}


def test_sums_are_those_of_a_plain_loop(batch):
    sums = EpochSums(CPU, [])
    sums.add(torch.tensor(2.0), LOGITS, batch)
    sums.add(torch.tensor(1.0), LOGITS, batch)
    found = sums.read()
    assert (found.loss, found.correct, found.finite_steps) == (4 * 2 + 4 * 1, 6, 2)


def test_a_guess_at_a_mixed_label_counts_as_much_as_its_share(batch):
    """Three of the labels are guessed, and of the others the last: (1 - .25) · 3 + .25 · 1."""
    sums = EpochSums(CPU, [])
    share = torch.tensor(0.25, dtype=torch.float64)
    sums.add(torch.tensor(2.0), LOGITS, replace(batch, others=torch.tensor([1, 0, 1, 0]), share=share))
    assert sums.read().correct == 2.5


def test_what_techniques_count_is_read_with_the_rest():
    counting, silent = Counting(), Applied(None, None, CPU)
    sums = EpochSums(CPU, [silent, counting])
    counting.sums += torch.tensor([3, 6])
    assert sums.probes(sums.read(), 3) == {"counting/steps": 1.0, "counting/twice": 6}


@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_steps_after_the_first_loss_that_is_not_finite_do_not_count_as_finite(batch, fault):
    sums = EpochSums(CPU, [])
    for loss in (1.0, 1.0, fault, 1.0, fault, 1.0):
        sums.add(torch.tensor(loss), LOGITS, batch)
    assert sums.read().finite_steps == 2


def test_sums_start_anew(batch):
    counting = Counting()
    sums, fresh = EpochSums(CPU, [counting]), EpochSums(CPU, [Counting()])
    sums.add(torch.tensor(math.nan), LOGITS, batch)
    counting.sums += 3
    sums.reset()
    assert (sums.images, sums.read()) == (fresh.images, fresh.read())
    sums.add(torch.tensor(1.0), LOGITS, batch)
    assert sums.read().finite_steps == 1


def test_sums_go_on_from_a_checkpoint(batch):
    before, after = Counting(), Counting()
    sums, resumed = EpochSums(CPU, [before]), EpochSums(CPU, [after])
    sums.add(torch.tensor(math.nan), LOGITS, batch)
    before.sums += torch.tensor([1, 2])
    resumed.load_state_dict(sums.state_dict())
    for each in (sums, resumed):
        each.add(torch.tensor(1.0), LOGITS, batch)
    assert resumed.images == sums.images
    assert repr(resumed.read()) == repr(sums.read())  # as texts, nan is nan
    assert after.sums.tolist() == [1, 2]


def test_a_loss_in_half_precision_is_summed_without_rounding(batch):
    sums = EpochSums(CPU, [])
    for _ in range(3000):
        sums.add(torch.tensor(1.0, dtype=torch.bfloat16), LOGITS, batch)
    assert sums.read().loss == 12000


def test_probing_counts_what_dropout_drops(make_run):
    run = make_run(dropout={"layers": 3, "p": 0.5})
    run.network.train()
    with run.step.probing():
        run.step(a_batch(run))
    ((dropped, live),) = run.sums.read().of_techniques
    assert live > 1000
    assert dropped / live == pytest.approx(0.5, abs=0.05)
    run.step(a_batch(run))
    assert run.sums.read().of_techniques == [[dropped, live]]  # closed
