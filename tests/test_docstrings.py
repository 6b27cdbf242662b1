"""Every public class, function and method says what it is or does; what takes or gives a tensor says of which shape."""

import importlib.util
import inspect
import pkgutil
import re
from functools import cached_property
from types import ModuleType

import reglab

SHAPE = re.compile(r"\((?:[\w ×·/-]+,[\w ×·/,…-]*|,)?\)|scalar|any shape")
"""`(N, C, H, W)`, `(2, n)`, `(K,)`, `()`, or in words."""

NOT_OURS = {"Call self as a function.", "Define the computation performed at every call."}
"""What Python and PyTorch say where nobody else does."""

NEEDS_TRITON = "reglab.techniques.agc.kernel"


def modules():
    """All of the package's, but for the one that a machine without Triton cannot import."""
    for module in pkgutil.walk_packages(reglab.__path__, "reglab."):
        if module.name != "reglab.__main__" and (module.name != NEEDS_TRITON or importlib.util.find_spec("triton")):
            yield importlib.import_module(module.name)


def function_of(item):
    """The function behind a method, a property, or what a decorator wrapped; or anything else as it is."""
    if isinstance(item, property):
        return item.fget
    if isinstance(item, cached_property):
        return item.func
    return inspect.unwrap(getattr(item, "__func__", item))


def functions(owner):
    """The public functions that a module or a class defines itself; in a class what is called as one, too."""
    place = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
    for name, item in vars(owner).items():
        function = function_of(item)
        if (not name.startswith("_") or name == "__call__") and inspect.isfunction(function) and function.__module__ == place:
            yield name, function


def public(module):
    """What a module defines: its name, the object, and what is said of it, there or where it is inherited from."""
    for name, function in functions(module):
        yield name, function, function.__doc__
    for name, item in vars(module).items():
        if inspect.isclass(item) and item.__module__ == module.__name__ and not name.startswith("_"):
            yield name, item, item.__doc__
            for method, function in functions(item):
                yield f"{name}.{method}", function, inspect.getdoc(getattr(item, method))


def says(text):
    return bool(text) and text.splitlines()[0] not in NOT_OURS


def is_of_tensors(function):
    hints = map(str, function.__annotations__.values()) if inspect.isfunction(function) else ()
    return any("Tensor" in re.findall(r"\w+", hint) for hint in hints)


def test_what_is_public_has_a_docstring():
    for module in modules():
        assert module.__doc__, module.__name__
        assert [f"{module.__name__}.{name}" for name, _, text in public(module) if not says(text)] == []


def test_a_function_of_tensors_says_their_shapes():
    for module in modules():
        tensors = [(name, text or "") for name, item, text in public(module) if is_of_tensors(item)]
        assert [f"{module.__name__}.{name}" for name, text in tensors if not SHAPE.search(text)] == []
