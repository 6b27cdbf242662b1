import os
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from reglab import yaml_files
from reglab.errors import UserError


@pytest.fixture
def read(tmp_path):
    """Reads a file with this text."""
    path = tmp_path / "mine.yaml"

    def write_and_read(text):
        path.write_text(text, encoding="utf-8")
        return yaml_files.read(path)

    write_and_read.path = path
    return write_and_read


SHARED = """
base: &base {lr: 0.1, seeds: &seeds [0, 1]}
more: &more {lr: 0.2, wd: 0.5}
one: {<<: *base, name: x}
two:
  <<: [*base, *more]
  lr: 0.3
  again: *seeds
three: *base
"""


@pytest.mark.parametrize(
    "text",
    [
        SHARED,
        "a: 1\nb: [x, 'y', \"z\", 1.5, -3, +4, .5, 1.0e-3, 1e-3, yes, null, ~]\n",
        "a: |\n  two\n  lines\nb: >\n  one\n  line\nc: !!str 3\nd: !!float 3\ne: ! 3\nf: .inf\n",
        "{}",
        "- 1\n- {a: []}\n",
        "x\n",
        "---\na: 1\n...\n",
        "# nothing\n",
        "",
        "\ufeffa: 1\n",
    ],
)
def test_what_is_read_is_what_w_and_b_s_client_reads_to_the_byte_when_it_is_sent(read, text):
    assert yaml.dump(read(text).plain()) == yaml.dump(yaml.safe_load(text))


words = some.text("abcxyz_", min_size=1, max_size=4)
values = some.recursive(
    some.none() | some.booleans() | some.integers(-1000, 1000) | some.floats(allow_nan=False, width=32) | words,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(values)
def test_what_was_written_is_read(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / f"written-{os.getpid()}.yaml"
    shared = [value, {"again": value}]  # PyYAML writes an anchor and an alias
    path.write_text(yaml.safe_dump(shared), encoding="utf-8")
    assert yaml.dump(yaml_files.read(path).plain()) == yaml.dump(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_what_an_alias_repeats_is_one_object_or_several(read):
    document = read(SHARED)
    shared, apart = document.plain(), document.plain(shares=False)
    assert shared["three"] is shared["base"] and shared["one"]["seeds"] is shared["two"]["again"]
    assert apart == shared
    assert apart["three"] is not apart["base"] and apart["one"]["seeds"] is not apart["two"]["again"]


def test_of_merged_values_the_own_ones_win_then_the_first(read):
    assert read(SHARED).plain()["two"] == {"lr": 0.3, "seeds": [0, 1], "wd": 0.5, "again": [0, 1]}


def test_the_line_of_a_value_is_that_of_its_key(read):
    document = read("a:\n  b:\n    - 1\n    - c: 2\n  d: *x\n".replace("*x", "3"))
    lines = {(): 1, ("a",): 1, ("a", "b"): 2, ("a", "b", 0): 3, ("a", "b", 1, "c"): 4, ("a", "d"): 5}
    assert {place: document.line(place) for place in lines} == lines
    assert document.line(("a", "b", 7)) == document.line(("a", "b", "x")) == 2  # what is not there, is where it would be
    assert document.line(("a", "d", "x")) == 5


def test_the_line_of_what_an_alias_brings_is_where_it_is_written(read):
    document = read(SHARED)
    assert document.line(("three",)) == 9
    assert document.line(("one", "lr")) == 2


REFUSED = {
    "twice": ("a: 1\nb: 2\na: 3\n", ", line 3: a: is there twice"),
    "twice, deep": ("a:\n  b: {c: 1, c: 2}\n", ", line 2: c: is there twice"),
    "merged twice": ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", ", line 4: <<: is there twice"),
    "merged from a list": ("a: &a [1]\nb: {<<: *a}\n", ", line 2: <<: brings the keys of a mapping, and 1 is none"),
    "merged from a number": ("b: {<<: 3}\n", ", line 1: <<: brings the keys of a mapping, and 3 is none"),
    "a key is a list": ("a: 1\n? [x, y]\n: 2\n", ", line 2: a key is a list: it must be a word"),
    "a key is a mapping": ("? {x: y}\n: 2\n", ", line 1: a key is a mapping: it must be a word"),
    "an alias of nothing": ("a: *b\n", ", line 1: *b stands for nothing: no &b is above it"),
    "an alias of itself": ("a: &a [*a]\n", ", line 1: *a stands for what it is in itself"),
    "two documents": ("a: 1\n---\nb: 2\n", ", line 2: a second document begins: have one in a file"),
    "octal": ("a: 010\n", ", line 1: 010 is 8 to YAML: write that, or, for a text, '010' in quotes"),
    "a date": ("a: 2001-09-09\n", ", line 1: 2001-09-09 is a date to YAML: write '2001-09-09', in quotes"),
    "no date": ("a: 2001-99-99\n", ", line 1: 2001-99-99 is a date to YAML"),
    "an equals sign": ("a: =\n", ", line 1: = is no text to YAML: write '=', in quotes"),
    "4,300 digits": (f"a: {'9' * 4400}\n", ", line 1: a number of 4,400 characters: nothing can be read from it"),
    "no float": ("a: !!float ''\n", ", line 1: nothing is not a number"),
    "no bool": ("a: !!bool x\n", ", line 1: x is not true or false"),
    "no int": ("a: !!int x\n", ", line 1: x is not a whole number"),
    "a timestamp": ("a: !!timestamp x\n", ", line 1: x is a date to YAML"),
    "bytes": ("a: !!binary aGk=\n", ", line 1: the tag !!binary has no meaning here"),
    "a set": ("a: !!set {x, y}\n", ", line 1: the tag !!set has no meaning here"),
    "python": ("a: !!python/object/apply:os.system [ls]\n", ", line 1: the tag !!python/object/apply:os.system has no meaning here"),
    "a tag of one's own": ("a: !mine 3\n", ", line 1: the tag !mine has no meaning here"),
    "an open bracket": ("a: [\n b: 1\n", ", line 3: not YAML ("),
    "a tab": ("a:\n\tb: 1\n", ", line 2: not YAML ("),
    "a control character": ("a: \0\n", ": not YAML ("),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_meant_is_refused_in_one_line(read, text, said):
    with pytest.raises(UserError) as caught:
        read(text)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(read.path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


TOO_MUCH = {
    "aliases of aliases": (bomb(), "it holds more than 100,000 values, those that aliases stand for included"),
    "merges of merges": (
        "a0: &a0 {x: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n"
        + "\n".join(f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: *a{n - 1}, l{n}: *a{n - 1}}}" for n in range(1, 40)),
        "it holds more than 100,000 values",
    ),
    "brackets": ("a: " + "[" * 10_000, "values are nested more than 32 deep"),
    "braces": ("a: " + "{a: " * 10_000, "values are nested more than 32 deep"),
    "blocks": ("\n".join(" " * n + "a:" for n in range(2000)), "values are nested more than 32 deep"),
    "aliases in aliases": ("a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200)), "nested more than 32 deep"),
    "items": ("[" + "1," * 150_000 + "]", "it holds more than 100,000 values"),
    "bytes": ("# " + "x" * 9_000_000, "give a file of text"),
}


@pytest.mark.parametrize(("text", "said"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_is_refused_before_it_is_there(read, text, said):
    begun = time.process_time()
    with pytest.raises(UserError) as caught:
        read(text)
    assert said in str(caught.value)
    assert time.process_time() - begun < 10  # and not for ever


@pytest.mark.parametrize("what", ["folder", "pipe", "device", "nothing", "bytes"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, what):
    path = tmp_path / "odd.yaml"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "bytes":
        path.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(UserError, match=r"^[^\n]*odd.yaml[^\n]*(give a file of text|cannot be read|no such file)[^\n]*$"):
        yaml_files.read(path)
