"""What W&B takes and no run can be built from, and what is likely not meant."""

import pytest
import yaml

from reglab.errors import UserError
from reglab.sweep import spec


@pytest.fixture
def read(tmp_path):
    """Reads a random search over one key, others at these values: `read("optimizer.lr", {"min": 0.1, "max": 0.2})`."""
    path = tmp_path / "mine.yaml"

    def write_and_read(key, definition, method="random", beside=(), **fixed):
        parameters = {}
        others = {name.replace("__", "."): {"value": value} for name, value in fixed.items()}
        for name, entry in (others | dict(beside) | {key: definition}).items():
            section, _, last = name.partition(".")
            parameters.setdefault(section, {"parameters": {}})["parameters"][last] = entry
        keys = {"method": method, "run_cap": 20, "metric": {"name": "test/accuracy"}, "parameters": parameters}
        path.write_text(yaml.safe_dump(keys, sort_keys=False))
        return spec.read(path)

    return write_and_read


def values(name, **keys):
    return {"distribution": name, **keys}


UNBUILDABLE = {
    "log_uniform_values of a whole number": (
        "train.batch_size",
        values("log_uniform_values", min=16, max=64),
        "must be a whole number at least 2; 100 % of the draws of log_uniform_values are like that: "
        "q_log_uniform_values with q: 1 draws whole numbers",
    ),
    "normal": ("train.epochs", values("normal", mu=20, sigma=2), "q_normal with q: 1 draws whole numbers"),
    "log_normal": ("train.epochs", values("log_normal", mu=3, sigma=0.1), "100 % of the draws of log_normal are like that: q_log_normal"),
    "beta": ("train.epochs", values("beta", a=2, b=2), "100 % of the draws of beta are like that"),
    "uniform": ("train.epochs", values("uniform", min=1, max=9), "whole numbers as min and max, without a point, draw whole numbers"),
    "a point": ("train.epochs", {"min": 1, "max": 3.0}, "whole numbers as min and max, without a point, draw whole numbers"),
    "inv_log_uniform_values": ("train.epochs", values("inv_log_uniform_values", min=2, max=9), "q_log_uniform_values with q: 1"),
    "half steps": ("train.epochs", values("q_uniform", min=1, max=9, q=0.5), "q must be a whole number"),
    "q_beta": ("train.epochs", values("q_beta", a=2, b=2), "draws of q_beta are like that"),
    "q_normal": (
        "train.epochs",
        values("q_normal", mu=2, sigma=1),
        "7 % of the draws of q_normal are like that: it has no end there; uniform or log_uniform_values has",
    ),
    "q_log_uniform_values without q": (
        "optimizer.lr",
        values("q_log_uniform_values", min=1e-5, max=0.1),
        "optimizer.lr = 0.0: must be a number above 0; 100 % of the draws of q_log_uniform_values are like that: "
        "q is 1 where none is given: give a smaller one",
    ),
    "below zero": (
        "optimizer.lr",
        values("normal", mu=0.001, sigma=0.01),
        "must be a number above 0; 46 % of the draws of normal are like that: it has no end there; uniform or log_uniform_values has",
    ),
    "a step too far": (
        "dropout.p",
        values("q_uniform", min=0, max=0.95, q=0.25),
        "dropout.p = 1.0: must be a number at least 0 and below 1 or null; 8 % of the draws of q_uniform are like that: "
        "min and max are rounded to multiples of q = 0.25",
    ),
    "an end": ("optimizer.lr", {"min": 0.0, "max": 0.1}, "optimizer.lr = 0.0: must be a number above 0; it is an end of the range"),
    "too large for a float": ("optimizer.lr", values("log_normal", mu=1000), "optimizer.lr = inf: must be a number above 0; 100 %"),
}


@pytest.mark.parametrize(("key", "definition", "said"), UNBUILDABLE.values(), ids=UNBUILDABLE)
def test_draws_that_no_run_can_be_built_from_are_told_with_key_share_and_remedy(read, key, definition, said):
    with pytest.raises(UserError) as caught:
        read(key, definition)
    line = str(caught.value)
    assert f": {key} = " in line
    assert said in line
    assert ", line " in line and "\n" not in line


@pytest.mark.parametrize(
    ("key", "definition"),
    [
        ("train.batch_size", values("q_log_uniform_values", min=16, max=64, q=8)),
        ("train.epochs", values("q_normal", mu=20, sigma=2)),
        ("optimizer.lr", values("log_normal", mu=-6, sigma=1)),
        ("label_smoothing.rate", values("beta", a=2, b=20)),
        ("weight_decay.rate", values("q_uniform", min=0, max=0.5, q=0.05)),
        ("train.seed", {"values": [0, "1", 2.0]}),
        ("train.epochs", values("q_uniform", min=1, max=9, q=2.0)),
    ],
    ids=str,
)
def test_draws_that_runs_can_be_built_from_are_good(read, key, definition):
    assert read(key, definition).warnings == ()


def test_keys_that_contradict_each_other_in_some_draws_are_told_with_their_share(read):
    with pytest.raises(UserError, match=r"dropout.layers = 1 has no dropout.p1: .*; so it is with (3|4|5|6)\d of 200 draws"):
        read("dropout.p", {"values": [0.1, None]}, beside={"dropout.layers": {"values": [0, 1]}})


def test_where_every_draw_contradicts_the_key_is_named_with_its_line(read):
    with pytest.raises(UserError, match=r"line \d+: optimizer.warmup_epochs = 5 is longer than train.epochs = "):
        read("train.epochs", {"values": [1, 2]}, optimizer__warmup_epochs=5)


def test_a_bayesian_search_over_nothing_is_refused(read):
    with pytest.raises(UserError, match="method = bayes: searches over nothing: every parameter has one value"):
        read("optimizer.lr", {"value": 0.1}, method="bayes")


# What is likely not meant


def test_exponents_of_e_are_pointed_out_with_what_they_draw(read):
    (note,) = read("optimizer.lr", values("log_uniform", min=0.00001, max=0.1)).warnings
    assert note == (
        "optimizer.lr: log_uniform takes min and max for exponents of e, and draws from 1 to 1.105; "
        "for values between 1e-05 and 0.1, write distribution: log_uniform_values"
    )


@pytest.mark.parametrize("name", ["log_uniform", "inv_log_uniform", "q_log_uniform"])
def test_an_exponent_that_makes_no_number_is_refused(read, name):
    with pytest.raises(UserError, match=rf"optimizer.lr: max = 1000.0 is an exponent of e, and e to its power is no number: {name}_values"):
        read("optimizer.lr", values(name, min=0.001, max=1000.0))


def test_whole_ends_of_a_real_number_draw_whole_numbers_only(read):
    (note,) = read("weight_decay.rate", {"min": 0, "max": 1}).warnings
    assert note == (
        "weight_decay.rate: min and max are whole numbers, so it draws whole numbers only, 0 and 1; write max: 1.0 for all numbers between"
    )
    assert read("weight_decay.rate", {"min": 0, "max": 1.0}).warnings == ()
    assert read("train.epochs", {"min": 1, "max": 9}).warnings == ()


def test_a_target_is_said_to_be_the_server_s(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("method: grid\nmetric: {name: test/accuracy, goal: maximize, target: 0.9}\nparameters: {arm: {value: baseline}}\n")
    (note,) = spec.read(path).warnings
    assert note.startswith("metric.target: W&B's server ends the sweep there")


# Sizes


def grid_of(tmp_path, **keys):
    path = tmp_path / "mine.yaml"
    parameters = {section: {"parameters": entries} for section, entries in keys.items()}
    path.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    return path


def test_a_grid_that_is_too_large_is_refused_before_it_is_made(tmp_path):
    fifty = {"values": [0.001 * number for number in range(1, 51)]}
    optimizer = dict.fromkeys(("lr", "momentum", "eps"), fifty)
    rates = {"rate": fifty}
    path = grid_of(tmp_path, optimizer=optimizer, weight_decay=rates, label_smoothing=rates, agc={"clip": fifty, "eps": fifty})
    with pytest.raises(UserError, match=r"line 2: parameters: 781,250,000,000 cells: a grid has at most 20,000; search over fewer values"):
        spec.read(path)
    with pytest.raises(UserError, match=r"100,000 cells: a grid has at most 20,000"):
        spec.read(grid_of(tmp_path, train={"seed": {"min": 0, "max": 99_999}}))
    with pytest.raises(UserError, match=r"more than 1,000,000,000,000,000 cells"):
        spec.read(grid_of(tmp_path, optimizer={"lr": {"distribution": "q_uniform", "min": 0.1, "max": 1e308, "q": 1e-300}}))


HUGE = 10**400


@pytest.mark.parametrize("definition", [{"min": 0, "max": HUGE}, {"min": -HUGE, "max": 0}, {"min": 0.1, "max": HUGE}], ids=list("abc"))
def test_a_number_that_no_run_can_count_to_is_refused(read, definition):
    with pytest.raises(UserError, match=r"optimizer.lr.m(in|ax) = -?10000.* characters … 0+: must be (at least|at most|a number)"):
        read("optimizer.lr", definition)


def test_a_large_grid_is_checked(tmp_path):
    found = spec.read(grid_of(tmp_path, train={"seed": {"min": 0, "max": 1999}, "epochs": {"value": 3}}))
    assert found.size == 2000
    assert [cell["train"]["seed"] for cell in found.grid()] == list(range(2000))


def test_a_key_that_has_moved_is_read_and_a_note_says_where_it_is(read):
    (note,) = read("optimizer.weight_decay", {"values": [0.0, 0.1]}).warnings
    assert note == "optimizer.weight_decay is called weight_decay.rate now; the former name goes on being read"


# What a scheduler's engine searches


CUSTOM = {
    "method": "custom",
    "run_cap": 5,
    "metric": {"name": "test/accuracy"},
    "scheduler": {"engine": "optuna"},
    "parameters": {"optimizer": {"parameters": {"lr": {"min": 0.1, "max": 0.2}}}},
}


@pytest.fixture
def read_keys(tmp_path, monkeypatch):
    """Reads a sweep with an Optuna scheduler, and these keys; `lr` is the definition of its rate."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(lr=None, **keys):
        config = CUSTOM | ({"parameters": {"optimizer": {"parameters": {"lr": lr}}}} if lr else {}) | keys
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({key: value for key, value in config.items() if value}, sort_keys=False))
        return spec.read(tmp_path / "mine.yaml")

    return write_and_read


SPACE = {"scheduler": {"engine": "optuna", "source": "space.py", "search_space": "space"}}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"lr": values("normal", mu=0.1, sigma=0.01)},
            r"line 10: optimizer.lr: the engine optuna has no normal: it has constant, categori",
        ),
        ({"lr": values("log_uniform", min=-5, max=-1)}, "optimizer.lr: the engine optuna has no log_uniform: it has"),
        ({"lr": {"values": [0.1, 0.2], "probabilities": [0.3, 0.7]}}, "optimizer.lr: the engine optuna draws without `probabilities`"),
        ({"lr": values("q_log_uniform_values", min=0.1, max=0.2, q=0.1)}, "optimizer.lr: the engine optuna takes no q but 1 on a logar"),
        (
            {"run_cap": None},
            "line 1: method custom never ends by itself: add `run_cap:`, the number of runs, or name an `optimizer` in `source`",
        ),
        ({"metric": None}, "line 1: it selects by a metric and names none"),
        (
            SPACE,
            r"line 9: parameters: are not looked at beside scheduler.search_space = space, which says every key of a run: leave them out",
        ),
        (
            {"early_terminate": {"type": "hyperband", "min_iter": 1}},
            "early_terminate: stands beside `scheduler`, whose engine decides by it",
        ),
    ],
)
def test_what_the_engine_of_a_scheduler_would_not_do_is_refused_with_its_line(read_keys, keys, said):
    with pytest.raises(UserError, match=said):
        read_keys(**keys)


def test_what_it_does_is_taken(read_keys, tmp_path):
    for lr in (values("q_uniform", min=0.1, max=0.5, q=0.1), values("log_uniform_values", min=1e-4, max=0.1), {"values": [0.1, 0.2]}):
        assert read_keys(lr).engine == "optuna"
    (tmp_path / "space.py").touch()
    assert read_keys(**SPACE, parameters=None).has_space_of_its_own
    assert read_keys(scheduler={"engine": "optuna", "source": "space.py", "optimizer": "study"}, run_cap=None).run_cap is None


def test_a_search_selects_on_a_metric_of_the_user_s_where_its_runs_have_it(sweep_of_metrics):
    for name in ("test/ece", "test/class_accuracy/cat"):
        assert spec.read(sweep_of_metrics(name, "reglab.metrics:ece, reglab.metrics:class_accuracy")).config["metric"]["name"] == name
    for name, metrics in (
        ("test/ece", "reglab.metrics:class_accuracy"),
        ("test/ecee", "reglab.metrics:ece"),
        ("ece", "reglab.metrics:ece"),
    ):
        with pytest.raises(UserError, match=f"line 3: metric.name = {name}: no run logs that"):
            spec.read(sweep_of_metrics(name, metrics))


def test_a_metric_whose_module_is_not_here_is_told_of(sweep_of_metrics):
    (note,) = spec.read(sweep_of_metrics("test/ece", "reglab.metrics:ece, nobody_here:brier")).warnings
    assert note == "train.metrics = nobody_here:brier: there is no such module here, so its runs cannot be trained"


@pytest.fixture
def sweep_of_metrics(tmp_path):
    """Writes a grid that selects on a metric, and whose runs are measured by some."""

    def write(name, metrics):
        path = tmp_path / "mine.yaml"
        lines = ["name: mine", "method: grid", f"metric: {{name: {name}, goal: minimize}}", "command: [reglab, train]", "parameters:"]
        lines.append(f'  train: {{parameters: {{metrics: {{value: "{metrics}"}}, seed: {{values: [0, 1]}}}}}}')
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("method", ["grid", "random"])
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"data": {"source": "npz", "file": ["a/x.npz", "b/x.npz"]}}, r"line \d+: data.file: a/x.npz and b/x.npz are both called x"),
        ({"data": {"source": "folder", "folder": ["a/pets", "b/pets"]}}, r"line \d+: data.folder: a/pets and b/pets are both called pets"),
        ({"data": {"source": "npz", "file": ["a.npz", "b.npz"], "name": "mine"}}, "a.npz and b.npz are both called mine"),
        ({"cell": [f"data.source=npz data.file={part}/x.npz" for part in "ab"]}, "a/x.npz and b/x.npz are both called x"),
    ],
    ids=["files", "folders", "named", "cells"],
)
def test_a_sweep_over_two_sets_of_images_of_one_name_is_refused(tmp_path, method, keys, said):
    with pytest.raises(UserError, match=f"{said}.*: rename one, or give each a sweep file with a data.name of its own"):
        spec.read(written(tmp_path, method, keys))


@pytest.mark.parametrize("files", [["a/x.npz", "b/y.npz"], ["a/x.npz", "./a/../a/x.npz"]], ids=["two names", "one file"])
def test_a_sweep_over_images_that_names_tell_apart_is_taken(tmp_path, files):
    assert spec.read(written(tmp_path, "grid", {"data": {"source": "npz", "file": files}})).size == 4


def written(folder, method, keys):
    """A sweep over these keys and two seeds."""

    def defined(value):
        if isinstance(value, dict):
            return {"parameters": {key: defined(each) for key, each in value.items()}}
        return {"values": value} if isinstance(value, list) else {"value": value}

    path = folder / "mine.yaml"
    content = {"method": method, "parameters": {key: defined(value) for key, value in (keys | {"train": {"seed": [0, 1]}}).items()}}
    path.write_text(yaml.safe_dump(content | ({} if method == "grid" else {"run_cap": 4})), encoding="utf-8")
    return path
