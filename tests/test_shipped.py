"""What comes with reglab beside its code: one function finds it in a clone and in an installed package."""

import subprocess
from pathlib import Path

import pytest
import yaml

from reglab import shipped
from reglab.report.studies import study_file

ROOT = Path(shipped.__file__).parents[1]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as a wheel lays it out, with its sweeps inside and others beside it."""
    for folder, text in ((tmp_path / "reglab" / "_shipped" / "sweeps", "inside"), (tmp_path / "sweeps", "of another package")):
        folder.mkdir(parents=True)
        (folder / "one.yaml").write_text(text)
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "reglab")
    return tmp_path


def test_in_a_clone_they_lie_at_its_top():
    assert shipped.folder("sweeps") == ROOT / "sweeps"
    assert shipped.folder("cloud") == ROOT / "cloud"


def test_in_an_installed_package_they_lie_inside_and_nothing_beside_it_is_taken_for_them(installed):
    assert (shipped.folder("sweeps") / "one.yaml").read_text() == "inside"
    assert shipped.files() == {"sweeps/one.yaml": installed / "reglab" / "_shipped" / "sweeps" / "one.yaml"}


def test_what_users_run_and_edit_is_every_sweep_and_example_and_every_cloud_file_but_the_one_that_needs_a_clone():
    done = subprocess.run(["git", "ls-files", "sweeps", "docs/*.yaml", "cloud"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - shipped.files().keys() == {"cloud/gpu_check.sh"}


# reglab init


def test_init_puts_them_into_a_folder_where_they_run(reglab, tmp_path, capsys):
    assert reglab("init", tmp_path / "mine") == 0
    assert {path.relative_to(tmp_path / "mine").as_posix() for path in (tmp_path / "mine").rglob("*.*")} == shipped.files().keys()
    assert reglab("sweep", "check", tmp_path / "mine" / "sweeps" / "final.yaml") == 0
    for sweep in study_file.read(tmp_path / "mine" / "docs" / "decay.yaml").files:
        assert reglab("sweep", "check", sweep) == 0
    assert yaml.safe_load((tmp_path / "mine" / "cloud" / "skypilot.yaml").read_text())["name"] == "reglab-agent"


def test_init_again_leaves_what_was_edited_and_says_so(reglab, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reglab("init") == 0
    Path("sweeps/final.yaml").write_text("mine")
    Path("sweeps/agc.yaml").unlink()
    capsys.readouterr()
    assert reglab("init") == 0
    said = capsys.readouterr()
    assert said.out == f".: 1 files written in sweeps/, docs/ and cloud/; {len(shipped.files()) - 1} were there before\n"
    assert said.err == "sweeps/final.yaml differs from the one that comes with reglab, and stays as it is\n"
    assert Path("sweeps/final.yaml").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused_in_a_line(reglab, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert reglab("init", tmp_path / "file") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"reglab: {tmp_path}/file/sweeps/")
    assert line.endswith("name another folder, reglab init FOLDER")
