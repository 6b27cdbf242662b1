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
        ("-inf", -math.inf),
        ("'-Infinity", -math.inf),
        ("INF", math.inf),
        ("+Infinity", math.inf),
        ("NA", None),
        ("None", None),
        ("<NA>", None),
        ("null", None),
        ("nano", "nano"),
        ("20240101120001", 20240101120001),
        ("adam", "adam"),
    ],
)
def test_a_cell_is_a_number_however_it_is_written_and_else_its_text(cell, holds):
    assert value(cell) == holds


@pytest.mark.parametrize("header", ["State", " State", "state ", "status", "STATUS"])
def test_how_a_run_stands_is_told_under_any_spelling_of_its_column(table, header):
    words = ["finished", "FAILED ", "Killed", "node_fail", "diverged", "SCHEDULED", ""]
    found = read(table("\n".join([f"lr ,{header}", *(f"1,{word}" for word in words)]) + "\n"))
    assert [run.state.value for run in found] == ["finished", "failed", "stopped", "crashed", "diverged", "pending", "finished"]
    assert found[0].config == {"lr": 1}


def test_a_column_of_other_words_is_a_key_as_any(table):
    (run, _) = read(table("state,acc\nNevada,1\nOregon,2\n"))
    assert (run.state, run.config, run.about) == (State.finished, {"state": "Nevada", "acc": 1}, {})


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("name,run,acc\na,x,1\na,y,2\n", ["x", "y"]),
        ("name,run,acc\na,0,1\nb,0,2\n", ["a", "b"]),
        ("name,run,acc\na,0,1\na,0,2\n", ["row 1", "row 2"]),
        ("Run_ID,name,acc\nu,a,1\nv,b,2\n", ["u", "v"]),
    ],
)
def test_a_run_is_known_by_what_no_other_has(table, text, ids):
    assert [run.id for run in read(table(text))] == ids


def test_what_a_run_says_is_the_same_wherever_its_table_lies(table):
    one, other = (read(table("lr,acc\n1,2\n", name))[0] for name in ("runs.csv", "moved.csv"))
    assert one.digest == other.digest != read(table("lr,acc\n1,3\n"))[0].digest


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
        ("ID,acc\na,2\na,3\n", "two runs have the id a: leave one of them out"),
        ("lr,lr \n1,2\n", "two columns are called lr"),
        ("State,acc\nfinished,2\nNevada,2\n", "runs.csv:3: State is Nevada, which is no state of a run, and elsewhere finished, which is"),
        ("State,status,acc\nfinished,failed,2\n", "runs.csv:2: State and status tell two states of a run: rename or remove one"),
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
