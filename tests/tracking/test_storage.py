"""The same for a file on this machine and for an object in a store: fsspec's own, in memory, stands for the clouds'."""

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

import reglab
from reglab.errors import ReglabError, UserError
from reglab.settings import settings
from reglab.tracking import storage
from reglab.tracking.storage import File
from tests.waiting import PATIENCE


@pytest.fixture(params=["folder", "store"])
def file(request, tmp_path):
    if request.param == "folder":
        yield File(tmp_path / "sweep" / "run" / "checkpoint.pt")
    else:
        yield File("memory://bucket/sweep/run/checkpoint.pt")
        fsspec.filesystem("memory").store.clear()


def put(file, content):
    file.write(lambda stream: stream.write(content))


def test_what_is_written_is_read_and_can_be_replaced_and_removed(file):
    assert file.read() is None
    assert file.modified() is None
    for content in (b"one", b"two"):
        put(file, content)
        assert file.read() == content
    file.remove()
    assert file.read() is None
    file.remove()


def test_a_write_that_breaks_leaves_what_was_there(file):
    put(file, b"whole")

    def breaks(stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        file.write(breaks)
    assert file.read() == b"whole"


def test_one_can_claim_it_and_again_what_was_written_anew(file):
    assert not file.claim()  # there is nothing yet
    put(file, b"one")
    assert [file.claim() for _ in range(3)] == [True, False, False]
    before = file.modified()
    while file.modified() == before:
        put(file, b"two")
    assert [file.claim() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("ask", [File.read, File.modified, File.claim])
def test_a_store_that_is_away_is_told_in_one_kind_of_error(ask, monkeypatch):
    class Away:
        def __getattr__(self, name):
            raise ConnectionError("503")

    monkeypatch.setattr(File, "_remote", lambda self, address=None: (Away(), "checkpoint.pt"))
    with pytest.raises(ReglabError, match=r"memory://bucket/checkpoint.pt cannot be read \(503\)"):
        ask(File("memory://bucket/checkpoint.pt"))


def test_claims_go_with_it(file):
    put(file, b"one")
    file.claim()
    file.remove()
    if "://" in file.address:
        assert not fsspec.filesystem("memory").find("/bucket")
    else:
        assert not list(Path(file.address).parent.iterdir())


def test_so_does_what_a_killed_process_left_half_written(tmp_path):
    killed = "import os, pathlib, sys; from reglab import atomic; atomic.write_whole(pathlib.Path(sys.argv[1]), lambda s: os._exit(9))"
    path = tmp_path / "run" / "checkpoint.pt"
    environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", killed, str(path)], check=False, env=environment).returncode == 9
    assert len(list(path.parent.iterdir())) == 1
    File(path).remove()
    assert not list(path.parent.iterdir())


def test_of_many_processes_one_gets_the_claim(tmp_path):
    file = File(tmp_path / "checkpoint.pt")
    put(file, b"one")
    code = f"from reglab.tracking.storage import File; print(File({str(tmp_path / 'checkpoint.pt')!r}).claim())"
    environment = os.environ | {"PYTHONPATH": str(Path(reglab.__file__).parents[1])}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sorted(process.communicate(timeout=PATIENCE)[0].strip() for process in processes) == ["False", "False", "False", "True"]


@pytest.mark.parametrize(("scheme", "module", "extra"), [("gs", "gcsfs", "gcs"), ("s3", "s3fs", "s3")])
def test_a_library_that_is_not_there_is_named_with_the_command_that_brings_it(scheme, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)  # as if not installed
    with pytest.raises(UserError, match=f"pip install 'reglab.{extra}.'"):
        File(f"{scheme}://bucket/checkpoint.pt").read()


def test_a_scheme_that_nobody_knows_is_named():
    with pytest.raises(UserError, match="give a folder, gs://bucket"):
        File("floppy://a/checkpoint.pt").read()


def test_a_store_that_cannot_be_asked_is_told_in_one_line(monkeypatch):
    def refuses(self, path, **words):
        raise PermissionError("no credentials\nfor this bucket")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", refuses)
    with pytest.raises(ReglabError, match=r"checkpoint\.pt cannot be read \(no credentials for this bucket"):
        File("memory://bucket/checkpoint.pt").read()


def test_a_run_s_checkpoint_is_in_its_folder_or_under_the_shared_address(monkeypatch, tmp_path):
    folder = tmp_path / "runs" / "sweep" / "a-s0"
    assert storage.checkpoint(folder).address == str(folder / "checkpoint.pt")
    monkeypatch.setenv("REGLAB_CHECKPOINTS", "gs://bucket/reglab/")
    settings.cache_clear()
    assert storage.checkpoint(folder).address == "gs://bucket/reglab/sweep/a-s0/checkpoint.pt"
