import pytest

from reglab.config import RunConfig, identity
from reglab.report.factors import Factors, base, factors, setup


def of(**sections):
    return factors(RunConfig.parse(sections))


def test_the_plain_network_is_every_default():
    assert of() == Factors()


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"batchnorm": {"layers": 2}}, {"batchnorm": 2}),
        ({"dropout": {"layers": 2, "p": 0.5}}, {"dropout": (0.5, 0.5)}),
        ({"dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}}, {"dropout": (0.1, 0.2, 0.3)}),
        ({"agc": {"enabled": True, "clip": 0.04}}, {"clip": 0.04}),
        ({"augment": {"policy": "basic"}}, {"transformations": True}),
        ({"cutout": {"images": 8, "per": "image"}}, {"cutout": 8, "per": "image"}),
        ({"train": {"batch_size": 64, "epochs": 100}}, {"batch_size": 64, "epochs": 100}),
        ({"model": {"standardize": True, "stem": "cifar"}}, {"standardize": True, "stem": "cifar"}),
        ({"batchnorm": {"layers": 1}, "model": {"placement": "stage"}}, {"batchnorm": 1, "placement": "stage"}),
        ({"data": {"validation": 5000}}, {"held_out": 5000}),
        ({"optimizer": {"weight_decay": 0.0005}}, {"optimizer": "adam decay 0.0005"}),
        (
            {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.8, "schedule": "cosine", "warmup_epochs": 2, "label_smoothing": 0.1}},
            {"optimizer": "sgd lr 0.1 momentum 0.8 cosine warm-up 2 smoothing 0.1"},
        ),
    ],
)
def test_each_factor_is_read_from_its_keys_and_only_it(sections, expected):
    assert of(**sections) == Factors(**expected)


@pytest.mark.parametrize(
    "sections",
    [
        {"dropout": {"layers": 0, "p": 0.8}},
        {"dropout": {"layers": 2, "p": 0.0}},
        {"agc": {"clip": 0.04, "eps": 0.1}},
        {"augment": {"rotate": 15}},
        {"augment": {"policy": "basic", "shift": 0, "flip": False}},
        {"cutout": {"size": 8, "per": "image"}},
        {"model": {"placement": "stage"}},
        {"optimizer": {"momentum": 0.5}},
        {"optimizer": {"name": "adamw"}},
        {"train": {"seed": 7, "checkpoint_every": 5, "compile": False}},
        {"data": {"folder": "/images", "resize": True}},
    ],
)
def test_what_has_no_effect_is_no_factor(sections):
    config = RunConfig.parse(sections)
    assert identity(config) == identity(RunConfig())
    assert factors(config) == Factors()


def test_layers_that_end_in_no_dropout_are_not_there():
    assert of(dropout={"layers": 3, "p1": 0.2, "p2": 0.2, "p3": 0.0}) == of(dropout={"layers": 2, "p": 0.2})


@pytest.mark.parametrize(
    ("sections", "key", "value"),
    [
        ({"model": {"width": 16}}, "model.width", 16),
        ({"data": {"source": "digits"}}, "data.source", "digits"),
        ({"data": {"source": "folder", "folder": "/some/cifar10-jpeg"}}, "data.name", "cifar10-jpeg"),
        ({"agc": {"enabled": True, "eps": 0.1}}, "agc.eps", 0.1),
        ({"augment": {"policy": "basic", "rotate": 15}}, "augment.rotate", 15.0),
        ({"cutout": {"images": 2, "size": 8}}, "cutout.size", 8),
        ({"optimizer": {"eps": 1e-8}}, "optimizer.eps", 1e-8),
        ({"train": {"precision": "bf16"}}, "train.precision", "bf16"),
    ],
)
def test_what_a_study_does_not_vary_is_its_set_up(sections, key, value):
    assert setup(RunConfig.parse(sections))[key] == value


@pytest.mark.parametrize(
    "sections",
    [
        {"agc": {"eps": 0.1}},
        {"augment": {"rotate": 15}},
        {"cutout": {"size": 8}},
        {"data": {"resize": True, "name": "x"}},
        {"train": {"checkpoint_every": 5, "seed": 3}},
        {"train": {"compile": True, "graph": False}},
    ],
)
def test_what_has_no_effect_is_no_part_of_it(sections):
    assert setup(RunConfig.parse(sections)) == setup(RunConfig())


def test_two_arms_never_have_the_same_factors_and_set_up():
    values = [
        {},
        *({"model": {key: value}} for key, value in (("width", 16), ("stem", "cifar"), ("init", "he"), ("standardize", True))),
        *({"data": {key: value}} for key, value in (("source", "digits"), ("train_limit", 9), ("test_limit", 9), ("validation", 9))),
        *({"optimizer": {key: value}} for key, value in (("name", "sgd"), ("lr", 0.1), ("eps", 0.1), ("weight_decay", 0.1))),
        *({"optimizer": {key: value}} for key, value in (("schedule", "step"), ("warmup_epochs", 1), ("label_smoothing", 0.1))),
        *({"train": {key: value}} for key, value in (("epochs", 9), ("batch_size", 9), ("precision", "fp32"))),
        *({"train": {key: value}} for key, value in (("target_accuracy", 0.9), ("target_on", "clean"), ("eval_every", 2))),
        *({"agc": {"enabled": True, **more}} for more in ({}, {"clip": 0.1}, {"eps": 0.1})),
        *({"augment": {"policy": "basic", **more}} for more in ({}, {"shift": 1}, {"flip": False}, {"rotate": 5})),
        *({"cutout": {"images": 2, **more}} for more in ({}, {"size": 8}, {"per": "image"})),
    ]
    configs = [RunConfig.parse(each) for each in values]
    assert len({identity(config) for config in configs}) == len(configs)
    assert len({(factors(config), *sorted(map(str, setup(config).items()))) for config in configs}) == len(configs)


def test_departures_name_the_factors_that_differ():
    assert Factors(batchnorm=2, dropout=(0.2,)).departures(Factors()) == {"batchnorm", "dropout"}
    assert Factors(batch_size=64).departures(Factors(batch_size=64)) == set()
    assert Factors(batchnorm=2).but(clip=0.02).departures(Factors(batchnorm=2)) == {"clip"}


def test_the_base_is_the_plain_network_under_what_most_runs_have_in_common():
    plain = Factors(batch_size=64, epochs=10)
    others = [Factors(batch_size=128, epochs=10), Factors(batch_size=64, epochs=5), plain.but(batchnorm=2)]
    assert base([plain, *others]) == plain


def test_of_sizes_that_are_as_common_the_base_has_the_largest():
    assert base(Factors(batch_size=size) for size in (64, 256, 128)).batch_size == 256


def test_a_study_without_runs_has_the_plain_network():
    assert base([]) == Factors()


@pytest.mark.parametrize(
    ("dropout", "layers", "symmetric", "probability", "array"),
    [
        ((), 0, True, None, ""),
        ((0.2, 0.2), 2, True, 0.2, "0.2/0.2"),
        ((0.1, 0.2, 0.3), 3, False, None, "0.1/0.2/0.3"),
        ((0.12345,), 1, True, 0.12345, "0.123"),
    ],
)
def test_dropout_is_told_by_layers_probability_and_array(dropout, layers, symmetric, probability, array):
    found = Factors(dropout=dropout)
    assert (found.layers, found.symmetric, found.probability, found.array) == (layers, symmetric, probability, array)


def test_columns_hold_plain_values_only():
    columns = Factors(dropout=(0.1, 0.2), clip=0.02).columns()
    assert (columns["dropout"], columns["layers"], columns["probability"], columns["agc"]) == ("0.1/0.2", 2, None, True)
    assert all(value is None or isinstance(value, str | int | float) for value in columns.values())
