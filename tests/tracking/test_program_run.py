import gzip

import pytest

from reglab.errors import UserError
from reglab.tracking.program_run import LONGEST, ProgramRun, plain, read_archive, write_archive


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
