import pytest

from reglab.errors import UserError
from reglab.sweep import assignment
from reglab.sweep.assignment import Assignment, hand_over, received
from reglab.sweep.program import Program

VALUES = {
    "arm": None,
    "data": {"source": "digits", "train_limit": None},
    "dropout": {"layers": 3, "p1": 0.1, "p2": 1e-05, "p3": 0.0},
    "agc": {"enabled": True, "clip": 1e22},
    "model": {"stem": "off", "init": "1e-3"},
    "train": {"epochs": 200, "seed": 0},
}


@pytest.fixture
def handed(monkeypatch, tmp_path):
    """Hands values over to this very process; returns the file."""

    def give(values, folder=tmp_path / "run"):
        for name, value in hand_over("final", "a-s0", values, folder).items():
            monkeypatch.setenv(name, value)
        return folder / "parameters.yaml"

    return give


def typed(values):
    return {key: typed(value) if isinstance(value, dict) else (type(value), value) for key, value in values.items()}


def test_values_arrive_with_their_types_and_nesting(handed):
    handed(VALUES)
    found = received()
    assert found == Assignment("final", "a-s0", VALUES)
    assert typed(found.values) == typed(VALUES)


def test_the_file_is_found_from_another_folder(handed, monkeypatch, tmp_path):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    handed(VALUES, Path("relative"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert received().values == VALUES


def test_the_file_is_what_wandbs_client_reads(handed):
    import yaml

    stored = yaml.safe_load(handed(VALUES).read_text())
    assert stored.pop("wandb_version") == 1
    assert stored == {key: {"value": value} for key, value in VALUES.items()}


def test_without_an_agent_there_is_no_assignment():
    assert received() is None


def test_an_agent_may_name_neither_sweep_nor_run(handed, monkeypatch):
    handed(VALUES)
    monkeypatch.delenv("WANDB_SWEEP_ID")
    monkeypatch.delenv("WANDB_RUN_ID")
    found = received()
    assert found.run_id is None
    assert found.sweep == "sweep"


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "a list": lambda path: path.write_text("- a\n"),
    "not YAML": lambda path: path.write_text("a: [\n"),
    "no value": lambda path: path.write_text("wandb_version: 1\ntrain: {desc: x}\n"),
    "a bare value": lambda path: path.write_text("wandb_version: 1\ntrain: 3\n"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\x80\x00"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_told_in_one_line(handed, damage):
    path = handed(VALUES)
    damage(path)
    with pytest.raises(UserError) as caught:
        received()
    line = str(caught.value)
    assert line.startswith(f"{assignment._PARAMETERS} = {path}: ")
    assert "\n" not in line


@pytest.mark.parametrize("variable", ["WANDB_SWEEP_ID", "WANDB_RUN_ID"])
@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "", "a/b", "a" * 300, "\x1b[2J"])
def test_a_run_or_a_sweep_whose_name_is_a_path_is_refused(handed, monkeypatch, variable, name):
    handed(VALUES)
    monkeypatch.setenv(variable, name)
    with pytest.raises(UserError, match=rf"^{variable} = ") as caught:
        received()
    assert len(str(caught.value)) < 300


def test_to_another_program_any_key_may_be_one_of_its_own(handed):
    values = {"label": "x", "environment": {"a": 1}, "created": 3}
    handed(values)
    assert received(Program(("x",), None, ())).values == values
    assert received().values == {}
