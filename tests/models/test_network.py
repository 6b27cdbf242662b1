"""Networks of the user's own: what is asked of them, how they train beside every technique, and what is refused in a line."""

import importlib.util
import math

import pytest
import torch
from torch.nn import functional as F

from reglab.config import RunConfig, code_of, identity
from reglab.errors import UserError
from reglab.models import build
from reglab.processes.signals import Signals
from reglab.techniques import TECHNIQUES
from reglab.training import cautions
from reglab.training.flat import FlatParameters
from tests.conftest import EACH

HERE = "tests.models.own:"


def config(name, **sections):
    return RunConfig.parse({**sections, "model": {"name": HERE + name, **sections.get("model", {})}})


def made(name, classes=10, side=32, channels=3, **options):
    torch.manual_seed(0)
    return build(config(name, model={"options": options}), classes, side, channels)


def test_it_is_called_with_classes_side_channels_and_the_options():
    network = made("small", 7, 28, 1, width=6)
    assert network.module[0].weight.shape == (6, 1, 3, 3)
    assert network.head is network.module[6] and network.head.out_features == 7


@pytest.mark.parametrize("name", ["torchvisions", "timms"])
def test_a_resnet_18_of_another_library_computes_what_it_does_there(name):
    if name == "timms" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    network, plain = made(name), made(name)
    assert network.head is network.module.fc
    flat = FlatParameters(network, torch.float32)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    ours, theirs = flat.forward(network.module.train(), images), plain.module.train()(images)
    assert torch.equal(ours, theirs)
    flat.backward(F.cross_entropy(ours, torch.tensor([3, 7])))
    F.cross_entropy(theirs, torch.tensor([3, 7])).backward()
    for (place, own), (_, their) in zip(network.module.named_parameters(), plain.module.named_parameters(), strict=True):
        assert torch.equal(own.grad, their.grad), place


def test_what_is_built_is_as_it_was_before_it_was_tried():
    """A pass of two images says whether it classifies; it moves neither statistics nor the generator."""
    network = made("small")
    after = torch.rand(1)
    torch.manual_seed(0)
    from tests.models.own import small

    plain = small(10, 32, 3)
    assert torch.equal(after, torch.rand(1))
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in network.module.state_dict().items())
    assert all(module.training for module in network.module.modules())


def test_frozen_double_tied_unused_and_transposed_parameters_train_as_they_should():
    network, plain = made("Odd", side=4), made("Odd", side=4)
    assert network.head is None and {parameter.dtype for parameter in network.module.parameters()} == {torch.float32}
    flat = FlatParameters(network, torch.bfloat16)
    assert not flat.spares_last and not any(name.startswith("frozen") for name in flat.places)
    frozen, images = network.module.frozen.weight.clone(), torch.randn(5, 3, 4, 4)
    flat.backward(F.cross_entropy(flat.forward(network.module, images), torch.arange(5)))
    torch.optim.SGD([flat.weights], 0.1).step()
    F.cross_entropy(plain.module(images), torch.arange(5)).backward()
    torch.optim.SGD([parameter for parameter in plain.module.parameters() if parameter.requires_grad], 0.1).step()
    assert torch.equal(network.module.frozen.weight, frozen)
    for (name, ours), (_, theirs) in zip(network.module.named_parameters(), plain.module.named_parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "tests.models.own has no nothing"),
        ("LIMIT", "it is a int, not a function"),
        ("none", "it returns a NoneType, not a torch.nn.Module"),
        ("failing", "called with classes=10, side=32, channels=3, it fails: ValueError: two"),
        ("frozen", "no parameter of it wants a gradient"),
        ("of_a_thousand", "of two images it makes (2, 1000), not logits of shape (2, 10)"),
        ("of_no_images", "called with Tensor (2, 3, 32, 32), it fails: RuntimeError"),
        ("Viewing", "Use .reshape(...) instead."),
        ("OneOrTwo", "of two images it makes, in training, tuple, not logits of shape (2, 10)"),
        ("Detached", "its logits have no gradient"),
        ("Noted", "its state has _extra_state, which is no tensor"),
        ("of_before", "what it returns has a Linear that was there before, made when its file was imported, or by an earlier call"),
    ],
)
def test_what_is_no_network_for_these_images_is_refused_in_a_line(name, said):
    with pytest.raises(UserError) as caught:
        made(name)
    line = str(caught.value)
    assert line.startswith(f"model.name = {HERE}{name}: ") and said in line and "\n" not in line


def test_a_network_that_an_earlier_call_made_is_refused():
    """It would begin with what the run before has trained."""
    first = made("of_a_cache")
    with pytest.raises(UserError, match=r"a Linear that was there before.*make all of it at each call"):
        made("of_a_cache")
    assert first.module is not None  # it is still there


def test_a_pass_in_training_leaves_buffers_as_they_were_also_where_it_replaces_them():
    network = made("Remembering").module
    assert network.mean is None and network.batches == 0


def test_a_module_that_is_not_here_is_named_with_the_remedy():
    with pytest.raises(UserError, match=r"model\.name = nobody\.nets:one: there is no module nobody\.nets here: install its package"):
        build(RunConfig.parse({"model": {"name": "nobody.nets:one"}}), 10, 32, 3)


def test_an_option_that_it_does_not_take_is_refused():
    with pytest.raises(UserError, match=r"called with .*colour=red, it fails: TypeError: .*colour"):
        made("small", colour="red")


# --- beside techniques ------------------------------------------------------------------------------------------------------


OUTSIDE = [technique for technique in TECHNIQUES if not technique.in_network]
INSIDE = [technique for technique in TECHNIQUES if technique.in_network]


def test_there_are_techniques_of_both_kinds():
    assert {technique.name for technique in INSIDE} == {"batchnorm", "dropout", "stochastic_depth"}


@pytest.mark.parametrize("technique", INSIDE, ids=lambda technique: technique.name)
def test_a_technique_that_puts_layers_into_the_network_is_refused(technique):
    with pytest.raises(UserError, match=f"model.name = {HERE}small: {technique.name} puts layers into the network"):
        config("small", **EACH[technique.name])


def test_standardized_weights_are_refused():
    with pytest.raises(UserError, match=r"model\.standardize is of layers that only the networks of reglab have"):
        config("small", model={"standardize": True})


@pytest.mark.parametrize("technique", OUTSIDE, ids=lambda technique: technique.name)
def test_every_other_technique_trains_it(make_run, technique):
    run = make_run(**EACH[technique.name], model={"name": HERE + "small"}, data={"train_limit": 32, "test_limit": 32})
    run.train_until(math.inf, Signals())
    row = run.end_epoch(run.sums.read())
    assert math.isfinite(row.train_loss)
    assert all(probe.name in row.metrics() for probe in technique.probes)


def test_adaptive_clipping_says_where_it_knows_no_last_layer(make_run, caplog):
    agc = EACH["agc"]
    make_run(**agc, model={"name": HERE + "small"})
    assert not caplog.messages
    make_run(**agc, model={"name": HERE + "two_heads"})
    assert [line for line in caplog.messages if "gradients of the last layer are clipped, too" in line]


def test_keys_of_other_networks_that_are_given_all_the_same_are_told_of(make_run):
    (line,) = cautions.of(make_run(model={"name": HERE + "small", "width": 4, "init": "he"}))
    assert "model.width = 4, model.init = he: only reglab's own networks heed that" in line


# --- which runs are the same ------------------------------------------------------------------------------------------------


def test_name_options_and_code_make_the_arm_and_no_key_of_other_networks(monkeypatch):
    one = config("small")
    arms = {identity(each) for each in (one, config("two_heads"), config("small", model={"options": {"width": 5}}))}
    assert len(arms) == 3
    assert identity(config("small", model={"width": 8, "stem": "cifar", "depth": 10})) == identity(one)
    assert identity(config("small", model={"options": {"width": 4.0}})) == identity(config("small", model={"options": {"width": 4}}))
    monkeypatch.setattr("reglab.config.identities.source", lambda reference: "0123456789ab")
    assert code_of(one) == {"model.name": "0123456789ab"}
    assert identity(one) not in arms
