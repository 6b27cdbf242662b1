"""A disk that is full, read-only, forbidden or broken at the n-th write, open, rename, sync or folder of a run.

Right: exit code 0 or 75, one line, and then, on a sound disk, the same command ends with the record of an undisturbed run.
"""

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import reglab
from tests.chaos.conftest import LONG, WORDS, half_written, timeless
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="preloads a library by Linux's loader")]

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES)
KINDS = ("write", "open", "rename", "fsync", "mkdir")
NUMBERS = range(1, 41) if LONG else (1, 2, 5, 11, 17)
"""A run of six epochs makes some forty of the commonest kind."""

_TRIALS = [(kind, number) for kind in KINDS for number in NUMBERS]

TRIALS = (
    [(error, *trial, lasting) for error in ERRORS for trial in _TRIALS for lasting in (0, 1)]
    if LONG
    else [(ERRORS[place % 4], *trial, place // 4 % 2) for place, trial in enumerate(_TRIALS)]
)
"""Error, kind, its number, and whether it lasts."""

DRIVER = """
import ctypes, json, os, sys
import reglab.training.loop, torch._dynamo
from reglab.cli import app

disk = ctypes.CDLL(os.environ["LD_PRELOAD"])
for line in sys.stdin:
    trial = json.loads(line)
    if (child := os.fork()) == 0:
        os.environ.update(trial["variables"])
        said = os.open(trial["said"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(said, 2)
        sys.argv = ["reglab", *trial["words"]]
        if trial["fault"]:
            error, kind, number, folder, lasting = trial["fault"]
            disk.disk_fails(error, kind.encode(), ctypes.c_long(number), folder.encode(), lasting)
        try:
            app.main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        with open(trial["said"] + ".struck", "w") as struck:
            struck.write(str(disk.disk_has_failed()))
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """The library, built with the machine's compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler is here to build the failing disk with")
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    source = Path(__file__).with_name("disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    assert ctypes.CDLL(str(library)).disk_has_failed() == 0
    return library


@pytest.fixture
def train(disk, tmp_path, cache):
    """`train(folder, fault)`: a run in `folder` on a disk with this fault; returns exit code, lines said, and how often it struck."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=os.environ | {"LD_PRELOAD": str(disk), "PYTHONPATH": str(Path(reglab.__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )

    def go(folder, fault=None, **variables):
        said = tmp_path / "said.txt"
        trial = {"words": ["train", *WORDS], "said": str(said), "fault": fault, "variables": {"REGLAB_RUNS": str(folder), **variables}}
        driver.stdin.write(json.dumps(trial) + "\n")
        driver.stdin.flush()
        code = int(driver.stdout.readline())
        return code, said.read_text().splitlines(), int(Path(f"{said}.struck").read_text())

    yield go
    driver.stdin.close()
    driver.wait(timeout=PATIENCE)


def the_run(folder):
    from reglab.tracking.store import read_runs

    (record,) = read_runs(folder)
    assert record.damage is None
    return timeless(record)


def test_a_failing_disk_costs_no_run_its_result(train, tmp_path):
    code, said, _ = train(tmp_path / "whole")
    assert code == 0, said
    whole, tried, ended = the_run(tmp_path / "whole"), dict.fromkeys(KINDS, 0), {0: 0, 75: 0}
    for error, kind, number, lasting in TRIALS:
        folder = tmp_path / f"{errno.errorcode[error]}-{kind}-{number}-{lasting}"
        code, said, struck = train(folder, (error, kind, number, str(folder), lasting))
        assert code in ended, (folder.name, code, said)
        assert not [line for line in said if "unexpected" in line or "Traceback" in line], (folder.name, said)
        tried[kind] += bool(struck)  # the run may make fewer of these
        ended[code] += bool(struck)
        if code == 75:
            assert any(str(folder) in line for line in said), (folder.name, said)
            code, said, _ = train(folder)
            assert code == 0, (folder.name, said)
        assert the_run(folder) == whole, (folder.name, said)
        assert not half_written(folder), folder.name
        shutil.rmtree(folder)
    print(f"disk faults that struck: {tried}, exit codes: {ended}, runs lost: 0")
    assert min(tried.values()) > 0


def test_a_full_cache_costs_nothing(train, tmp_path):
    code, said, _ = train(tmp_path / "whole")
    assert code == 0, said
    for number, error in enumerate(ERRORS):
        cache = tmp_path / f"cache{number}"
        cache.mkdir()
        code, said, struck = train(tmp_path / str(number), (error, "write", 1, str(cache), 1), REGLAB_CACHE=str(cache))
        assert (code, struck > 0) == (0, True), said
        assert any("was not stored" in line for line in said)
        assert the_run(tmp_path / str(number)) == the_run(tmp_path / "whole")
        assert not half_written(cache)


@pytest.fixture
def small(tmp_path):
    """A file system with room for 200 kB: less than a checkpoint takes, more than a record."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_that_is_full_for_checkpoints_and_then_for_all(train, small, tmp_path):
    assert train(tmp_path / "whole")[0] == 0
    code, said, _ = train(small / "runs")
    assert code == 0, said
    assert any("checkpoint.pt was not written (" in line and "No space left on device" in line for line in said), said
    assert the_run(small / "runs") == the_run(tmp_path / "whole")
    shutil.rmtree(small / "runs")
    with (small / "filled").open("wb") as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))
            stream.flush()
    code, said, _ = train(small / "runs")
    assert code == 75
    assert "there is no room left" in said[-1] or "cannot be written" in said[-1]
    (small / "filled").unlink()
    assert train(small / "runs")[0] == 0
    assert the_run(small / "runs") == the_run(tmp_path / "whole")
