"""RunConfig: what it accepts, what it refuses and how it says so, and which configurations are one arm."""

import json
import math
import os
import shlex
import types
import typing
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from reglab.config import (
    FIELDS,
    SPEED_KEYS,
    RunConfig,
    TrainConfig,
    allowed,
    at_default_speed,
    identities,
    identity,
    nested,
    parse_overrides,
    revisions,
    run_id,
    unrevised_identity,
    with_overrides,
)
from reglab.config.arms import ARMS, FINAL_ARMS
from reglab.config.words import _todays
from reglab.errors import UserError
from reglab.section import NO_EFFECT, Matters, OneOf, Options
from reglab.techniques import TECHNIQUES
from reglab.techniques.agc.declared import AGCConfig
from tests.unprinted import UNPRINTED

# --- refusals ---------------------------------------------------------------------------------------------------------


def kinds(path):
    """The types that a key takes."""
    annotation = FIELDS[path].annotation
    return typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)


def refusal(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert line and "\n" not in line and "\r" not in line
    return line


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"dropuot": {"layers": 1}}, ["unknown key dropuot", "did you mean dropout?"]),
        ({"lr": 0.1}, ["unknown key lr", "did you mean optimizer.lr?"]),
        ({"batchnorm": {"layer": 1}}, ["unknown key batchnorm.layer", "did you mean batchnorm.layers?"]),
        ({"train": {"lr": 0.1}}, ["unknown key train.lr", "did you mean optimizer.lr?"]),
        ({"optimizer": {"learning_rate": 0.1}}, ["unknown key optimizer.learning_rate", "did you mean optimizer.lr?"]),
        ({"zzzzzz": 1}, ["unknown key zzzzzz", "reglab train --print-config"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_key(values, parts):
    line = refusal(RunConfig.parse, values)
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("dropout.layer=2", "dropout.layers"),
        ("optimiser.lr=0.1", "optimizer.lr"),
        ("seed=1", "train.seed"),
        ("dropuot.layers=2", "dropout.layers"),
        ("bathcnorm.layers=2", "batchnorm.layers"),
        ("train.epochs.x=1", "train.epochs"),
    ],
)
def test_an_unknown_key_in_a_word_is_refused_with_the_nearest_key(word, meant):
    line = refusal(parse_overrides, [word])
    assert f"unknown key {word.partition('=')[0]}" in line
    assert line.endswith(f"did you mean {meant}?"), line


@pytest.mark.parametrize("key", [5, True])
def test_a_key_that_is_not_text_is_an_unknown_key(key):
    for values in ({key: {"epochs": 3}}, {"train": {key: 3}}):
        assert "unknown key" in refusal(RunConfig.parse, values)


@pytest.mark.parametrize(
    ("path", "value", "limits"),
    [
        ("batchnorm.layers", 4, "a whole number at least 0 and at most 3"),
        ("batchnorm.layers", -1, "a whole number at least 0 and at most 3"),
        ("dropout.p", 1.0, "a number at least 0 and below 1 or null"),
        ("dropout.p2", -0.1, "a number at least 0 and below 1 or null"),
        ("agc.clip", 0, "a number above 0"),
        ("augment.rotate", 181, "a number at least 0 and at most 180"),
        ("cutout.size", 33, "a whole number at least 1 and at most 32"),
        ("data.train_limit", 1, "a whole number at least 2 or null"),
        ("train.batch_size", 1, "a whole number at least 2"),
        ("train.seed", 2**31, "a whole number at least 0 and below 2.14748e+09"),
        ("optimizer.lr", float("nan"), "a number above 0"),
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(path, value, limits):
    assert refusal(RunConfig.parse, nested({path: value})) == f"{path} = {value}: must be {limits}"


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("train.epochs", "many", "a whole number"),
        ("train.epochs", 2.5, "a whole number"),
        ("train.epochs", None, "a whole number"),
        ("model.width", [64], "a whole number"),
        ("optimizer.lr", "fast", "a number"),
        ("agc.enabled", "perhaps", "one of true, false"),
        ("dropout.p1", {"value": 0.1}, "a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_the_type(path, value, kind):
    assert refusal(RunConfig.parse, nested({path: value})).startswith(f"{path} = {value}: must be {kind}")


@pytest.mark.parametrize(("path", "value"), [("batchnorm.layers", True), ("dropout.p", False), ("optimizer.lr", True)])
def test_yes_and_no_are_not_numbers(path, value):
    assert f"{path} = {value}" in refusal(RunConfig.parse, nested({path: value}))


@pytest.mark.parametrize("path", ["optimizer.lr", "weight_decay.rate", "optimizer.warmup_epochs", "agc.clip", "agc.eps"])
def test_an_infinite_value_is_refused(path):
    assert f"{path} = inf" in refusal(RunConfig.parse, nested({path: float("inf")}))


@pytest.mark.parametrize(
    ("path", "value", "ending"),
    [
        ("optimizer.name", "addamw", "must be one of adam, sgd, adamw; did you mean adamw?"),
        ("train.precision", "bfloat16", "must be one of auto, bf16, fp16, fp32; did you mean bf16?"),
        ("model.placement", "unti", "must be one of unit, stage; did you mean unit?"),
        (
            "data.source",
            "cifar",
            "must be one of cifar10, cifar100, svhn, fashion_mnist, digits, folder, npz, or package.module:function; did you mean cifar10?",
        ),
        ("train.compile", "maybe", "must be one of auto, true, false"),
    ],
)
def test_a_wrong_choice_is_refused_with_the_choices_and_the_nearest(path, value, ending):
    assert refusal(RunConfig.parse, nested({path: value})) == f"{path} = {value}: {ending}"


def test_p_beside_p1_is_refused():
    line = refusal(RunConfig.parse, {"dropout": {"layers": 1, "p": 0.2, "p1": 0.3}})
    assert "dropout.p = 0.2 stands beside dropout.p1 = 0.3" in line and "not both" in line


@pytest.mark.parametrize(
    ("dropout", "first", "rest"),
    [({"layers": 2}, "dropout.p1", "dropout.p1 dropout.p2"), ({"layers": 3, "p1": 0.1, "p3": 0.1}, "dropout.p2", "dropout.p2")],
)
def test_a_missing_probability_is_named(dropout, first, rest):
    line = refusal(RunConfig.parse, {"dropout": dropout})
    assert f"dropout.layers = {dropout['layers']} has no {first}" in line
    assert "dropout.p " in line and line.endswith(f"or {rest}")


@pytest.mark.parametrize("warmup", [1.5, 2, 200])
def test_a_warm_up_longer_than_the_run_is_refused(warmup):
    line = refusal(RunConfig.parse, {"optimizer": {"warmup_epochs": warmup}, "train": {"epochs": 1}})
    assert f"optimizer.warmup_epochs = {warmup:g} is longer than train.epochs = 1" in line


def test_a_warm_up_as_long_as_the_run_is_a_ramp():
    assert RunConfig.parse({"optimizer": {"warmup_epochs": 2}, "train": {"epochs": 2}}).optimizer.warmup_epochs == 2


@pytest.mark.parametrize("value", [5, "x", None, [1], True])
def test_a_section_given_a_scalar_is_refused(value):
    for section in RunConfig.model_fields.keys() - {"arm", "cell"}:
        assert refusal(RunConfig.parse, {section: value}) == f"{section} = {value}: must be a mapping of keys"
        assert refusal(RunConfig.parse, {"arm": "baseline", section: value}) == f"{section} = {value}: must be a mapping of keys"


@pytest.mark.parametrize("values", [5, None, [1], "x"])
def test_a_configuration_that_is_no_mapping_is_refused(values):
    assert refusal(RunConfig.parse, values) == f"the configuration = {values}: must be a mapping of keys"


@pytest.mark.parametrize(
    ("arm", "nearest"), [("symetric_cutout_2", "symmetric_cutout_2"), (5, None), (["baseline"], None), ({"a": 1}, None)]
)
def test_an_unknown_arm_is_refused_with_the_arms_and_the_nearest(arm, nearest):
    line = refusal(RunConfig.parse, {"arm": arm})
    assert line.startswith(f"arm = {arm}: must be one of {', '.join(ARMS)}")
    assert line.endswith(f"; did you mean {nearest}?") == (nearest is not None)


def test_a_contradicted_arm_is_refused():
    line = refusal(RunConfig.parse, {"arm": "symmetric_cutout_2", "dropout": {"p": 0.5}})
    assert line == "dropout.p = 0.5 contradicts arm = symmetric_cutout_2, which sets it to 0.2: drop one of the two"
    line = refusal(RunConfig.parse, {"arm": "baseline", "agc": {"enabled": True}})
    assert "agc.enabled = True contradicts arm = baseline" in line


@pytest.mark.parametrize("beside", [{"batchnorm": {"layers": "2"}}, {"dropout": {"p": "2e-1"}}, {"agc": {"enabled": "false"}}])
def test_an_arms_own_value_in_text_does_not_contradict_it(beside):
    assert RunConfig.parse({"arm": "symmetric_cutout_2"} | beside) == RunConfig.parse({"arm": "symmetric_cutout_2"})


@pytest.mark.parametrize("folder", [{}, {"folder": None}, {"folder": ""}])
def test_a_folder_source_without_its_folder_is_refused(folder):
    assert "data.source = folder needs data.folder" in refusal(RunConfig.parse, {"data": {"source": "folder"} | folder})


def test_a_source_of_arrays_without_its_file_is_refused():
    assert "data.source = npz needs data.file" in refusal(RunConfig.parse, {"data": {"source": "npz"}})


@pytest.mark.parametrize("word", ["train.epochs", "baseline", ""])
def test_a_word_without_an_equals_sign_is_refused(word):
    line = refusal(with_overrides, {}, [word])
    assert repr(word) in line and "key=value" in line


@pytest.mark.parametrize("section", ["dropout", "train", "data"])
def test_a_word_that_sets_a_section_is_refused_with_its_keys(section):
    line = refusal(with_overrides, {}, [f"{section}=5"])
    assert line.startswith(f"{section} is a section, not a key")
    assert all(key in line for key in FIELDS if key.startswith(section + "."))


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({"batchnorm": {"layers": 4}, "train": {"epochs": 0}, "modle": {}}, "unknown key modle"),
        ({"batchnorm": {"layer": 4}, "agc": {"clip": 0}, "train": {"epochs": 0}}, "unknown key batchnorm.layer"),
        ({"batchnorm": {"layers": 4}, "agc": {"clip": 0}, "train": {"epochs": 0}}, "batchnorm.layers = 4"),
    ],
)
def test_of_several_faults_an_unknown_key_or_the_first_is_told_and_the_rest_counted(values, first):
    line = refusal(RunConfig.parse, values)
    assert line.startswith(first) and line.endswith("(and 2 more)"), line


@pytest.mark.parametrize("path", ["train.epochs", "train.epo\nchs", "arm", "optimizer.name"])
def test_a_value_of_several_lines_is_refused_in_one(path):
    refusal(RunConfig.parse, nested({path: "one\ntwo"}))
    refusal(RunConfig.parse, {path.partition(".")[0]: "one\ntwo"})


# --- what is accepted ---------------------------------------------------------------------------------------------------


def test_the_defaults_are_the_studys_readings():
    config = RunConfig.parse({})
    assert (config.batchnorm.layers, config.dropout.layers, config.agc.enabled, config.cutout.images) == (0, 0, False, 0)
    assert (config.model.width, config.model.stem) == (64, "imagenet")
    assert (config.model.placement, config.model.init) == ("unit", "glorot")
    assert (config.augment.policy, config.augment.shift, config.augment.flip, config.augment.rotate) == ("none", 4, True, 0)
    assert (config.cutout.size, config.cutout.per) == (12, "batch")
    assert (config.optimizer.name, config.optimizer.lr) == ("adam", 1e-3)
    assert (config.train.epochs, config.train.batch_size, config.train.target_accuracy) == (200, 256, 0.87)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig.parse({}).train.epochs = 3


@pytest.mark.parametrize("path", [path for path in FIELDS if float in kinds(path)])
def test_a_whole_number_is_accepted_for_a_float(path):
    whole = {"train.target_accuracy": 1, "agc.clip": 1, "agc.eps": 1, "optimizer.lr": 1, "optimizer.eps": 1, "data.white": 1}.get(path, 0)
    section, key = path.split(".")
    value = getattr(getattr(RunConfig.parse(nested({path: whole})), section), key)
    assert value == whole and type(value) is float
    assert identity(RunConfig.parse(nested({path: whole}))) == identity(RunConfig.parse(nested({path: float(whole)})))


@pytest.mark.parametrize("text", ["1e-3", "0.001", "1.0e-3"])
def test_a_rate_may_be_written_in_any_form(text):
    assert RunConfig.parse(with_overrides({}, [f"optimizer.lr={text}"])).optimizer.lr == 0.001


def test_words_are_laid_over_a_mapping_that_stays_as_it_is():
    values = {"train": {"epochs": 3, "seed": 1}, "model": {"width": 8}}
    merged = with_overrides(values, ["train.epochs=5", "agc.enabled=true", "dropout.p=null", "arm=baseline", "data.name=a=b"])
    assert merged == {
        "train": {"epochs": 5, "seed": 1},
        "model": {"width": 8},
        "agc": {"enabled": True},
        "dropout": {"p": None},
        "arm": "baseline",
        "data": {"name": "a=b"},
    }
    assert values == {"train": {"epochs": 3, "seed": 1}, "model": {"width": 8}}


TEXTS = [
    "007",
    "010",
    "1.10",
    "1_000",
    "12:30:00",
    "a #b",
    "2024-01-01",
    "1e3",
    "true",
    "no",
    "~/images",
    "{a",
    "*x",
    "&x",
    "!t",
    "a: b",
    " x ",
]


@pytest.mark.parametrize("text", [*TEXTS, "2020-13-45", "'a' and 'b'", "a=b", "x]", "é", "0x10", "NaN", "?", "- x", "%"])
@pytest.mark.parametrize("path", ["data.name", "data.folder"])
def test_a_text_key_takes_the_very_text(path, text):
    assert parse_overrides([f"{path}={text}"]) == {path: text}
    assert getattr(RunConfig.parse(with_overrides({}, [f"{path}={text}"])).data, path.partition(".")[2]) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [("'[a, b]'", "[a, b]"), ('"[a"', "[a"), ("'null'", "null"), ("''", ""), ("'007'", "007"), ("'it''s'", "it's"), ("'\\'x\\''", None)],
)
def test_quotes_around_a_text_are_no_part_of_it(text, meant):
    assert parse_overrides([f"data.name={text}"]) == {"data.name": text if meant is None else meant}


@pytest.mark.parametrize(("path", "text", "value"), [("data.name", "null", None), ("train.epochs", "010", 10), ("train.epochs", "+8", 8)])
def test_null_and_numbers_are_read_as_their_key_has_them(path, text, value):
    assert parse_overrides([f"{path}={text}"]) == {path: value}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train.epochs", "1e1", 10),
        ("train.epochs", "3.0", 3),
        ("optimizer.lr", "1E-3", 1e-3),
        ("optimizer.lr", ".5", 0.5),
        ("optimizer.lr", "007", 7.0),
        ("dropout.p", "null", None),
        ("train.compile", "auto", "auto"),
        ("train.compile", "true", True),
        ("agc.enabled", "no", False),
        ("agc.enabled", "TRUE", True),
        ("model.stem", "cifar", "cifar"),
        ("augment.policy", "none", "none"),
    ],
)
def test_a_configuration_has_what_a_word_says(path, text, value):
    section, _, key = path.partition(".")
    found = getattr(getattr(RunConfig.parse(with_overrides({}, [f"{path}={text}"])), section), key)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "text", ["1_000", "0x10", "0b11", "0o10", "1:30", "12:30:00", "1,000", "१०", "1 0", "auto", "true", "~", "inf", ".nan", "1e", "'"]
)
@pytest.mark.parametrize("path", ["train.epochs", "optimizer.lr", "dropout.p", "data.train_limit"])
def test_what_is_no_decimal_number_is_refused_for_a_number_wherever_it_stands(path, text):
    """Programs take each of these for some number, and not all for the same."""
    line = refusal(parse_overrides, [f"{path}={text}"])
    assert line.startswith(f"{path} = {text}: must be {allowed(path)}"), line
    line = refusal(RunConfig.parse, nested({path: text}))
    assert line.startswith(f"{path} = {text}: must be {allowed(path)}"), line


@pytest.mark.parametrize(
    ("path", "text"), [("optimizer.name", "null"), ("train.epochs", "null"), ("agc.enabled", "null"), ("agc.enabled", "2")]
)
def test_null_is_refused_where_a_key_cannot_be_unset(path, text):
    assert f"{path} = {text}: must be" in refusal(lambda: RunConfig.parse(with_overrides({}, [f"{path}={text}"])))


@pytest.mark.parametrize("path", ["data.name", "data.train_limit", "train.epochs", "agc.enabled"])
def test_a_key_without_a_value_is_refused(path):
    assert refusal(parse_overrides, [f"{path}="]) == f"{path}= has no value: it must be {allowed(path)}"


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("train.seed=[0, 010, 1e1]", [0, 10, 10.0]),
        ("data.name=[007, a b, 'x, y', 12:30:00, \"[\"]", ["007", "a b", "x, y", "12:30:00", "["]),
        ("dropout.p=[null, 0.1]", [None, 0.1]),
        ("data.name=['null', null]", ["null", None]),
        ("agc.enabled=[true, no]", [True, False]),
        ("train.seed=[]", []),
        ("train.seed=[1,]", [1]),
    ],
)
def test_the_values_of_a_list_are_read_as_its_key_has_them(word, values):
    (found,) = parse_overrides([word]).values()
    assert [(type(each), each) for each in found] == [(type(each), each) for each in values]


@pytest.mark.parametrize("text", ["[", "[a", "[a]b", "[a #b]", "[[1]]", "[a: b]", "[*x]", "[1] # one"])
def test_what_begins_with_a_bracket_and_is_no_list_is_refused_and_both_meanings_are_said(text):
    line = refusal(parse_overrides, [f"data.name={text}"])
    assert "a list such as [a, b], over which a sweep searches" in line and "a text in quotes" in line


def test_a_run_takes_no_list():
    line = refusal(lambda: RunConfig.parse(with_overrides({}, ["data.name=[a, b]"])))
    assert line.startswith("data.name = ['a', 'b']: must be text or null") and "stands in quotes" in line


def test_a_number_is_no_text_where_it_may_have_been_written_otherwise():
    assert "data.name = 1.1: must be text" in refusal(RunConfig.parse, {"data": {"name": 1.10}})
    assert RunConfig.parse({"data": {"name": 2024}}).data.name == "2024"


@pytest.mark.parametrize("path", FIELDS)
def test_what_each_key_accepts_can_be_said(path):
    assert allowed(path).startswith(("one of ", "a whole number", "a number", "text", "a mapping"))


# --- arms -----------------------------------------------------------------------------------------------------------------

SYMMETRIC = {"layers": 3, "p": 0.2, "p1": None, "p2": None, "p3": None}
ASYMMETRIC = {"layers": 3, "p": None, "p1": 0.1, "p2": 0.2, "p3": 0.3}
WITHOUT = {"layers": 0, "p": None, "p1": None, "p2": None, "p3": None}
FIGURE_11 = {  # batch normalization layers, dropout, augmentation, cutout images
    "baseline": (0, WITHOUT, "none", 0),
    "batchnorm_symmetric_dropout": (2, SYMMETRIC, "none", 0),
    "symmetric_augmentation": (2, SYMMETRIC, "basic", 0),
    "asymmetric_augmentation": (2, ASYMMETRIC, "basic", 0),
    "symmetric_cutout_2": (2, SYMMETRIC, "none", 2),
    "asymmetric_cutout_2": (2, ASYMMETRIC, "none", 2),
}


def test_the_six_final_arms_are_those_of_figure_11_in_its_order():
    assert FINAL_ARMS == tuple(ARMS) == tuple(FIGURE_11)


@pytest.mark.parametrize("arm", FIGURE_11)
def test_an_arm_expands_to_the_studys_model(arm):
    config = RunConfig.parse({"arm": arm})
    layers, dropout, policy, images = FIGURE_11[arm]
    expected = RunConfig.parse(
        {"batchnorm": {"layers": layers}, "dropout": dropout, "augment": {"policy": policy}, "cutout": {"images": images}}
    )
    assert config.model_copy(update={"arm": None}) == expected
    assert identity(config) == identity(expected)
    assert config.label == expected.label == arm


def test_a_cell_expands_into_the_keys_that_it_names():
    words = "arm=asymmetric_augmentation train.seed=2 optimizer.lr=0.01"
    config = RunConfig.parse({"cell": words, "train": {"epochs": 3}})
    named = {"arm": "asymmetric_augmentation", "train": {"seed": 2, "epochs": 3}, "optimizer": {"lr": 0.01}}
    assert config.model_copy(update={"cell": None}) == RunConfig.parse(named)
    assert run_id(config) == run_id(RunConfig.parse(named))
    assert config.label == "asymmetric_augmentation"
    assert RunConfig.parse(config.model_dump()) == config  # as a resumed run is handed it


def test_a_cell_quotes_what_has_spaces():
    assert RunConfig.parse({"cell": "data.source=folder data.folder=/a 'data.name=two words'"}).data.name == "two words"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cell": "train.seed=1", "train": {"seed": 2}}, "train.seed = 2 contradicts cell = train.seed=1, which sets it to 1"),
        ({"cell": "arm=baseline", "arm": "symmetric_cutout_2"}, "arm = symmetric_cutout_2 contradicts cell"),
        ({"cell": "arm=baseline agc.enabled=true"}, "agc.enabled = True contradicts arm = baseline"),
        ({"cell": "train.sed=1"}, "unknown key train.sed; did you mean train.seed?"),
        ({"cell": "nonsense"}, "'nonsense' is not key=value"),
        ({"cell": 3}, "'3' is not key=value"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(values, said):
    assert said in refusal(RunConfig.parse, values)


def test_an_arm_leaves_room_for_what_it_does_not_name():
    beside = {"cutout": {"size": 8}, "train": {"epochs": 3}, "dropout": {"layers": 3}}
    config = RunConfig.parse({"arm": "symmetric_cutout_2"} | beside)
    assert (config.cutout.images, config.cutout.size, config.train.epochs, config.dropout.p) == (2, 8, 3, 0.2)


def test_the_probabilities_are_those_of_the_layers_that_are_there():
    assert RunConfig.parse({"dropout": {"layers": 2, "p": 0.5}}).dropout.probabilities == (0.5, 0.5)
    assert RunConfig.parse({"dropout": {"layers": 2, "p1": 0.1, "p2": 0.2, "p3": 0.3}}).dropout.probabilities == (0.1, 0.2)
    assert RunConfig.parse({"dropout": {"layers": 0, "p": 0.5}}).dropout.probabilities == ()


# --- labels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ({}, "baseline"),
        ({"batchnorm": {"layers": 1}}, "BN 1"),
        ({"dropout": {"layers": 2, "p": 0.5}}, "dropout 2 at 0.5"),
        ({"dropout": {"layers": 2, "p1": 0.125, "p2": 0.8}}, "dropout 2 at 0.125/0.8"),
        ({"dropout": {"layers": 2, "p1": 0.3, "p2": 0.3}}, "dropout 2 at 0.3"),
        ({"agc": {"enabled": True, "clip": 0.01}}, "AGC 0.01"),
        ({"augment": {"policy": "basic"}, "cutout": {"images": 8}}, "transformations · cutout 8"),
        ({"cutout": {"images": 2, "per": "image"}, "batchnorm": {"layers": 3}}, "BN 3 · cutout 2 per image"),
    ],
)
def test_the_label_names_the_treatment(values, label):
    assert RunConfig.parse(values).label == label


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({"batchnorm": {"layers": 1}, "dropout": {"layers": 2, "p": 0}}, {"batchnorm": {"layers": 1}}),
        ({"dropout": {"layers": 3, "p1": 0.2, "p2": 0.2, "p3": 0}}, {"dropout": {"layers": 2, "p": 0.2}}),
        ({"batchnorm": {"layers": 1}, "augment": {"policy": "basic", "shift": 0, "flip": False}}, {"batchnorm": {"layers": 1}}),
    ],
)
def test_one_identity_has_one_label(values, same):
    assert identity(RunConfig.parse(values)) == identity(RunConfig.parse(same))
    assert RunConfig.parse(values).label == RunConfig.parse(same).label


def test_a_varied_arm_is_not_labelled_as_the_studys_model():
    varied = RunConfig.parse({"arm": "symmetric_augmentation", "augment": {"rotate": 15}})
    assert identity(varied) != identity(RunConfig.parse({"arm": "symmetric_augmentation"}))
    assert varied.label != "symmetric_augmentation"


# --- identity -------------------------------------------------------------------------------------------------------------

ACTIVE = {
    "data": {"source": "folder", "folder": "/a/birds", "train_limit": 50, "test_limit": 20, "validation": 10, "white": 4095.0},
    "batchnorm": {"layers": 2},
    "dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3},
    "agc": {"enabled": True},
    "augment": {"policy": "basic"},
    "cutout": {"images": 2},
    "stochastic_depth": {"rate": 0.2},
    "mixup": {"alpha": 0.2},
    "cutmix": {"alpha": 1.0},
    "weight_decay": {"rate": 1e-4},
    "optimizer": {"name": "sgd"},
}
MATTERS = {
    "data.source": "digits",
    "data.folder": "/a/cats",
    "data.name": "finches",
    "data.side": 64,
    "data.resize": True,
    "data.background": "black",
    "data.black": -1.0,
    "data.white": 255.0,
    "data.train_limit": 51,
    "data.test_limit": None,
    "data.validation": 11,
    "model.width": 32,
    "model.stem": "cifar",
    "model.placement": "stage",
    "model.init": "he",
    "model.standardize": True,
    "batchnorm.layers": 1,
    "dropout.layers": 2,
    "dropout.p1": 0.11,
    "dropout.p2": 0.21,
    "dropout.p3": 0.31,
    "agc.enabled": False,
    "agc.clip": 0.04,
    "agc.eps": 1e-2,
    "augment.policy": "none",
    "augment.shift": 3,
    "augment.flip": False,
    "augment.rotate": 15,
    "cutout.images": 4,
    "cutout.size": 8,
    "cutout.per": "image",
    "optimizer.name": "adamw",
    "optimizer.lr": 0.002,
    "optimizer.momentum": 0.8,
    "optimizer.schedule": "cosine",
    "optimizer.warmup_epochs": 5,
    "stochastic_depth.rate": 0.3,
    "mixup.alpha": 0.4,
    "cutmix.alpha": 0.5,
    "label_smoothing.rate": 0.1,
    "weight_decay.rate": 1e-3,
    "weight_decay.of": "weights",
    "train.epochs": 100,
    "train.batch_size": 128,
    "train.precision": "bf16",
    "train.compile": True,
    "train.target_accuracy": 0.9,
    "train.target_on": "clean",
    "train.eval_every": 2,
}
FOLDER = {"data": {"source": "folder", "folder": "/a/birds"}}
SYMMETRIC_ONLY = {"dropout.p"}
ADAM_ONLY = {"optimizer.eps"}
NEWER = {technique.name for technique in TECHNIQUES} - {path.partition(".")[0] for path in MATTERS}
"""Techniques that came when this was written."""
OF_ONE_NETWORK = {"model.name", "model.options", "model.depth", "model.widen"}
"""Those of a network that has no place for all the layers of the above."""
LEFT_OUT = {"data.file", "arm", "cell", "train.seed", "train.checkpoint_every", "train.keep_weights", "train.graph", "train.metrics"}


def changed(values, path, value):
    section, key = path.split(".")
    return RunConfig.parse(values | {section: values.get(section, {}) | {key: value}})


def test_every_key_is_known_to_matter_or_to_be_left_out():
    known = MATTERS.keys() | SYMMETRIC_ONLY | ADAM_ONLY | OF_ONE_NETWORK | LEFT_OUT
    assert known <= FIELDS.keys()
    assert {path.partition(".")[0] for path in FIELDS.keys() - known} <= NEWER  # tests/techniques tries each of their keys


def test_each_key_that_matters_gives_an_identity_of_its_own():
    identities = {identity(changed(ACTIVE, path, value)) for path, value in MATTERS.items()} | {identity(RunConfig.parse(ACTIVE))}
    assert len(identities) == len(MATTERS) + 1


def test_the_symmetric_probability_matters():
    identities = {identity(RunConfig.parse({"dropout": {"layers": 2, "p": p}})) for p in (0.2, 0.5, 0.8)}
    assert len(identities) == 3


def test_the_size_of_a_network_matters_to_it_alone():
    def identities(name, **keys):
        return {
            identity(RunConfig.parse({"model": {"name": name, **each}})) for each in ({}, *({key: value} for key, value in keys.items()))
        }

    assert len(identities("wide_resnet", depth=16, widen=1)) == 3
    assert len(identities("resnet50", depth=16, widen=1, options={"a": 1})) == 1
    assert len(identities("wide_resnet", width=8, stem="cifar", options={"a": 1})) == 1
    assert len(identities("a:b", width=8, stem="cifar", init="he", depth=16, widen=1)) == 1
    assert identities("resnet50").isdisjoint(identities("wide_resnet") | identities("a:b"))


@pytest.mark.parametrize("other", [{"a": 2}, {"b": 1}, {"a": True}, {"a": "1"}, {"a": None}, {"a": 1, "b": None}])
def test_each_option_matters_by_its_name_type_and_value(other):
    def of(options):
        return identity(RunConfig.parse({"model": {"name": "a:b", "options": options}}))

    assert of(other) != of({"a": 1}) and of({"a": 1.0}) == of({"a": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("no", "no"),
        ("null", None),
        ("'null'", "null"),
        ("'3'", "3"),
        ("a b", "a b"),
    ],
)
def test_an_option_is_read_as_what_it_is_written_as(text, value):
    config = RunConfig.parse(with_overrides({"model": {"options": {"other": 1}}}, ["model.name=a:b", f"model.options.one={text}"]))
    assert config.model.options.given == {"other": 1, "one": value}
    assert type(config.model.options.given["one"]) is type(value)
    assert RunConfig.parse(config.model_dump(mode="json")) == config
    assert RunConfig.parse({"cell": shlex.join(["model.name=a:b", f"model.options.one={text}"])}).model.options.given == {"one": value}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"a b": 1}, "model.options = {'a b': 1}: must be a mapping of names to texts"),
        ({"class": 1}, "must be a mapping"),
        ({"a": [1]}, "must be a mapping"),
        ({"a": {"b": 1}}, "must be a mapping"),
        ({"a": float("inf")}, "must be a mapping"),
        ({"a": "\x1b[2J"}, "must be a mapping"),
        ({"a": "x" * 2000}, "must be a mapping"),
        (3, "model.options = 3: must be a mapping"),
    ],
)
def test_what_is_no_plain_value_under_a_name_is_refused(options, said):
    assert said in refusal(RunConfig.parse, {"model": {"name": "a:b", "options": options}})


def test_a_mapping_of_options_is_given_option_by_option():
    assert "set model.options.NAME=VALUE" in refusal(parse_overrides, ["model.options={a: 1}"])
    cell = {"cell": "model.name=a:b model.options.x=1"}
    assert RunConfig.parse(cell | {"model": {"options": {"y": 2}}}).model.options.given == {"x": 1, "y": 2}
    assert "model.options.x = 2 contradicts cell" in refusal(RunConfig.parse, cell | {"model": {"options": {"x": 2}}})


def test_adams_epsilon_matters_to_adam_alone():
    def identities(name):
        return {identity(RunConfig.parse({"optimizer": {"name": name, "eps": eps}})) for eps in (1e-7, 1e-8)}

    assert [len(identities(name)) for name in ("adam", "adamw", "sgd")] == [2, 2, 1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("train.seed", 7),
        ("train.checkpoint_every", 0),
        ("train.keep_weights", True),
        ("train.graph", False),
        ("train.metrics", "reglab.metrics:ece"),
    ],
)
def test_the_seed_and_what_only_looks_on_are_left_out_of_the_identity(path, value):
    assert identity(changed(ACTIVE, path, value)) == identity(RunConfig.parse(ACTIVE))


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({"dropout": {"layers": 0, "p": 0.5}}, {}),
        ({"dropout": {"layers": 0, "p1": 0.5}}, {}),
        ({"dropout": {"layers": 2, "p": 0}}, {}),
        ({"dropout": {"layers": 1, "p1": 0.1, "p2": 0.5}}, {"dropout": {"layers": 1, "p": 0.1}}),
        ({"dropout": {"layers": 3, "p": 0.2}}, {"dropout": {"layers": 3, "p1": 0.2, "p2": 0.2, "p3": 0.2}}),
        ({"dropout": {"layers": 2, "p1": 0.2, "p2": 0}}, {"dropout": {"layers": 1, "p": 0.2}}),
        ({"agc": {"clip": 0.04, "eps": 0.1}}, {}),
        ({"augment": {"shift": 2, "flip": False, "rotate": 5}}, {}),
        ({"augment": {"policy": "basic", "shift": 0, "flip": False}}, {}),
        ({"cutout": {"size": 8, "per": "image"}}, {}),
        ({"model": {"placement": "stage"}}, {}),
        ({"optimizer": {"momentum": 0.5}}, {}),
        ({"optimizer": {"name": "adamw"}}, {"optimizer": {"name": "adam"}}),
        ({"data": {"folder": "/a/b", "name": "c", "resize": True}}, {}),
        (FOLDER, {"data": {"source": "folder", "folder": "~/x/birds/"}}),
        ({"data": {"source": "npz", "file": "/a/birds.npz"}}, {"data": {"source": "npz", "file": "~/x/birds.npz"}}),
        ({"data": {"source": "npz", "file": "/a/birds.npz"}}, {"data": {"source": "npz", "file": "/a/cats.npz", "name": "birds"}}),
        (FOLDER, {"data": {"source": "folder", "folder": "/a/cats", "name": "birds"}}),
    ],
)
def test_a_value_without_effect_does_not_change_the_identity(values, same):
    assert identity(RunConfig.parse(values)) == identity(RunConfig.parse(same))


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ({"dropout": {"layers": 2, "p1": 0, "p2": 0.2}}, {"dropout": {"layers": 1, "p": 0.2}}),
        ({"batchnorm": {"layers": 3}}, {"batchnorm": {"layers": 3}, "model": {"placement": "stage"}}),
        ({"dropout": {"layers": 2, "p": 0.2}}, {"dropout": {"layers": 2, "p": 0.2}, "model": {"placement": "stage"}}),
        ({"optimizer": {"name": "adamw"}, "weight_decay": {"rate": 0.1}}, {"weight_decay": {"rate": 0.1}}),
        ({"augment": {"policy": "basic", "shift": 0}}, {}),
        ({"data": {"source": "npz", "file": "/a/birds.npz"}}, {"data": {"source": "npz", "file": "/a/cats.npz"}}),
        ({"data": {"source": "npz", "file": "/a/birds.npz"}}, {"data": {"source": "folder", "folder": "/a/birds"}}),
        ({"data": {"source": "a:b"}}, {"data": {"source": "a:c"}}),
    ],
)
def test_a_value_with_effect_changes_the_identity(values, other):
    assert identity(RunConfig.parse(values)) != identity(RunConfig.parse(other))


def test_a_folder_whose_path_is_no_utf8_is_refused_by_path():
    with pytest.raises(UserError, match=r"^data.folder = /a/caf\\xe9: it holds what is not printed, or is no UTF-8"):
        RunConfig.parse({"data": {"source": "folder", "folder": os.fsdecode(b"/a/caf\xe9")}})


def test_a_folder_in_a_place_that_is_no_utf8_has_a_name_that_records_can_hold(tmp_path, monkeypatch):
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    monkeypatch.chdir(tmp_path / os.fsdecode(b"caf\xe9"))
    config = RunConfig.parse({"data": {"source": "folder", "folder": "."}})
    assert config.data.own_name == "caf\\xe9" and len(identity(config)) == 12


def test_a_folder_given_by_a_relative_path_counts_by_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "birds").mkdir()
    monkeypatch.chdir(tmp_path / "birds")
    folders = [".", "../birds", str(Path.cwd())]
    assert len({identity(RunConfig.parse({"data": {"source": "folder", "folder": folder}})) for folder in folders}) == 1


# --- identities that last ---------------------------------------------------------------------------------------------------

GOLDEN = {
    "": "7674a781fc38",
    "arm=baseline": "7674a781fc38",
    "arm=batchnorm_symmetric_dropout": "df602f02678a",
    "arm=symmetric_augmentation": "d1e81aed4a6d",
    "arm=asymmetric_augmentation": "2840ece2d79e",
    "arm=symmetric_cutout_2": "1f9cd87c2edc",
    "arm=asymmetric_cutout_2": "122823e90aec",
    "batchnorm.layers=3 model.placement=stage": "2d7ea3bbd2bf",
    "dropout.layers=2 dropout.p1=0.125 dropout.p2=0.8": "28e0da9366a5",
    "agc.enabled=true agc.clip=0.01 agc.eps=0.01 train.batch_size=64": "555c0641ae00",
    "augment.policy=basic augment.shift=2 augment.flip=false augment.rotate=15": "08c63af8d5af",
    "cutout.images=16 cutout.size=8 cutout.per=image": "77f68dacb851",
    "optimizer.name=sgd optimizer.lr=0.1 optimizer.momentum=0.8 optimizer.schedule=cosine optimizer.warmup_epochs=5": "566173a400f1",
    "optimizer.name=adamw optimizer.weight_decay=0.05 optimizer.eps=1.0e-8 optimizer.label_smoothing=0.1": "ecfe5d06cfae",
    "model.width=16 model.stem=cifar model.init=he model.standardize=true": "45ba0d24ed26",
    "data.source=digits data.train_limit=128 data.test_limit=64 data.validation=32": "8da56b56c7a9",
    "data.source=folder data.folder=/a/birds": "f3412d7fc115",
    "data.source=folder data.folder=/a/cats data.name=finches data.resize=true": "5652bd5e2077",
    "train.epochs=10 train.precision=bf16 train.eval_every=2": "cfef16c8988c",
    "train.target_accuracy=0.9 train.target_on=clean train.compile=true": "9754357439cf",
}
"""Identities of version 1, for good."""

DEFAULTS = {
    "cell": None,
    "arm": None,
    "data.source": "cifar10",
    "data.file": None,
    "data.folder": None,
    "data.name": None,
    "data.side": 32,
    "data.resize": False,
    "data.background": "white",
    "data.black": 0.0,
    "data.white": None,
    "data.train_limit": None,
    "data.test_limit": None,
    "data.validation": 0,
    "model.name": "resnet50",
    "model.options": Options(),
    "model.width": 64,
    "model.stem": "imagenet",
    "model.depth": 28,
    "model.widen": 10,
    "model.placement": "unit",
    "model.init": "glorot",
    "model.standardize": False,
    "batchnorm.layers": 0,
    "dropout.layers": 0,
    "dropout.p": None,
    "dropout.p1": None,
    "dropout.p2": None,
    "dropout.p3": None,
    "stochastic_depth.rate": 0.0,
    "agc.enabled": False,
    "agc.clip": 0.02,
    "agc.eps": 0.001,
    "augment.policy": "none",
    "augment.shift": 4,
    "augment.flip": True,
    "augment.rotate": 0.0,
    "cutout.images": 0,
    "cutout.size": 12,
    "cutout.per": "batch",
    "mixup.alpha": 0.0,
    "cutmix.alpha": 0.0,
    "label_smoothing.rate": 0.0,
    "weight_decay.rate": 0.0,
    "weight_decay.of": "all",
    "optimizer.name": "adam",
    "optimizer.lr": 0.001,
    "optimizer.momentum": 0.9,
    "optimizer.eps": 1e-07,
    "optimizer.schedule": "constant",
    "optimizer.warmup_epochs": 0.0,
    "train.epochs": 200,
    "train.batch_size": 256,
    "train.precision": "auto",
    "train.compile": "auto",
    "train.graph": "auto",
    "train.target_accuracy": 0.87,
    "train.target_on": "running",
    "train.seed": 0,
    "train.eval_every": 1,
    "train.checkpoint_every": 60.0,
    "train.keep_weights": False,
    "train.metrics": None,
}
"""What departures are departures from, in version 1."""


@pytest.mark.parametrize("words", GOLDEN)
def test_the_identity_of_a_configuration_never_changes(words):
    """Where it has to, because a value does something else now: raise IDENTITY_VERSION, and renew these."""
    config = RunConfig.parse(with_overrides({}, words.split()))
    assert identity(config) == GOLDEN[words]
    assert identity(RunConfig.parse(config.model_dump(mode="json", exclude={"arm", "cell"}))) == GOLDEN[words]
    assert identity(RunConfig.parse({"cell": words})) == GOLDEN[words]


PER_IMAGE = {"cutout": {"images": 2, "per": "image"}}


@pytest.mark.parametrize(
    ("sections", "is_revised"),
    [
        (PER_IMAGE | {"mixup": {"alpha": 0.2}}, True),
        (PER_IMAGE | {"cutmix": {"alpha": 1.0}}, True),
        (PER_IMAGE, False),
        ({"cutout": {"images": 1, "per": "image"}, "mixup": {"alpha": 0.2}}, False),
        ({"cutout": {"images": 2}, "mixup": {"alpha": 0.2}}, False),
        ({"mixup": {"alpha": 0.2}, "cutmix": {"alpha": 1.0}}, False),
        ({}, False),
    ],
)
def test_only_what_does_something_else_than_before_has_another_identity(sections, is_revised):
    config = RunConfig.parse(sections)
    assert (identity(config) != unrevised_identity(config)) == bool(revisions(config)) == is_revised


def test_the_identities_that_runs_had_before_a_revision_are_known():
    both = PER_IMAGE | {"mixup": {"alpha": 0.2}}
    assert (unrevised_identity(RunConfig.parse(both)), identity(RunConfig.parse(both))) == ("253ae6bd370d", "7d4ad7906f1a")


def test_no_default_changes_within_a_version():
    """A new key is a new row here. A new default of an old key makes every identity mean something else: raise IDENTITY_VERSION."""
    assert identities.IDENTITY_VERSION == 1
    assert {path: repr(FIELDS[path].default) for path in DEFAULTS} == {path: repr(default) for path, default in DEFAULTS.items()}
    assert {path.partition(".")[0] for path in FIELDS.keys() - DEFAULTS.keys()} <= NEWER  # which do nothing by default


class _TrainWithMore(TrainConfig):
    colour: str = "red"
    sharpness: Annotated[float, Matters(lambda own, run: run.agc.enabled)] = 0.5
    verbose: Annotated[bool, NO_EFFECT] = False


class _Opened(AGCConfig):
    order: int = Field(default=2, ge=1)


class _RunWithMore(RunConfig):
    agc: _Opened = _Opened()
    train: _TrainWithMore = _TrainWithMore()


@pytest.mark.parametrize("words", GOLDEN)
def test_a_key_that_is_added_changes_no_identity_at_its_default(words):
    assert identity(_RunWithMore.parse(with_overrides({}, words.split()))) == GOLDEN[words]


def test_a_key_that_is_added_gives_identities_of_its_own_where_it_has_an_effect():
    def of(**sections):
        return identity(_RunWithMore.parse(sections))

    assert of(train={"colour": "blue"}) != of()
    assert of(train={"verbose": True}) == of()
    assert of(train={"sharpness": 0.1}) == of()
    assert of(train={"sharpness": 0.1}, agc={"enabled": True}) != of(agc={"enabled": True})


def test_another_version_gives_every_run_another_identity(monkeypatch):
    before = {identity(RunConfig.parse(with_overrides({}, words.split()))) for words in GOLDEN}
    monkeypatch.setattr(identities, "IDENTITY_VERSION", 2)
    assert before.isdisjoint(identity(RunConfig.parse(with_overrides({}, words.split()))) for words in GOLDEN)


@pytest.mark.parametrize(
    ("values", "same"),
    [
        ({"augment": {"policy": "basic", "rotate": 15}}, {"augment": {"policy": "basic", "rotate": 15.0}}),
        ({"optimizer": {"lr": 1}}, {"optimizer": {"lr": 1.0}}),
        ({"train": {"epochs": 3.0}}, {"train": {"epochs": 3}}),
        ({"optimizer": {"lr": "1e-05"}}, {"optimizer": {"lr": 0.00001}}),
        ({"dropout": {"layers": 2, "p1": -0.0, "p2": 0.2}}, {"dropout": {"layers": 2, "p1": 0, "p2": 0.2}}),
        ({"weight_decay": {"rate": -0.0}}, {}),
        ({"train": {"compile": False}}, {"train": {"compile": "auto"}}),
    ],
)
def test_values_that_are_equal_are_one(values, same):
    assert identity(RunConfig.parse(values)) == identity(RunConfig.parse(same))


def test_a_number_that_becomes_a_fraction_in_a_later_version_is_still_the_same_number():
    class Train(TrainConfig):
        batch_size: float = 256.0

    class Run(RunConfig):
        train: Train = Train()

    assert identity(Run.parse({})) == GOLDEN[""]
    assert identity(Run.parse({"train": {"batch_size": 64}})) == identity(RunConfig.parse({"train": {"batch_size": 64}}))


@pytest.mark.parametrize("path", sorted(SPEED_KEYS))
def test_a_run_at_default_speed_is_the_same_but_for_the_keys_of_speed(path):
    fast = changed(ACTIVE, path, True)
    assert fast != RunConfig.parse(ACTIVE)
    assert at_default_speed(fast) == RunConfig.parse(ACTIVE)


def test_a_folder_in_a_home_that_is_not_known_has_a_name():
    assert RunConfig.parse({"data": {"source": "folder", "folder": "~nobody-here/birds"}}).data.own_name == "birds"
    assert identity(RunConfig.parse({"data": {"source": "folder", "folder": "~nobody-here"}}))


@pytest.mark.parametrize("key", ["data.folder", "data.name", "arm", "cell", "data.source", "train.epochs"])
@pytest.mark.parametrize(("text", "written"), UNPRINTED.items(), ids=lambda text: ascii(text)[1:12])
def test_what_is_not_printed_is_refused_wherever_a_text_may_stand(key, text, written):
    """It trained, and then a terminal obeyed it, or the library that draws figures died of it."""
    said = refusal(RunConfig.parse, nested({"data.source": "folder", "data.folder": "/a"} | {key: text}))
    assert said.isprintable()
    assert written in said or key == "cell"


def test_a_value_of_a_million_characters_is_quoted_in_part():
    for values in ({"data": {"source": "x" * 10**6}}, {"x" * 10**6: 1}, {"arm": "x" * 10**6}, {"train": "x" * 10**6}):
        assert len(refusal(RunConfig.parse, values)) < 400
    for word in ("x" * 10**6, f"train.epochs={'x' * 10**6}", f"train.epochs=[{'x' * 10**6}"):
        assert len(refusal(parse_overrides, [word])) < 400


# --- properties of all valid configurations ---------------------------------------------------------------------------------


PRINTED = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=8)


def values_of(path):
    """Every valid value of one key, from its definition."""
    limits = [(limit, name) for limit in FIELDS[path].metadata for name in ("ge", "gt", "le", "lt")]
    bound = {name: getattr(limit, name) for limit, name in limits if hasattr(limit, name)}

    def of(kind):
        if typing.get_origin(kind) is typing.Literal:
            return st.sampled_from(typing.get_args(kind))
        if kind is int:
            low = bound.get("ge", 0)
            return st.integers(low, bound.get("le", bound.get("lt", low + 1000) - 1))
        if kind is float:
            low, high = bound.get("ge", bound.get("gt")), bound.get("le", bound.get("lt", 1e300))
            return st.floats(low, high, exclude_min="gt" in bound, exclude_max="lt" in bound)
        if kind is Options:
            return st.dictionaries(st.sampled_from("abc"), st.none() | st.booleans() | st.integers(0, 9) | st.floats(0, 1) | PRINTED)
        return {bool: st.booleans(), str: PRINTED, types.NoneType: st.none()}[kind]

    if words := [word for mark in FIELDS[path].metadata if isinstance(mark, OneOf) for word in mark.words]:
        return st.sampled_from(words)
    if path == "model.depth":
        return st.integers(1, 9).map(lambda blocks: 6 * blocks + 4)
    if path in ("mixup.alpha", "cutmix.alpha"):
        return st.just(0.0) | st.floats(0.01, 100)
    if path == "train.metrics":
        return st.sampled_from([None, "a:b", "a.b:c, d:e"])
    return st.one_of([of(kind) for kind in kinds(path)])


@st.composite
def configurations(draw):
    free = {path: values_of(path) for path in FIELDS if path not in ("arm", "cell") and not path.startswith("dropout.")}
    free["data.folder"] = free["data.file"] = st.none() | PRINTED
    flat = draw(st.fixed_dictionaries({}, optional=free))
    if place := {"folder": "data.folder", "npz": "data.file"}.get(flat.get("data.source")):
        flat[place] = draw(PRINTED)
    if "optimizer.warmup_epochs" in flat:
        flat["train.epochs"] = max(flat.get("train.epochs", 200), math.ceil(flat["optimizer.warmup_epochs"]))
    if "data.black" in flat or "data.white" in flat:
        flat["data.black"], flat["data.white"] = draw(st.sampled_from([(0.0, None), (0.0, 255.0), (-1.0, 0.5), (7.25, 4095.0)]))
    if flat.get("model.name") == "wide_resnet":
        flat["model.placement"] = "stage"  # of which it has three, and units two
    probability = st.floats(0, 0.99)
    symmetric = draw(st.booleans())
    flat["dropout.layers"] = draw(st.integers(0, 3))
    flat |= {"dropout.p": draw(probability)} if symmetric else {f"dropout.p{i}": draw(probability) for i in (1, 2, 3)}
    return nested(flat)


def whole_floats_as_integers(values):
    if isinstance(values, dict):
        return {key: whole_floats_as_integers(value) for key, value in values.items()}
    return int(values) if isinstance(values, float) and values.is_integer() else values


@settings(max_examples=150)
@given(configurations())
def test_a_configuration_survives_json(values):
    config = RunConfig.parse(values)
    for text in (config.model_dump_json(), json.dumps(config.model_dump(mode="json"))):
        again = RunConfig.parse(json.loads(text))
        assert again == config
        assert identity(again) == identity(config)
        assert again.label == config.label


@settings(max_examples=100)
@given(configurations())
def test_whole_floats_that_come_back_as_integers_change_nothing(values):
    config = RunConfig.parse(values)
    assert RunConfig.parse(whole_floats_as_integers(config.model_dump(mode="json"))) == config


@settings(max_examples=100)
@given(configurations(), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_seeds_share_an_identity_and_have_runs_of_their_own(values, first, second):
    configs = [RunConfig.parse(values | {"train": values.get("train", {}) | {"seed": seed}}) for seed in (first, second)]
    assert identity(configs[0]) == identity(configs[1])
    assert [run_id(config) for config in configs] == [f"{identity(configs[0])}-s{seed}" for seed in (first, second)]
    assert len(identity(configs[0])) == 12 and set(identity(configs[0])) <= set("0123456789abcdef")


@settings(max_examples=50)
@given(st.sampled_from(FINAL_ARMS), st.integers(1, 500))
def test_an_arm_dumps_and_parses_again(arm, epochs):
    config = RunConfig.parse({"arm": arm, "train": {"epochs": epochs}})
    assert RunConfig.parse(config.model_dump(mode="json")) == config


def test_a_word_of_a_key_that_has_moved_is_read_and_a_line_says_once_where_it_is(caplog):
    _todays.cache_clear()
    for _ in range(2):
        assert parse_overrides(["optimizer.weight_decay=0.1"]) == {"weight_decay.rate": 0.1}
    assert caplog.messages == ["optimizer.weight_decay is called weight_decay.rate now; the former name goes on being read"]
    RunConfig.parse({"cell": "optimizer.label_smoothing=0.1"})  # of a run that is kept
    assert len(caplog.messages) == 1


def test_a_key_and_its_former_name_may_not_differ():
    both = {"optimizer": {"weight_decay": 0.1}, "weight_decay": {"rate": 0.2}}
    assert "is the former name of weight_decay.rate = 0.2: drop one of the two" in refusal(RunConfig.parse, both)
    assert RunConfig.parse({"optimizer": {"weight_decay": 0.2}, "weight_decay": {"rate": 0.2}}).weight_decay.rate == 0.2
