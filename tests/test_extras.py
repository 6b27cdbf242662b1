"""What an installation without torch does, and what it says where it cannot."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import reglab as package
from reglab import extras
from reglab.errors import UserError
from tests.cli.test_app import COMMANDS
from tests.waiting import PATIENCE

ROOT = Path(package.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

CANNOT = [
    ["bench", "agc"],
    ["demo"],
    ["doctor"],
    ["evaluate", "runs/x"],
    ["study", "run", "--quick", "--only", "final"],
    ["study", "time", "--quick"],
    ["sweep", "plan", "--probe", "sweeps/final.yaml"],
    ["sweep", "run", "sweeps/final.yaml"],
    ["train", "arm=baseline"],
]
"""What trains: all of it says how to bring what it lacks."""

CAN = {
    ("agent", "entity/project/sweep"): (2, "W&B"),  # whose program may need no torch
    ("bench", "--list"): (0, "agc"),
    ("dashboard", "push"): (2, "`wandb login` sets the key"),
    ("init", "{out}"): (0, "files written"),
    ("judge", "batchnorm.layers=2 > batchnorm.layers=0 in test/accuracy", "--from", "{of_a_gpu}", "--ledger", "{out}/asked"): (
        0,
        "holds",
    ),
    ("report", "build", "--from", "{runs}", "--out", "{out}/report"): (0, "index.html"),
    ("report", "check", "{out}/report"): (0, "up to date"),
    ("report", "table", "final", "--from", "{out}/report", "--for", "markdown"): (0, "baseline"),
    ("report", "figure", "figure_11", "--from", "{out}/report", "--out", "{out}/11.pdf", "--width", "500pt"): (0, "11.pdf"),
    ("study", "plan"): (2, "no finished run"),
    ("study", "report", "--from", "{runs}", "--out", "{out}/study"): (0, "index.html"),
    ("sweep", "check", "sweeps/final.yaml"): (0, "grid"),
    ("sweep", "create", "sweeps/final.yaml"): (2, "W&B"),
    ("sweep", "schedule", "entity/project/sweep"): (2, "W&B"),
    ("sweep", "makeup", "sweeps/final.yaml", "--out", "{out}/rest.yaml"): (0, "18 runs"),
    ("sweep", "plan", "sweeps/final.yaml", "--from", "{of_a_gpu}"): (0, "GPU-hours"),
    ("sweep", "status", "sweeps/final.yaml"): (1, "18 missing"),
    ("sync", "{runs}"): (2, "holds no run"),
    ("train", "--print-config"): (0, "optimizer:"),
}
"""What does its work without torch: its exit code, and part of what it says. They run in this order."""

WITHOUT = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder

hidden, find = json.loads(sys.argv[1]), PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: None if name.partition(".")[0] in hidden else find(name, path, target)
from reglab.cli import app

said = []
for words in json.loads(sys.argv[2]):
    sys.argv = ["reglab", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            app.main()
        except SystemExit as end:
            said.append([end.code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(said))
"""
"""Runs commands, one after the other, in a process that finds none of some modules."""


@pytest.fixture
def without_torch(tmp_path):
    """Runs commands where the modules that train are not there; gives (exit code, standard output, standard error) for each."""

    def run(*commands):
        reports = ROOT / "reports"
        names = {"runs": reports / "cifar10_jpeg_cpu", "of_a_gpu": reports / "cifar10_jpeg_h200", "out": tmp_path / "out"}
        filled = [[word.format(**names) for word in words] for words in commands]
        hidden = [*extras.TRAINING, "triton"]
        command = [sys.executable, "-c", WITHOUT, json.dumps(hidden), json.dumps(filled)]
        there = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, check=False, cwd=ROOT, env=there, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_every_command_is_tried_without_torch():
    named = {" ".join(words) for words in [*CANNOT, *CAN]}
    assert [command for command in COMMANDS if not any(f"{words} ".startswith(f"{command} ") for words in named)] == []


def test_what_trains_says_in_one_line_how_to_bring_what_it_lacks(without_torch):
    for words, (code, out, err) in zip(CANNOT, without_torch(*CANNOT), strict=True):
        lines = (out + err).splitlines()
        assert lines[-1].endswith("pip install 'reglab[train]'"), words
        assert "torch, torchvision, safetensors" in lines[-1], words
        if words != ["doctor"]:  # whose lines are its answer
            assert (code, len(lines)) == (2, 1), (words, lines)


@pytest.mark.slow
def test_all_else_works(without_torch):
    for words, (code, out, err) in zip(CAN, without_torch(*CAN), strict=True):
        assert (code, CAN[words][1] in out + err) == (CAN[words][0], True), (words, code, out, err)


def test_one_library_that_lacks_is_named_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(UserError, match=r"cannot train, it lacks safetensors: pip install 'reglab\[train\]'$"):
        extras.need_training()


# What is declared


BROUGHT = {"annotated-types": "pydantic", "pydantic-core": "pydantic", "markupsafe": "jinja2", "triton": "torch"}
"""What is imported and not declared, since a library whose interface it is part of brings it."""


def required(*names):
    """The distributions of the core, or of some extras."""
    lines = [line for name in names for line in (PROJECT["optional-dependencies"][name] if name else PROJECT["dependencies"])]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(path, brings):
    """The distributions whose modules a file imports, anywhere in it. `brings`: the distributions of each module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (isinstance(node, ast.ImportFrom) and not node.level) or isinstance(node, ast.Import):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"reglab", "benchmarks"}:
                yield canonicalize_name(brings.get(top, [top])[0])


def test_what_the_code_imports_is_declared_and_what_only_training_imports_is_in_its_extra():
    brings = packages_distributions()
    everywhere = {name for path in (ROOT / "reglab").rglob("*.py") for name in imported(path, brings)}
    assert everywhere - required(None, "train", "sweeps") == BROUGHT.keys()
    assert set(BROUGHT.values()) <= required(None, "train")
