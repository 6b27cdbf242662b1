"""The wheel, installed outside the clone: into an environment with exactly what its metadata asks for, and then with what trains.

Nothing is downloaded: the environment's libraries are those of this one, linked file by file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import reglab
from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(reglab.__file__).parents[1]
CORE_MB = 600
"""What the core may take on the disk, with all that it needs."""


def build(source, out, *targets):
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), *(word for target in targets for word in ("-t", target))]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=PATIENCE)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist, and nothing else."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "sdist", "wheel")
    return out


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def tracked(*folders):
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_wheel_has_all_of_the_package_and_what_comes_with_it_and_nothing_else(names):
    info = f"reglab-{reglab.__version__}.dist-info"
    meta = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    licences = {f"{info}/licenses/{name}" for name in ("LICENSE", "reglab/report/charts/fonts/OFL.txt")}
    assert names == tracked("reglab") | {f"reglab/_shipped/{name}" for name in tracked("sweeps", "docs/*.yaml", "cloud")} | meta | licences


def test_the_source_archive_builds_the_same_wheel(built, names, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        content.extractall(tmp_path, filter="data")
    build(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "dist", "wheel")
    (again,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(again) as content:
        assert set(content.namelist()) == names


def requirements(lines, extra=""):
    """Those of some lines of metadata that hold here."""
    return [found for found in map(Requirement, lines or []) if not found.marker or found.marker.evaluate({"extra": extra})]


def closure(wanted):
    """The distributions that some requirements ask for, with all that those ask for."""
    there, todo = {}, list(wanted)
    while todo:
        requirement = todo.pop()
        key = requirement.name.lower().replace("_", "-")
        if requirement.extras - there.get(key, (None, set()))[1] or key not in there:
            found = distribution(requirement.name)
            assert found.version in requirement.specifier, (requirement, found.version)
            there[key] = found, there.get(key, (None, set()))[1] | requirement.extras
            todo += [asked for extra in ("", *requirement.extras) for asked in requirements(found.requires, extra)]
    return [found for found, _ in there.values()]


def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"reglab-{reglab.__version__}.dist-info/METADATA").decode()
    return re.findall(r"^Requires-Dist: (.*)$", text.partition("\n\n")[0], re.MULTILINE)


def link(source, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except OSError:  # on another disk
        shutil.copy2(source, path)


class Environment:
    """A virtual environment with the wheel, in a folder of its own; `run` runs its `reglab` in an empty folder beside it."""

    def __init__(self, root, wheel):
        self.root, self.home = root / "environment", root / "home"
        self.home.mkdir()
        venv.create(self.root, with_pip=True)
        self.python = self.root / "bin" / "python"
        self.libraries = Path(self._ask("import sysconfig; print(sysconfig.get_path('purelib'))"))
        for found in closure(requirements(metadata(wheel))):
            for file in found.files:
                if ".." not in file.parts and (source := Path(found.locate_file(file))).exists():
                    link(source, self.libraries / file)
        self.pip("install", "--no-deps", "--no-index", str(wheel))

    def _ask(self, code):
        return subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True, cwd=self.home).stdout.strip()

    def pip(self, *words):
        command = [self.python, "-m", "pip", "--disable-pip-version-check", "--isolated", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.home).stdout

    @property
    def megabytes(self):
        return sum(path.stat().st_size for path in self.libraries.rglob("*") if path.is_file() and "pip" not in path.parts) / 1e6

    def run(self, *words):
        """Its exit code, and what it said."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REGLAB_RUNS", "VIRTUAL_ENV"))}
        done = subprocess.run(
            [self.root / "bin" / "reglab", *words],
            check=False,
            cwd=self.home,
            env=kept | {"HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=PATIENCE * 5,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("installed"), wheel)


def test_the_core_is_whole_small_and_without_torch(installed, record_property):
    assert installed.pip("check").strip() == "No broken requirements found."
    assert not (installed.libraries / "torch").exists()
    assert installed.megabytes < CORE_MB
    code, said = installed.run("--version")
    assert (code, said.split()) == (0, ["reglab", reglab.__version__])
    print(f"the core takes {installed.megabytes:.0f} MB")


def test_the_core_reads_checks_plans_and_reports(installed):
    report = ROOT / "reports" / "cifar10_jpeg_h200"
    for words, part in [
        (["init"], "files written"),
        (["sweep", "check", "sweeps/final.yaml"], "grid"),
        (["sweep", "plan", "sweeps/final.yaml", "--from", str(report)], "GPU-hours"),
        (["report", "build", "--from", str(report), "--out", "report"], "index.html"),
        (["report", "check", "report"], "up to date"),
    ]:
        code, said = installed.run(*words)
        assert (code, part in said) == (0, True), (words, said)
    for words in (["demo"], ["sweep", "run", "sweeps/final.yaml"]):
        code, said = installed.run(*words)
        assert code == 2
        assert said.strip().endswith("pip install 'reglab[train]'")


@pytest.fixture(scope="module")
def training(installed):
    """The same with what trains, which is too large to be linked: found behind its own libraries."""
    torch = Path(distribution("torch").locate_file(""))
    (installed.libraries / "training.pth").write_text(f"{torch}\n")
    yield installed
    (installed.libraries / "training.pth").unlink()


def test_a_sweep_of_the_study_runs_from_the_wheel(training):
    code, said = training.run("study", "run", "--quick", "--only", "final")
    assert (code, "the study is done" in said) == (0, True), said


def test_the_demo_runs_from_the_wheel(training):
    code, said = training.run("demo")
    assert code == 0, said
    assert (training.home / "reports" / "demo" / "index.html").is_file()
    record = json.loads(next((training.home / "runs" / "demo").glob("*/run.json")).read_text())
    assert "commit" not in record["environment"]  # of no clone


def fake(folder, name, version, requires=()):
    """A wheel of this name that holds nothing."""
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{stem}.dist-info/RECORD", "")


OWN = {"torch": "2.11.0+image", "torchvision": "0.26.0+image", "numpy": "2.0.0"}


@pytest.mark.parametrize(
    ("extra", "own", "words"),
    [
        ("", ["torch", "numpy"], []),
        ("train", ["torch", "torchvision", "numpy"], []),
        ("train", ["torch", "numpy"], ["torch==2.11.0+image"]),  # else pip takes the newest torchvision, and the torch that one wants
    ],
)
def test_an_environment_with_libraries_of_its_own_keeps_them(wheel, tmp_path, extra, own, words):
    """As on a cloud's image: pip replaces what it has to, and nothing may make it."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    here = {name: OWN[name] for name in own}
    for name, version in here.items():
        fake(shelf, name, version, ["torch==2.11.0"] if name == "torchvision" else [])
    fake(shelf, "torchvision", "0.26.0", ["torch==2.11.0"])  # each version of it wants one of torch
    for requirement in requirements(metadata(wheel), extra):
        fake(shelf, requirement.name, "9999", ["torch==9999"] if requirement.name == "torchvision" else [])
    venv.create(tmp_path / "image", with_pip=True)
    pip = [tmp_path / "image" / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--isolated"]
    index = ["install", "--quiet", "--no-index", "--find-links", str(shelf)]
    subprocess.run([*pip, *index, *(f"{name}=={version}" for name, version in here.items())], check=True, timeout=PATIENCE)
    subprocess.run([*pip, *index, f"{wheel}[{extra}]" if extra else str(wheel), *words], check=True, timeout=PATIENCE)
    listed = subprocess.run([*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    there = {name: version for name, _, version in (line.partition("==") for line in listed.split())}
    assert {name: there[name] for name in here} == here
    if extra:
        assert there["torchvision"].startswith("0.26.0")
