"""What others wrote, as it is shown to people."""

import os

import pytest

from reglab.errors import LONGEST, QUOTED, ReglabError, UserError, excerpt, first_line, in_one_line, shortened, shown, without_path
from tests.unprinted import UNPRINTED


@pytest.mark.parametrize(("text", "written"), UNPRINTED.items(), ids=lambda text: ascii(text)[1:12])
def test_what_is_not_printed_is_written_out(text, written):
    assert shown(text) == written
    assert shown(shown(text)) == written


@pytest.mark.parametrize("text", ["", "BN 2 · dropout 3 at 0.2 ± 1 – “x”", "10 %", "日本語", "می‌خواهم", "👩‍💻", "naïve", "[b]x[/b]"])
def test_what_is_printed_stays_in_every_script(text):
    assert shown(text) == text


def test_a_path_s_bytes_that_are_no_utf_8_are_written_out(tmp_path):
    assert shown(tmp_path / os.fsdecode(b"a\xff")).endswith("a\\xff")


def test_an_error_is_one_line_of_printed_characters():
    assert str(UserError("a\nb\x1b[2J\u2028c\u202ed\ud800")) == "a b\\x1b[2J c\\u202ed\\ud800"


def test_a_long_error_keeps_what_is_wrong_and_how_to_mend_it():
    said = str(ReglabError(f"the key is bad: {'x' * 10**6}: mend it"))
    assert said.startswith("the key is bad: x")
    assert said.endswith("x: mend it")
    assert len(said) < LONGEST + 50


@pytest.mark.parametrize("length", [0, 9, 10, 11, 12, 1000])
def test_shortened_texts_say_how_much_is_left_out(length):
    text = "".join(chr(ord("a") + number % 26) for number in range(length))
    short = shortened(text, 10)
    assert short == text if length <= 10 else short == f"{text[:6]} … {length - 10:,} characters … {text[-4:]}"


def test_what_another_library_says_is_one_line():
    error = ValueError("no such\n   kernel\n")
    assert (in_one_line(error), first_line(error)) == ("no such kernel", "no such")
    assert first_line(ValueError()) == "ValueError"


def test_what_is_wrong_with_a_file_is_told_without_its_path():
    assert without_path(FileNotFoundError(2, "No such file or directory", "/a/b")) == "No such file or directory"
    assert without_path(ValueError("embedded null byte\n")) == "embedded null byte"


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = {"text": "x" * 10**6, "number": 10**5000, "nest": nested(100_000), "mapping": {"a": "\x1b" * 10**5}}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_an_excerpt_is_short_and_printed_whatever_the_value(value):
    said = excerpt(value)
    assert len(said) < QUOTED + 40
    assert said.isprintable()
