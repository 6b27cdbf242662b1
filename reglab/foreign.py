"""What a configuration names of the user's own, as `package.module:function`: a network, images.

A name is looked at by whoever reads a record, and what it names is imported only where a run trains. In between stands the hash of the
module's file, by which runs of other code are other runs: it is found without importing anything, parents included.
"""

import ast
import hashlib
import re
import symtable
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source
from itertools import accumulate
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from reglab.errors import UserError, excerpt, first_line

FORM = "package.module:function"

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_LONGEST = 200
"""Characters."""


def is_reference(text: str) -> bool:
    """Whether it has the form of one, whatever is there."""
    return len(text) <= _LONGEST and _REFERENCE.fullmatch(text) is not None


def source(reference: str) -> str | None:
    """The hash of the file of the module that is named, as it is now (12 hexadecimal digits); None where there is none on this machine.

    It is of this one file: what it imports in turn counts by its version, which the reader of a report has to know.
    """
    found = _content(reference.partition(":")[0])
    return None if found is None else _hash(found)


def is_lacking(reference: str) -> bool:
    """Whether the module that is named is here and, as its file reads, without the name; False, too, where the file does not tell."""
    module, _, name = reference.partition(":")
    content = _content(module)
    return content is not None and not may_have(content, name)


_UNREAD = {"*", "__getattr__", "__dict__", "globals", "locals", "vars", "setattr", "exec", "eval", "modules"}
"""Words of a module whose names are not all to be read in its file: those of another, say, or made while it is imported."""


def may_have(content: bytes, name: str) -> bool:
    """Whether a module of this content has a name at its top, as far as reading tells: nothing is imported."""
    try:
        text = decode_source(content)
        tree, top = ast.parse(text), symtable.symtable(text, "the module", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # compiled, or refused when it is imported
        return True
    if name in top.get_identifiers() and ((found := top.lookup(name)).is_assigned() or found.is_imported()):
        return True
    parts = list(ast.walk(tree))
    words = {value for part in parts for _, value in ast.iter_fields(part) if isinstance(value, str)}
    return bool(words & _UNREAD) or any(isinstance(part, ast.Global) and name in part.names for part in parts)


def _content(module: str) -> bytes | None:
    """What is in the file of a module; None where there is none."""
    found = _spec(module)
    if found is None or found.origin is None or not found.has_location:
        return None
    with suppress(OSError):
        return Path(found.origin).read_bytes()
    return None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is, asked of Python's finders: `importlib.util.find_spec` would import its parents."""
    path: list[str] | None = None
    for name in accumulate(module.split("."), lambda parent, child: f"{parent}.{child}"):
        found = None
        with suppress(Exception):  # another package's finder; and Python's own, in a folder whose parent is not imported
            found = next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, path))), None)
        if name == module:
            return found
        if found and found.origin:
            path = list(found.submodule_search_locations or ())
        else:  # it may be a folder without an __init__.py
            path = [str(place) for each in path or sys.path if (place := Path(each, name.rpartition(".")[2])).is_dir()]
        if not path:
            return None
    return None


def load(key: str, reference: str) -> Callable[..., Any]:
    """The function that `key` names, its module imported. Raises UserError where it is not here, or cannot be.

    So it does where the module was imported from its file as it was before: the code would not be what its hash says.
    """
    module, _, name = reference.partition(":")
    if (code := source(reference)) is None:
        where = "install its package, or set PYTHONPATH to the folder that it is in"
        raise UserError(f"{key} = {reference}: there is no module {module} here: {where}")
    try:
        imported = import_module(module)
        is_current = _is_of_its_file(imported, module, code)
        found: Callable[..., Any] | None = getattr(imported, name) if is_current else None
    except AttributeError:
        raise UserError(f"{key} = {reference}: {module} has no {name}") from None
    except Exception as error:  # whatever a module does when it is imported
        raise UserError(f"{key} = {reference}: {module} cannot be imported ({_said(error)})") from error
    if not is_current:
        mend = f"importlib.reload({module}) takes it as it is now, as does another process"
        raise UserError(f"{key} = {reference}: the file of {module} has changed since it was imported here: {mend}")
    if not callable(found):
        raise UserError(f"{key} = {reference}: it is a {type(found).__name__}, not a function")
    return found


_imported: dict[str, tuple[ModuleSpec | None, str]] = {}
"""Of modules that were loaded here, which import of them it was (each has a specification of its own), and the hash of the file then."""


def _is_of_its_file(imported: ModuleType, module: str, code: str) -> bool:
    """Whether a module was made of its file as that is now. `code`: the hash of the file before the module was imported, if it was now."""
    content = _content(module)
    if content is None or _hash(content) != code:
        return False
    import_of, at_import = _imported.get(module, (None, ""))
    if import_of is not None and import_of is imported.__spec__:
        return at_import == code
    if not _has_the_functions_of(imported, content):
        return False
    _imported[module] = imported.__spec__, code
    return True


def _has_the_functions_of(imported: ModuleType, content: bytes) -> bool:
    """Whether what a module that others imported has of functions is in a file of this content: nothing else tells what it was made of.

    Python itself takes bytecode of before for a file that is as long, and of the same second.
    """
    loader = imported.__spec__ and imported.__spec__.loader
    if not isinstance(loader, SourceFileLoader):
        return True
    try:
        there = set(_codes(loader.source_to_code(content, loader.path)))
    except (SyntaxError, ValueError):  # it was imported while it could be
        return False
    return all(function.__code__ in there for function in _functions(imported) if function.__code__.co_filename == loader.path)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(imported: ModuleType) -> Iterator[FunctionType]:
    """Those of a module, and of the classes in it."""
    own = [value for value in vars(imported).values() if getattr(value, "__module__", None) == imported.__name__]
    for value in [*own, *(each for kind in own if isinstance(kind, type) for each in vars(kind).values())]:
        if isinstance(function := getattr(value, "__func__", value), FunctionType):
            yield function


def called(key: str, reference: str, function: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
    """What the function, or what it made, gives for these arguments. Raises UserError, with what it said, where it fails."""
    try:
        return function(*values, **arguments)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        given = ", ".join([*map(brief, values), *(f"{name}={brief(value)}" for name, value in arguments.items())])
        raise UserError(f"{key} = {reference}: called with {given or 'nothing'}, it fails: {_said(error)}") from error


def brief(value: Any) -> str:
    """Return a value as messages tell of it: of arrays and tensors, of any shape, the kind and the shape."""
    return f"{type(value).__name__} {tuple(value.shape)}" if hasattr(value, "shape") else excerpt(value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
