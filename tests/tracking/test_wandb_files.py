"""What a program logged is read from the files of W&B's client: whole ones, growing ones, damaged ones."""

import errno
import io
import json
import struct
import zlib

import pytest
import wandb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from wandb.proto.wandb_internal_pb2 import Record

from reglab.errors import UserError
from reglab.tracking import wandb_files, wandb_library
from reglab.tracking.wandb_files import RunFile, found

HEADER = b":W&B\xe1\xbe\x00"
BLOCK = 2**15
END = Record(exit={"exit_code": 0})
"""The last that the client writes of a run."""


def framed(records):
    """A file of these records, as LevelDB frames them: a peer of what the client writes, whose own files are read below."""
    out = bytearray(HEADER)
    for record in records:
        content, is_first = record.SerializeToString(), True
        while is_first or content:
            if (left := BLOCK - len(out) % BLOCK) < 7:
                out += bytes(left)
                left = BLOCK
            part, content = content[: left - 7], content[left - 7 :]
            kind = (1 if not content else 2) if is_first else (4 if not content else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + part), len(part), kind) + part
            is_first = False
    return bytes(out)


def row(**values):
    record = Record()
    for name, value in values.items():
        record.history.item.add(nested_key=name.split("__"), value_json=json.dumps(value))
    return record


@pytest.fixture
def file(tmp_path):
    def make(content):
        path = tmp_path / "run-r.wandb"
        path.write_bytes(content)
        return RunFile(path)

    return make


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A run of the real client, offline: said as an argument, since a client that this process had before keeps the mode it began with."""
    folder, config = tmp_path_factory.mktemp("offline"), {"lr": 0.1, "model": {"width": 4}}
    with wandb.init(dir=str(folder), id="real", mode="offline", config=config, settings={"silent": True}) as run:
        run.define_metric("best", summary="max")
        for number in range(3):
            metrics = {"loss": 1 / (number + 1), "best": [1, 3, 2][number], "group": {"deep": number}, "page": wandb.Html("<b>")}
            run.log(metrics | {"diverged": float("nan"), "word": "x" * 5000, "long": list(range(10))})
        run.config.update({"added": True, "lr": 0.2}, allow_val_change=True)
        run.summary["said"] = "well"
    wandb.teardown()
    return folder


def test_a_run_of_the_real_client_is_read(logged):
    (path,) = found("real", [logged])
    read = RunFile(path)
    rows = list(read.read())
    assert read.config == {"lr": 0.2, "model": {"width": 4}, "added": True}
    assert [(row["loss"], row["best"], row["group.deep"], row["_step"]) for row in rows] == [(1, 1, 0, 0), (0.5, 3, 1, 1), (1 / 3, 2, 2, 2)]
    assert {name for name in rows[0] if not name.startswith("_")} == {"loss", "best", "group.deep", "diverged", "word"}
    assert rows[0]["diverged"] is None
    assert len(rows[0]["word"]) == 1000
    assert (read.summary["best.max"], read.summary["said"], read.summary["group.deep"]) == (3, "well", 2)
    assert not any(name.startswith(("page", "_wandb")) for name in read.summary)
    assert list(read.read()) == []
    assert (read.cut, read.has_ended) == (None, True)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=some.lists(some.integers(0, 3 * BLOCK), max_size=6), cuts=some.lists(some.floats(0, 1), max_size=4))
def test_a_file_is_read_as_it_grows(file, sizes, cuts):
    rows = [row(number=number, text="x" * size) for number, size in enumerate(sizes)]
    content = framed(rows)
    growing, came = file(b""), []
    for end in [*sorted(round(cut * len(content)) for cut in cuts), len(content)]:
        growing.path.write_bytes(content[:end])
        came += growing.read()
    assert [each["number"] for each in came] == list(range(len(sizes)))
    assert came == list(file(content).read())
    assert growing.cut is None


def test_a_damaged_file_is_told_and_nothing_of_it_is_taken_for_more(file):
    content = bytearray(framed([row(a=1), row(a=2)]))
    content[-1] ^= 1
    rows = file(bytes(content)).read()
    assert next(rows)["a"] == 1
    with pytest.raises(UserError, match=r"run-r.wandb is no file of W&B's client, or a damaged one, with no whole record at byte"):
        next(rows)


def test_a_file_that_was_removed_has_nothing_new_and_what_it_told_stands(file):
    read = file(framed([row(a=1)]))
    assert [each["a"] for each in read.read()] == [1]
    read.path.unlink()
    assert list(read.read()) == []


@pytest.mark.parametrize("content", [b"not a run of anybody's", b":W&B\xe1\xbe\x01" + bytes(20), HEADER + bytes(40)])
def test_what_is_no_file_of_the_client_is_told(file, content):
    with pytest.raises(UserError, match="is no file of W&B's client"):
        list(file(content).read())


@pytest.mark.parametrize("behind", [1, 3000], ids=["in the last block", "in another block"])
def test_a_damaged_length_is_told_however_far_it_leads(file, behind):
    """It leads behind the end of the file, as that of a record that is written just now, or of its block, as none does."""
    content = bytearray(framed([row(a=1), *(row(b="x" * 20) for _ in range(behind))]))
    at = len(framed([row(a=1)]))
    content[at + 4 : at + 6] = b"\xff\xff" if behind > 1 else b"\xff\x00"
    read, came, said = file(bytes(content)), [], None
    try:
        came += read.read()
    except UserError as error:
        said = str(error)
    assert came == [{"a": 1}]
    assert f"at byte {at}" in (said or read.cut)


@pytest.mark.parametrize("left", [3, 10], ids=["within its head", "within its content"])
def test_a_file_that_ends_within_a_record_says_so_until_the_rest_is_there(file, left):
    content, at = framed([row(a=1), row(a=2)]), len(framed([row(a=1)]))
    read = file(content[: at + left])
    assert [each["a"] for each in read.read()] == [1]
    assert read.cut.endswith(f"run-r.wandb ends within a record at byte {at}: what was logged from there on cannot be read")
    read.path.write_bytes(content)
    assert [each["a"] for each in read.read()] == [2]
    assert read.cut is None


def test_damage_is_told_at_each_look_and_no_row_behind_it_is_given(file):
    bad = b"\xff\xff\xff"
    piece = struct.pack("<IHB", zlib.crc32(b"\x01" + bad), len(bad), 1) + bad
    read = file(framed([row(a=1)]) + piece + framed([row(a=2)])[len(HEADER) :])
    came = []
    for _ in range(2):
        with pytest.raises(UserError, match="a record that is none"):
            came.extend(read.read())
    assert came == [{"a": 1}]


@pytest.mark.parametrize("call", ["open", "read"])
def test_a_disk_that_does_not_give_the_file_is_told_and_the_next_look_goes_on(file, monkeypatch, call):
    read = file(framed([row(a=1)]))
    assert [each["a"] for each in read.read()] == [1]
    read.path.write_bytes(framed([row(a=1), row(a=2)]))

    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(errno.EIO, "Input/output error")

    def broken(*asked, **how):
        if call == "read":
            return Broken()
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(*((wandb_files.reading, "opened") if call == "read" else (wandb_files.reading.os, "open")), broken)
        with pytest.raises(UserError, match=r"run-r.wandb cannot be read \(Input/output error\): what it holds from byte \d+ on"):
            list(read.read())
    assert [each["a"] for each in read.read()] == [2]


def test_a_record_that_is_none_is_told(file):
    bad = b"\xff\xff\xff"
    with pytest.raises(UserError, match="a record that is none"):
        list(file(HEADER + struct.pack("<IHB", zlib.crc32(b"\x01" + bad), len(bad), 1) + bad).read())
    with pytest.raises(UserError, match="a record that is none"):
        odd = Record()
        odd.history.item.add(key="a", value_json="__import__('os')")
        list(file(framed([odd])).read())


def test_of_several_tries_the_oldest_file_comes_first(tmp_path):
    names = ["offline-run-20260102_000000-r", "run-20260101_000000-r", "offline-run-20260103_000000-r"]
    for name in names:
        (tmp_path / "wandb" / name).mkdir(parents=True)
        (tmp_path / "wandb" / name / "run-r.wandb").touch()
    (tmp_path / "wandb" / "latest-run").symlink_to(names[2])
    assert [path.parent.name for path in found("r", [tmp_path, tmp_path / "nowhere"])] == [names[1], names[0], names[2]]


def test_a_client_that_keeps_its_files_otherwise_is_told(monkeypatch):
    monkeypatch.delattr("wandb.proto.wandb_internal_pb2.Record")
    with pytest.raises(UserError, match=r"wandb [\d.]+ keeps its files otherwise than 0.31, which this reglab knows"):
        wandb_library.message(b"")


def test_what_is_more_than_a_record_can_hold_is_left_out(file):
    config = Record()
    config.config.update.add(key="big", value_json=json.dumps(["x" * 1000] * 1000))
    many = row(loss=1, **{f"text{number}": "x" * 1000 for number in range(400)})
    read = file(framed([config, many, row(**{f"n{number}": number for number in range(3000)})]))
    rows = list(read.read())
    assert read.config == {}
    assert rows[0] == {"loss": 1}
    assert len(rows[1]) == 2000


def test_what_is_taken_out_of_a_configuration_is_gone(file):
    there, gone = Record(), Record()
    there.run.config.update.add(key="a", value_json="1")
    there.run.config.update.add(nested_key=["b", "c"], value_json="2")
    gone.config.remove.add(nested_key=["b", "c"])
    gone.config.remove.add(key="nowhere")
    read = file(framed([there, gone]))
    assert list(read.read()) == []
    assert read.config == {"a": 1, "b": {}}
