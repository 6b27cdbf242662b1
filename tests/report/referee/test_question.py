"""Questions as people write them, and the unit of their numbers."""

import math

import pytest

from reglab.errors import UserError
from reglab.report.referee.question import JudgedQuestion, unit_of


@pytest.mark.parametrize(
    ("text", "read", "claimed"),
    [
        ("arm=a > arm=b in test/accuracy by 0.5", ("arm=a", ">", "arm=b", "test/accuracy", 0.5, False), (0.5, math.inf)),
        ("lr=0.1 wd=0 < lr=0.2 wd=0 in loss", ("lr=0.1 wd=0", "<", "lr=0.2 wd=0", "loss", 0.0, False), (-math.inf, 0)),
        ("BN 2 · AGC > plain in acc by .5 points", ("BN 2 · AGC", ">", "plain", "acc", 0.5, True), (0.5, math.inf)),
        ("  a =  b in eval loss within 1e-2 ", ("a", "=", "b", "eval loss", 0.01, False), (-0.01, 0.01)),
        ("a > b in time/train_seconds", ("a", ">", "b", "time/train_seconds", 0.0, False), (0, math.inf)),
        ("a > b in time/train_seconds by 25 %", ("a", ">", "b", "time/train_seconds", 0.25, False), (math.log(1.25), math.inf)),
        ("a < b in time_to_target/seconds by 20 %", ("a", "<", "b", "time_to_target/seconds", 0.2, False), (-math.inf, math.log(0.8))),
    ],
)
def test_a_question_is_read(text, read, claimed):
    found = JudgedQuestion.read(text)
    assert (found.one, found.sign, found.other, found.metric, found.margin, found.in_points) == read
    assert found.claimed() == pytest.approx(claimed)
    assert JudgedQuestion.read(found.text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arm=a better than arm=b", "ask as in `arm=a > arm=b in test/accuracy by 0.5`"),
        ("a > b > c in acc", "with one >, < or = between spaces"),
        ("arm=a>arm=b in acc", "with one >"),
        ("a > b", "ask as in"),
        ("a > b in acc by 0.5 %", r"may be 0.5 points \(from 80 to 80.5 %\), or 0.5 % of the value \(from 80 to 80.4 %\)"),
        ("a > b in time/train_seconds by 5", "give a part of the other's time, such as `by 10 %`"),
        ("a = b in time/train_seconds within 100 %", "give a part of the other's time"),
        ("a > b in time/train_seconds by 3 points", "give a part of the other's time"),
        ("a > b in acc by half", "give a number of at least 0"),
        ("a > b in acc by -1", "give a number of at least 0"),
        ("a > b in acc by 1e999", "give a number of at least 0"),
        ("a > b in acc by 3 furlongs", "give the number alone"),
        ("a > b in acc within 1", "alike is asked as"),
        ("a = b in acc by 1", "alike is asked as"),
        ("a = b in acc", "alike is asked as"),
        ("a = b in acc within 0", "no two arms are within 0"),
    ],
)
def test_what_is_no_question_or_two_is_refused_in_a_line(text, said):
    with pytest.raises(UserError, match=said):
        JudgedQuestion.read(text)


def unit(text, values, given=None):
    found = unit_of(JudgedQuestion.read(text), values, given)
    return found.name, found.scale


def test_a_share_is_told_by_its_name_and_values():
    assert unit("a > b in acc by 0.5", [0.7, 0.9]) == ("points", 100)
    assert unit("a > b in acc by 0.5", [70, 90]) == ("points", 1)
    assert unit("a > b in evalTop1", [0.7, 0.9]) == ("points", 100)
    assert unit("a < b in loss by 0.5", [0.2, 0.9]) == ("", 1)
    assert unit("a > b in score", [0.2, 0.9]) == ("", 1)  # no margin: the verdict is the same in any
    assert unit("a > b in score by 2", [20, 90]) == ("", 1)
    assert unit("a > b in score by 2 points", [0.2, 0.9]) == ("points", 100)


def test_how_it_was_taken_is_said():
    assert "0.5 points are 0.005 of it" in unit_of(JudgedQuestion.read("a > b in acc by 0.5"), [0.7, 0.9]).said
    assert "1 point is 0.01 of it" in unit_of(JudgedQuestion.read("a > b in acc"), [0.7, 0.9]).said


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("a > b in acc by 0.5", [0.9, 90], "is that from 0 to 1, from 0 to 100, or no share"),
        ("a > b in acc by 0.5", [50, 190], "or no share"),
        ("a > b in score by 0.5", [0.2, 0.9], r"0.5 points \(0.005 of a share\), or 0.5 in its own unit: say --unit share or --unit own"),
        ("a < b in error by 0.01", [0.2, 0.9], "say --unit share or --unit own"),
    ],
)
def test_what_is_unclear_is_refused_with_both_readings(text, values, said):
    with pytest.raises(UserError, match=said):
        unit(text, values)


def test_what_a_person_says_counts_where_it_can_be():
    assert unit("a > b in score by 0.5", [0.2, 0.9], "share") == ("points", 100)
    assert unit("a > b in score by 0.5", [0.2, 0.9], "percent") == ("points", 1)
    assert unit("a > b in acc by 0.5", [0.2, 0.9], "own") == ("", 1)
    for text, given, said in (
        ("a > b in acc", "share", "lies between 2 and 9, and not between 0 and 1"),
        ("a > b in acc", "points", "give share, percent or own"),
        ("a > b in acc by 1 points", "own", "have none"),
    ):
        with pytest.raises(UserError, match=said):
            unit(text, [2, 9], given)


def test_a_table_s_own_time_of_that_name_is_no_ratio():
    with pytest.raises(UserError, match=r"by 10 % may be 10 points .* no share \(seconds, a loss\), the number in the metric's own unit"):
        unit("a > b in time/train_seconds by 10 %", [3.0, 4.0])
