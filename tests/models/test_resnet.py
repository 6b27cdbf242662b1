"""ResNet-50: torchvision's network where it is the standard one, and where regularization layers sit elsewhere."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.models import build
from reglab.models.convolution import StandardizedConv2d

STUDY = {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}


def network(width=4, classes=10, seed=0, model=None, channels=3, **sections):
    torch.manual_seed(seed)
    return build(RunConfig.parse({"model": {"width": width} | (model or {})} | sections), classes, 32, channels).module


def blocks(made):
    """(stage, block) of the sixteen bottlenecks, in order."""
    return [(stage, block) for stage in (1, 2, 3, 4) for block in made.get_submodule(f"layer{stage}")]


def convolutions(made):
    """(name, convolution, what follows it) for every convolution of the network."""
    found = {name: module for name, module in made.named_modules() if isinstance(module, nn.Conv2d)}
    for name, convolution in found.items():
        follower = name.replace(".downsample.0", ".downsample.1") if "downsample" in name else name.replace("conv", "bn")
        yield name, convolution, made.get_submodule(follower)


# --- the standard network ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference():
    import torchvision

    torch.manual_seed(0)
    made = torchvision.models.resnet50(num_classes=10)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made.double()  # normalization of a few values magnifies rounding


@pytest.fixture(scope="module")
def standard():
    with torch.device("meta"):
        made = network(width=64, batchnorm={"layers": 3})
    return made.to_empty(device="cpu").double()


def without_counters(tensors):
    """Ours count no batches: nothing reads it."""
    for name in [name for name in tensors if name.endswith("num_batches_tracked")]:
        del tensors[name]
    return tensors


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("extent", [32, pytest.param(64, marks=pytest.mark.slow)])
def test_three_normalized_units_are_torchvisions_resnet50(reference, standard, training, extent):
    standard.load_state_dict(without_counters(reference.state_dict()), strict=True)
    before = {name: value.clone() for name, value in reference.state_dict().items()}
    images = torch.randn(4, 3, extent, extent, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([3, 7, 0, 9])
    results = []
    for made in (standard, reference):
        made.train(training).zero_grad()
        logits = made(images)
        F.cross_entropy(logits, labels).backward()
        gradients = {name: parameter.grad for name, parameter in made.named_parameters()}
        results.append((logits.detach(), gradients, without_counters(dict(made.named_buffers()))))
    torch.testing.assert_close(*results, rtol=1e-7, atol=1e-7)
    assert (not torch.equal(before["bn1.running_mean"], reference.bn1.running_mean)) == training
    reference.load_state_dict(before)


def parameters(**keys):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in network(**keys).parameters())


def test_parameter_counts():
    channels = 26_560  # of all normalizations of the standard network: two parameters each, where a bias would be one
    assert parameters(width=64, classes=1000, batchnorm={"layers": 3}) == 25_557_032
    assert parameters(width=64, batchnorm={"layers": 3}) == 23_528_522
    assert parameters(width=64) == 23_528_522 - channels
    assert parameters(width=64, dropout=STUDY, batchnorm={"layers": 3}) == 23_528_522
    assert parameters(width=64, model={"stem": "cifar"}) == 23_528_522 - channels - 64 * 3 * (49 - 9)
    assert parameters(width=64, model={"standardize": True}) == 23_528_522  # a gain for each channel


@pytest.mark.parametrize("width", [1, 2, 3, 5, 16])
@pytest.mark.parametrize("classes", [2, 100])
def test_any_width_and_number_of_classes(width, classes):
    made = network(width, classes, batchnorm={"layers": 2}, dropout=STUDY).eval()
    assert made(torch.randn(2, 3, 32, 32)).shape == (2, classes)
    assert made.conv1.out_channels == width and made.fc.in_features == 32 * width
    multiples = [1] * 3 + [2] * 4 + [4] * 6 + [8] * 3
    assert [block.conv2.out_channels for _, block in blocks(made)] == [width * multiple for multiple in multiples]


# --- where layers sit ---------------------------------------------------------------------------------------------------


def carrying(layers, placement, stage, unit):
    """The study's rule: the first `layers` units of every block, or all units of the first `layers` stages."""
    return unit <= layers if placement == "unit" else stage <= layers


@pytest.mark.parametrize("placement", ["unit", "stage"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_normalization_sits_in_the_first_units_or_stages(layers, placement):
    made = network(model={"placement": placement}, batchnorm={"layers": layers})
    normalized = {name for name, _, follower in convolutions(made) if isinstance(follower, nn.BatchNorm2d)}
    expected = {"conv1"} if layers >= 1 else set()
    for stage, count in enumerate((3, 4, 6, 3), start=1):
        expected |= {f"layer{stage}.0.downsample.0"} if carrying(layers, placement, stage, 1) else set()
        units = [unit for unit in (1, 2, 3) if carrying(layers, placement, stage, unit)]
        expected |= {f"layer{stage}.{block}.conv{unit}" for block in range(count) for unit in units}
    assert normalized == expected
    assert sum(isinstance(module, nn.BatchNorm2d) for module in made.modules()) == len(expected)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("placement", ["unit", "stage"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_a_convolution_has_a_bias_exactly_where_no_normalization_follows(layers, placement, standardize):
    made = network(model={"placement": placement, "standardize": standardize}, batchnorm={"layers": layers})
    assert len(list(convolutions(made))) == 53
    for name, convolution, follower in convolutions(made):
        assert (convolution.bias is None) == isinstance(follower, nn.BatchNorm2d), name
        assert isinstance(follower, nn.BatchNorm2d | nn.Identity)
        assert isinstance(convolution, StandardizedConv2d) == standardize
        if isinstance(follower, nn.BatchNorm2d):
            assert follower.num_features == convolution.out_channels


@pytest.mark.parametrize("probabilities", [{"p": 0.2}, {"p1": 0.1, "p2": 0.2, "p3": 0.3}, {"p1": 0.8, "p2": 0, "p3": 0.5}])
@pytest.mark.parametrize("placement", ["unit", "stage"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_dropout_sits_in_the_first_units_or_stages_with_its_probability(layers, placement, probabilities):
    made = network(model={"placement": placement}, dropout={"layers": layers} | probabilities)
    for stage, block in blocks(made):
        for unit in (1, 2, 3):
            drop, position = block.get_submodule(f"drop{unit}"), unit if placement == "unit" else stage
            configured = probabilities.get("p") or probabilities.get(f"p{position}", 0)
            p = configured if carrying(layers, placement, stage, unit) else 0
            assert drop.p == p if p else type(drop) is nn.Identity
    per_block = [module for _, block in blocks(made) for module in block.modules() if isinstance(module, nn.Dropout)]
    assert len(per_block) == sum(isinstance(module, nn.Dropout) for module in made.modules())


def recorded(modules):
    """Fills a dictionary with each module's (input, output), copied, as it runs."""
    seen = {}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.__setitem__(name, (inputs[0].detach().clone(), output.detach().clone()))
        )
    return seen


@pytest.mark.parametrize("block", ["layer1.0", "layer2.1"])
def test_a_unit_is_convolution_normalization_rectifier_dropout(block):
    made = network(batchnorm={"layers": 3}, dropout={"layers": 3, "p": 0.5})
    inner = made.get_submodule(block)
    seen = recorded({"block": inner} | dict(inner.named_modules(prefix="")))
    made(torch.randn(4, 3, 32, 32))
    for unit in (1, 2, 3):
        assert torch.equal(seen[f"bn{unit}"][0], seen[f"conv{unit}"][1])
    for unit in (1, 2):
        assert torch.equal(seen[f"drop{unit}"][0], seen[f"bn{unit}"][1].relu())
        assert torch.equal(seen[f"conv{unit + 1}"][0], seen[f"drop{unit}"][1])
    assert torch.equal(seen["drop3"][0], seen["bn3"][1])
    shortcut = seen["downsample"][1] if "downsample" in seen else seen["block"][0]
    assert torch.equal(seen["block"][1], (seen["drop3"][1] + shortcut).relu())
    assert torch.equal(seen["conv1"][0], seen["block"][0])


def test_a_projection_stands_where_extent_or_channels_change_and_the_stride_is_on_the_3x3():
    made = network()
    for stage, block in blocks(made):
        first = block is made.get_submodule(f"layer{stage}")[0]
        stride = 2 if first and stage > 1 else 1
        assert hasattr(block, "downsample") == first
        assert [convolution.kernel_size[0] for convolution in (block.conv1, block.conv2, block.conv3)] == [1, 3, 1]
        assert [convolution.stride[0] for convolution in (block.conv1, block.conv2, block.conv3)] == [1, stride, 1]
        assert not first or block.downsample[0].stride == (stride, stride)


@pytest.mark.parametrize(
    ("stem", "extent", "extents"),
    [
        ("imagenet", 32, [16, 8, 8, 4, 2, 1]),
        ("imagenet", 64, [32, 16, 16, 8, 4, 2]),
        ("cifar", 32, [32, 32, 32, 16, 8, 4]),
        ("cifar", 64, [64, 64, 64, 32, 16, 8]),
    ],
)
def test_a_stem_sets_the_extent_of_the_feature_maps(stem, extent, extents):
    made = network(model={"stem": stem})
    names = ["conv1", "pool", "layer1", "layer2", "layer3", "layer4"]
    seen = recorded({name: made.get_submodule(name) for name in names})
    made(torch.randn(1, 3, extent, extent))
    assert [seen[name][1].shape[2:] for name in names] == [(side, side) for side in extents]


@pytest.mark.parametrize("model", [{}, {"placement": "stage", "standardize": True, "stem": "cifar"}])
def test_evaluation_is_deterministic_and_training_is_not(model):
    made, images = network(model=model, dropout={"layers": 3, "p": 0.5}, batchnorm={"layers": 2}), torch.randn(4, 3, 32, 32)
    assert not torch.equal(made(images), made(images))
    made.eval()
    assert torch.equal(made(images), made(images))


def test_one_seed_gives_one_network():
    first, second, other = network(seed=0), network(seed=0), network(seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


# --- initial weights ------------------------------------------------------------------------------------------------------


def weighted(made):
    return [(name, module) for name, module in made.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def fans(weight):
    area = math.prod(weight.shape[2:])
    return weight.shape[1] * area, weight.shape[0] * area


def test_glorot_weights_are_uniform_within_their_bound():
    for name, module in weighted(network(width=8)):
        bound = math.sqrt(6 / sum(fans(module.weight)))
        values = module.weight.detach()
        assert values.abs().max() <= bound, name
        assert values.abs().max() > 0.9 * bound, name
        tolerance = 5 / math.sqrt(values.numel())
        assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=tolerance), name
        assert abs(values.mean()) < tolerance * bound, name


def test_he_weights_are_normal_with_their_deviation():
    for name, module in weighted(network(width=8, model={"init": "he"})):
        values = module.weight.detach()
        deviation = math.sqrt(2 / fans(values)[1])
        assert values.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(values.numel())), name
        if values.numel() > 1000:
            assert values.abs().max() > 2.5 * deviation, name


@pytest.mark.parametrize("init", ["glorot", "he"])
@pytest.mark.parametrize("layers", [0, 2])
def test_biases_start_at_zero_and_normalization_as_the_identity(init, layers):
    made = network(model={"init": init, "standardize": True}, batchnorm={"layers": layers})
    assert all((module.bias == 0).all() for _, module in weighted(made) if module.bias is not None)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        if isinstance(module, StandardizedConv2d):
            assert (module.gain == 1).all()


def test_a_standardized_network_trains_its_gains():
    made = network(model={"standardize": True})
    made(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(module.gain.grad.isfinite().all() for module in made.modules() if isinstance(module, StandardizedConv2d))
    assert made.conv1.gain.grad.abs().sum() > 0
