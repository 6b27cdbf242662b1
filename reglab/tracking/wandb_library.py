"""W&B's library as reglab uses it, and as a program: it takes nothing from the working folder but where runs go, and whether.

`wandb/settings` there may be another's: cloned, unpacked, shared. What it says of a server, of a proxy or of certificates would have
the key sent there. So all of reglab imports the library from here, and `reglab agent` starts W&B's own agent by this module.
"""

import inspect
import ipaddress
import json
import os
import socket
import stat
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import wandb
from wandb.sdk.lib import wbauth
from wandb.sdk.lib.service.service_connection import WandbApiFailedError
from wandb.sdk.lib.settings_file import SettingsFiles
from wandb.sdk.wandb_settings import Settings

from reglab.console import say
from reglab.errors import UserError, first_line

__all__ = ["STARTED_BY", "WandbApiFailedError", "in_the_clear", "message", "server_api", "wandb", "warn_of_listeners", "wbauth"]

STARTED_BY = "REGLAB_AGENT_STARTED_BY"

_OF_THE_FOLDER = ("entity", "project", "mode")

_LARGEST = 64 * 1024
"""Bytes of a settings file."""


class _Files(SettingsFiles):
    """The user's own settings file, and three keys of the working folder's."""

    def all(self) -> dict[str, str]:
        own = {key: value for key, value in self._local_settings.items() if key in _OF_THE_FOLDER}
        if others := tuple(key for key in self._local_settings if key not in _OF_THE_FOLDER):
            _tell(str(self._local_path), others)
        return {**self._global_settings, **own}


def _read_system_settings(self: Settings) -> SettingsFiles:
    """In place of the client's own. Raises UserError for a file of the folder that is none of settings."""
    _refuse_odd(Path(self.settings_workspace))
    own = Path(self.settings_system) if self.settings_system else None
    return _Files(global_settings=own, local_settings=Path(self.settings_workspace))


def _refuse_odd(path: Path) -> None:
    """The client would wait for a pipe, read a device without end, and take a binary file for a fault of ours."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > _LARGEST:
            raise UserError(f"{path} is no file of W&B's settings: remove it, or run this elsewhere")
        path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as W&B's settings ({first_line(error)}): mend or remove it") from None


@cache
def _tell(path: str, others: tuple[str, ...]) -> None:
    """Once a process."""
    say(f"note: {path}: {', '.join(others)} left alone: of the folder's settings only {', '.join(_OF_THE_FOLDER)} count")


Settings.read_system_settings = _read_system_settings  # type: ignore[method-assign]


def server_api() -> wandb.Api:
    """The client's view of the server, after a word about what others could hear of it."""
    warn_of_listeners()
    return wandb.Api()


def warn_of_listeners() -> None:
    """Say, once a process, where what is sent can be read on the way, the key included."""
    if line := in_the_clear(wandb.setup().settings.base_url):
        _warn(line)


@cache
def _warn(line: str) -> None:
    say(f"note: {line}")


def in_the_clear(address: str) -> str | None:
    """What to say of a server whose address is without TLS and on another machine; None where all is well."""
    parts = urlsplit(address)
    if parts.scheme != "http" or _is_here(parts.hostname or ""):
        return None
    return f"W&B's server is {address}, without TLS: who listens on the way reads the key; give its address as https://…"


def _is_here(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def message(content: bytes) -> Any:
    """A record of the client's own protocol, as its files hold them. Raises ValueError for what is none."""
    try:
        from wandb.proto import wandb_internal_pb2

        read: Callable[[bytes], Any] = vars(wandb_internal_pb2)["Record"].FromString
    except (ImportError, LookupError, AttributeError):
        raise _unlike("keeps its files") from None
    try:
        return read(content)
    except Exception as error:  # the protocol's library has errors of its own
        raise ValueError(str(error)) from None


def _start_programs_by(words: Sequence[str]) -> None:
    """Have W&B's agent put these words before the command of each run that it starts."""
    from wandb import wandb_agent

    usual = getattr(wandb_agent, "AgentProcess", None)
    if usual is None or "command" not in inspect.signature(usual).parameters:
        raise _unlike("starts programs")

    def start(*, command: Sequence[str], **others: Any) -> Any:
        return usual(command=[*words, *command], **others)

    vars(wandb_agent)["AgentProcess"] = start


def _unlike(does: str) -> UserError:
    return UserError(f"wandb {wandb.__version__} {does} otherwise than 0.31, which this reglab knows: pip install 'wandb<0.32'")


def main() -> None:
    """W&B's own command, `wandb`, with this library.

    Its agent starts programs by the words in `STARTED_BY`, JSON, where they are there.
    """
    from wandb.cli.cli import cli

    if words := os.environ.pop(STARTED_BY, None):
        _start_programs_by(json.loads(words))
    cli(prog_name="wandb")


if __name__ == "__main__":
    main()
