import pytest
from hypothesis import given
from hypothesis import strategies as st

from reglab.config import RunConfig, as_given, effective, identity
from reglab.report.studies.columns import brief, in_order, meets, typed, written
from reglab.report.studies.study import _setup, base, departures
from tests.report.published import DESIGN, treatment

PLAIN = base(DESIGN, ())


def of(**sections):
    return treatment(RunConfig.parse(sections))


def levels(**sections):
    """The factors in which a configuration departs from the plain network."""
    found = of(**sections)
    return {name: found[name] for name in departures(DESIGN, found, PLAIN)}


def test_the_plain_network_departs_from_the_base_in_nothing():
    assert levels() == {}
    assert of() == PLAIN


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"batchnorm": {"layers": 2}}, {"batchnorm": 2}),
        ({"dropout": {"layers": 2, "p": 0.5}}, {"dropout": "0.5/0.5"}),
        ({"dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}}, {"dropout": "0.1/0.2/0.3"}),
        ({"agc": {"enabled": True, "clip": 0.04}}, {"clip": 0.04}),
        ({"augment": {"policy": "basic"}}, {"transformations": "basic"}),
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
    assert levels(**sections) == expected


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
    assert identity(RunConfig.parse(sections)) == identity(RunConfig())
    assert levels(**sections) == {}


def test_layers_that_end_in_no_dropout_are_not_there():
    assert of(dropout={"layers": 3, "p1": 0.2, "p2": 0.2, "p3": 0.0}) == of(dropout={"layers": 2, "p": 0.2})


def setup(**sections):
    config = RunConfig.parse(sections)
    return _setup(effective(config), as_given(config), DESIGN)


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
    assert setup(**sections)[key] == value


@pytest.mark.parametrize("sections", [{"agc": {"eps": 0.1}}, {"cutout": {"size": 8}}, {"train": {"seed": 3}}, {"train": {"compile": True}}])
def test_what_has_no_effect_is_no_part_of_it(sections):
    assert setup(**sections) == setup()


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
        *({"dropout": {"layers": 1, "p": p}} for p in (0.123456, 0.123457)),
    ]
    configs = [RunConfig.parse(each) for each in values]
    assert len({identity(config) for config in configs}) == len(configs)
    told = {(treatment(config), *sorted(map(str, _setup(effective(config), as_given(config), DESIGN).items()))) for config in configs}
    assert len(told) == len(configs)


def test_the_base_is_the_plain_network_under_what_most_arms_have_in_common():
    plain = of(train={"batch_size": 64, "epochs": 10})
    others = [of(train={"batch_size": 128, "epochs": 10}), of(train={"batch_size": 64, "epochs": 5})]
    others.append(of(batchnorm={"layers": 2}, train={"batch_size": 64, "epochs": 10}))
    assert base(DESIGN, [plain, *others]) == plain
    assert base(DESIGN, [of(train={"batch_size": size}) for size in (64, 256, 128)])["batch_size"] == 256


@pytest.mark.parametrize(
    ("dropout", "layers", "probability", "array"),
    [
        ({"layers": 0}, 0, 0, None),
        ({"layers": 2, "p": 0.2}, 2, 0.2, "0.2/0.2"),
        ({"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}, 3, None, "0.1/0.2/0.3"),
        ({"layers": 1, "p": 0.12345}, 1, 0.12345, "0.12345"),
    ],
)
def test_columns_look_at_a_factor_in_other_ways(dropout, layers, probability, array):
    found = of(dropout=dropout)
    assert (found["layers"], found["probability"], found["dropout"]) == (layers, probability, array)


def test_a_level_by_name_is_what_meets_its_condition():
    assert of(arm="asymmetric_cutout_2")["final_model"] == "asymmetric_cutout_2"
    assert (of()["final_model"], of(batchnorm={"layers": 1})["final_model"]) == ("baseline", None)
    assert (of(agc={"enabled": True})["normalization"], of(batchnorm={"layers": 3})["normalization"]) == ("AGC", "BN 3")
    assert of(agc={"enabled": True, "clip": 0.01})["normalization"] is None


def test_a_key_that_is_short_for_others_keeps_what_was_given():
    config = RunConfig.parse({"dropout": {"layers": 2, "p": 0.2}, "optimizer": {"name": "adamw"}})
    given = as_given(config)
    assert (given["dropout.layers"], given["dropout.p"], given["optimizer.name"]) == (2, 0.2, "adamw")
    assert "dropout.p1" not in given
    assert as_given(RunConfig.parse({"dropout": {"layers": 1, "p1": 0.2}}))["dropout.p1"] == 0.2
    assert "agc.clip" not in given


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.2, "0.2"), (2, 2.0), ("1e-3", 0.001), (None, "none"), (True, "true"), ("0.1/0.2", "0.1/0.2"), ("0.10", ".1"), (-0.0, 0),
        ("-0", "0"), (0.1 + 0.2, 0.3), (10**15, 1e15), ("1e12", 10**12), (999999999999.99999, 10**12),
    ],
)  # fmt: skip
def test_levels_of_one_meaning_are_written_alike(one, other):
    assert written(one) == written(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("007", "7"), (20240101120001, 20240101120002), ("20240101120001", "20240101120002"), (1700000000000.25, 1700000000000.5), ("٣", 3)],
)
def test_texts_and_large_numbers_that_differ_are_levels_of_their_own(one, other):
    assert written(one) != written(other)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9) | st.booleans() | st.none())
def test_a_written_level_is_read_as_it_was(level):
    assert written(typed(written(level))) == written(level)


def test_people_read_three_digits_of_a_fraction():
    assert [brief(level) for level in (0.123456, 5000, "0.123456/0.2", None, 0.00012345)] == [
        "0.123",
        "5000",
        "0.123/0.2",
        "none",
        "0.000123",
    ]


def test_levels_are_sorted_nothing_first_and_arrays_by_their_length():
    levels = ["0.1/0.2/0.3", "0.5", None, "0.2/0.2", "0.2"]
    assert sorted(levels, key=in_order) == [None, "0.2", "0.5", "0.2/0.2", "0.1/0.2/0.3"]
    assert sorted([10, 2, 0.5], key=in_order) == [0.5, 2, 10]


@pytest.mark.parametrize(
    ("wanted", "met"), [("any", True), ("none", False), ("base", False), ("other", True), ("base/2", True), ("100", True), ("200", False)]
)
def test_conditions_may_be_told_by_the_base(wanted, met):
    assert meets({"epochs": 100}, {"epochs": [wanted]}, {"epochs": 200}) is met
