"""Functions of the user's: their names are looked at without an import, and other code has another hash."""

import importlib
import os
import sys

import pytest

from reglab import foreign
from reglab.errors import UserError
from reglab.foreign import is_reference


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that says so when it is imported; forgets it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name, text="", beside=("__init__",)):
        *parents, last = name.split(".")
        folder = tmp_path.joinpath(*parents)
        folder.mkdir(parents=True, exist_ok=True)
        for depth in range(1, len(parents) + 1):
            for each in beside:
                tmp_path.joinpath(*parents[:depth], f"{each}.py").write_text("raise SystemExit('imported')", encoding="utf-8")
        path = folder / f"{last}.py"
        path.write_text(f"raise SystemExit('imported')\n{text}", encoding="utf-8")
        return path

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("text", ["a:b", "package.module:function", "_a.b1:C"])
def test_what_has_the_form_of_one(text):
    assert is_reference(text)


@pytest.mark.parametrize(
    "text", ["", "a", "a.b", "a:", ":b", "a:b:c", "a.:b", "a b:c", "1a:b", "a/b:c", "é:b", "a:b\n", "a:b.c", f"{'a' * 300}:b"]
)
def test_what_has_not(text):
    assert not is_reference(text)


@pytest.mark.parametrize("name", ["alone_here", "parent_here.child", "one_here.two.three"])
@pytest.mark.parametrize("beside", [("__init__",), ()], ids=["packages", "folders"])
def test_its_code_is_hashed_and_nothing_of_it_is_imported(module, name, beside):
    module(name, beside=beside)
    one = foreign.source(f"{name}:f")
    assert one and len(one) == 12
    assert foreign.source(f"{name}:g") == one
    module(name, "x = 1", beside=beside)
    assert foreign.source(f"{name}:f") not in (one, None)
    assert not any(loaded.startswith(name.partition(".")[0]) for loaded in sys.modules)


@pytest.mark.parametrize("reference", ["nobody_here:f", "nobody_here.at.all:f", "json.nobody:f", "pathlib.x.y:f", "sys:f"])
def test_what_is_not_here_has_no_hash(reference):
    assert foreign.source(reference) is None


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("def f(): ...", False),
        ("from a import b as f", False),
        ("if torch:\n    f = 1", False),
        ("def g():\n    global f\n    f = 1", False),
        ("from a import *", False),  # from here on nobody can tell without an import
        ("def __getattr__(name): ...", False),
        ("globals().update(a)", False),
        ("def (", False),
        ("def ff(): ...", True),
        ("def g(f): ...", True),
        ("def g():\n    f = 1", True),
        ("class G:\n    def f(self): ...", True),
        ("f()", True),
    ],
)
def test_a_module_that_lacks_a_function_is_known_without_an_import(module, text, lacks):
    module("read_here", text)
    assert foreign.is_lacking("read_here:f") is lacks
    assert "read_here" not in sys.modules


@pytest.mark.parametrize("reference", ["nobody_here:f", "sys:f", "json:loads"])
def test_what_is_not_here_or_has_the_function_lacks_none(reference):
    assert not foreign.is_lacking(reference)


def test_a_module_that_cannot_be_imported_is_told_of_in_a_line(module):
    path = module("broken_here")
    path.write_text("raise RuntimeError('one\\ntwo')", encoding="utf-8")
    with pytest.raises(UserError, match=r"^a\.key = broken_here:f: broken_here cannot be imported \(RuntimeError: one\)$"):
        foreign.load("a.key", "broken_here:f")


SMALL = """
WIDTH = 4

def small():
    return WIDTH

class Kept:
    @staticmethod
    def width():
        return WIDTH
"""


@pytest.fixture
def hot(tmp_path, monkeypatch):
    """Writes a module that is used while it is edited, as in a notebook: what it holds differs in its size, or not at all in it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(foreign._imported, "hot", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)

    def write(text):
        (tmp_path / "hot.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("hot", None)


LOOSE = SMALL.replace("    return WIDTH\n", "    return WIDTH + 1\n", 1)
"""Another function."""

WIDE = SMALL.replace("4", "8")
"""As long, and the functions are as they were."""


@pytest.mark.parametrize("edited", [LOOSE, WIDE], ids=["a function", "a constant"])
def test_a_file_that_has_changed_since_it_was_imported_is_refused_until_it_is_reloaded(hot, edited):
    hot(SMALL)
    before = foreign.source("hot:small")
    assert foreign.load("a.key", "hot:small")() == 4
    hot(edited)
    assert foreign.source("hot:small") != before
    with pytest.raises(UserError, match=r"^a\.key = hot:small: the file of hot has changed since .*: importlib\.reload\(hot\) takes it as"):
        foreign.load("a.key", "hot:small")
    os.utime(sys.modules["hot"].__file__, ns=(0, 10**18))  # else Python takes the bytecode of a file of the same second and size
    importlib.reload(sys.modules["hot"])
    assert foreign.load("a.key", "hot:small")() in (5, 8)
    hot(SMALL)
    with pytest.raises(UserError, match="has changed since it was imported here"):
        foreign.load("a.key", "hot:small")


@pytest.mark.parametrize("edited", [LOOSE, SMALL.replace("        return WIDTH", "        return -WIDTH")], ids=["a function", "a method"])
def test_a_file_that_others_imported_before_it_changed_is_refused(hot, edited):
    hot(SMALL)
    importlib.import_module("hot")
    hot(edited)
    with pytest.raises(UserError, match="has changed since it was imported here"):
        foreign.load("a.key", "hot:small")
    hot(SMALL)
    assert foreign.load("a.key", "hot:small")() == 4


def test_a_file_that_can_no_longer_be_imported_is_not_what_was(hot):
    hot(SMALL)
    importlib.import_module("hot")
    hot(SMALL + "def")
    with pytest.raises(UserError, match="has changed since it was imported here"):
        foreign.load("a.key", "hot:small")


@pytest.mark.parametrize(
    "reference", ["json:dumps", "json.decoder:JSONDecoder", "inspect:signature", "torch.nn:Linear", "torchvision.models:resnet18"]
)
def test_modules_of_every_kind_are_of_their_files(reference):
    assert callable(foreign.load("a.key", reference))
