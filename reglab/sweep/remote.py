"""Sweeps on W&B's server: registered once, found again by what they ask for."""

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from reglab import names
from reglab.errors import ReglabError, UserError
from reglab.sweep import program
from reglab.sweep.program import Program
from reglab.sweep.spec import SweepSpec
from reglab.tracking.wandb_api import answering, connect, does_not_answer, owner
from reglab.tracking.wandb_library import server_api, wandb


@dataclass(frozen=True)
class RemoteSweep:
    """A sweep's address at W&B; `is_new` where this call registered it. `state` is W&B's: PENDING, RUNNING, FINISHED, CANCELED, …

    `scheduler`: the engine that chooses its runs, where it is not W&B's server.
    """

    entity: str
    project: str
    sweep_id: str
    method: str
    is_new: bool = False
    state: str = "PENDING"
    program: Program | None = None
    scheduler: str | None = None

    @property
    def path(self) -> str:
        """As `wandb agent` takes it."""
        return f"{self.entity}/{self.project}/{self.sweep_id}"


def mark(spec: SweepSpec) -> str:
    """What tells a registered sweep from others: a hash of what it asks for, kept in its description."""
    return f"[reglab {hashlib.sha256(spec.fingerprint().encode()).hexdigest()[:12]}]"


def check_command(config: Mapping[str, Any], where: object) -> None:
    """Raises UserError where nothing says what the runs of this sweep start: `wandb agent` would start python on nothing."""
    if config.get("command") is None and config.get("program") is None:
        raise UserError(f"{where}: nothing says what its runs start; have `command: [reglab, train]` in its file, or a `program:`")


def create(spec: SweepSpec, entity: str | None, project: str, again: bool = False) -> RemoteSweep:
    """Register a sweep, or find the one that an earlier call registered, unless `again` forces a second.

    Raises UserError without a key, or where the server refuses; ReglabError where it does not answer.
    """
    check_command(spec.config, spec.path)
    try:
        api = server_api()
        entity = entity or owner(api)
        with answering(spec.path):
            found = [] if again else [each for each in _registered(api, entity, project) if mark(spec) in each.description]
            if found:
                return RemoteSweep(entity, project, found[0].sweep_id, spec.method, state=found[0].state, scheduler=_scheduler(spec.config))
        described = f"{spec.config.get('description', '')} {mark(spec)}".strip()
        with answering(spec.path), redirect_stdout(sys.stderr):  # it says where the sweep is
            sweep_id = wandb.sweep(spec.config | {"description": described}, entity=entity, project=project)
    except (wandb.Error, ValueError) as error:  # the client raises ValueError for a project that it may not read
        if does_not_answer(error):
            raise ReglabError(f"{spec.path}: W&B does not answer ({error})") from None
        fault = f"{spec.path}: W&B did not take the sweep ({error})"
        raise UserError(f"{fault}: `wandb login` sets the key, `reglab --debug` says more") from None
    return RemoteSweep(entity, project, sweep_id, spec.method, is_new=True, scheduler=_scheduler(spec.config))


def find(path: str) -> RemoteSweep:
    """The sweep at `ENTITY/PROJECT/SWEEP`.

    Raises UserError where there is none, or where its runs are not reglab's; ReglabError where the server does not answer.
    """
    try:
        entity, project, sweep_id = path.strip("/").split("/")
    except ValueError:
        sweep_id = ""
    if names.fault(sweep_id):
        raise UserError(f"{path}: give ENTITY/PROJECT/SWEEP, as `reglab sweep create` prints it") from None
    try:
        with answering(path):
            config = server_api().sweep(path).config
            method = config["method"]
    except (wandb.Error, ValueError) as error:
        if does_not_answer(error):
            raise ReglabError(f"{path}: W&B does not answer ({error})") from None
        raise UserError(f"{path}: W&B does not give this sweep ({error}); `wandb login` sets the key") from None
    check_command(config, path)
    if fault := next(program.faults(config), None):
        raise UserError(f"{path}: {fault.said}")
    try:
        return RemoteSweep(entity, project, sweep_id, method, program=Program.of(config), scheduler=_scheduler(config))
    except (ValueError, LookupError, TypeError, AttributeError):  # nobody registers such by `reglab sweep create`, or by W&B's client
        raise UserError(f"{path}: its parameters are not as a sweep's are; register it anew, by `reglab sweep create`") from None


def _scheduler(config: Mapping[str, Any]) -> str | None:
    scheduler = config.get("scheduler")
    return scheduler.get("engine") if isinstance(scheduler, Mapping) else None


@dataclass(frozen=True)
class RegisteredSweep:
    """A sweep as a project lists it."""

    sweep_id: str
    state: str
    description: str


def registered(entity: str, project: str) -> list[RegisteredSweep]:
    """The sweeps of a project; none where it is not there yet. Raises UserError without a good key, ReglabError without an answer."""
    with answering(f"{entity}/{project}"):
        return _registered(connect(), entity, project)


def _registered(api: wandb.Api, entity: str, project: str) -> list[RegisteredSweep]:
    try:
        return [RegisteredSweep(sweep.id, sweep.state, _described(sweep)) for sweep in api.project(project, entity=entity).sweeps()]
    except json.JSONDecodeError as error:  # a ValueError, too, and no word on whether there is a project
        raise ReglabError(f"{entity}/{project}: W&B's answer cannot be read ({error})") from None
    except ValueError:
        return []


def _described(sweep: Any) -> str:
    """What the file of a sweep says of it; nothing where that is no text."""
    said = sweep.config.get("description")
    return said if isinstance(said, str) else ""
