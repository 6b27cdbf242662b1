"""Functions of the user's: their names are looked at without an import, and other code has another hash."""

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
        foreign.source.cache_clear()
        return path

    yield write
    foreign.source.cache_clear()
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


def test_a_module_that_cannot_be_imported_is_told_of_in_a_line(module):
    path = module("broken_here")
    path.write_text("raise RuntimeError('one\\ntwo')", encoding="utf-8")
    foreign.source.cache_clear()
    with pytest.raises(UserError, match=r"^a\.key = broken_here:f: broken_here cannot be imported \(RuntimeError: one\)$"):
        foreign.load("a.key", "broken_here:f")
