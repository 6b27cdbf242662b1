import gzip

import pytest

from reglab.errors import UserError
from reglab.tracking.program_run import LONGEST, ProgramRun, of_record, plain, read_archive, write_archive
from reglab.tracking.record import RunRecord


def test_nested_keys_are_paths_and_w_and_b_s_files_and_tables_are_none():
    run = ProgramRun(
        id="a", config={"optimizer": {"lr": 0.1, "betas": [0.9, 0.99]}, "empty": {}}, summary={"plot": {"_type": "image-file"}}
    )
    assert run.config == {"optimizer.lr": 0.1, "optimizer.betas": "[0.9, 0.99]", "empty": "{}"}
    assert run.summary == {}


@pytest.mark.parametrize(
    ("value", "stands"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (True, True),
        (None, None),
        (20260101123456, 20260101123456),
        (10**30, "1" + "0" * 30),
        ("a\nb\x1b[2J", r"a\nb\x1b[2J"),
    ],
)
def test_a_value_is_one_line_and_a_number_is_one(value, stands):
    assert plain(value) == stands


def test_long_texts_stay_apart_and_short():
    one, other = plain("x" * 10**7), plain("x" * 10**7 + "y")
    assert one != other
    assert len(one) == len(other) <= LONGEST


def test_mappings_without_end_are_a_value():
    deep = {"a": 1}
    for _ in range(5000):
        deep = {"a": deep}
    ((key, value),) = ProgramRun(id="a", config=deep).config.items()
    assert len(value) <= LONGEST
    assert key.count(".") == 20


def test_an_archive_gives_back_what_it_was_given(tmp_path):
    runs = [ProgramRun(id="a", config={"x": 1}, summary={"y": 0.5}, seconds=3.0), ProgramRun(id="b", reason="why")]
    write_archive(tmp_path / "runs.gz", runs)
    assert read_archive(tmp_path / "runs.gz") == runs


DAMAGED = {
    "no gzip": b"no gzip",
    "a list": gzip.compress(b"[1]\n"),
    "a run of nothing": gzip.compress(b"{}\n"),
    "many of one id": gzip.compress(b'{"id": "a"}\n' * 10**4),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_refused_in_a_line(tmp_path, content):
    (tmp_path / "runs.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"runs.gz( is damaged: build the report again|: two runs have the id a)"):
        read_archive(tmp_path / "runs.gz")


def test_two_keys_of_one_path_are_refused_and_both_are_said():
    said = r"two keys have the path a\.b, and say 1 and 2"
    with pytest.raises(ValueError, match=said):
        ProgramRun(id="a", config={"a": {"b": 1}, "a.b": 2})
    with pytest.raises(ValueError, match=said):
        ProgramRun(id="a", summary={"a": {"b": 1}, "a.b": 2})
    assert ProgramRun(id="a", config={"a": {"b": 1}, "a.b": 1}).config == {"a.b": 1}  # nothing is lost of it


def test_a_record_that_has_two_keys_of_one_path_is_refused_in_a_line_with_its_name():
    config = {"a": {"b": 1}, "a.b": 2}
    record = RunRecord(run_id="x-1", sweep="s", label="x", identity="", seed=0, config=config, program="python train.py")
    with pytest.raises(UserError, match=r"^run x-1: two keys have the path a\.b, and say 1 and 2: nothing tells which of them it is"):
        of_record(record)
