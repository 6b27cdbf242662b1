from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

from reglab.config import OptimizerConfig, RunConfig
from reglab.models import Network
from reglab.techniques.weight_decay.decay import WeightDecay
from reglab.techniques.weight_decay.declared import WeightDecayConfig
from reglab.training import optimizer
from reglab.training.flat import FlatParameters

EPOCHS, STEPS = 8, 5


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.fixture
def weights():
    return nn.Parameter(torch.ones(3))


def ours(config, decay=lambda parameter: 0.0):
    """Our optimizer of a network, of whose parameters so much decays."""
    return lambda network: optimizer.build(config, FlatParameters(Network(network, network[2]), torch.float32, decay).groups)


def built_of(weights, decay=0.0, **keys):
    return optimizer.build(OptimizerConfig(**keys), [(weights, decay)])


def trained(network, make):
    """The weights after three steps with the optimizer that `make` makes."""
    built = make(network)
    x, y = torch.randn(16, 6, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3
    for _ in range(3):
        network.zero_grad(set_to_none=False)
        nn.functional.cross_entropy(network(x), y).backward()  # adds to the gradients, which are views of one buffer
        built.step()
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize(
    ("config", "decay", "reference"),
    [
        ({"name": "adam"}, 0, lambda p: Adam(p, 1e-3, betas=(0.9, 0.999), eps=1e-7)),
        ({"name": "adam", "lr": 0.01}, 0.1, lambda p: Adam(p, 0.01, eps=1e-7, weight_decay=0.1)),
        ({"name": "adamw", "lr": 0.01}, 0.1, lambda p: AdamW(p, 0.01, eps=1e-7, weight_decay=0.1)),
        ({"name": "sgd", "lr": 0.1}, 0.01, lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
        ({"name": "sgd", "lr": 0.1, "momentum": 0.0}, 0, lambda p: SGD(p, 0.1)),
    ],
    ids=["adam", "adam_l2", "adamw", "sgd_nesterov", "sgd_plain"],
)
def test_an_optimizer_steps_as_torchs_own(network, config, decay, reference):
    start = {name: value.clone() for name, value in network.state_dict().items()}
    found = trained(deepcopy(network), ours(OptimizerConfig(**config), lambda parameter: decay))
    network.load_state_dict(start)
    torch.testing.assert_close(found, trained(network, lambda net: reference(net.parameters())), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_decay_of_weights_alone_is_timms(network, name):
    """`param_groups_weight_decay` leaves biases and vectors alone."""
    from timm.optim import param_groups_weight_decay

    kinds = {"adam": partial(Adam, eps=1e-7), "adamw": partial(AdamW, eps=1e-7), "sgd": partial(SGD, momentum=0.9, nesterov=True)}
    start = {key: value.clone() for key, value in network.state_dict().items()}
    own = WeightDecay(WeightDecayConfig(rate=0.1, of="weights"), RunConfig.parse({}), torch.device("cpu"))
    found = trained(deepcopy(network), ours(OptimizerConfig(name=name, lr=0.01), own.decay))
    network.load_state_dict(start)
    expected = trained(network, lambda net: kinds[name](param_groups_weight_decay(net, 0.1), lr=0.01))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_adam_uses_the_studys_epsilon(weights):
    for name in ("adam", "adamw"):
        assert built_of(weights, name=name).defaults["eps"] == 1e-7


def test_l2_and_decoupled_decay_are_told_apart(weights):
    assert isinstance(built_of(weights, 0.1, name="adamw"), AdamW)
    assert type(built_of(weights, 0.1, name="adam")) is Adam


def test_sgd_has_nesterov_momentum(weights):
    defaults = built_of(weights, name="sgd").defaults
    assert defaults["momentum"] == 0.9
    assert defaults["nesterov"]


def test_every_parameter_is_optimized(make_run):
    run = make_run(batchnorm={"layers": 1}, model={"standardize": True})
    (optimized,) = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    first, last = optimized.data_ptr(), optimized.data_ptr() + 4 * optimized.numel()
    assert all(first <= parameter.data_ptr() < last for parameter in run.network.parameters())


def rates(**config):
    """The rate of every step of a run."""
    found = OptimizerConfig(lr=0.1, **config)
    return [optimizer.learning_rate(found, EPOCHS, epoch + step / STEPS) for epoch in range(EPOCHS) for step in range(STEPS)]


def torchs(make):
    """The rates of the same steps under one of torch's schedulers."""
    built = SGD([nn.Parameter(torch.zeros(1))], 0.1)
    schedule, found = make(built), []
    for _ in range(EPOCHS * STEPS):
        found.append(built.param_groups[0]["lr"])
        built.step()
        schedule.step()
    return found


def warmed_up(after, steps):
    return lambda built: SequentialLR(built, [LinearLR(built, 1e-12, 1, steps), after(built)], [steps])


def test_the_rate_is_constant_by_default():
    assert rates() == [0.1] * EPOCHS * STEPS


def test_cosine_is_torchs():
    assert rates(schedule="cosine") == pytest.approx(torchs(lambda built: CosineAnnealingLR(built, EPOCHS * STEPS)), abs=1e-12)


def test_step_is_torchs_with_milestones_at_half_and_three_quarters():
    assert rates(schedule="step") == pytest.approx(torchs(lambda built: MultiStepLR(built, [EPOCHS * STEPS // 2, EPOCHS * STEPS * 3 // 4])))


def test_warm_up_is_torchs_linear_one_from_zero():
    expected = torchs(lambda built: LinearLR(built, 1e-12, 1, 2 * STEPS))
    assert rates(warmup_epochs=2) == pytest.approx(expected, abs=1e-12)
    assert rates(warmup_epochs=2)[0] == 0


def test_cosine_takes_what_warm_up_leaves():
    after = EPOCHS * STEPS - 2 * STEPS
    expected = torchs(warmed_up(lambda built: CosineAnnealingLR(built, after), 2 * STEPS))
    assert rates(schedule="cosine", warmup_epochs=2) == pytest.approx(expected, abs=1e-12)


def test_warm_up_may_end_within_an_epoch():
    found = rates(warmup_epochs=0.4)
    assert found[:4] == pytest.approx([0, 0.05, 0.1, 0.1])


def test_warm_up_longer_than_the_run_never_fails():
    found = rates(schedule="cosine", warmup_epochs=EPOCHS)
    assert found[-1] == pytest.approx(0.1 * (EPOCHS * STEPS - 1) / (EPOCHS * STEPS))


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_rate_is_set_in_place(weights, name):
    built = built_of(weights, name=name)
    rate = built.param_groups[0]["lr"]
    optimizer.set_learning_rate(built, 0.25)
    assert built.param_groups[0]["lr"] is rate
    assert rate == 0.25


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_state_is_there_before_the_first_step_and_stays_where_it_is(weights, name):
    built = built_of(weights, name=name)
    before = {key: value.data_ptr() for key, value in built.state[weights].items()}
    weights.grad = torch.ones_like(weights)
    built.step()
    assert before
    assert {key: value.data_ptr() for key, value in built.state[weights].items()} == before


def test_a_checkpoint_brings_its_moments_and_nothing_else(weights):
    one = built_of(weights, lr=0.5)
    weights.grad = torch.ones_like(weights)
    one.step()
    state = deepcopy(one.state_dict())
    state["param_groups"][0] |= {"capturable": True, "eps": 1.0}
    other = built_of(nn.Parameter(torch.ones(3)), lr=0.25)
    optimizer.load(other, state)
    (moments,) = other.state.values()
    assert torch.equal(moments["exp_avg"], one.state[weights]["exp_avg"])
    assert (other.param_groups[0]["capturable"], other.param_groups[0]["eps"]) == (False, 1e-7)
    assert other.param_groups[0]["lr"] == 0.25
