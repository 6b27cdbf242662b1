"""What an installation of reglab can do: its core reads, checks, plans and reports, and extras bring what else there is.

The core does without torch, ten times its size; `reglab[train]` brings them.
"""

from importlib.util import find_spec

from reglab.errors import UserError

TRAINING = ("torch", "safetensors", "PIL", "sklearn")
"""Modules that only what trains imports, as the extra `train` brings them."""


def how(extra: str) -> str:
    """The command that brings an extra."""
    return f"pip install 'reglab[{extra}]'"


def missing() -> list[str]:
    """Those of `TRAINING` that this installation lacks."""
    return [name for name in TRAINING if find_spec(name) is None]


def need_training() -> None:
    """Raises UserError where this installation cannot train. Every command that trains calls it before it does anything else."""
    if names := missing():
        raise UserError(f"this installation of reglab cannot train, it lacks {', '.join(names)}: {how('train')}")
