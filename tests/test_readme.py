"""The README's map is the territory."""

import ast
import re
import subprocess
import textwrap
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

import reglab
from reglab.cli.app import app
from reglab.config import RunConfig, with_overrides
from reglab.report.claims import planned
from reglab.report.studies import study_file
from reglab.settling.arms import arms_of, study_of
from reglab.sweep import spec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def block_after(heading):
    return re.search(rf"## {heading}\n(.*?)\n## ", README, re.DOTALL).group(1)


def indented(text):
    return [line for line in text.splitlines() if line.startswith("    ")]


def test_the_file_tree_names_what_is_in_the_package_and_nothing_else():
    named = {line.split()[0] for line in indented(block_after("File tree")) if line.startswith("      ")}
    there = {path.name + "/" * path.is_dir() for path in (ROOT / "reglab").iterdir() if not path.name.startswith("__")}
    assert named == there


def test_the_file_tree_names_the_folders_at_the_top():
    named = {line.split()[0].rstrip("/") for line in indented(block_after("File tree")) if not line.startswith("      ")}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert named == {path.split("/")[0] for path in tracked if "/" in path and not path.startswith(".")}


@pytest.mark.parametrize("line", [line.strip() for line in README.splitlines() if line.startswith("    reglab ")])
def test_every_command_shown_is_one_that_is_there(line):
    words = line.split("#")[0].split()[1:]
    command = get_command(app)
    while hasattr(command, "commands") and not words[0].startswith("--"):
        command = command.commands[words.pop(0)]
    options = {option for item in command.params for option in item.opts}
    assert {word for word in words if word.startswith("--")} <= options
    RunConfig.parse(with_overrides({}, [word for word in words if "=" in word]))


def test_the_readme_is_short():
    """The tree and the list of libraries aside; what is shown as a block is no prose."""
    text = README.split("## File tree")[0]
    prose = " ".join(line for line in text.splitlines() if not line.startswith(("    ", "![")))
    assert len(re.sub(r"\]\([^)]*\)", "]", prose).split()) <= 900


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == reglab.__version__
    assert PROJECT["license"].startswith(citation["license"])


def test_every_file_named_is_there():
    for path in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|yaml|md))`", README):
        assert (ROOT / path).exists() or (ROOT / "reglab" / path).exists(), path


def defined(path):
    """The names that a module defines at its top, and those of its classes' methods, as `Run.diverged_step`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        yield from (name for each in targets if (name := getattr(each, "id", getattr(each, "name", None))))
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))


def test_what_is_decided_where_is_so():
    """Each path of that table is there, and what is named behind a module (`path.py`: `one`, `other`) is defined in it."""
    table = README.split("What is decided where:")[1].split("\n## ")[0]
    places = re.findall(r"`([\w/]+(?:/|\.[\w.]+))`(?:: ((?:`[\w.]+`(?:, )?)+))?", table)
    assert len(places) > 15
    for path, names in places:
        place = ROOT / "reglab" / path
        assert place.exists() or path == "declared.py", path
        assert set(re.findall(r"`([\w.]+)`", names)) - {"declared.py"} - set(defined(place) if names else ()) == set(), path


def test_every_library_is_named_with_its_reason():
    dependencies = [
        re.match(r"[A-Za-z0-9-]+", line).group()
        for lines in (PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in ("dev", "docs")))
        for line in lines
    ]
    libraries = README.split("## Libraries, and why each is here")[1].lower()
    covered = {"types-pyyaml", "pandas-stubs", "pytest-xdist", "pytest-timeout"}  # as "stubs", and as pytest's own
    assert {name.lower() for name in dependencies} - covered - set(re.findall(r"[a-z0-9-]+", libraries)) == set()


def test_the_lock_holds_no_address_and_pins_with_hashes():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "\ntorch==" in lock
    pins = re.findall(r"^[a-z0-9].*$", lock, re.MULTILINE)
    assert all("==" in pin and pin.endswith("\\") for pin in pins)


def test_the_workflow_calls_make_test():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    steps = workflow["jobs"]["test"]["steps"]
    assert any(step.get("run", "").startswith("make test") for step in steps)


def test_ci_s_list_of_slow_tests_names_what_is_there_and_has_some():
    script = (ROOT / ".ci/run").read_text()
    named = re.findall(r"^  (tests/\S+)$", script, re.MULTILINE)
    assert named
    for path in map(ROOT.joinpath, named):
        files = path.rglob("test_*.py") if path.is_dir() else [path]
        assert any("mark.slow" in file.read_text() for file in files), path


def test_the_study_of_one_s_own_is_a_file_that_is_here_and_claims_what_its_sweep_has():
    shown = (ROOT / "docs" / "decay.yaml").read_text()
    for page in ("README.md", "docs/studies.md"):
        assert textwrap.indent(shown, "    ") in (ROOT / page).read_text(), page
    design = study_file.read(ROOT / "docs" / "decay.yaml")
    assert planned.in_vain(design, study_of(design, arms_of(map(spec.read, design.files)))) == []
