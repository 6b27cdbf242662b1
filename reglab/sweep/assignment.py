"""The run that a sweep's agent hands to `reglab train`, as W&B's own agent does: in environment variables and one file.

`WANDB_SWEEP_ID` and `WANDB_RUN_ID` name it; `WANDB_SWEEP_PARAM_PATH` is a YAML file of `key: {value: …}`. wandb's client
reads the same three, so a run started offline by reglab carries its sweep when it is synced. `REGLAB_IDENTITY` is the identity after
which a sweep on this machine has named the run: the code that it is of may be another by now.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reglab import names, reading
from reglab.errors import UserError, excerpt
from reglab.sweep.program import Program
from reglab.tracking.record import LOGGED_BESIDE

_SWEEP, RUN, _PARAMETERS = "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH"
_IDENTITY = "REGLAB_IDENTITY"

_MOST_BYTES = 2 * 10**5
_DEEPEST = 10

_CLIENTS = {"wandb_version", "_wandb"}

_NOT_OURS = {*_CLIENTS, *LOGGED_BESIDE}
"""Keys that are not the configuration: a resumed run may be handed all that it logged as its configuration (wandb issue 9143)."""


@dataclass(frozen=True)
class Assignment:
    """One run of a sweep: `values` is its nested configuration, not yet validated; `identity` what it was named after, if that is known."""

    sweep: str
    run_id: str | None
    values: dict[str, Any]
    identity: str | None = None


def received(program: Program | None = None) -> Assignment | None:
    """The assignment of this process, or None where no agent started it; to another program any key may be one of its own."""
    path = os.environ.get(_PARAMETERS)
    if not path:
        return None
    try:
        text = reading.whole(Path(path), _MOST_BYTES, "unset it to train by hand").decode()
        _refuse_tangled(text)
        stored = yaml.safe_load(text)
        not_its = _NOT_OURS if program is None else _CLIENTS
        values = {key: entry["value"] for key, entry in stored.items() if key not in not_its}
    except (OSError, UserError, ValueError, OverflowError, yaml.YAMLError, AttributeError, TypeError, KeyError):
        raise UserError(f"{_PARAMETERS} = {path}: not a file of W&B's sweep parameters; unset it to train by hand") from None
    sweep, run_id = os.environ.get(_SWEEP, "sweep"), os.environ.get(RUN)
    for variable, name in ((_SWEEP, sweep), (RUN, run_id)):
        if name is not None and (fault := names.fault(name)):
            raise UserError(f"{variable} = {excerpt(name)}: {fault}; unset it to train by hand")
    return Assignment(sweep, run_id, values, os.environ.get(_IDENTITY) or None)


def _refuse_tangled(text: str) -> None:
    """Raises ValueError for what no agent writes: values that stand for others, of which a page can be gigabytes, or that nest deep."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > _DEEPEST:
            raise ValueError("values that stand for others, or nest deep")


def hand_over(sweep: str, run_id: str, values: Mapping[str, Any], folder: Path, identity: str = "") -> dict[str, str]:
    """Write the parameters into the run's `folder`; returns the environment variables for the process that is to run it.

    `identity`: what the run was named after; none where W&B has named it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "parameters.yaml"
    path.write_text(yaml.safe_dump({"wandb_version": 1} | {key: {"value": value} for key, value in values.items()}), encoding="utf-8")
    return {_SWEEP: sweep, RUN: run_id, _PARAMETERS: str(path.resolve()), _IDENTITY: identity}
