import itertools
import shlex
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as some

from reglab.config import RunConfig, identity, parse_overrides, run_id
from reglab.sweep import engines, ledger, spec
from reglab.tracking.record import RunRecord, State
from tests.waiting import PATIENCE

ARMS = ["baseline", "asymmetric_augmentation"]
GRID = {
    "name": "small",
    "method": "grid",
    "metric": {"name": "test/accuracy", "goal": "maximize"},
    "command": ["reglab", "train"],
    "parameters": {
        "arm": {"values": ARMS},
        "train": {"parameters": {"epochs": {"value": 3}, "seed": {"values": [0, 1, 2]}}},
        "optimizer": {"parameters": {"lr": {"values": [0.001, 1e-05]}}},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def read(folder):
    def parse(content, name="sweep"):
        file = folder / f"{name}.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return spec.read(file)

    return parse


def record(values, state=State.finished, name=None, reason=None):
    config = RunConfig.parse(values)
    return RunRecord(
        run_id=name or run_id(config),
        sweep="small",
        label=config.label,
        identity=identity(config),
        seed=config.train.seed,
        config=config.model_dump(mode="json"),
        state=state,
        reason=reason,
    )


def run_ids(found):
    return [run_id(RunConfig.parse(values)) for values in found.grid()]


def test_a_grid_is_reckoned_cell_by_cell(read):
    grid = read(GRID)
    cells = grid.grid()
    states = [State.finished, State.running, State.failed, State.diverged, State.crashed, State.preempted, State.stopped]
    reckoned = ledger.reckon(grid, [record(values, state) for values, state in zip(cells, states, strict=False)])
    assert [cell.state for cell in reckoned.cells] == [*states, *["missing"] * 5]
    assert reckoned.counts == {**dict.fromkeys(states, 1), "missing": 5}
    assert [run_id(RunConfig.parse(cell.values)) for cell in reckoned.lost] == [run_ids(grid)[place] for place in (2, 4, 7, 8, 9, 10, 11)]
    assert not reckoned.complete


def test_cells_of_one_label_are_told_apart(read):
    labels = [cell.label for cell in ledger.reckon(read(GRID), []).cells[:4]]
    assert sorted(labels) == sorted(f"{arm} (optimizer.lr {lr})" for arm in ARMS for lr in (0.001, 1e-05))


def test_it_is_complete_when_all_has_ended_well(read):
    grid = read(GRID)
    records = [record(values, State.diverged if number else State.finished) for number, values in enumerate(grid.grid())]
    assert ledger.reckon(grid, records).complete
    assert ledger.makeup(ledger.reckon(grid, records)) == []


def test_the_best_of_several_runs_counts_and_finished_ones_are_duplicates(read):
    grid = read(GRID)
    values = grid.grid()[0]
    tries = [record(values, State.crashed, "a"), record(values, State.finished, "b"), record(values, State.finished, "c")]
    cell = ledger.reckon(grid, tries).cells[0]
    assert cell.state == State.finished
    assert [each.run_id for each in cell.duplicates] == ["c"]


def test_runs_that_nobody_asked_for_are_others(read):
    stray = record({"arm": "symmetric_cutout_2"})
    assert ledger.reckon(read(GRID), [stray]).others == (stray,)


def test_values_without_effect_are_one_cell(read):
    grid = read({**GRID, "parameters": {"dropout": {"parameters": {"layers": {"value": 0}, "p": {"values": [0.1, 0.2]}}}}})
    assert len(ledger.reckon(grid, []).cells) == 1


@settings(max_examples=25)
@given(done=some.sets(some.integers(0, 11)))
def test_a_makeup_asks_for_exactly_what_is_lost(read, done):
    grid = read(GRID)
    names, cells = run_ids(grid), grid.grid()
    texts = ledger.makeup(ledger.reckon(grid, [record(cells[place]) for place in sorted(done)]))
    if len(done) == 12:
        assert texts == []
        return
    again = read(*texts, "makeup")
    assert sorted(run_ids(again)) == sorted(names[place] for place in range(12) if place not in done)
    assert again.config["command"] == GRID["command"]
    assert again.config["metric"] == GRID["metric"]
    twice = ledger.makeup(ledger.reckon(again, [record(again.grid()[0])]))
    assert sorted(run_ids(read(*twice, "twice")) if twice else []) == sorted(run_ids(again)[1:])


def test_words_that_yaml_would_misread_come_back_as_they_were(read, tmp_path):
    names = ["two words", "3", "it's", "a: b", "true", "x=y #z"]
    grid = read(
        {
            "method": "grid",
            "parameters": {
                "data": {"parameters": {"source": {"value": "folder"}, "folder": {"value": "/d"}, "name": {"values": names}}},
                "optimizer": {"parameters": {"lr": {"values": [1e-05, 1e-3]}}},
                "agc": {"parameters": {"enabled": {"values": [True, False]}}},
                "dropout": {"parameters": {"p": {"values": [None, 0.5]}}},
            },
        }
    )
    again = read(*ledger.makeup(ledger.reckon(grid, [])), "makeup")
    assert sorted(run_ids(again)) == sorted(set(run_ids(grid)))


def test_a_configuration_that_cannot_be_built_is_not_made_up(read):
    """A file that is checked has none; a search that was registered elsewhere may."""
    search = read({**GRID, "method": "random", "run_cap": 4})
    drawn = {"arm": "baseline", "train": {"epochs": 3, "seed": 2}, "optimizer": {"lr": 0.001}}
    contradiction = drawn | {"dropout": {"layers": 1}}
    search.config["parameters"]["dropout"] = {"parameters": {"layers": {"values": [0, 1]}}}
    broken = RunRecord(run_id="x", sweep="s", label="x", identity="", seed=0, config=contradiction, state=State.failed, reason="no p1")
    crashed = {"arm": "baseline", "train": {"epochs": 3, "seed": 1}, "optimizer": {"lr": 0.001}}
    reckoned = ledger.reckon(search, [broken, record(drawn), record(crashed, State.crashed)])
    assert reckoned.undrawn == 1
    assert [cell.seed for cell in reckoned.lost] == [1]
    (text,) = ledger.makeup(reckoned)
    assert yaml.safe_load(text)["run_cap"] == 2


SEARCHED = {
    "lr": {"min": 0.001, "max": 0.1},
    "momentum": {"values": [0.8, 0.9]},
    "weight_decay": {"distribution": "log_uniform", "min": -9.0, "max": -2.0},
    "warmup_epochs": {"distribution": "q_uniform", "min": 0, "max": 2.5, "q": 2},
}


def search_for(**keys):
    parameters = {**GRID["parameters"], "arm": {"value": "baseline"}, "optimizer": {"parameters": keys}}
    return {**GRID, "method": "random", "run_cap": 40, "parameters": parameters}


def test_whatever_a_search_draws_counts_against_its_cap(read):
    spec_ = read(search_for(**SEARCHED))
    drawn = list(engines.of(spec_.config).rest())
    reckoned = ledger.reckon(spec_, [record(values) for values in drawn])
    assert reckoned.others == ()
    assert (reckoned.undrawn, len(reckoned.cells)) == (0, len({run_id(RunConfig.parse(values)) for values in drawn}))
    assert ledger.reckon(spec_, [record(values) for values in drawn[1:]]).undrawn == 1


FEW = {**GRID, "method": "random", "run_cap": 5, "parameters": {"batchnorm": {"parameters": {"layers": {"values": [0, 1]}}}}}
"""Five draws out of two."""


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_search_that_has_drawn_all_there_is_is_complete(read, method):
    search = read(FEW | {"method": method})
    both = [record({"batchnorm": {"layers": layers}}) for layers in (0, 1)]
    assert ledger.reckon(search, both).complete
    assert ledger.makeup(ledger.reckon(search, both)) == []
    assert not ledger.reckon(search, both[:1]).complete
    assert not ledger.reckon(search, [both[0], record({"batchnorm": {"layers": 1}}, State.crashed)]).complete


def test_whole_numbers_that_are_all_drawn_leave_nothing_to_draw(read):
    keys = {"batchnorm": {"parameters": {"layers": {"min": 0, "max": 3}}}, "train": {"parameters": {"seed": {"values": [0, 1]}}}}
    search = read(FEW | {"run_cap": 50, "parameters": keys})
    runs = [record({"batchnorm": {"layers": layers}, "train": {"seed": seed}}) for layers in range(4) for seed in (0, 1)]
    assert ledger.reckon(search, runs).complete
    assert ledger.reckon(search, runs[1:]).undrawn == 43


def test_values_that_do_the_same_are_one_draw(read):
    keys = {"dropout": {"parameters": {"layers": {"value": 0}, "p": {"values": [0.2, 0.5, 0.8]}}}}
    assert ledger.reckon(read(FEW | {"parameters": keys}), [record({})]).complete


def test_a_search_whose_list_of_draws_repeats_some_is_complete(read):
    """Of a range: what it can draw is never all there."""
    search = read(FEW | {"method": "bayes", "run_cap": 3, "parameters": {"optimizer": {"parameters": {"lr": {"min": 0.1, "max": 0.2}}}}})
    one, other = ({"optimizer": {"lr": lr}} for lr in (0.15, 0.1))
    runs = [record(one), record(other)]
    assert ledger.reckon(search, runs, [one, other, one]).complete
    assert ledger.reckon(search, runs).undrawn == 1
    begun = ledger.reckon(search, runs[:1], [one, other, one])
    assert (begun.undrawn, [cell.state for cell in begun.cells]) == (0, [State.finished, "missing"])


def test_what_w_and_b_draws_again_runs_again_and_counts(read):
    search = read(FEW | {"parameters": {"batchnorm": {"parameters": {"layers": {"values": [0, 1, 2, 3]}}}}})
    runs = [record({"batchnorm": {"layers": layers}}, name=f"w{number}") for number, layers in enumerate((0, 1, 0, 0, 1))]
    assert ledger.reckon(search, runs).complete
    assert ledger.reckon(search, runs[1:]).undrawn == 1
    crashed = [runs[0].model_copy(update={"state": State.crashed}), *runs[1:]]
    assert ledger.reckon(search, crashed).undrawn == 1
    elsewhere = [each.model_copy(update={"sweep": "train"}) for each in runs[2:]]
    assert ledger.reckon(search, [*runs[:2], *elsewhere]).undrawn == 2


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": {"lr": 0.2}},
        {"optimizer": {"lr": 0.01, "momentum": 0.7}},
        {"optimizer": {"lr": 0.01}, "train": {"epochs": 3, "seed": 7}},
        {"optimizer": {"lr": 0.01}, "train": {"epochs": 4}},
        {"optimizer": {"lr": 0.01}, "arm": "symmetric_cutout_2"},
    ],
    ids=["beyond the range", "no choice", "another seed", "a fixed key", "another arm"],
)
def test_a_run_that_a_search_cannot_have_drawn_is_another_s(read, values):
    search = search_for(lr=SEARCHED["lr"], momentum=SEARCHED["momentum"], name={"value": "sgd"})
    values = {"arm": "baseline", "train": {"epochs": 3}} | values | {"optimizer": {"name": "sgd"} | values["optimizer"]}
    reckoned = ledger.reckon(read(search), [record(values)])
    assert (len(reckoned.cells), len(reckoned.others), reckoned.undrawn) == (0, 1, 40)


def test_a_run_that_a_search_could_have_drawn_counts_wherever_it_is_from(read):
    """Its arm goes by no name, and its range begins at what YAML takes for text."""
    search = search_for(lr={"values": ["1e-05", 0.1]})
    reckoned = ledger.reckon(read(search), [record({"train": {"epochs": 3}, "optimizer": {"lr": 1e-05}})])
    assert len(reckoned.cells) == 1


def test_wandb_takes_a_makeup(read, folder, wandb_server):
    read(*ledger.makeup(ledger.reckon(read(GRID), [])), "makeup")
    command = [sys.executable, "-m", "wandb", "sweep", "--project", "p", str(folder / "makeup.yaml")]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    (there,) = wandb_server.world.project("p").sweeps.values()
    assert there.expected == 12


@given(some.text())
@example("007")
@example("[a, b]")
@example("null")
@example("'a' and 'b'")
def test_a_text_in_a_cell_is_read_as_it_was(value):
    (word,) = shlex.split(ledger._word("data.name", value))
    assert parse_overrides([word]) == {"data.name": value}


# Another program


PLAIN = {
    "program": "train.py",
    "method": "grid",
    "parameters": {
        "lr": {"values": [0.1, 0.01, 1.0]},
        "model": {"parameters": {"width": {"values": [4, 8]}, "deep": {"value": True}}},
        "optimizer.name": {"values": ["sgd", "adam"]},
    },
    "replicates": {"key": "seed", "first": 1, "start": 2, "most": 5},
}


def other(sweep, values, state=State.finished, name="w", **added):
    """A run as W&B gives it back: ids of its own, whole numbers where they were so, and keys that the program added."""
    given = {key: int(value) if value == 1.0 and not isinstance(value, bool) else value for key, value in values.items()}
    return RunRecord(
        run_id=name, sweep="s", label=name, identity="", seed=0, config=given | added, program=sweep.program.shown, state=state
    )


@settings(max_examples=40)
@given(done=some.sets(some.integers(0, 23)))
def test_of_another_program_a_makeup_asks_for_exactly_what_is_lost_in_as_many_files_as_it_takes(read, done):
    sweep = read(PLAIN)
    cells = sweep.grid()
    reckoned = ledger.reckon(sweep, [other(sweep, cells[place], added=3) for place in sorted(done)])
    assert [cell.state for cell in reckoned.cells] == [State.finished if place in done else "missing" for place in range(24)]
    again = [values for text in ledger.makeup(reckoned) for values in read(text, "makeup").grid()]
    in_order = sorted(again, key=cells.index)
    assert in_order == [cells[place] for place in range(24) if place not in done]


@given(cells=some.lists(some.tuples(some.integers(0, 3), some.booleans(), some.sampled_from("abc")), unique=True))
def test_cells_are_products_each_cell_in_one(cells):
    found = ledger.products(cells)
    assert sorted(cell for each in found for cell in itertools.product(*each)) == sorted(cells)


def test_what_is_a_product_is_one():
    (found,) = ledger.products(list(itertools.product([1, 2, 3], "ab", [True])))
    assert [set(each) for each in found] == [{1, 2, 3}, {"a", "b"}, {True}]


def test_a_run_of_another_program_answers_no_cell_of_this_one(read):
    sweep = read(PLAIN)
    (values, *_) = sweep.grid()
    stranger = other(sweep, values).model_copy(update={"program": "python other.py ${args}"})
    incomplete = other(sweep, {"lr": 0.1})
    reckoned = ledger.reckon(sweep, [stranger, incomplete])
    assert reckoned.counts == {"missing": 24}
    assert len(reckoned.others) == 2


def test_of_another_program_a_search_counts_what_it_may_have_drawn(read):
    search = {**PLAIN, "method": "random", "run_cap": 3, "replicates": None}
    sweep = read({key: value for key, value in search.items() if value})
    values = engines.of(sweep.config).ask()
    elsewhere = other(sweep, {**values, "lr": 7.0}, name="x")
    reckoned = ledger.reckon(sweep, [other(sweep, values, added=1), elsewhere])
    assert (len(reckoned.cells), reckoned.undrawn, reckoned.others) == (1, 2, (elsewhere,))
    (text,) = ledger.makeup(reckoned)
    assert yaml.safe_load(text)["run_cap"] == 2


# Replicates


@pytest.mark.parametrize("key", ["train.seed"])
def test_more_seeds_are_missing_once_they_are_asked_for(read, folder, key):
    content = {**GRID, "parameters": {"arm": {"values": ARMS}}, "replicates": {"key": key, "start": 2, "most": 4}}
    sweep = read(content)
    records = [record(values) for values in sweep.grid()]
    assert ledger.reckon(sweep, records).complete
    more = ledger.reckon(spec.read(folder / "sweep.yaml", seeds=3), records)
    assert more.counts == {State.finished: 4, "missing": 2}
    (text,) = ledger.makeup(more)
    assert [config.seed for _, config in read(text, "rest").cells] == [2, 2]


# Names


def test_cells_of_one_label_are_told_apart_by_what_is_searched(read):
    sweep = read({"method": "grid", "parameters": {"optimizer": {"parameters": {"lr": {"values": [0.1, 0.2]}}}}})
    cells = [SimpleNamespace(label="baseline", seed=0, values=values) for values in sweep.grid()]
    assert ledger.told_apart(sweep, cells) == ["baseline (optimizer.lr 0.1)", "baseline (optimizer.lr 0.2)"]
    assert ledger.told_apart(sweep, cells[:1]) == ["baseline"]


OWN = {
    "model": {"parameters": {"name": {"values": ["nobody_here:small", "resnet50"]}}},
    "train": {"parameters": {"seed": {"values": [0, 1]}}},
}


def of_own_code(code, seed=0, name="nobody_here:small", state=State.finished):
    """A run of a network of the user's, as a machine that has its module has left it."""
    run = record({"model": {"name": name}, "train": {"seed": seed}}, state)
    return run.model_copy(update={"run_id": f"{code * 12}-s{seed}", "identity": code * 12, "code": {"model.name": code * 12}})


@pytest.mark.parametrize("keys", [{"method": "grid"}, {"method": "random", "run_cap": 4}], ids=["grid", "random"])
def test_where_code_of_the_user_s_is_not_here_runs_count_whatever_it_is(read, keys):
    asked = read(keys | {"parameters": OWN})
    assert asked.absent == ["model.name = nobody_here:small"]
    records = [
        of_own_code("a"),
        of_own_code("b", 1, state=State.failed),
        record({"train": {"seed": 0}}),
        of_own_code("c", 1, "nor_here:small"),
    ]
    reckoned = ledger.reckon(asked, records)
    assert [cell.state for cell in reckoned.cells if cell.values.get("model", {}).get("name") == "nobody_here:small"] == [
        "finished",
        "failed",
    ]
    assert [each.run_id for each in reckoned.others] == [records[-1].run_id]
    assert ledger.reckon(asked, [*records[:3], of_own_code("b", 1), record({"train": {"seed": 1}})]).complete


def test_runs_of_two_codes_that_are_not_here_are_there_twice(read):
    cell = ledger.reckon(read({"method": "grid", "parameters": OWN}), [of_own_code("a"), of_own_code("b")]).cells[0]
    assert [each.run_id for each in (cell.records[0], *cell.duplicates)] == ["a" * 12 + "-s0", "b" * 12 + "-s0"]
