"""The techniques that can be switched on in a run, a room each: `declared.py` says what it is, a module beside it does it.

A technique touches training at five points only: when the network is built, on a batch, on the loss, on gradients (after unscaling,
before the optimizer's step), and by the decay of each parameter. `applied.Applied` has them. All else goes over `TECHNIQUES`.
"""

import sys
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from reglab.errors import UserError, first_line
from reglab.techniques.technique import Probe, Technique

__all__ = ["FORMERLY", "GROUP", "TECHNIQUES", "Probe", "Technique"]

GROUP = "reglab.techniques"
"""The entry points by which an installed package declares techniques of its own: each names a `Technique`."""

_BUILT_IN = (
    "batchnorm",
    "dropout",
    "stochastic_depth",
    "agc",
    "augment",
    "cutout",
    "mixup",
    "cutmix",
    "label_smoothing",
    "confidence_penalty",
    "weight_decay",
)
"""In the order in which they come in a configuration, in a label and on a batch."""


def installed(entry: EntryPoint) -> Technique[Any]:
    """The technique that a package declares. Raises UserError for one that cannot be used."""
    package = entry.dist.name if entry.dist else entry.value
    try:
        found = entry.load()
        if not isinstance(found, Technique):
            raise TypeError(f"{entry.value} is a {type(found).__name__}, not a reglab.techniques.Technique")
        return replace(found, source=found.code)
    except Exception as error:  # whatever a foreign module raises
        raise UserError(
            f"technique {entry.name} of the package {package} cannot be used: {first_line(error)}: mend or remove it"
        ) from error


def _are_declared() -> bool:
    """Whether any installed package may declare techniques: its own words are looked for, since reading them all takes longer."""
    for folder in sys.path:
        for kind in ("dist-info", "egg-info"):
            for declared in Path(folder or ".").glob(f"*.{kind}/entry_points.txt"):
                with suppress(OSError):
                    if GROUP.encode() in declared.read_bytes():
                        return True
    return False


def _all() -> tuple[Technique[Any], ...]:
    found: list[Technique[Any]] = [import_module(f"{__name__}.{room}.declared").TECHNIQUE for room in _BUILT_IN]
    for entry in sorted(entry_points(group=GROUP) if _are_declared() else (), key=lambda entry: entry.name):
        technique = installed(entry)
        if technique.name in {each.name for each in found}:
            raise UserError(f"technique {technique.name} ({entry.value}) has the name of another one: remove its package, or rename it")
        found.append(technique)
    return tuple(found)


TECHNIQUES: tuple[Technique[Any], ...] = _all()
"""Every technique: those that come with reglab, and those of installed packages by name."""

FORMERLY = {f"{technique.name}.{key}": path for technique in TECHNIQUES for key, path in technique.formerly.items()}
"""By a key's path, the one that it had before it was a technique's: it goes on being read, and identities are of it."""
