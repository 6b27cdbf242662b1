"""What arms took that took turns, on disk, and as runs."""

import json

import pytest

from reglab.errors import UserError
from reglab.report import stats
from reglab.report.claims import verdicts
from reglab.report.sections import in_turns
from reglab.report.studies.study import Study
from reglab.tracking import turns
from reglab.tracking.record import State
from tests.report.conftest import make_record as make_record
from tests.report.published import DESIGN

LAYERS = {"batchnorm": {"layers": 2}}


def test_they_are_read_as_they_were_written(make_turns, tmp_path):
    took = [make_turns(), make_turns(LAYERS, (2.0, 2.5), session=1)]
    turns.write(tmp_path, took)
    assert turns.read(tmp_path) == took


def test_where_none_were_taken_there_are_none(tmp_path):
    assert turns.read(tmp_path) == turns.read(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", ["{", "{}\n", '{"session": 1}\n', "\x00", "[]\n"])
def test_a_damaged_file_says_how_to_mend_it(tmp_path, text):
    (tmp_path / turns.TURNS).write_text(text)
    with pytest.raises(UserError, match=r"turns\.jsonl is damaged: remove it, and time the arms again"):
        turns.read(tmp_path)


@pytest.mark.parametrize("change", [{"seconds": []}, {"seconds": [1.0]}, {"seconds": [-1.0, 1.0, 1.0]}])
def test_turns_without_their_seconds_are_damage(make_turns, tmp_path, change):
    turns.write(tmp_path, [make_turns().model_copy(update=change)])
    with pytest.raises(UserError, match="damaged"):
        turns.read(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"session": "2026-01-01T00:00:00"},  # of which nobody knows whether it was before another
        {"identity": "../../elsewhere"},
        {"identity": "x" * 300},
        {"config": {"train": {"epochs": 10**30}}},
        {"environment": {}},
        {"images": -1},
        {"seconds": [1e300] * 3},
        {"cpu_shares": [1.0]},
    ],
)
def test_what_no_turn_can_be_is_damage(make_turns, tmp_path, change):
    told = json.loads(make_turns().model_dump_json()) | change
    (tmp_path / turns.TURNS).write_text(json.dumps(told) + "\n")
    with pytest.raises(UserError, match="damaged"):
        turns.read(tmp_path)


@pytest.mark.parametrize("change", [{"config": {"train": {"epochs": 0}}}, {"config": {"other": [1]}}, {"seconds": [0.0] * 3}])
def test_what_tells_nothing_breaks_no_report(make_turns, make_record, tmp_path, change):
    told = json.loads(make_turns().model_dump_json()) | change
    (tmp_path / turns.TURNS).write_text(json.dumps(told) + "\n")
    found = Study.of([make_record()], DESIGN, turns.as_runs(turns.read(tmp_path)))
    in_turns.extra(found)
    assert {each.verdict for each in verdicts.judge(found).each} <= {"undecided", "not tested"}


def test_each_is_a_run_that_tells_its_training_time_and_nothing_else(make_turns):
    took = make_turns(LAYERS | {"train": {"epochs": 7, "seed": 3}}, (2.0, 2.5), share=0.97)
    runs = turns.as_runs([took])
    assert [run.summary.time_train_seconds for run in runs] == [14.0, 17.5]
    assert {(run.state, run.summary.test_accuracy, run.summary.time_to_target_reached, run.summary.gap) for run in runs} == {
        (State.finished, None, False, None)
    }
    assert {stats.arm(run) for run in runs} == {took.identity}
    assert len({run.run_id for run in runs}) == 2 and all(map(stats.is_quiet, runs))
    assert not any(map(stats.is_quiet, turns.as_runs([make_turns(share=0.5)])))


def test_turns_of_one_round_have_one_seed_and_of_two_sessions_never(make_turns):
    first, second, later = turns.as_runs([make_turns()]), make_turns(LAYERS), make_turns(session=2)
    runs = turns.as_runs([later, make_turns(), second])
    seeds = {(run.identity, run.created): [] for run in runs}
    for run in runs:
        seeds[run.identity, run.created].append(run.seed)
    assert seeds[first[0].identity, first[0].created] == seeds[second.identity, second.session] == [0, 1, 2]
    assert set(seeds[later.identity, later.session]).isdisjoint([0, 1, 2])
    assert len({run.run_id for run in runs}) == len(runs)


def test_the_turns_of_an_earlier_version_are_those_of_the_arm_as_it_is_called_now(make_turns):
    before = make_turns(identity="an old one", identity_version=0)
    assert {run.identity for run in turns.as_runs([before])} == {make_turns().identity}


def test_turns_of_a_later_version_are_refused(make_turns):
    with pytest.raises(UserError, match="later reglab"):
        turns.as_runs([make_turns(identity_version=99)])
