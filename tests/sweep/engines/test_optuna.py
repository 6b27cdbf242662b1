import os
import signal

import pytest

from reglab.errors import ReglabError, UserError
from reglab.sweep import engines
from reglab.tracking.record import State


def nested(**sections):
    return {name: {"parameters": keys} for name, keys in sections.items()}


KEYS = {
    "method": "custom",
    "scheduler": {"engine": "optuna"},
    "metric": {"name": "val/accuracy", "goal": "maximize"},
    "parameters": nested(
        dropout={"layers": {"value": 1}, "p1": {"min": 0.1, "max": 0.8}},
        data={"validation": {"value": 10}},
        train={"epochs": {"value": 3}},
    ),
}

STUDIES = """
import optuna

def seeded(sweep):
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))

def grid(sweep):
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.GridSampler({"dropout.p1": [0.1, 0.2, 0.3]}))

def until_three(sweep):
    return optuna.create_study(direction="maximize"), lambda study: len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) >= 3

def pruned(sweep):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1), pruner=pruner)

def broken(sweep):
    print("what it prints is no answer")
    raise ValueError("no such study")

def minimized(sweep):
    return optuna.create_study()

def space(trial):
    print("what it prints is no answer")
    layers = trial.suggest_int("dropout.layers", 0, 1)
    dropout = {"layers": layers} | ({"p1": trial.suggest_float("dropout.p1", 0.1, 0.8)} if layers else {})
    return {"dropout": dropout, "data": {"validation": 10}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies.py").write_text(STUDIES)


def of_user(optimizer=None, search_space=None):
    named = {key: value for key, value in {"optimizer": optimizer, "search_space": search_space}.items() if value}
    return KEYS | {"scheduler": {"engine": "optuna", "source": "studies.py"} | named}


def searched(made, record, reached=lambda values: 0.9 - (values["dropout"]["p1"] - 0.3) ** 2):
    """All that it draws, each told before the next."""
    for number, values in enumerate(made.rest(), start=len(made.trials)):
        made.tell(number, record(f"r{number}", accuracies=[0.1, reached(values)], summary=reached(values)))
    return [trial.values for trial in made.trials]


def gone_on(engine, trials, **keys):
    made = engine([trial.values for trial in trials], **keys)
    for number, trial in enumerate(trials):
        made.tell(number, trial.record)
    return made


@pytest.mark.slow
def test_it_draws_where_the_file_says_and_goes_on_from_its_records_as_if_it_had_never_stopped(engine, record):
    made = engine(run_cap=14, **KEYS)
    drawn = searched(made, record)
    assert len(drawn) == 14
    assert all(0.1 <= values["dropout"]["p1"] <= 0.8 and values["train"] == {"epochs": 3} for values in drawn)
    assert made.exhausted
    again = gone_on(engine, made.trials[:12], run_cap=14, **KEYS)
    assert [again.ask(), again.ask() and None] == [drawn[12], None]


@pytest.mark.slow
def test_it_goes_where_earlier_results_were_better(engine, record):
    found = [abs(values["dropout"]["p1"] - 0.3) for values in searched(engine(run_cap=30, **KEYS), record)]
    assert sum(found[-10:]) < sum(found[:10])


@pytest.mark.slow
def test_a_grid_of_the_user_s_ends_by_itself_and_goes_on_where_it_was(engine, record):
    keys = of_user("grid")
    made = engine(**keys)
    drawn = searched(made, record)
    assert sorted(values["dropout"]["p1"] for values in drawn) == [0.1, 0.2, 0.3]
    assert made.exhausted
    again = gone_on(engine, made.trials[:2], **keys)
    assert not again.exhausted
    rest = searched(again, record)[2:]
    assert sorted([*rest, *drawn[:2]], key=str) == sorted(drawn, key=str)


@pytest.mark.slow
def test_a_seeded_study_of_the_user_s_does_not_repeat_itself_when_it_goes_on(engine, record):
    drawn = searched(engine(run_cap=6, **of_user("seeded")), record)
    whole = engine(run_cap=6, **of_user("seeded"))
    searched(whole, record)
    again = gone_on(engine, whole.trials[:3], run_cap=6, **of_user("seeded"))
    assert searched(again, record) == drawn


@pytest.mark.slow
def test_a_terminator_ends_the_search_before_its_cap(engine, record):
    made = engine(run_cap=20, **of_user("until_three"))
    assert len(searched(made, record)) == 3
    assert made.exhausted


@pytest.mark.slow
def test_a_run_that_is_behind_is_pruned_as_the_study_says_and_stays_so(engine, record):
    made = engine(run_cap=4, **of_user("pruned"))
    made.ask(), made.ask()
    made.tell(0, record("good", accuracies=[0.8, 0.9], summary=0.9))
    made.tell(1, record("bad", State.running, accuracies=[0.2, 0.2]))
    assert made.prune() == {"bad"}
    made.tell(1, record("bad", State.stopped, accuracies=[0.2, 0.2], summary=0.2))
    assert made.prune() == set()
    again = gone_on(engine, made.trials, run_cap=4, **of_user("pruned"))
    assert again.ask() is not None
    going = gone_on(engine, made.trials[:1], run_cap=4, **of_user("pruned"))
    going.ask()
    going.tell(1, record("worse", State.running, accuracies=[0.1]))
    assert going.prune() == {"worse"}


@pytest.mark.slow
def test_a_space_of_the_user_s_is_searched_and_told_of_earlier_runs(engine, record):
    keys = {key: value for key, value in of_user(search_space="space").items() if key != "parameters"}
    made = engine(run_cap=8, **keys)
    drawn = searched(made, record, reached=lambda values: 0.5 + 0.1 * values["dropout"]["layers"])
    assert {values["dropout"]["layers"] for values in drawn} == {0, 1}
    assert all(("p1" in values["dropout"]) == bool(values["dropout"]["layers"]) for values in drawn)
    again = gone_on(engine, made.trials[:7], run_cap=8, **keys)
    assert again.ask() == drawn[7]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"optimizer": "broken"}, r"studies.py, line 19: no such study"),
        ({"optimizer": "nowhere"}, r"studies.py has no attribute 'nowhere'"),
        ({"optimizer": "minimized"}, r"Study direction 'minimize' does not match the sweep metric goal 'maximize'"),
    ],
)
def test_what_the_user_wrote_and_does_not_do_is_said_in_a_line(engine, named, said):
    with pytest.raises(UserError, match=rf"^scheduler.engine = optuna: {said}") as caught:
        engine(run_cap=3, **of_user(**named)).ask()
    assert "\n" not in str(caught.value)


def test_a_source_that_is_not_in_the_folder_is_said_before_anything_begins(engine, tmp_path):
    (tmp_path / "studies.py").unlink()
    with pytest.raises(UserError, match=r"scheduler.source = studies.py: is not in this folder, where W&B's scheduler looks for it, too"):
        engine(run_cap=3, **of_user("seeded"))


@pytest.mark.slow
def test_a_process_that_is_killed_is_started_again_and_told_all(engine, record):
    made = engine(run_cap=14, **KEYS)
    drawn = searched(made, record)
    again = gone_on(engine, made.trials[:12], run_cap=14, **KEYS)
    assert again.ask() == drawn[12]
    child = again._process._child
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    again.tell(12, made.trials[12].record)
    assert again.ask() == drawn[13]


def test_a_process_that_dies_over_each_question_is_the_machine_s_fault_and_said(engine, monkeypatch):
    monkeypatch.setattr("reglab.sweep.engines.process.sys.executable", "/bin/false")
    with pytest.raises(ReglabError, match=r"scheduler.engine = optuna: the process that searches died \(exit code 1\)"):
        engine(run_cap=3, **KEYS).ask()


def test_ax_runs_with_w_and_b_only():
    config = KEYS | {"scheduler": {"engine": "ax"}}
    with pytest.raises(UserError, match=r"^scheduler.engine = ax: runs with W&B's server only; offline there are method grid, random and"):
        engines.of(config)


@pytest.mark.slow
def test_what_another_program_logged_is_told_as_ours_is(engine, record):
    """By the pruner's verdict, which needs every step, and by where the search goes, which needs the end."""
    made = engine(run_cap=4, **of_user("pruned"))
    made.ask(), made.ask()
    for number, (state, values) in enumerate([(State.finished, [0.8, 0.9]), (State.running, [0.2, 0.2])]):
        rows = [{"val/accuracy": value} for value in values]
        of_a_program = record(str(number), state).model_copy(update={"program": "python x.py", "rows": rows, "logged": rows[-1]})
        made.tell(number, of_a_program)
    assert made.prune() == {"1"}
