"""Files are UTF-8 whatever the locale says: a machine's language changes no record, and no sweep file becomes "not YAML"."""

import ast
from pathlib import Path

import pytest

import reglab

PACKAGE = Path(reglab.__file__).parent
NOT_FILES_OF_TEXT = {"os", "Image", "opener"}


def names_no_encoding(call):
    if not isinstance(call.func, ast.Attribute) or any(word.arg == "encoding" for word in call.keywords):
        return False
    if call.func.attr != "open":
        return call.func.attr in ("read_text", "write_text")
    mode = next((word.value for word in call.args if isinstance(word, ast.Constant)), "r")
    return "b" not in mode and not (isinstance(call.func.value, ast.Name) and call.func.value.id in NOT_FILES_OF_TEXT)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_whoever_opens_a_file_of_text_names_its_encoding(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if names_no_encoding(call)] == []
