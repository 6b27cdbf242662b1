"""W&B's client as this machine has set it up: whether it sends runs, where to, and with a key or without.

Its own settings answer, in its own order: the variables, `wandb/settings` in this folder, then the user's settings file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reglab.errors import UserError

if TYPE_CHECKING:
    from reglab.tracking.wandb_library import wandb

PROJECT = "reglab"
"""Where runs go when nothing says otherwise."""

_HANDED_OVER = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
_OF_ANOTHER_RUN = (
    "WANDB_RESUME",
    "WANDB_RESUME_FROM",
    "WANDB_FORK_FROM",
    "WANDB_NAME",
    "WANDB_RUN_NAME",
    "WANDB_RUN_GROUP",
    "WANDB_CONFIG_PATHS",
    "WANDB_LAUNCH",
    "WANDB_LAUNCH_CONFIG_PATH",
    "WANDB_SERVICE",
)
"""What names, resumes or configures one run, or is the address of another process's client."""


def forget_other_runs(handed_over: bool = False) -> None:
    """Take variables out of the environment that belong to a run which is over: left by a sweep, a notebook, a script.

    `handed_over`: this process may be for a run of a sweep; without the file of its parameters there is none. So are empty ones, as
    `.env` files and scripts unset a variable.
    """
    kept = _HANDED_OVER if handed_over and os.environ.get("WANDB_SWEEP_PARAM_PATH") else ()
    for name in (*_HANDED_OVER, *_OF_ANOTHER_RUN):
        if name not in kept:
            os.environ.pop(name, None)
    for name in [name for name, value in os.environ.items() if name.startswith("WANDB_") and not value.strip()]:
        del os.environ[name]


def mode() -> Literal["online", "offline", "disabled", "shared"]:
    """As `wandb.init()` would run with the same settings; where nothing is set, online with a key and offline without.

    Raises UserError for settings that the client does not take.
    """
    known = _settings()
    if known.mode in ("disabled", "shared", "offline"):
        return known.mode
    if known.mode == "dryrun":
        return "offline"
    return "online" if "mode" in known.model_fields_set or has_key() else "offline"


def has_key() -> bool:
    """Whether a key for the server is configured; whether it is a good one, only the server knows."""
    from reglab.tracking.wandb_library import wandb, wbauth

    try:
        found = wbauth.authenticate_session(host=_settings().base_url, source="reglab", prompt=False, update_session=False)
    except wandb.Error:  # it is there, and no key
        return True
    return found is not None


def in_the_clear() -> str | None:
    """What to say of W&B's server where what is sent there can be read on the way; None where all is well. Raises as `mode`."""
    from reglab.tracking import wandb_library

    return wandb_library.in_the_clear(_settings().base_url)


def destination(entity: str | None = None, project: str | None = None, file: Mapping[str, Any] | None = None) -> tuple[str | None, str]:
    """The entity (None: whose key it is) and the project: as given, else by variable, by the sweep's `file`, by W&B's settings files."""
    known, file = _settings(), file or {}
    found = [
        given or os.environ.get(variable) or file.get(key) or getattr(known, key)
        for given, variable, key in ((entity, "WANDB_ENTITY", "entity"), (project, "WANDB_PROJECT", "project"))
    ]
    return found[0] and str(found[0]), str(found[1] or PROJECT)


def check_online() -> None:
    """Raises UserError where runs of this machine do not go to W&B's server."""
    if (found := mode()) != "online":
        raise UserError(f"W&B is {found} here: `wandb login` sets the key, and WANDB_MODE and `wandb offline` must not say otherwise")


def of_local_sweep(file: Mapping[str, Any]) -> dict[str, str]:
    """The variables for a run of a sweep that no server knows: offline, unless WANDB_MODE says otherwise or W&B is disabled."""
    found = mode()
    entity, project = destination(file=file)
    chosen = found if "WANDB_MODE" in os.environ or found == "disabled" else "offline"
    return {"WANDB_MODE": chosen, "WANDB_PROJECT": project} | ({"WANDB_ENTITY": entity} if entity else {})


def _settings() -> "wandb.Settings":
    """Read now, as the client reads them once. Raises UserError in one line that names the variable."""
    from pydantic import ValidationError

    from reglab.tracking.wandb_library import wandb  # half a second: not for commands that log nothing

    found = wandb.Settings(silent=True)
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    found.settings_system = str(folder / "settings")
    found.update_from_system_settings()
    try:
        found.update_from_env_vars(dict(os.environ))
    except ValidationError as error:
        fault = error.errors()[0]
        name = f"WANDB_{str(fault['loc'][0]).upper()}" if fault["loc"] else "its settings"
        raise UserError(f"W&B's client does not take {name} = {str(fault['input'])!r}: {fault['msg']}; unset it, or mend it") from None
    except wandb.Error as error:
        raise UserError(f"W&B's client does not take its settings: {error}") from None
    return found
