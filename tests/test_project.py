"""What the project says of itself: its versions, and what is published, and how."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import reglab

hatchling = pytest.importorskip("hatchling.metadata.core")
from hatchling.plugin.manager import PluginManager  # noqa: E402

ROOT = Path(reglab.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())


def metadata():
    """As the wheel will have it."""
    return hatchling.ProjectMetadata(str(ROOT), PluginManager()).core


def test_the_version_is_in_one_place():
    files = subprocess.run(["git", "ls-files", "*.toml", "*.py", "Makefile"], cwd=ROOT, capture_output=True, text=True, check=True)
    says = re.compile(rf"""^(__)?version(__)? = ["']{re.escape(reglab.__version__)}""", re.MULTILINE)
    assert [name for name in files.stdout.split() if says.search((ROOT / name).read_text())] == ["reglab/__init__.py"]


def test_every_python_that_is_named_is_tested():
    assert workflow("test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == PYTHONS


def test_the_wheel_names_the_repository_that_builds_it_and_no_other(monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert metadata().urls == {}
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/fork")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example")
    assert metadata().urls["Issues"] == "https://github.example/someone/fork/issues"
    assert metadata().urls["Changelog"].endswith(f"/blob/v{reglab.__version__}/CHANGELOG.md")


def test_a_release_is_tried_before_it_is_published_and_only_that_step_may_publish():
    release = workflow("release.yml")
    build, publish = release["jobs"]["build"], release["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert (release["permissions"], build.get("permissions"), publish["permissions"]) == ({"contents": "read"}, None, {"id-token": "write"})
    assert [step for step in publish["steps"] if step.get("uses", "").startswith("pypa/gh-action-pypi-publish@")]


def test_a_tag_that_names_another_version_publishes_nothing():
    steps = workflow("release.yml")["jobs"]["build"]["steps"]
    (check,) = [step["run"] for step in steps if step.get("name") == "the tag names the version"]
    words = check.replace("$(.venv/bin/python -c 'import reglab; print(reglab.__version__)')", reglab.__version__)
    for tag, code in ((f"v{reglab.__version__}", 0), ("v0.0.0", 1)):
        done = subprocess.run(["bash", "-c", words], check=False, env=os.environ | {"GITHUB_REF_NAME": tag}, timeout=60)
        assert done.returncode == code
