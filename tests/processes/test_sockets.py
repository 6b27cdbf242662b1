import socket
import tempfile
from pathlib import Path

import pytest

from reglab.errors import UserError
from reglab.processes import sockets
from reglab.sweep.relay import Relay


@pytest.fixture
def temporary(monkeypatch):
    """Files that are temporary go to a folder whose path has so many bytes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:

        def of(length):
            folder = Path(short) / ("x" * (length - len(short) - 1))
            folder.mkdir()
            assert len(str(folder)) == length
            monkeypatch.setattr(tempfile, "tempdir", str(folder))
            return str(folder)

        yield of


def test_sockets_are_where_temporary_files_are_if_their_paths_fit(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert sockets.folder() == "/var/tmp"


@pytest.mark.parametrize("length", [sockets.LONGEST + 1, 77, 200])
def test_sockets_are_elsewhere_if_the_folder_for_temporary_files_has_too_long_a_path(temporary, length):
    temporary(length)
    path = tempfile.mktemp(prefix="listener-", dir=tempfile.mkdtemp(prefix="pymp-", dir=sockets.folder()))
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(path)
    with Relay() as relay:
        assert relay.address.exists()


def test_where_no_folder_is_fit_it_says_what_to_set(temporary):
    folder = temporary(90)
    with pytest.raises(UserError) as caught:
        sockets.folder(["/nowhere"])
    assert str(caught.value).startswith(f"TMPDIR = {folder}: ")
    assert f"set TMPDIR to a folder of at most {sockets.LONGEST} bytes" in str(caught.value)
