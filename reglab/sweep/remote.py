"""Sweeps on W&B's server: registered once, found again by what they ask for."""

import hashlib
from dataclasses import dataclass

import wandb

from reglab.errors import UserError
from reglab.sweep.spec import SweepSpec


@dataclass(frozen=True)
class RemoteSweep:
    """A sweep's address at W&B; `is_new` where this call registered it."""

    entity: str
    project: str
    sweep_id: str
    method: str
    is_new: bool = False

    @property
    def path(self) -> str:
        """As `wandb agent` takes it."""
        return f"{self.entity}/{self.project}/{self.sweep_id}"


def mark(spec: SweepSpec) -> str:
    """What tells a registered sweep from others: a hash of what it asks for, kept in its description."""
    return f"[reglab {hashlib.sha256(spec.fingerprint().encode()).hexdigest()[:12]}]"


def create(spec: SweepSpec, entity: str | None, project: str, again: bool = False) -> RemoteSweep:
    """Register a sweep, or find the one that an earlier call registered, unless `again` forces a second.

    Raises UserError without a key, or where the server refuses.
    """
    try:
        api = wandb.Api()
        entity = entity or api.default_entity
        if not entity:
            raise UserError("no W&B entity: give --entity, or set WANDB_ENTITY")
        if not again and (sweep_id := _find(api, entity, project, mark(spec))):
            return RemoteSweep(entity, project, sweep_id, spec.method)
        described = f"{spec.config.get('description', '')} {mark(spec)}".strip()
        sweep_id = wandb.sweep(spec.config | {"description": described}, entity=entity, project=project)
    except (wandb.Error, ValueError) as error:  # the client raises ValueError for a project that it may not read
        fault = f"{spec.path}: W&B did not take the sweep ({error})"
        raise UserError(f"{fault}: `wandb login` sets the key, `reglab --debug` says more") from None
    return RemoteSweep(entity, project, sweep_id, spec.method, is_new=True)


def find(path: str) -> RemoteSweep:
    """The sweep at `ENTITY/PROJECT/SWEEP`. Raises UserError where there is none, or where its runs are not reglab's."""
    try:
        entity, project, sweep_id = path.strip("/").split("/")
    except ValueError:
        raise UserError(f"{path}: give ENTITY/PROJECT/SWEEP, as `reglab sweep create` prints it") from None
    try:
        config = wandb.Api().sweep(path).config
    except (wandb.Error, ValueError) as error:
        raise UserError(f"{path}: W&B does not give this sweep ({error}); `wandb login` sets the key") from None
    if "reglab" not in (command := [str(word) for word in config.get("command", [])]):
        shown = " ".join(command) or "python on its program"
        raise UserError(f"{path}: its runs start {shown}, not reglab; add `command: [reglab, train]` to its file")
    return RemoteSweep(entity, project, sweep_id, config["method"])


def _find(api: wandb.Api, entity: str, project: str, wanted: str) -> str | None:
    """The id of the registered sweep that carries the mark; none where the project is not there yet."""
    try:
        sweeps = api.project(project, entity=entity).sweeps()
        return next((sweep.id for sweep in sweeps if wanted in str(sweep.config.get("description"))), None)
    except (ValueError, wandb.errors.CommError):
        return None
