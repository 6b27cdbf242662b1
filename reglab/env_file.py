"""The file `.env` of the working folder: settings of this machine, and nothing else.

A folder may be another's: cloned, unpacked, shared. So the file sets the variables of `.env.example` and no other: not where W&B's
server is, to which the key would go, nor what a program loads before it begins.
"""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from reglab.errors import UserError, shown, without_path

KEYS = frozenset(
    {
        *("WANDB_API_KEY", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_MODE"),
        *("REGLAB_RUNS", "REGLAB_CHECKPOINTS", "REGLAB_CACHE", "REGLAB_DEVICE", "REGLAB_METADATA", "REGLAB_THREADS", "REGLAB_GPU_RUNS"),
    }
)
"""Those of `.env.example`."""

LARGEST = 64 * 1024
"""Bytes."""

_NAMED = 3
"""Variables that a note names; the rest is counted."""


def load(path: Path = Path(".env")) -> Iterator[str]:
    """Put what `path` sets into the environment, where a variable is not there already; yields a note on each part that is left alone.

    Raises UserError for a file that cannot be read as one of variables, and for a value that no variable should have.
    """
    if path.is_dir():
        yield f"note: {path} is a folder, so it sets nothing"
        return
    others: list[str] = []
    for binding in parse_stream(io.StringIO(_text(path))):
        where = f"{path}, line {binding.original.line}"
        if binding.error or (binding.key and binding.value is None):
            yield f"note: {where}: not KEY=VALUE, left alone"
        elif binding.key in KEYS:
            os.environ.setdefault(str(binding.key), _value(binding, where))
        elif binding.key:
            others.append(binding.key)
    if others:
        yield _note(path, list(dict.fromkeys(others)))


def _text(path: Path) -> str:
    """What is in the file; nothing where there is none. Never waits: a pipe is no file of settings."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UserError(f"{path} cannot be read ({without_path(error)}): mend or remove it") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path} is no file of settings, but a pipe or a device: remove it")
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"{path} is larger than {LARGEST // 1024} kB, so it is no file of settings: remove it, or run this elsewhere")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8, so it is no file of settings: mend or remove it") from None


def _value(binding: Binding, where: str) -> str:
    """Errors do not quote it: it may be the key."""
    value = binding.value or ""
    if shown(value) != value:
        raise UserError(f"{where}: {binding.key} holds a character that is not printed: write it anew")
    if "${" in value:
        raise UserError(f"{where}: {binding.key} holds ${{…}}, which is not replaced by anything: write the value out")
    return value


def _note(path: Path, others: list[str]) -> str:
    named = ", ".join(others[:_NAMED]) + (f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "")
    advice = "it sets the variables of .env.example only, the environment any other"
    if "WANDB_BASE_URL" in others:
        advice = "W&B's address comes from the environment, or from your own settings (`wandb login --host=…`)"
    return f"note: {path}: {named} left alone: {advice}"
