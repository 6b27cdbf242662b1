"""What is read of a name that others gave: a regular file, of so many bytes, in no time."""

import gzip
import os
import tracemalloc
from datetime import UTC, datetime

import pytest

from reglab import reading
from reglab.errors import MachineError, UserError
from tests.hostile.corpus import NO_FILES, TEXTS


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_told_in_a_line_and_never_waited_for(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(UserError, match=f"^{tmp_path}/x (is|cannot be read|has more bytes).*: remove it$"):
        reading.whole(tmp_path / "x", 10**6, "remove it")


def test_a_pipe_that_takes_the_place_of_a_file_meanwhile_is_refused(tmp_path, monkeypatch):
    path, looked = tmp_path / "x", []
    path.write_bytes(b"x")

    def swapped(name, flags):
        if not looked:
            looked.append(name)
            path.unlink()
            os.mkfifo(path)
        return opened(name, flags)

    opened = os.open
    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(UserError, match="is a pipe"):
        reading.opened(path, 100, "remove it")


def test_a_file_that_its_disk_does_not_give_is_told_by_its_name(tmp_path):
    (tmp_path / "x").symlink_to("/proc/self/mem")  # opens, and fails to be read as a bad disk does
    with pytest.raises(MachineError, match=f"^{tmp_path}/x: its disk does not answer"):
        reading.whole(tmp_path / "x", 100, "remove it")


def test_where_there_is_nothing_the_caller_decides(tmp_path):
    with pytest.raises(FileNotFoundError):
        reading.whole(tmp_path / "x", 100, "remove it")


@pytest.mark.parametrize("name", ["y" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_told(tmp_path, name):
    with pytest.raises(UserError, match="cannot be read"):
        reading.whole(tmp_path / name, 100, "remove it")
    assert not reading.is_folder(tmp_path / name)


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"y" * 100)
    assert reading.whole(path, 100, "remove it") == b"y" * 100
    with pytest.raises(UserError, match=r"x is larger than 99 bytes, as none of its kind is: remove it$"):
        reading.whole(path, 99, "remove it")


def test_lines_are_read_as_they_come_and_none_beyond_the_limits(tmp_path):
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(bytes(10**8)))
    tracemalloc.start()
    with gzip.open(packed) as stream, pytest.raises(ValueError, match="a line of more than 10 kB"):
        list(reading.lines(stream, 10**4, 10**9))
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    packed.write_bytes(gzip.compress(b"a\n" * 1000))
    with gzip.open(packed) as stream:
        assert len(list(reading.lines(stream, 2, 2000))) == 1000
    with gzip.open(packed) as stream, pytest.raises(ValueError, match="more than 2 kB"):
        list(reading.lines(stream, 2, 1999))


def test_what_unpacks_to_more_than_any_does_is_refused(tmp_path):
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(b"0123456789\n" * 3 * 10**5))
    with pytest.raises(ValueError, match="more than 1"):
        list(reading.packed_lines(packed, 100, 10**6, "remove it"))
    packed.write_bytes(gzip.compress(b"0123456789\n" * 10**4))
    assert len(list(reading.packed_lines(packed, 100, 10**6, "remove it"))) == 10**4


@pytest.mark.parametrize("text", ["2026-11-27T20:22:36", "2026-11-27T20:22:36Z", "2026-11-27T22:22:36+02:00"])
def test_a_moment_that_does_not_say_where_is_in_utc(text):
    assert reading.moment_in(text) == datetime(2026, 11, 27, 20, 22, 36, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", None, 7, {}])
def test_what_is_no_moment_is_none(text):
    assert reading.moment_in(text) is None


@pytest.mark.parametrize("text", [text for kind, text in TEXTS.items() if kind not in ("a list", "a number", "a text")][:7])
def test_what_is_no_json_of_a_sane_depth_is_one_kind_of_error(text):
    with pytest.raises(ValueError):
        reading.parsed(text)


def test_nan_is_no_number_but_at_wandb():
    for text in ("NaN", "[Infinity]", '{"a": -Infinity}'):
        with pytest.raises(ValueError):
            reading.parsed(text)
        reading.parsed(text, numbers_only=False)
