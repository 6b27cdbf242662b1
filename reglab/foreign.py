"""What a configuration names of the user's own, as `package.module:function`: a network, images.

A name is looked at by whoever reads a record, and what it names is imported only where a run trains. In between stands the hash of the
module's file, by which runs of other code are other runs: it is found without importing anything, parents included.
"""

import hashlib
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from itertools import accumulate
from pathlib import Path
from typing import Any

from reglab.errors import UserError, excerpt, first_line

FORM = "package.module:function"

_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_LONGEST = 200
"""Characters."""


def is_reference(text: str) -> bool:
    """Whether it has the form of one, whatever is there."""
    return len(text) <= _LONGEST and _REFERENCE.fullmatch(text) is not None


@cache
def source(reference: str) -> str | None:
    """The hash of the file of the module that is named (12 hexadecimal digits); None where there is none on this machine.

    It is of this one file: what it imports in turn counts by its version, which the reader of a report has to know.
    """
    found = _spec(reference.partition(":")[0])
    if found is None or found.origin is None or not found.has_location:
        return None
    with suppress(OSError):
        return hashlib.sha256(Path(found.origin).read_bytes()).hexdigest()[:12]
    return None


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
    """The function that `key` names, its module imported. Raises UserError where it is not here, or cannot be."""
    module, _, name = reference.partition(":")
    if source(reference) is None:
        where = "install its package, or set PYTHONPATH to the folder that it is in"
        raise UserError(f"{key} = {reference}: there is no module {module} here: {where}")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except AttributeError:
        raise UserError(f"{key} = {reference}: {module} has no {name}") from None
    except Exception as error:  # whatever a module does when it is imported
        raise UserError(f"{key} = {reference}: {module} cannot be imported ({_said(error)})") from error
    if not callable(found):
        raise UserError(f"{key} = {reference}: it is a {type(found).__name__}, not a function")
    return found


def called(key: str, reference: str, function: Callable[..., Any], *values: Any, **arguments: Any) -> Any:
    """What the function, or what it made, gives for these arguments. Raises UserError, with what it said, where it fails."""
    try:
        return function(*values, **arguments)
    except (UserError, MemoryError):
        raise
    except Exception as error:
        given = ", ".join([*map(_brief, values), *(f"{name}={_brief(value)}" for name, value in arguments.items())])
        raise UserError(f"{key} = {reference}: called with {given or 'nothing'}, it fails: {_said(error)}") from error


def _brief(value: Any) -> str:
    return f"{type(value).__name__} {tuple(value.shape)}" if hasattr(value, "shape") else excerpt(value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
