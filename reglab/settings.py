"""Where things are on this machine: folders and the device. Never part of an experiment, so never in `RunConfig`."""

import os
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from reglab.errors import MachineError, UserError, excerpt, shown


class Settings(BaseSettings):
    """Read from environment variables `REGLAB_…`; the command line loads `.env` into the environment first."""

    model_config = SettingsConfigDict(env_prefix="REGLAB_", env_ignore_empty=True)

    runs: Path = Field(default=Path("runs"), description="run records, one folder a sweep")
    checkpoints: str | None = Field(default=None, description="folder, gs:// or s3:// that machines share; else each run's folder")
    metadata: str = Field(
        default="auto",
        pattern=r"^(auto|off|(gcp|aws)(@https?://.+)?)$",
        description="the cloud whose preemption notice `reglab agent` heeds: auto, off, gcp or aws, with another address after @",
    )
    cache: Path = Field(default_factory=lambda: user_cache_path("reglab"), description="downloads and decoded images")
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto: a GPU where there is one")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of a run; where not set, no more than it has cores")
    gpu_runs: int = Field(default=1, ge=1, description="runs at a time on a run's GPU; sweeps and agents set it for theirs")


def require_home() -> None:
    """Raises UserError where nobody knows this user's home folder: the cache and W&B's client have theirs in it."""
    try:
        Path("~").expanduser()
    except RuntimeError:
        raise UserError(
            f"HOME is not set, and the system knows no user {os.getuid()}: set HOME to a folder that can be written, such as HOME=$PWD"
        ) from None


def require_working_folder() -> None:
    """Raises UserError where it was removed under this process: libraries that look for it abort, each in its own way."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the working folder is gone: cd to one that is there") from None


def unwritable_cache(cache: Path, reason: str) -> MachineError:
    """That no images can be kept there, and how to mend it."""
    return MachineError(
        f"the cache {shown(cache)} cannot be written ({reason}): set REGLAB_CACHE to a folder that can, with room for images"
    )


@cache
def settings() -> Settings:
    """The settings of this process. Raises UserError for a value that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"REGLAB_{str(fault['loc'][0]).upper()} = {excerpt(fault['input'])}: {fault['msg']}") from None
