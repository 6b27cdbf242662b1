"""What is what in runs of another program: guessed by names and values, told, and refused where two could be meant."""

import pytest

from reglab.errors import UserError
from reglab.report.programs.roles import CLOCK, AskedRoles, read
from reglab.tracking.program_run import ProgramRun
from reglab.tracking.state import State


def runs(*rows, seconds=None):
    """Runs whose settings and results are told apart, as W&B does; a pair each."""
    return [ProgramRun(id=f"r{number}", config=config, summary=results, seconds=seconds) for number, (config, results) in enumerate(rows)]


def table(**columns):
    """Runs as a table has them."""
    return [
        ProgramRun(id=f"r{number}", config=dict(zip(columns, row, strict=True)))
        for number, row in enumerate(zip(*columns.values(), strict=True))
    ]


TWO = [({"lr": 0.1, "seed": 1}, {"acc": 0.9}), ({"lr": 0.2, "seed": 2}, {"acc": 0.8})]


def test_each_guess_is_told_with_its_reason():
    found = read(runs(*TWO, seconds=3.0), AskedRoles())
    assert (found.metric, found.goal, found.seed, found.time, found.factors) == ("acc", "maximize", "seed", CLOCK, ("lr",))
    assert found.guessed == (
        "seed: seed, by its name (--seed-key names another, or none)",
        "metric: acc, by its name (--metric names another)",
        "goal: maximize acc, by its name (--goal says otherwise)",
        "time: the runtime that stands beside the runs (--time-key names a result, or none)",
        "settings: lr (2 levels) (--group-by names others)",
    )


def test_what_is_said_is_not_guessed():
    found = read(runs(*TWO), AskedRoles("acc", "minimize", "none", "none", ("lr", "seed")))
    assert (found.goal, found.seed, found.time, found.factors, found.guessed) == ("minimize", None, None, ("lr", "seed"), ())


@pytest.mark.parametrize(
    ("results", "metric", "goal"),
    [
        ({"train_acc": 1.0, "val_acc": 0.9}, "val_acc", "maximize"),
        ({"val/loss": 1.0, "test/loss": 0.9}, "test/loss", "minimize"),
        ({"neg_mse": -1.0, "epoch": 3}, "neg_mse", "maximize"),
        ({"eval/topOneError": 0.3, "_step": 4}, "eval/topOneError", "minimize"),
        ({"top1_error": 0.3}, "top1_error", "minimize"),
    ],
)
def test_the_metric_is_the_one_of_held_out_quality(results, metric, goal):
    found = read(runs(({"lr": 1}, results)), AskedRoles())
    assert (found.metric, found.goal) == (metric, goal)


@pytest.mark.parametrize(
    ("rows", "asked", "said"),
    [
        ([({}, {"val_acc": 0.9, "val_loss": 1.0})], AskedRoles(), "the metric may be val_acc or val_loss: say which with --metric"),
        ([({}, {"a": 0.9, "b": 1.0})], AskedRoles(), "no key is a metric by its name: say which with --metric; numbers are in a, b"),
        ([({}, {"a": 0.9})], AskedRoles(), "is more or less of a better"),
        ([({}, {"acc": 0.9})], AskedRoles(goal="up"), "--goal up: give maximize or minimize"),
        ([({}, {"acc": 0.9})], AskedRoles("ac"), "--metric ac: no finished run has it; did you mean acc"),
        ([({"opt": "sgd"}, {"acc": 0.9})], AskedRoles("opt"), "--metric opt: it is sgd, say, and no number; numbers are acc"),
        ([({}, {"acc": 0.9, "train_time": 1, "duration": 2})], AskedRoles(), "time of a run may be train_time or duration: say which"),
        (
            [({"seed": n, "data_seed": n // 2}, {"acc": 0.9}) for n in range(4)],
            AskedRoles(),
            "the seed may be seed or data_seed: say which with --seed-key",
        ),
        ([({"lr": 1}, {"acc": 0.9})], AskedRoles(group_by=("acc",)), "--group-by acc: it is the metric, the seed or the time already"),
        ([({"lr": 1}, {"acc": 0.9})], AskedRoles(group_by=("x",)), "--group-by x: no finished run has it"),
    ],
)
def test_what_could_be_two_things_or_is_not_there_is_refused(rows, asked, said):
    with pytest.raises(UserError, match=said):
        read(runs(*rows), asked)


def test_no_run_that_finished_is_said():
    with pytest.raises(UserError, match="none of the 1 runs has finished"):
        read([ProgramRun(id="a", state=State.crashed)], AskedRoles())


def test_a_seed_that_is_one_everywhere_is_none():
    assert read(runs(({"seed": 1, "lr": 1}, {"acc": 1}), ({"seed": 1, "lr": 2}, {"acc": 1})), AskedRoles()).seed is None


def test_names_of_runs_are_no_settings_and_that_is_told():
    found = read(runs(*[({"lr": n % 2, "output_dir": f"out/{n}"}, {"acc": n}) for n in range(4)]), AskedRoles())
    assert found.factors == ("lr",)
    assert "no settings, since they tell runs apart and nothing else: output_dir" in found.guessed


def test_settings_that_differ_together_are_one_and_that_is_told():
    found = read(runs(*[({"width": n % 2, "n_params": 100 * (n % 2)}, {"acc": n}) for n in range(4)]), AskedRoles())
    assert (found.factors, found.alike) == (("width",), {"width": ("n_params",)})
    assert "n_params goes with width" in found.guessed


def test_values_that_a_search_drew_are_settings_each():
    found = read(runs(*[({"lr": n / 7, "decay": n / 9}, {"acc": n}) for n in range(6)]), AskedRoles())
    assert found.factors == ("lr", "decay")


def test_numbers_written_otherwise_are_one_level():
    assert read(table(lr=[0.001, 1e-3, 0.01], acc=[0.1, 0.2, 0.3]), AskedRoles()).guessed[-1].startswith("settings: lr (2 levels)")


def test_in_a_table_results_are_told_from_settings_by_names():
    found = read(
        table(lr=[1, 1, 2, 2], loss=["mse", "ce", "mse", "ce"], train_loss=[0.1, 0.2, 0.3, 0.4], acc=[1, 2, 3, 4], step=[1, 2, 3, 4]),
        AskedRoles("acc"),
    )
    assert found.factors == ("lr", "loss")


@pytest.mark.parametrize("values", [[0.11, 0.22, 0.31, 0.44, 0.52], [101, 205, 333, 404, 555]])
def test_in_a_table_numbers_that_may_be_either_are_refused(values):
    """Silently taken for a setting, each run would be an arm of its own; taken for a result, unlike runs would be pooled."""
    with pytest.raises(UserError, match="something may be settings or results: name the settings with --group-by"):
        read(table(opt=["a", "b", "a", "b", "a"], something=values, acc=[0.1, 0.2, 0.3, 0.4, 0.5]), AskedRoles())


def test_in_a_table_quality_that_repeats_as_a_setting_does_is_refused():
    with pytest.raises(UserError, match="cer may be settings or results"):
        read(table(lr=[1, 2, 1, 2], cer=[0.5, 0.5, 0.7, 0.7], acc=[0.1, 0.2, 0.3, 0.4]), AskedRoles("acc"))


def test_what_is_pooled_over_is_told():
    found = read(runs(*[({"lr": n % 2, "batch": n // 2}, {"acc": n}) for n in range(4)]), AskedRoles(group_by=("lr",)))
    assert "pooled over, since --group-by does not name them: batch" in found.guessed
