"""WideResNet: the paper's tables, a plain network of its words, and where regularization layers sit."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.models import build
from reglab.models.convolution import StandardizedConv2d

CONVOLUTIONS = {"batchnorm": {"layers": 2}}
"""All are normalized, as in the paper."""


def network(depth=10, widen=1, classes=10, channels=3, seed=0, model=None, **sections):
    torch.manual_seed(seed)
    values = {"model": {"name": "wide_resnet", "depth": depth, "widen": widen} | (model or {})} | sections
    return build(RunConfig.parse(values), classes, 32, channels).module


# --- the paper's network ----------------------------------------------------------------------------------------------------


class Plain(nn.Module):
    """Table 1 and figure 1(d) of the paper, in its words: a dictionary of layers, and what is done with them in a row."""

    def __init__(self, depth, widen, p=0.0):
        super().__init__()
        self.n, self.p, self.layers = (depth - 4) // 6, p, nn.ModuleDict()
        self.layers["stem"], inputs = nn.Conv2d(3, 16, 3, 1, 1, bias=False), 16
        for group, (width, first) in enumerate([(16, 1), (32, 2), (64, 2)], start=1):
            for block in range(self.n):
                outputs, stride = width * widen, first if block == 0 else 1
                name = f"{group}_{block}"
                self.layers[f"{name}_norm1"] = nn.BatchNorm2d(inputs)
                self.layers[f"{name}_conv1"] = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
                self.layers[f"{name}_norm2"] = nn.BatchNorm2d(outputs)
                self.layers[f"{name}_conv2"] = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
                if inputs != outputs or stride != 1:
                    self.layers[f"{name}_projection"] = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                inputs = outputs
        self.layers["norm"], self.layers["linear"] = nn.BatchNorm2d(inputs), nn.Linear(inputs, 10)

    def forward(self, x):
        x, seen = self.layers["stem"](x), {}
        for group in (1, 2, 3):
            for block in range(self.n):
                name = f"{group}_{block}"
                active = F.relu(self.layers[f"{name}_norm1"](x))
                out = self.layers[f"{name}_conv1"](active)
                out = F.dropout(F.relu(self.layers[f"{name}_norm2"](out)), self.p, self.training)
                out = self.layers[f"{name}_conv2"](out)
                shortcut = self.layers[f"{name}_projection"](active) if f"{name}_projection" in self.layers else x
                x = seen[name] = out + shortcut
        self.seen = seen
        return self.layers["linear"](F.relu(self.layers["norm"](x)).mean((2, 3)))


def named(tensors):
    """Those of a plain network under the names of ours."""
    found = {}
    for name, value in tensors.items():
        _, layer, own = name.split(".")
        group, *rest = layer.split("_")
        place = {"stem": "conv1", "norm": "bn1", "linear": "fc"}.get(layer)
        if place is None:
            block, kind = rest
            place = f"layer{group}.{block}.{kind.replace('norm', 'bn').replace('projection', 'shortcut')}"
        if own != "num_batches_tracked":
            found[f"{place}.{own}"] = value
    return found


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("depth", "widen", "extent"), [(16, 1, 32), (10, 3, 28), (22, 2, 20)])
def test_it_is_the_paper_s_block_by_block_and_gradient_by_gradient(depth, widen, extent, training):
    torch.manual_seed(1)
    plain, ours = Plain(depth, widen).double(), network(depth, widen, **CONVOLUTIONS).double()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    load(ours, plain)
    seen = {}
    for stage in (1, 2, 3):
        for block, module in enumerate(ours.get_submodule(f"layer{stage}")):
            module.register_forward_hook(lambda _, inputs, out, name=f"{stage}_{block}": seen.update({name: out}))
    images, labels = torch.randn(4, 3, extent, extent, dtype=torch.float64), torch.tensor([3, 7, 0, 9])
    logits, expected = ours.train(training)(images), plain.train(training)(images)
    assert list(seen) == list(plain.seen)
    for name, out in seen.items():
        torch.testing.assert_close(out, plain.seen[name], rtol=1e-9, atol=1e-9, msg=name)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    for out in (logits, expected):
        F.cross_entropy(out, labels).backward()
    gradients = named({name: parameter.grad for name, parameter in plain.named_parameters()})
    assert gradients.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-7, atol=1e-9, msg=name)
    for name, value in named(plain.state_dict()).items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)  # running statistics among them


def load(ours, plain):
    missing, unexpected = ours.load_state_dict(named(plain.state_dict()), strict=False)
    assert not missing
    assert all(name.endswith("num_batches_tracked") for name in unexpected)  # which nothing reads


def parameters(**keys):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in network(**keys).parameters())


@pytest.mark.parametrize(
    ("depth", "widen", "millions"),
    [(28, 10, 36.5), (16, 8, 11.0), (22, 8, 17.2), (40, 1, 0.6), (40, 2, 2.2), (40, 4, 8.9), (40, 8, 35.7), (28, 12, 52.5)],
)
def test_parameters_are_as_many_as_the_paper_s_table_4_has(depth, widen, millions):
    assert round(parameters(depth=depth, widen=widen, **CONVOLUTIONS) / 1e6, 1) == millions


def test_parameter_counts():
    assert parameters(depth=16, widen=1, **CONVOLUTIONS) == 175_066
    assert parameters(depth=16, widen=1, channels=1, classes=100, **CONVOLUTIONS) == 175_066 - 2 * 9 * 16 + 65 * 90


# --- where layers sit -------------------------------------------------------------------------------------------------------

BLOCKS = [(stage, block) for stage in (1, 2, 3) for block in (0, 1)]
"""Of depth 16."""


def follows():
    """(convolution, the normalization behind it, its stage and unit), by the names of a network of depth 16."""
    yield "conv1", "layer1.0.bn1", 1, 1
    for place, (stage, block) in enumerate(BLOCKS):
        here = f"layer{stage}.{block}"
        after = "bn1" if place + 1 == len(BLOCKS) else "layer{}.{}.bn1".format(*BLOCKS[place + 1])
        yield f"{here}.conv1", f"{here}.bn2", stage, 1
        yield f"{here}.conv2", after, stage, 2


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(("placement", "layers"), [*(("unit", count) for count in range(3)), *(("stage", count) for count in range(4))])
def test_the_first_units_or_stages_are_normalized_and_the_other_convolutions_have_a_bias(placement, layers, standardize):
    made = network(16, 1, model={"placement": placement, "standardize": standardize}, batchnorm={"layers": layers})
    expected = 0
    for convolution, behind, stage, unit in follows():
        is_normalized = (unit if placement == "unit" else stage) <= layers
        expected += is_normalized
        assert isinstance(made.get_submodule(behind), nn.BatchNorm2d if is_normalized else nn.Identity), behind
        layer = made.get_submodule(convolution)
        assert (layer.bias is None) == is_normalized, convolution
        assert isinstance(layer, StandardizedConv2d) == standardize
        assert not is_normalized or made.get_submodule(behind).num_features == layer.out_channels
    assert sum(isinstance(module, nn.BatchNorm2d) for module in made.modules()) == expected
    made(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


@pytest.mark.parametrize(("placement", "layers"), [("unit", 1), ("unit", 2), ("stage", 1), ("stage", 3)])
def test_dropout_ends_the_first_units_or_stages_with_its_probability(placement, layers):
    probabilities = {"p1": 0.1, "p2": 0.2, "p3": 0.3}
    made = network(16, 1, model={"placement": placement}, dropout={"layers": layers, **probabilities})
    for stage, block in BLOCKS:
        for unit in (1, 2):
            position = unit if placement == "unit" else stage
            drop = made.get_submodule(f"layer{stage}.{block}.drop{unit}")
            assert drop.p == probabilities[f"p{position}"] if position <= layers else type(drop) is nn.Identity


def test_dropout_of_one_layer_is_the_paper_s():
    plain, ours = Plain(10, 1, p=0.3), network(10, 1, dropout={"layers": 1, "p": 0.3}, **CONVOLUTIONS)
    load(ours, plain)
    images = torch.randn(4, 3, 32, 32)
    results = []
    for made in (plain.train(), ours.train()):
        torch.manual_seed(7)
        results.append(made(images))
    torch.testing.assert_close(*results)


def test_a_branch_is_dropped_by_its_number_of_all_blocks():
    made = network(16, 1, stochastic_depth={"rate": 0.6})
    assert [made.get_submodule(f"layer{stage}.{block}.branch").p for stage, block in BLOCKS] == pytest.approx(
        [0.1 * n for n in range(1, 7)]
    )


def test_more_layers_than_a_block_has_units_are_refused_and_stages_are_named():
    for section in ({"batchnorm": {"layers": 3}}, {"dropout": {"layers": 3, "p": 0.2}}):
        with pytest.raises(
            UserError, match=r"of 3 layers: a block of wide_resnet has 2 convolution units: .* model\.placement=stage, of which it has 3"
        ):
            network(**section)
        network(model={"placement": "stage"}, **section)
    network(dropout={"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0})  # the third drops nothing


@pytest.mark.parametrize("depth", [11, 20, 27])
def test_a_depth_without_whole_blocks_is_refused_with_one_that_has_them(depth):
    with pytest.raises(UserError, match=rf"model\.depth = {depth}: .*such as {depth // 6 * 6 + 4}"):
        network(depth)


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 64), (4, 8)])
def test_any_channels_and_side(channels, side):
    assert network(channels=channels).eval()(torch.randn(2, channels, side, side)).shape == (2, 10)


@pytest.mark.parametrize("init", ["glorot", "he"])
def test_initial_weights_are_as_asked_for(init):
    weight = network(10, 4, model={"init": init}).layer3[0].conv2.weight.detach()
    fan = 256 * 9
    deviation = (2 / (2 * fan) if init == "glorot" else 2 / fan) ** 0.5
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)
