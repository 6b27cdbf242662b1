from pathlib import Path

import pytest
import yaml

from reglab.config import NETWORKS, RunConfig
from reglab.errors import UserError
from reglab.sweep import engines, spec

SHIPPED = sorted((Path(spec.__file__).parents[2] / "sweeps").glob("*.yaml"))


@pytest.fixture
def read(tmp_path):
    """Reads a sweep file with this text, or of these keys."""
    path = tmp_path / "mine.yaml"

    def write_and_read(content, *overrides, quick=False):
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return spec.read(path, overrides, quick)

    write_and_read.path = path
    return write_and_read


def grid(**sections):
    return {"method": "grid", "parameters": {name: {"parameters": keys} for name, keys in sections.items()}}


def search(method="random", **sections):
    return grid(**{"data": {"validation": {"value": 8}}} | sections) | {
        "method": method,
        "run_cap": 5,
        "metric": {"name": "val/accuracy", "goal": "maximize"},
    }


LR = {"lr": {"min": 1e-4, "max": 1e-2}}


def test_a_sweep_is_named_after_its_file(read):
    found = read(grid(train={"seed": {"values": [0, 1]}}))
    assert (found.name, found.method, found.run_cap, found.warnings) == ("mine", "grid", None, ())
    assert read(grid(train={"seed": {"values": [0]}}), quick=True).name == "mine-quick"


# What is wrong is told in one line

FAULTS = {
    "a bracket is open": ("method: grid\nparameters: [\n  a: b\n", ", line 4: not YAML"),
    "a tab": ("method: grid\n\tparameters: 3\n", ", line 2: not YAML"),
    "no text": ("method: gr\0id\n", ": not YAML"),
    "a list": ("- method\n", ", line 1: not a sweep; it needs `method:` and `parameters:`"),
    "empty": ("", ", line 1: not a sweep; it needs `method:` and `parameters:`"),
    "no parameters": ("method: grid\n", ", line 1: parameters: is missing"),
    "parameters are a list": ("method: grid\nparameters: [lr]\n", ", line 2: parameters = ['lr']: must be a mapping of names"),
    "no method": ({"parameters": {"arm": {"value": "baseline"}}}, "method: is missing"),
    "unknown method": (
        grid(train={"seed": {"values": [0]}}) | {"method": "gird"},
        "method = gird: must be one of grid, random, bayes, custom",
    ),
    "unknown top-level key": (
        grid(train={"seed": {"values": [0]}}) | {"parametres": {}},
        "unknown key parametres; did you mean parameters?",
    ),
    "unknown key": (grid(dropout={"layer": {"values": [1]}}), "unknown key dropout.layer; did you mean dropout.layers?"),
    "unknown section": (grid(droput={"p": {"values": [0.1]}}), "unknown key droput.p; did you mean dropout.p?"),
    "a section as a key": (
        {"method": "grid", "parameters": {"dropout": {"values": [1]}}},
        "dropout is a section, not a key: set dropout.layers",
    ),
    "a number as a key": ("method: grid\nparameters: {1: {value: 2}}\n", "line 2: parameters: 1: a name begins with a letter"),
    "on as a key": ("method: grid\nparameters: {on: {value: 2}}\n", "line 2: parameters: True: a name begins with a letter"),
    "a cell out of range": (
        grid(batchnorm={"layers": {"values": [0, 4]}}),
        "batchnorm.layers = 4: must be a whole number at least 0 and at most 3",
    ),
    "a fixed value out of range": (grid(agc={"clip": {"value": -1}}), "agc.clip = -1: must be a number above 0"),
    "a choice out of range": (search(optimizer={"name": {"values": ["adam", "adan"]}}), "optimizer.name = adan: must be one of"),
    "min out of range": (search(optimizer={"lr": {"min": -1.0, "max": 1.0}}), "optimizer.lr = -1.0: must be a number above 0"),
    "max out of range": (
        search(dropout={"layers": {"value": 1}, "p": {"min": 0.1, "max": 1.5}}),
        "dropout.p = 1.5: must be a number at least 0",
    ),
    "cells that contradict": (grid(dropout={"layers": {"values": [0, 1]}}), "dropout.layers = 1 has no dropout.p1"),
    "keys that contradict": (
        search(dropout={"layers": {"value": 1}, "p": {"min": 0.1, "max": 0.5}, "p1": {"value": 0.1}}),
        "not both",
    ),
    "unknown arm": ({"method": "grid", "parameters": {"arm": {"values": ["basline"]}}}, "arm = basline: must be one of"),
    "a range in a grid": (grid(optimizer=LR), "optimizer.lr: a grid has no uniform: give it `values`"),
    "dotted names": (search() | {"parameters": {"optimizer.lr": {"min": 0.1, "max": 0.2}}}, "optimizer.lr"),
    "an upside-down range": (search(optimizer={"lr": {"min": 0.2, "max": 0.1}}), "optimizer.lr: min = 0.2 is not below max = 0.1"),
    "no values": (grid(train={"seed": {"values": []}}), "train.seed.values: has 0 items: must have at least 1"),
    "values are none": (grid(train={"seed": {"values": 3}}), "train.seed.values = 3: must be a list"),
    "a key without a definition": (grid(train={"seed": 3}), "train.seed = 3: must be a mapping, such as"),
    "a section without keys": (
        "method: grid\nparameters:\n  train:\n",
        "line 3: train = None: must be a mapping, such as {value: …} or {values: […]}",
    ),
    "no run_cap": ({**search(optimizer=LR), "run_cap": None}, "run_cap"),
    "run_cap is missing": (
        {key: value for key, value in search(optimizer=LR).items() if key != "run_cap"},
        "add `run_cap:`, the number of runs",
    ),
    "run_cap is zero": (search(optimizer=LR) | {"run_cap": 0}, "run_cap = 0: must be at least 1"),
    "run_cap is a fraction": (search(optimizer=LR) | {"run_cap": 2.5}, "run_cap = 2.5: must be a whole number"),
    "run_cap is text": (search(optimizer=LR) | {"run_cap": "ten"}, "run_cap = ten: must be a whole number"),
    "run_cap is true": (search(optimizer=LR) | {"run_cap": True}, "run_cap = True: must be a whole number"),
    "unknown metric": (
        search(optimizer=LR) | {"metric": {"name": "val_accuracy"}},
        "metric.name = val_accuracy: no run logs that; did you mean",
    ),
    "a metric without a name": (search(optimizer=LR) | {"metric": {"goal": "maximize"}}, "metric.name: is missing"),
    "bayes without a metric": ({key: value for key, value in search("bayes", optimizer=LR).items() if key != "metric"}, "metric"),
    "early termination without a metric": (
        {key: value for key, value in search(optimizer=LR).items() if key != "metric"}
        | {"early_terminate": {"type": "hyperband", "min_iter": 3}},
        "metric",
    ),
    "early termination without a bracket": (search(optimizer=LR) | {"early_terminate": {"type": "hyperband"}}, "needs `min_iter`"),
}


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
@pytest.mark.parametrize(("content", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_in_one_line_that_begins_with_the_file(read, content, said, quick):
    if quick and "add `run_cap:`" in said:
        pytest.skip("--quick gives one")
    with pytest.raises(UserError) as caught:
        read(content, quick=quick)
    line = str(caught.value)
    assert line.startswith(str(read.path))
    assert "\n" not in line
    assert said in line


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        spec.read(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe\x80")], ids=["folder", "bytes"])
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path, make):
    path = tmp_path / "odd.yaml"
    make(path)
    with pytest.raises(UserError, match=r"^[^\n]*(is a folder, not a file|cannot be read)[^\n]*$"):
        spec.read(path)


@pytest.mark.parametrize(
    ("override", "said"),
    [("train.epocs=3", "unknown key train.epocs"), ("train.epochs=0", "train.epochs = 0"), ("epochs", "key=value")],
)
def test_a_bad_override_is_told_in_one_line(read, override, said):
    with pytest.raises(UserError, match=rf"^[^\n]*{said}[^\n]*$"):
        read(grid(train={"seed": {"values": [0]}}), override)


def test_an_override_beside_a_section_that_is_none_is_told(read):
    with pytest.raises(UserError, match="train"):
        read({"method": "grid", "parameters": {"train": {"value": {"epochs": 3}}}}, "train.epochs=2")


# What is right is accepted


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
def test_a_sweep_that_ships_is_valid(path, quick):
    found = spec.read(path, quick=quick)
    assert found.warnings == ()
    if found.method == "grid":
        assert found.grid()


def test_there_are_sweeps_and_they_are_found_by_name():
    assert SHIPPED
    assert [spec.shipped(path.stem) for path in SHIPPED] == SHIPPED


@pytest.mark.parametrize(
    "definition",
    [
        {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        {"distribution": "log_uniform", "min": -9.0, "max": -2.0},  # exponents of e
        {"distribution": "q_uniform", "min": 0.1, "max": 0.5, "q": 0.1},
        {"distribution": "categorical", "values": [0.1, 0.2]},
        {"values": [0.1, 0.2], "probabilities": [0.25, 0.75]},
        {"value": 0.1},
    ],
    ids=lambda definition: definition.get("distribution", "-".join(definition)),
)
def test_every_form_of_a_search_space_is_accepted(read, definition):
    found = read(search(optimizer={"lr": definition}))
    drawn = engines.of(found.config).ask()
    assert RunConfig.parse(drawn).optimizer.lr > 0


def test_bayes_on_test_metrics_warns_and_on_validation_does_not(read):
    bayes = search("bayes", optimizer=LR, data={"validation": {"value": 100}})
    assert read(bayes).warnings == ()
    (warning,) = read(bayes | {"metric": {"name": "test/accuracy", "goal": "maximize"}}).warnings
    assert "test/accuracy" in warning
    assert "val/accuracy" in warning


def test_early_termination_on_test_metrics_warns(read):
    stopping = search(optimizer=LR) | {
        "metric": {"name": "test/loss", "goal": "minimize"},
        "early_terminate": {"type": "hyperband", "min_iter": 3},
    }
    assert len(read(stopping).warnings) == 1


def test_a_grid_may_report_test_metrics(read):
    assert read(grid(train={"seed": {"values": [0]}}) | {"metric": {"name": "test/accuracy", "goal": "maximize"}}).warnings == ()


# Overrides and --quick


def fixed(found):
    return dict(spec.leaves(found.config["parameters"]))


def test_nested_parameters_are_named_by_their_paths(read):
    found = read({"method": "grid", "parameters": {"arm": {"value": "baseline"}, "train": {"parameters": {"seed": {"values": [0, 1]}}}}})
    assert fixed(found) == {"arm": {"value": "baseline"}, "train.seed": {"values": [0, 1]}}


def test_overrides_replace_add_and_stay_out_of_the_rest(read):
    found = read(grid(train={"seed": {"values": [0, 1]}, "epochs": {"value": 200}}), "train.epochs=3", "data.source=digits", "arm=baseline")
    assert fixed(found) == {
        "train.seed": {"values": [0, 1]},
        "train.epochs": {"value": 3},
        "data.source": {"value": "digits"},
        "arm": {"value": "baseline"},
    }


def test_overrides_are_read_as_their_keys_have_them(read):
    found = read(grid(train={"seed": {"values": [0]}}), "agc.enabled=true", "data.train_limit=null", "optimizer.lr=1e-3")
    ((_, asked),) = found.cells
    config = asked.config
    assert (config.agc.enabled, config.data.train_limit, config.optimizer.lr) == (True, None, 1e-3)


def test_quick_makes_every_cell_small_and_keeps_what_is_searched(read):
    found = read(
        grid(
            train={"seed": {"values": [3, 4]}, "epochs": {"value": 200}, "batch_size": {"values": [64, 128]}},
            model={"width": {"value": 64}},
        ),
        quick=True,
    )
    cells = [asked.config for _, asked in found.cells]
    assert {config.train.seed for config in cells} == {3}
    assert {config.train.batch_size for config in cells} == {64, 128}
    for config in cells:
        assert config.data.source == "digits"
        assert config.model.width == NETWORKS["resnet50"].quick["model.width"]
        assert config.train.epochs == 200 // spec.QUICK_SHARE


@pytest.mark.parametrize(("run_cap", "kept"), [(30, spec.QUICK_RUN_CAP), (2, 2)])
def test_quick_searches_a_few_times(read, run_cap, kept):
    assert read(search(optimizer=LR) | {"run_cap": run_cap}, quick=True).run_cap == kept


def test_quick_holds_out_fewer_images_where_some_are_held_out(read):
    assert fixed(read(search(data={"validation": {"value": 5000}}, optimizer=LR), quick=True))["data.validation"] == {
        "value": spec.QUICK_VALIDATION
    }
    assert "data.validation" not in fixed(read(grid(train={"seed": {"values": [0]}}), quick=True))


def test_a_section_that_is_there_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("method: grid\nparameters:\n  train: {parameters: {seed: {value: 0}}}\n  train: {parameters: {epochs: {value: 1}}}\n")
    with pytest.raises(UserError, match=r"twice.yaml, line 4: train: is there twice"):
        spec.read(path)


@pytest.mark.parametrize(("written", "read_as"), [("010", 8), ("1_000", 1000), ("1:30", 90), ("0x10", 16), ("0b11", 3), ("1:30.5", 90.5)])
def test_a_number_that_yaml_reads_as_another_is_refused_and_both_are_said(tmp_path, written, read_as):
    path = tmp_path / "odd.yaml"
    path.write_text(f"method: grid\nparameters:\n  train: {{parameters: {{epochs: {{value: {written}}}}}}}\n")
    with pytest.raises(UserError, match=rf"odd.yaml, line 3: {written} is {read_as} to YAML: write that, or, for a text, '{written}'"):
        spec.read(path)


def test_numbers_in_the_usual_forms_are_read(tmp_path):
    path = tmp_path / "plain.yaml"
    lr = "{values: [0.1, 1.0e-3, 1e-4, .5, +0.25]}"
    path.write_text(
        f"method: grid\nparameters:\n  optimizer: {{parameters: {{lr: {lr}}}}}\n  train: {{parameters: {{seed: {{value: 0}}}}}}\n"
    )
    assert [RunConfig.parse(cell).optimizer.lr for cell in spec.read(path).grid()] == [0.1, 1e-3, 1e-4, 0.5, 0.25]


def test_a_metric_on_held_out_images_needs_some(read):
    without = search(data={"source": {"value": "digits"}}, optimizer=LR)
    with pytest.raises(UserError, match="no run logs that without held-out images"):
        read(without)
    assert read(without, "data.validation=8")


def test_an_override_with_a_list_searches_over_it(read):
    found = read(grid(train={"seed": {"value": 0}}), "train.seed=[3, 4]")
    assert [cell["train"]["seed"] for cell in found.grid()] == [3, 4]


def test_an_override_wins_over_quick(read):
    found = read(grid(train={"seed": {"values": [0]}}), "train.epochs=3", quick=True)
    assert fixed(found)["train.epochs"] == {"value": 3}


def test_two_files_that_ask_for_the_same_runs_have_one_fingerprint(read):
    sweep = grid(train={"seed": {"values": [0]}})
    plain = read(sweep).fingerprint()
    assert read(sweep | {"name": "x", "description": "y", "project": "z", "command": ["reglab", "train"]}).fingerprint() == plain
    assert read(yaml.safe_dump(sweep, sort_keys=True) + "# a comment\n").fingerprint() == plain
    assert read(sweep, "train.epochs=3").fingerprint() != plain
    assert read(search(train={"seed": {"values": [0]}})).fingerprint() != plain


# Anchors, aliases and merge keys


ALIASED = """method: grid
command: [reglab, train]
parameters:
  batchnorm: {parameters: {layers: &few {values: [0, 1]}}}
  cutout: {parameters: {images: *few}}
  train: {parameters: {seed: {<<: *few}}}
"""


def test_merge_keys_and_aliases_are_what_they_stand_for(read):
    assert read(ALIASED).size == 8


def test_what_is_laid_over_one_key_is_not_laid_over_another_that_repeats_it(read):
    shared = "method: grid\nparameters:\n  agc: &same {parameters: {eps: {value: 0.5}}}\n  optimizer: *same\n"
    found = fixed(read(shared, "optimizer.eps=0.25"))
    assert (found["agc.eps"], found["optimizer.eps"]) == ({"value": 0.5}, {"value": 0.25})


@pytest.mark.parametrize("text", [ALIASED, *(path.read_text(encoding="utf-8") for path in SHIPPED)], ids=["aliased", *map(str, SHIPPED)])
def test_what_is_registered_is_to_the_byte_what_w_and_b_s_client_would_register(read, text):
    assert yaml.dump(read(text).config) == yaml.dump(yaml.safe_load(text))


# Lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("method: grid\nparameters:\n  train:\n    parameters:\n      seed: {values: [0, 1]}\n      epochs: {values: [3, 0]}\n", "line 6"),
        ("method: grid\nparameters:\n  arm:\n", "line 3: arm = None: must be a mapping"),
        ("method: grid\nparameters:\n  arm: [baseline]\n", "line 3: arm = ['baseline']: must be a mapping"),
        ("method: grid\nrun_cap: 0\nparameters:\n  arm: {value: baseline}\n", "line 2: run_cap = 0: must be at least 1"),
        (
            "method: grid\nparameters:\n  train: {parameters: {seed: {values: [0, null]}}}\n",
            "line 3: train.seed = None: must be a whole number",
        ),
        (
            "method: grid\nparameters:\n  train: {parameters: {seed: {values: [0, [1]]}}}\n",
            "line 3: train.seed = [1]: must be a whole number",
        ),
        (
            "method: grid\nparameters:\n  train: {parameters: {seed: {values: [0, 1e1]}}}\n",
            "line 3: train.seed = 1e1: must be a whole number",
        ),
        ("method: grid\nparameters:\n  optimizer: {parameters: {lr: {valeus: [1]}}}\n", "line 3: optimizer.lr: says nothing to draw"),
        ("method: grid\nmethod: random\n", "line 2: method: is there twice"),
    ],
)
def test_a_fault_is_told_with_its_line(read, text, said):
    with pytest.raises(UserError) as caught:
        read(text)
    assert said in str(caught.value)


def test_what_is_laid_over_the_file_has_no_line_in_it(read):
    text = "method: grid\nparameters:\n  cutout: {parameters: {per: {value: batch}}}\n"
    with pytest.raises(UserError, match=r"mine.yaml: cutout.per.values: has 0 items: must have at least 1"):
        read(text, "cutout.per=[]")


def test_seeds_that_are_written_as_numbers_and_as_texts_come_in_their_order(read):
    found = read(grid(train={"seed": {"values": [2, "1", 0.0]}}))
    assert [asked.seed for _, asked in found.cells] == [0, 2, 1]


# Schedulers


CUSTOM = """method: custom
scheduler: {engine: ax, source: space.py, optimizer: study}
metrics:
  - {name: val/accuracy, goal: maximize}
  - {name: time/train_seconds}
parameters:
  data: {parameters: {validation: {value: 100}}}
  optimizer: {parameters: {lr: {min: 0.1, max: 0.2}}}
"""


def test_a_scheduler_and_several_objectives_are_taken_and_where_one_needs_the_server_it_is_said(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read(CUSTOM).warnings == (
        "scheduler.source = space.py: is not in this folder; whoever starts the search starts it where the file is",
    )
    (tmp_path / "space.py").touch()
    found = read(CUSTOM)
    assert (found.warnings, found.engine, found.learns) == ((), "ax", True)
    with pytest.raises(UserError, match=r"scheduler\.engine = ax: runs with W&B's server only"):
        engines.of(found.config)
    with pytest.raises(UserError, match=r"line 5: metrics.1.name = time/train: no run logs that; did you mean"):
        read(CUSTOM.replace("time/train_seconds", "time/train"))


# Replicates


REPLICATED = """method: grid
command: [reglab, train]
parameters:
  arm: {values: [baseline, symmetric_cutout_2]}
replicates: {key: train.seed, first: 3, start: 2, most: 4}
"""


def test_replicates_are_plain_values_of_seeds_to_w_and_b(read):
    found = read(REPLICATED)
    plain = yaml.safe_load(REPLICATED)
    del plain["replicates"]
    plain["parameters"]["train"] = {"parameters": {"seed": {"values": [3, 4]}}}
    assert found.config == plain
    assert found.fingerprint() == read(plain).fingerprint()
    assert [asked.seed for _, asked in found.cells] == [3, 3, 4, 4]


def test_more_seeds_can_be_asked_for_up_to_the_most(read):
    first = read(REPLICATED)
    found = spec.read(read.path, seeds=4)
    assert sorted({asked.seed for _, asked in found.cells}) == [3, 4, 5, 6]
    assert found.fingerprint(whatever_seeds=True) == first.fingerprint(whatever_seeds=True)
    assert found.fingerprint() != first.fingerprint()
    assert read(REPLICATED.replace("first: 3", "first: 4")).fingerprint(whatever_seeds=True) != first.fingerprint(whatever_seeds=True)
    read(REPLICATED)
    with pytest.raises(UserError, match=r"--seeds 5: .*mine.yaml allows 1 to 4 an arm"):
        spec.read(read.path, seeds=5)
    read(grid(train={"seed": {"values": [0]}}))
    with pytest.raises(UserError, match=r"--seeds 2: .*mine.yaml has no `replicates:`"):
        spec.read(read.path, seeds=2)


def test_quick_keeps_the_first_seed_and_a_word_takes_the_place_of_all(read):
    assert [asked.seed for _, asked in read(REPLICATED, quick=True).cells] == [3, 3]
    assert [asked.seed for _, asked in read(REPLICATED, "train.seed=[7, 8]").cells] == [7, 7, 8, 8]


def test_a_file_that_shares_what_an_alias_repeats_is_not_changed_elsewhere(read):
    text = "method: grid\nparameters:\n  model: &same {parameters: {eps: {value: 0.5}}}\n  other: *same\n"
    text += "program: x.py\nreplicates: {key: model.seed, start: 2}\n"
    assert [values["other"] for values in read(text).grid()] == [{"eps": 0.5}] * 2


@pytest.mark.parametrize(
    ("replicates", "said"),
    [
        ("{key: train.seed, start: 3, most: 2}", "line 5: replicates: `most` = 2 is fewer than `start` = 3"),
        ("{key: train.seed, start: 0}", "line 5: replicates.start = 0: must be at least 1"),
        ("{key: train.seed, start: 3, first: -1}", "line 5: replicates.first = -1: must be at least 0"),
        ("{key: train.seed, start: 2, first: 2147483647}", "its last seed is above 2147483647"),
        ("{key: train.seed, start: 1001}", "replicates.start = 1001: must be at most 1000"),
        ("{start: 3}", "line 5: replicates.key: is missing"),
        ("{key: train.seed}", "line 5: replicates.start: is missing"),
        ("{key: train.seed, start: 3, seeds: 4}", "replicates.seeds: unknown key seeds"),
        ("{key: train.epochs, start: 3}", "line 5: replicates.key = train.epochs: what repeats a run of `reglab train` is train.seed"),
        ("{key: arm, start: 3}", "line 5: replicates.key = arm: arm stands in `parameters`, too"),
        ("{key: arm.seed, start: 3}", "line 5: replicates.key = arm.seed: arm stands in `parameters`, too"),
        ("{key: '', start: 3}", "must be a parameter's name"),
        ("[train.seed]", "line 5: replicates = ['train.seed']: must be a mapping"),
    ],
)
def test_replicates_that_say_no_seeds_are_told_with_their_line(read, replicates, said):
    text = REPLICATED.replace("{key: train.seed, first: 3, start: 2, most: 4}", replicates)
    with pytest.raises(UserError) as caught:
        read(text)
    assert said in str(caught.value)


def test_a_search_repeats_each_draw_and_says_so(read):
    found = read("run_cap: 5\n" + REPLICATED.replace("method: grid", "method: random"))
    drawn = list(found.search().rest())
    assert [values["train"]["seed"] for values in drawn] == [3, 4, 3, 4, 3]
    assert [values["arm"] for values in drawn[::2]] == [values["arm"] for values in drawn[1::2]] + [drawn[4]["arm"]]
    assert "each draw is run with all of its seeds" in found.warnings[-2]
    assert found.warnings[-1].endswith("2 a draw: the last draw has 1, and the search does not hear of it")
    assert next(iter(spec.read(read.path, seeds=1).search().rest()))["train"] == {"seed": 3}


def test_a_space_of_the_user_s_own_has_no_replicates(read):
    space = "method: custom\nmetric: {name: val/accuracy}\nscheduler: {engine: optuna, source: x.py, search_space: y}\nrun_cap: 3\n"
    with pytest.raises(UserError, match=r"line 6: replicates: scheduler.search_space = y says every key of a run"):
        read(space + "command: [reglab, train]\nreplicates: {key: train.seed, start: 2}\n")


def test_another_program_s_seed_is_a_key_of_its_own(read):
    other = REPLICATED.replace("command: [reglab, train]", "program: x.py").replace("arm", "lr")
    with pytest.raises(UserError, match=r"line 5: replicates.key = train.seed: the file has no group train"):
        read(other)
    found = read(other.replace("train.seed", "seed"))
    assert [(values["seed"], asked.seed) for values, asked in found.cells] == [(3, 3), (3, 3), (4, 4), (4, 4)]
    assert len({asked.identity for _, asked in found.cells}) == 2
