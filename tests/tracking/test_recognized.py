"""The note on runs of an earlier version, and the file that keeps of which it was said."""

import pytest

from reglab.settings import settings
from reglab.tracking.recognized import say_recognized


@pytest.fixture
def told(tmp_path, monkeypatch):
    """The file, in a folder of runs of this test's own."""
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
    settings.cache_clear()
    (tmp_path / "runs").mkdir()
    yield tmp_path / "runs" / ".recognized"
    settings.cache_clear()


def test_a_damaged_file_breaks_no_command_and_what_it_has_is_known(told, capsys):
    told.write_bytes(b"a-s1\n\xff\xfe\n")
    say_recognized([])
    say_recognized(["a-s1"])
    assert capsys.readouterr().err == ""
    say_recognized(["a-s1", "b-s1"])
    assert "recognized by their configurations: 1;" in capsys.readouterr().err
    say_recognized(["b-s1"])
    assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_read_is_said_again(told, capsys):
    told.mkdir()
    for _ in range(2):
        say_recognized(["a-s1"])
        assert "recognized by their configurations: 1;" in capsys.readouterr().err
