"""Tables of runs, as pages write them."""

import math

import pytest

from reglab.errors import UserError
from reglab.tracking.csv_file import read, value
from reglab.tracking.state import State

W_AND_B = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep","lr","note, with
a break","val/acc"
"brisk-fog-1","finished","","me","a, b","2026-03-01T10:00:00.000Z","61","abc","1e-3","x","0.91"
"calm-sea-2","crashed","","me","","2026-03-01T11:00:00.000Z","","abc","","=1+1","NaN"
"brisk-fog-1","running","","me","","2026-03-01T12:00:00.000Z","5","abc","0.001","","Infinity"
"""


@pytest.fixture
def table(tmp_path):
    def written(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


def test_what_w_and_b_s_page_writes_is_read(table):
    first, second, third = read(table(W_AND_B))
    assert [run.state for run in (first, second, third)] == [State.finished, State.crashed, State.running]
    assert (first.name, first.seconds, first.created.hour) == ("brisk-fog-1", 61, 10)
    assert first.config == {"lr": 0.001, r"note, with\na break": "x", "val/acc": 0.91}
    assert (second.seconds, second.config["lr"], second.config["val/acc"]) == (None, None, "NaN")
    assert third.config["val/acc"] == "Infinity"
    assert first.id != third.id  # two runs may have one name


@pytest.mark.parametrize(
    ("cell", "holds"),
    [
        ("1e-3", 0.001),
        (" 12 ", 12),
        ("-.5", -0.5),
        ("True", True),
        ("false", False),
        ("", None),
        ("007", "007"),
        ("1,5", "1,5"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("٣", "٣"),
        ("9" * 5000, "9" * 5000),
        ("Infinity", math.inf),
        ("-inf", "-inf"),
        ("adam", "adam"),
    ],
)
def test_a_cell_is_a_number_however_it_is_written_and_else_its_text(cell, holds):
    assert value(cell) == holds


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_told_by_the_header(table, separator):
    (run,) = read(table(separator.join(("id", "lr", "acc")) + "\n" + separator.join(("a", "0.1", "0.9")) + "\n"))
    assert (run.id, run.config) == ("a", {"lr": 0.1, "acc": 0.9})


def test_a_byte_order_mark_is_no_part_of_the_first_name(table):
    assert read(table(b"\xef\xbb\xbfid,lr\na,1\n"))[0].id == "a"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no header of several columns"),
        ("lr\n1\n", "no header of several columns"),
        ("lr,acc\n", "holds no run"),
        ("lr,lr\n1,2\n", "two columns are called lr"),
        ("lr,acc\n1,2\n1,2,3\n", r"runs.csv:3: 3 cells under 2 columns"),
        ("ID,acc\na,2\na,3\n", "two runs have the id a"),
        ("State,acc\nNevada,2\n", "runs.csv:2: State is Nevada, which is none of finished, "),
        ('lr,acc\n1,"2\n', "no table as CSV has it"),
        (b"lr,acc\n1,\xff\n", "line 2 is not UTF-8"),
        ("lr,acc\n1," + "x" * 10**6 + "\n", "no table as CSV has it .field larger"),
        ("lr,acc\n1," + "x" * (10**7 + 1) + "\n", "a line of more than 10 MB"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(table, text, said):
    with pytest.raises(UserError, match=said) as refused:
        read(table(text))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) <= 1000


def test_a_pipe_and_a_file_that_is_not_there_are_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="is a pipe"):
        read(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "none.csv")
