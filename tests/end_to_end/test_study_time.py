"""`reglab study time`, and the report that judges claims by it."""

import pandas as pd
import pytest

from reglab.running import turns as running
from reglab.tracking import results, turns

TINY = ("data.train_limit=64", "data.test_limit=64", "model.width=4")

STUDY = """
title: Do layers take time?
sweeps: [layers.yaml]
factors: {layers: batchnorm.layers}
questions: [{name: layers, x: layers}]
claims:
  - text: Three layers take longer than none.
    ratio: {of: time/train_seconds, between: {layers: 3}, and: {layers: 0}, at_least: 1}
  - text: And are better.
    difference: {of: test/accuracy, between: {layers: 3}, and: {layers: 0}, at_least: 0}
"""

SWEEP = """
method: grid
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}}}
  batchnorm: {parameters: {layers: {values: [0, 1, 3]}}}
  train: {parameters: {epochs: {value: 1}, batch_size: {value: 32}, seed: {values: [0]}}}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.yaml").write_text(SWEEP)
    (tmp_path / "study.yaml").write_text(STUDY)
    return "study.yaml"


def test_the_arms_of_claims_on_time_take_turns_and_the_report_tells_of_them(reglab, study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(results, "QUIET", 0.0)  # other tests run beside it
    assert reglab("study", "time", study, *TINY, "--rounds", 2, "--images", 32) == 0
    said = capsys.readouterr()
    assert "2 arms take 2 turns each" in said.err  # one layer is in no claim on time
    assert "training time, layers 3 against layers 0" in " ".join(said.out.split())
    took = turns.read(tmp_path / "runs" / "study")
    assert [(len(each.seconds), each.images) for each in took] == [(2, 32)] * 2

    assert reglab("study", "run", study, *TINY, "--workers", 1) == 0
    assert reglab("study", "time", study, *TINY, "--rounds", 2, "--images", 32, "--only", "layers") == 0
    assert len(turns.read(tmp_path / "runs" / "study")) == 5  # the two of before, and three
    assert reglab("study", "report", study) == 0
    report = tmp_path / "reports" / "study"
    assert pd.read_csv(report / "epoch_seconds.csv")["rounds"].tolist() == [2, 2, 2]
    assert "2 turns of later sessions" not in (page := (report / "index.html").read_text()) and "4 turns of later sessions" in page
    assert turns.read(report) == turns.read(tmp_path / "runs" / "study")
    capsys.readouterr()
    assert reglab("report", "check", report) == 0
    assert reglab("study", "time", study, *TINY, "--rounds", 2, "--images", 32) == 0
    assert reglab("report", "check", report) == 1
    assert "stale: arms took turns since, or other ones" in capsys.readouterr().out


def test_a_session_that_was_cut_off_makes_room_for_the_next(reglab, study, tmp_path, capsys, monkeypatch):
    words = ("study", "time", study, *TINY, "--images", 32)
    assert reglab(*words, "--rounds", 2) == 0
    (tmp_path / "runs" / "study" / turns.TURNS).rename(tmp_path / "whole")
    took, turn = [], running._turn

    def until_the_third_round(*asked):
        if len(took) == 2 * 2 + 1:
            raise KeyboardInterrupt
        took.append(asked)
        return turn(*asked)

    monkeypatch.setattr(running, "_turn", until_the_third_round)
    assert reglab(*words, "--rounds", 3) != 0
    cut_off = turns.read(tmp_path / "runs" / "study")
    assert [(len(each.seconds), each.is_whole) for each in cut_off] == [(2, False)] * 2
    monkeypatch.setattr(running, "_turn", turn)
    whole = (tmp_path / "whole").read_text()
    with (tmp_path / "runs" / "study" / turns.TURNS).open("a") as file:
        file.write(whole)
    capsys.readouterr()
    assert reglab(*words, "--rounds", 2) == 0
    assert "a session that was cut off is left behind" in capsys.readouterr().err
    found = turns.read(tmp_path / "runs" / "study")
    assert [each.is_whole for each in found] == [True] * 4 and not {each.session for each in cut_off} & {each.session for each in found}


def test_turns_beside_other_work_tell_nothing_and_it_is_said(reglab, study, capsys, monkeypatch):
    monkeypatch.setattr(results, "QUIET", 2.0)
    assert reglab("study", "time", study, *TINY, "--rounds", 2, "--images", 32) == 0
    said = capsys.readouterr()
    assert "all turns (4) shared their cores with others" in said.err and not said.out


def test_what_claims_were_is_written_down_before_they_are_timed(reglab, study, tmp_path, capsys):
    assert reglab("study", "time", study, *TINY, "--rounds", 2, "--images", 32) == 0
    assert "study.lock keeps the study file as it is now" in capsys.readouterr().err
    (tmp_path / "study.yaml").write_text(STUDY.replace("at_least: 1}", "at_least: 2}"))
    assert reglab("study", "run", study, *TINY, "--workers", 1) == 0
    assert reglab("study", "report", study) == 0
    page = (tmp_path / "reports" / "study" / "index.html").read_text()
    assert "The study file has changed since (" in page


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("ratio: {of: time/train_seconds", "difference: {of: gap"), "study.yaml: it claims nothing of times"),
        (("layers.yaml", "other.yaml"), "other.yaml"),
    ],
)
def test_what_cannot_be_timed_is_told_in_a_line(reglab, study, tmp_path, capsys, change, why):
    (tmp_path / "study.yaml").write_text(STUDY.replace(*change))
    assert reglab("study", "time", study) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
