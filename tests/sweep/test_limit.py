import pytest

from reglab.errors import UserError
from reglab.sweep.limit import Rest, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("9m", 540), ("1h30m", 5400), ("1h", 3600), ("540", 540), ("2m30s", 150), ("1.5h", 5400), (" 9m ", 540)],
)
def test_a_duration_is_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "9 minutes", "30m1h", "1d", "m", "nan", "1e3"])
def test_what_is_no_duration_is_told_with_the_forms(text):
    with pytest.raises(UserError, match="not a duration; write 90s, 9m, 1h30m, or plain seconds such as 540"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["0", "5s"])
def test_a_limit_in_which_no_worker_could_start_is_refused(text):
    with pytest.raises(UserError, match="too short for a run to start"):
        seconds_of(text)


def test_what_is_not_known_of_the_rest_is_taken_to_be_like_the_others():
    assert Rest({"a": 10.0, "b": 30.0, "c": None}).seconds == 60
    assert Rest({"a": None}).seconds is None
