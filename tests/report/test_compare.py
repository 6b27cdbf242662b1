"""`reglab.runs` and `reglab.compare`: of reglab's runs and of any."""

import re
import subprocess
import sys

import pytest

import reglab
from reglab.errors import UserError
from reglab.tracking import turns
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import write_run
from tests.report.conftest import moved, sharing

CSV = "lr,seed,acc\n" + "".join(f"{lr},{seed},{0.5 + 2 * lr + seed / 1000}\n" for lr in (0.01, 0.1) for seed in range(3))


@pytest.fixture
def ours(make_record, tmp_path):
    """Three seeds of two rates at two decays; the larger rate is better by five points."""
    for lr in (0.001, 0.01):
        for decay in (0.0, 0.1):
            for seed in (0, 1, 2):
                record = make_record(
                    seed=seed,
                    test=0.8 + 0.05 * (lr == 0.01) + 0.003 * seed + 0.002 * (seed == 1) * (lr == 0.01),
                    seconds=100 * (1 + (decay > 0)) + seed,
                    config={"optimizer": {"name": "adamw", "lr": lr, "weight_decay": decay}},
                    sweep="mine",
                )
                write_run(tmp_path / "runs" / "mine" / record.run_id, record)
    return reglab.runs(tmp_path / "runs" / "mine")


@pytest.fixture
def theirs(tmp_path):
    (tmp_path / "theirs.csv").write_text(CSV)
    return reglab.runs(tmp_path / "theirs.csv")


def test_one_level_is_compared_with_another_over_all_else(ours):
    found = reglab.compare(ours, {"optimizer.lr": 0.01}, "lr=0.001")
    assert found.estimate == pytest.approx(5.07, abs=0.01)
    assert (found.unit, found.n, found.verdict, found.on) == ("points", 3, "a is better", "test/accuracy")
    whole = reglab.compare(ours, "lr 0.01 · weight decay 0", "lr 0.001 · weight decay 0")
    assert (whole.n, whole.verdict) == (3, "a is better")
    assert str(whole).startswith(
        "test/accuracy, lr 0.01 · weight decay 0 against lr 0.001 · weight decay 0: +5.1 points (+4.9 to +5.2), n = 3 seeds"
    )


@pytest.mark.parametrize(("value", "word"), [(None, "none"), (True, "true")])
def test_what_is_nothing_is_not_taken_for_a_text_that_says_so(make_record, tmp_path, value, word):
    for depth, test in ((value, 0.5), (word, 0.9), ("other", 0.7)):
        for seed in range(3):
            config = {"model": {"name": "package.module:network", "options": {"kind": depth}}}
            record = make_record(seed=seed, test=test + seed / 1000, config=config, sweep="mine")
            write_run(tmp_path / "runs" / "mine" / record.run_id, record)
    with pytest.raises(UserError, match=f"kind {word} is said of several arms that no setting of these runs tells apart"):
        reglab.compare(reglab.runs(tmp_path / "runs" / "mine"), f"kind={word}", "kind=other")


def test_less_time_is_better(ours):
    found = reglab.compare(ours, "weight_decay=0.1 lr=0.01", "weight_decay=0 lr=0.01", on="time/train_seconds")
    assert found.estimate == pytest.approx(2, abs=0.02)
    assert (found.unit, found.verdict) == ("times", "b is better")


@pytest.mark.parametrize(
    ("change", "on", "why"),
    [
        (
            lambda record: sharing(record, 0.5),
            "time/train_seconds",
            "6 shared their cores or GPU with others: such times decide nothing, and `reglab study time` would tell",
        ),
        (
            moved,
            "time_to_target/seconds",
            "6 went on elsewhere than they began: such times decide nothing",
        ),
        (
            lambda record: record.changed(summary=record.summary.model_copy(update={"time_to_target_reached": record.seed > 0})),
            "time_to_target/seconds",
            "2 never came to the target: a ratio of the others decides nothing",
        ),
    ],
)
def test_times_that_decide_nothing_make_none_better(ours, tmp_path, change, on, why):
    for record in ours.records:
        write_run(tmp_path / "runs" / "changed" / record.run_id, change(record).model_copy(update={"sweep": "changed"}))
    one, other = "weight_decay=0.1 lr=0.01", "weight_decay=0 lr=0.01"
    found = reglab.compare(reglab.runs(tmp_path / "runs" / "changed"), one, other, on=on)
    assert (found.verdict, found.why) == ("undecided", why)
    assert str(found).endswith(f"undecided ({why})") and why in found._repr_html_()


def test_within_a_margin_they_are_alike(ours):
    one, other = "weight_decay=0.1 lr=0.01", "weight_decay=0 lr=0.01"
    assert reglab.compare(ours, one, other, margin=1).verdict == "alike"
    assert reglab.compare(ours, "lr 0.01 · weight decay 0", "lr 0.001 · weight decay 0", margin=6).verdict == "alike"


@pytest.mark.parametrize(
    ("a", "b", "on", "said"),
    [
        ("lr=0.01", "lr=0.01", None, "the two settings may be one run's"),
        ("lr=0.01", "weight_decay=0", None, "the two settings may be one run's"),
        ("lr=0.01 lr=0.1", "lr=0.001", None, "^lr=0.01 lr=0.1: it has a key twice"),
        ("lr=5", "lr=0.01", None, "lr is 5 in no run; there are 0.001, 0.01"),
        ("width=5", "lr=0.01", None, "width does not differ among these runs"),
        ("best", "lr=0.01", None, "best: no arm is called so"),
        ("lr=0.01 weight_decay=0.1", "lr=0.001", None, "^lr 0.001 is said of 2 arms that differ in weight_decay: say its level, too$"),
        ("lr=0.001", "lr 0.01 · weight decay 0", None, "^lr 0.001 is said of 2 arms that differ in weight_decay: say its level, too$"),
        ("lr=0.01", "lr=0.001", "acc", "on=acc: no run is told by that"),
        ("lr=0.01", "lr=0.001", "val/accuracy", "^val/accuracy: none of the 12 finished runs has a value of it$"),
        ("lr 0.01 · weight decay 0", "lr=0.001 weight_decay=0.1", "gap", None),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(ours, a, b, on, said):
    if said is None:
        assert reglab.compare(ours, a, b, on).n == 3
        return
    with pytest.raises(UserError, match=said):
        reglab.compare(ours, a, b, on)


def test_runs_of_a_technique_that_is_not_installed_are_named_and_not_said_to_differ_in_nothing(make_record, tmp_path, caplog):
    for rate in (0.01, 0.001):
        record = make_record(config={"optimizer": {"lr": rate}})
        record = record.changed(config=record.config | {"haze": {"level": 40}})
        write_run(tmp_path / "runs" / "hazy" / record.run_id, record)
    runs = reglab.runs(tmp_path / "runs")
    said = "2 runs have configurations that are not of this installation (unknown key haze), so nothing is compared by their settings"
    assert [line.startswith(said) for line in runs.said] == [True]
    with pytest.raises(UserError, match=re.escape(said)):
        reglab.compare(runs, "lr=0.01", "lr=0.001")


def test_runs_of_any_program_are_compared_in_their_own_numbers(theirs):
    assert theirs.roles.metric == "acc"
    found = reglab.compare(theirs, "lr=0.1", {"lr": 0.01})
    assert found.estimate == pytest.approx(0.18)
    assert (found.n, found.over, found.unit) == (3, "seeds", "")
    assert reglab.compare(theirs, "lr 0.1", "lr 0.01", on="acc").estimate == pytest.approx(0.18)
    with pytest.raises(UserError, match="these runs are told by acc"):
        reglab.compare(theirs, "lr=0.1", "lr=0.01", on="loss")
    with pytest.raises(UserError, match="lr is 7 in no run"):
        reglab.compare(theirs, "lr=7", "lr=0.01")


@pytest.mark.parametrize("ended", ["0.9,diverged", "nan,finished"])
def test_runs_of_any_program_that_diverged_are_left_out_and_that_is_said(tmp_path, ended):
    rows = [f"{row},finished" for row in CSV.splitlines()[1:-1]]
    (tmp_path / "some.csv").write_text("\n".join(["lr,seed,acc,state", *rows, f"0.1,2,{ended}"]) + "\n")
    found = reglab.compare(reglab.runs(tmp_path / "some.csv"), "lr=0.1", "lr=0.01")
    assert (found.n, found.left_out) == (2, 1)
    assert str(found).endswith("; left out: 1 that diverged or finished without a number in acc")
    assert "<td>1 that diverged or finished without a number in acc</td>" in found._repr_html_()


def test_results_show_themselves_in_a_notebook(ours, theirs):
    for each in (ours, theirs, reglab.compare(ours, "lr=0.01", "lr=0.001"), reglab.compare(theirs, "lr=0.1", "lr=0.01")):
        shown = each._repr_html_()
        assert "<table" in shown
    assert "metric: acc, by its name" in theirs._repr_html_()


def test_a_frame_has_a_row_for_each_run(ours, theirs):
    assert len(ours.frame()) == len(ours) == 12
    assert {"lr", "weight_decay", "seed", "test/accuracy"} <= set(ours.frame().columns)
    assert {"lr", "seed", "acc", "arm"} <= set(theirs.frame().columns)


def test_a_report_is_built_of_them(ours, theirs, tmp_path):
    assert reglab.build_report(ours, tmp_path / "mine").page.exists()
    built = reglab.build_report(theirs, tmp_path / "theirs")
    assert "href" in built._repr_html_()
    again = reglab.build_report(tmp_path / "theirs", tmp_path / "theirs")  # from itself, with the same roles
    assert (tmp_path / "theirs" / "arms.md").read_text().count("lr 0.1") == 1
    assert again.page == built.page
    with pytest.raises(UserError, match="these runs are of another program"):
        reglab.build_report(theirs, tmp_path / "x", study="four_regularizers")
    with pytest.raises(UserError, match="holds runs of reglab, whose metric"):
        reglab.runs(tmp_path / "runs" / "mine", metric="acc")


# The package itself.


def in_a_process_of_its_own(code):
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_more():
    loaded = (
        "import sys, reglab; print(sorted(m for m in sys.modules if m.split('.')[0] in ('pydantic', 'pandas', 'torch', 'wandb', 'numpy')))"
    )
    assert in_a_process_of_its_own(loaded) == "[]"


def test_runs_and_reports_need_no_torch():
    loaded = "import sys, reglab; reglab.runs, reglab.compare, reglab.build_report, reglab.RunConfig; print('torch' in sys.modules)"
    assert in_a_process_of_its_own(loaded) == "False"


def test_each_public_name_is_there_and_type_checkers_know_the_same():
    from pathlib import Path

    stub = Path(reglab.__file__).with_name("__init__.pyi").read_text()
    for name in reglab.__all__:
        assert getattr(reglab, name) is not None
        assert name in dir(reglab)
        assert f"as {name}\n" in stub or f"{name}: str" in stub
    assert stub.count("import") == len(reglab.__all__) - 1
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = reglab.nothing


def started(seed, lr, number):
    """The record that a sweep of another program leaves of one of its runs."""
    return RunRecord(
        run_id=f"r{number}",
        sweep="theirs",
        label=f"lr {lr}",
        identity=f"{number}",
        seed=seed,
        state=State.finished,
        config={"optimizer": {"lr": lr}, "seed": seed},
        program="python train.py",
        logged={"acc": 0.5 + 2 * lr + seed / 1000, "_runtime": 12.5},
        rows=[{"acc": 0.1}],
    )


def test_runs_that_a_sweep_of_another_program_left_are_reported_as_any(tmp_path, make_record, caplog):
    folder = tmp_path / "runs" / "theirs"
    for number, (lr, seed) in enumerate((lr, seed) for lr in (0.01, 0.1) for seed in range(3)):
        write_run(folder / f"r{number}", started(seed, lr, number))
    found = reglab.runs(folder, metric="acc")
    assert {(run.program, run.seconds) for run in found} == {("python train.py", 12.5)}
    assert reglab.compare(found, "optimizer.lr=0.1", "optimizer.lr=0.01", on="acc").estimate == pytest.approx(0.18)
    page = reglab.build_report(found, tmp_path / "report").page.read_text(encoding="utf-8")
    assert "acc" in page and "seed" in page
    ours = make_record(sweep="z")
    write_run(tmp_path / "runs" / "z" / ours.run_id, ours)  # behind the others, and not lost
    assert [run.run_id for run in reglab.runs(tmp_path / "runs")] == [ours.run_id]
    assert "left out: 6 runs of another program, such as `python train.py`" in caplog.text


def test_training_times_are_compared_by_turns_where_arms_took_some(ours, make_turns, tmp_path):
    rates = [
        make_turns({"optimizer": {"name": "adamw", "weight_decay": decay, "lr": lr}}, [many * noise for noise in (1.0, 1.02, 0.99)])
        for decay in (0.0, 0.1)
        for lr, many in ((0.001, 1.0), (0.01, 3.0))
    ]
    turns.write(tmp_path / "runs" / "mine", rates)
    timed = reglab.runs(tmp_path / "runs" / "mine")
    found = reglab.compare(timed, "lr=0.01", "lr=0.001", on="time/train_seconds")
    assert (found.estimate, found.n, found.over, found.verdict) == (pytest.approx(3), 3, "rounds", "b is better")
    assert reglab.compare(timed, "lr=0.01", "lr=0.001").over == "seeds"  # accuracies are those of the runs


def test_turns_may_come_from_another_place_than_the_runs(ours, make_turns, tmp_path):
    turns.write(tmp_path / "runs", took := [make_turns()])
    (tmp_path / "elsewhere").mkdir()
    turns.write(tmp_path / "elsewhere", [*took, make_turns(session=1)])
    both = reglab.runs([tmp_path / "runs" / "mine", tmp_path / "elsewhere", tmp_path / "runs"])
    assert (len(both), [each.session.day for each in both.took]) == (12, [1, 2])  # one that is there twice counts once
    assert len(reglab.runs(tmp_path / "elsewhere")) == 0
    (tmp_path / "elsewhere" / turns.TURNS).unlink()
    with pytest.raises(UserError, match="elsewhere"):
        reglab.runs(tmp_path / "elsewhere")
