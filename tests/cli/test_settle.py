"""`reglab study run --until-settled` and `study plan --until-settled`, as far as they start nothing."""

import pytest

from reglab.report.studies.registration import LOCK, Lock, register
from reglab.report.studies.study_file import PUBLISHED, read
from tests.settling.conftest import STUDY, SWEEP


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Writes a study and its sweep into the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(text=STUDY):
        (tmp_path / "rates.yaml").write_text(SWEEP, encoding="utf-8")
        (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
        return "study.yaml"

    return write


def test_a_plan_says_what_it_takes_until_all_is_settled(reglab, study, capsys):
    assert reglab("study", "plan", study(), "--until-settled", "--effect", "10") == 0
    said = capsys.readouterr().out
    assert said.split("\n")[1].split() == ["at", "least", "12"]
    assert "8 seeds of all    32" in said
    assert said.rstrip().endswith("2 claims as if the arms that they compare differed by 10 standard deviations of a seed")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--budget", "10"), "--most-seeds, --budget and --price bound --until-settled"),
        (("--until-settled", "--budget", "10"), "--budget 10: give the --price of an hour, too"),
        (("--until-settled", "--most-seeds", "2"), "--most-seeds 2: the first look of study.yaml is at 3 seeds"),
        (("--until-settled", "--only", "rates"), "--only rates: with --until-settled the claims of the study say what runs"),
    ],
)
def test_bounds_that_bound_nothing_are_refused(reglab, study, words, said, capsys):
    assert reglab("study", "run", study(), *words) == 2
    assert said in capsys.readouterr().err


def test_a_study_that_claims_nothing_has_nothing_to_settle(reglab, study, capsys):
    assert reglab("study", "run", study(STUDY[: STUDY.index("claims:")]), "--until-settled") == 2
    assert "it claims nothing that could be settled; add `claims:`" in capsys.readouterr().err
    assert reglab("study", "run", study(STUDY.replace("0.001", "0.7")), "--until-settled") == 2
    assert "no grid among its sweeps has arms for any of its claims" in capsys.readouterr().err


def test_an_effect_is_of_a_plan_until_all_is_settled(reglab, study, capsys):
    assert reglab("study", "plan", study(), "--effect", "1") == 2
    assert "--effect 1: goes with --until-settled" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "time", "report"])
def test_a_study_file_called_study_and_the_published_one_do_not_share_a_folder(reglab, study, tmp_path, capsys, command):
    folder = tmp_path / "runs" / "study"
    register(folder, read(PUBLISHED))
    assert reglab("study", command, study()) == 2
    said = capsys.readouterr().err
    assert f"{folder} has the runs of the study {PUBLISHED}, as its {LOCK} says: give study.yaml a folder of its own with --name" in said
    (folder / LOCK).unlink()
    register(folder, read("study.yaml"))
    assert reglab("study", command) == 2
    assert f"has the runs of the study study, as its {LOCK} says: give {PUBLISHED} a folder" in capsys.readouterr().err
    assert len(Lock.read(folder).versions) == 1
    assert reglab("study", "plan", study(), "--until-settled") == 0
