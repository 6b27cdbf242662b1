"""What is what in runs of another program: guessed by names and values, told, and refused where two could be meant."""

import math

import pytest

from reglab.errors import UserError
from reglab.report.programs.arms import Programs
from reglab.report.programs.roles import AskedRoles, number, read
from reglab.tracking.csv_file import read as read_table
from reglab.tracking.program_run import CLOCK, ProgramRun
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
        ({"error_rate": 0.3}, "error_rate", "minimize"),
        ({"1-accuracy": 0.3}, "1-accuracy", "minimize"),
        ({"val/1 - acc": 0.3}, "val/1 - acc", "minimize"),
        ({"test_one_minus_f1": 0.3}, "test_one_minus_f1", "minimize"),
        ({"1-error": 0.3}, "1-error", "maximize"),
        ({"top-1-accuracy": 0.3}, "top-1-accuracy", "maximize"),
        ({"neg_log_likelihood": 0.3}, "neg_log_likelihood", "minimize"),
        ({"log_likelihood": 0.3}, "log_likelihood", "maximize"),
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
        ([({}, {"acc_drop": 0.9})], AskedRoles(), "is more or less of acc_drop better"),
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
    with pytest.raises(UserError, match="of 1 run none has finished"):
        read([ProgramRun(id="a", state=State.crashed)], AskedRoles())


@pytest.mark.parametrize(
    ("value", "stands"),
    [(3, 3.0), (0.5, 0.5), (math.nan, None), (math.inf, None), (-math.inf, None), ("NaN", None), ("0.5", None), (True, None), (None, None)],
)
def test_a_number_is_a_finite_one(value, stands):
    assert number(value) == stands


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


def of_text(tmp_path, text, **asked):
    """What is what in a table."""
    (tmp_path / "runs.csv").write_text(text)
    found = read_table(tmp_path / "runs.csv")
    return read(found, AskedRoles(**asked))


def rows(*cells, repeats=3):
    """So many rows of each, numbered from 0, each with a result of its own."""
    return "".join(f"{cell},{number},0.{7 + place}{number}\n" for place, cell in enumerate(cells) for number in range(repeats))


@pytest.mark.parametrize("column", ["name", "run", "Name", "Group", "Tags", "Job Type", "Experiment"])
def test_what_a_table_calls_runs_is_a_setting_where_it_repeats(tmp_path, column):
    found = of_text(tmp_path, f"{column},seed,acc\n" + rows("a", "b"))
    assert (found.factors, found.seed) == ((column,), "seed")


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("Name,lr,acc\nx-1,1,0.1\nx-2,1,0.2\nx-3,2,0.3\nx-4,2,0.4\n", "they tell runs apart and nothing else: Name"),
        ("Group,lr,acc\ng1,1,0.1\ng1,1,0.2\ng2,2,0.3\ng2,2,0.4\n", "others tell as much: Group"),
        ("User,lr,acc\nme,1,0.1\nyou,1,0.2\nme,2,0.3\nyou,2,0.4\n", "they tell who ran it and where (--group-by takes them): User"),
        ("lr,run,acc\n1,0,0.1\n1,1,0.2\n2,0,0.3\n2,1,0.4\n", "they number the runs of each arm: run"),
        ("Name,lr,seed,acc\ns7,1,7,0.1\ns8,1,8,0.2\ns7,2,7,0.3\ns8,2,8,0.4\n", "they differ as seed does: Name"),
    ],
)
def test_what_a_table_calls_runs_is_no_setting_where_it_tells_of_no_arm(tmp_path, text, left_out):
    found = of_text(tmp_path, text)
    assert found.factors == ("lr",)
    assert f"no settings, since {left_out}" in found.guessed


def test_a_name_that_differs_as_the_seed_does_makes_arms_where_each_run_has_a_seed_of_its_own(tmp_path):
    assert of_text(tmp_path, "Group,seed,acc\na,0,0.1\na,1,0.2\nb,2,0.3\nb,3,0.4\n").factors == ("Group",)


def test_a_group_of_draws_is_a_setting_beside_what_was_drawn(tmp_path):
    drawn = "".join(f"{'ab'[number % 2]},{number / 7:.4f},0.{number}1\n" for number in range(8))
    assert of_text(tmp_path, f"Group,lr,acc\n{drawn}").factors == ("lr", "Group")


def test_names_that_may_be_of_arms_or_of_runs_are_refused(tmp_path):
    text = "name,seed,acc\na,0,0.1\na,1,0.2\nb,0,0.3\nc,0,0.4\n"
    with pytest.raises(UserError, match="name may name arms or runs: name the settings with --group-by, such as name"):
        of_text(tmp_path, text)
    assert of_text(tmp_path, text, group_by=("name",)).factors == ("name",)


def test_remarks_on_some_runs_are_taken_for_no_arm(tmp_path):
    text = "Tags,lr,acc\n,1,0.1\ngood,1,0.2\n,2,0.3\n,2,0.4\n"
    with pytest.raises(UserError, match="Tags may name arms or runs: name the settings with --group-by, such as lr"):
        of_text(tmp_path, text)
    assert of_text(tmp_path, text, group_by=("lr",)).factors == ("lr",)


def test_any_column_is_taken_for_what_it_is_said_to_be(tmp_path):
    text = "User,run,Runtime,acc\nme,0,5,0.1\nme,1,6,0.2\nyou,0,7,0.3\nyou,1,8,0.4\n"
    found = of_text(tmp_path, text, seed="run", time="Runtime", group_by=("User",))
    assert (found.factors, found.seed, found.time) == (("User",), "run", "Runtime")


def test_a_column_of_states_is_told_where_runs_have_not_finished(tmp_path):
    found = of_text(tmp_path, "lr,status,acc\n1,FINISHED,0.1\n2,FAILED,0.2\n2,FINISHED,0.3\n")
    assert found.guessed[0] == "state: status, by its name and words: 2 of 3 runs have finished"


def test_what_reglab_wrote_of_runs_reads_as_they_did(tmp_path):
    text = "Name,State,Runtime,lr,decay,seed,acc\n" + "".join(
        f"x-{lr}-{decay}-{seed},finished,6{seed},{lr},{decay},{seed},0.{lr}{decay}{seed}\n"
        for lr in (1, 2) for decay in (0, 1) for seed in (0, 1)
    )  # fmt: skip
    before = of_text(tmp_path, text)
    Programs(read_table(tmp_path / "runs.csv"), before).frame().to_csv(tmp_path / "again.csv")
    after = read(again := read_table(tmp_path / "again.csv"), AskedRoles())
    assert (after.factors, after.seed, after.time) == (before.factors, before.seed, before.time) == (("lr", "decay"), "seed", CLOCK)
    assert [run.id for run in again] == [run.id for run in read_table(tmp_path / "runs.csv")]


def test_numbers_written_otherwise_are_one_level():
    assert read(table(lr=[0.001, 1e-3, 0.01], acc=[0.1, 0.2, 0.3]), AskedRoles()).guessed[-1].startswith("settings: lr (2 levels)")


def test_in_a_table_results_are_told_from_settings_by_names():
    found = read(
        table(lr=[1, 1, 2, 2], loss=["mse", "ce", "mse", "ce"], train_loss=[0.1, 0.2, 0.3, 0.4], acc=[1, 2, 3, 4], step=[1, 2, 3, 4]),
        AskedRoles("acc"),
    )
    assert found.factors == ("lr", "loss")


EPOCHS = {"lr": [0.1] * 4 + [0.01] * 4, "seed": [0, 0, 1, 1] * 2, "epoch": [1, 2] * 4, "acc": [n / 10 for n in range(8)]}


@pytest.mark.parametrize("left_out", [(), ("seed",), ("lr",)], ids=["lr and seed", "lr alone", "seed alone"])
def test_a_table_of_epochs_is_refused_and_not_averaged_over_them(left_out):
    columns = {key: values for key, values in EPOCHS.items() if key not in left_out}
    with pytest.raises(UserError, match=r"^epoch differs between rows of one arm.*, and a run is one row: keep the row of the last epoch"):
        read(table(**columns), AskedRoles())


def test_a_counter_that_is_a_setting_is_named_with_the_others_or_pooled_and_that_is_told():
    found = read(table(**EPOCHS), AskedRoles(group_by=("lr", "epoch")))
    assert found.factors == ("lr", "epoch")
    assert "pooled over, since --group-by does not name them: epoch" in read(table(**EPOCHS), AskedRoles(group_by=("lr",))).guessed
    runs_of_unlike_length = table(**EPOCHS | {"seed": [0, 1, 2, 3] * 2, "epoch": [5, 7, 6, 9, 5, 5, 8, 6]})
    assert read(runs_of_unlike_length, AskedRoles()).factors == ("lr",)


def test_seconds_that_differ_as_a_setting_does_are_asked_for_and_those_that_a_run_took_are_not():
    clips = {"lr": [0.1] * 4 + [0.01] * 4, "seed": [0, 1] * 4, "clip_seconds": [5, 5, 10, 10] * 2, "acc": [n / 10 for n in range(8)]}
    with pytest.raises(UserError, match="clip_seconds may be a setting or a result: name the settings with --group-by, such as lr, clip_s"):
        read(table(**clips), AskedRoles(time="none"))
    took = {**clips, "seed": [0, 1, 2, 3] * 2, "clip_seconds": [5, 5, 6, 5, 9, 9, 9, 9]}
    assert read(table(**took), AskedRoles(time="none")).factors == ("lr",)


def test_the_epoch_of_the_best_is_what_a_run_came_to():
    found = read(table(lr=[1, 1, 2, 2], best_epoch=[3, 5, 3, 5], acc=[0.1, 0.2, 0.3, 0.4]), AskedRoles())
    assert found.factors == ("lr",)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (
            [0.1, "-", 0.3, 0.4],
            "^test_acc is a metric by its name, and is -, say, which is no number: mend it, or name another",
        ),
        (["0,1", "0,2", "0,3", "0,4"], None),
    ],
)
def test_a_metric_with_a_cell_that_is_no_number_is_named_and_no_other_taken(cells, said):
    columns = {"lr": [1, 1, 2, 2], "test_acc": cells}
    with pytest.raises(UserError, match=said or "test_acc, which is one by its name, is 0,1, say, and no number"):
        read(table(**columns, **({"val_acc": [0.5, 0.6, 0.7, 0.8]} if said else {})), AskedRoles())


@pytest.mark.parametrize("values", [[0.11, 0.22, 0.31, 0.44, 0.52], [101, 205, 333, 404, 555]])
def test_in_a_table_numbers_that_may_be_either_are_refused(values):
    """Silently taken for a setting, each run would be an arm of its own; taken for a result, unlike runs would be pooled."""
    with pytest.raises(UserError, match="something may be settings or results: name the settings with --group-by"):
        read(table(opt=["a", "b", "a", "b", "a"], something=values, acc=[0.1, 0.2, 0.3, 0.4, 0.5]), AskedRoles())


def test_in_a_table_quality_that_repeats_as_a_setting_does_is_refused():
    with pytest.raises(UserError, match="cer may be settings or results"):
        read(table(lr=[1, 2, 1, 2], cer=[0.5, 0.5, 0.7, 0.7], acc=[0.1, 0.2, 0.3, 0.4]), AskedRoles("acc"))


def test_what_is_nothing_and_a_text_that_says_so_are_one_level_and_that_is_told():
    found = read(runs(*[({"clip": clip}, {"acc": n}) for n, clip in enumerate([None, "none", "0.1", 0.1])]), AskedRoles())
    assert "clip: what is none, and the text none, are one level" in found.guessed


def test_what_is_pooled_over_is_told():
    found = read(runs(*[({"lr": n % 2, "batch": n // 2}, {"acc": n}) for n in range(4)]), AskedRoles(group_by=("lr",)))
    assert "pooled over, since --group-by does not name them: batch" in found.guessed
