"""How a run goes on from a checkpoint: which one it takes, and whether it is its own."""

import logging
from collections.abc import Mapping
from typing import Any

from reglab.config import RunConfig, code_of_techniques, revisions, run_id
from reglab.errors import UserError, first_line
from reglab.tracking.storage import File
from reglab.training import checkpoint
from reglab.training.run import Run

_log = logging.getLogger(__name__)


def resume(run: Run, file: File, formerly: str | None = None) -> bool:
    """Have the run go on from the checkpoint in `file`; false where there is none of this run on these images.

    `formerly` is the run's identity under an earlier version. One that is damaged is set aside, and the one before it is taken.
    Raises UserError for a checkpoint of which nobody knows whose it is, and for one that says it is this run's, and is not.
    """
    found = _latest(file)
    if found is None:
        return False
    file, state = found
    try:
        if "config" not in state and state["run"] != f"{formerly}-s{run.config.train.seed}":
            fault = "is a checkpoint of an earlier version of reglab, and no record beside it tells of which run"
            raise UserError(f"{file} {fault}: go on with that version, or remove it to train this run from the start")
        if not _is_of(state, run) or state["data"] != run.images.fingerprint:
            _log.warning("%s is of another configuration or other images: the run starts anew", file)
            return False
        if not _is_laid_out_alike(state, run):
            _log.warning("%s is of a version that kept its state otherwise: the run starts anew", file)
            return False
        run.load_state_dict(state)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:  # whatever stood there in its place
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{file} is no checkpoint of this run ({reason}): remove it to train this run from the start") from None
    return True


def _latest(file: File) -> tuple[File, dict[str, Any]] | None:
    """The checkpoint in `file`, or the one before, where `file` is damaged or was set aside for that; None where there is none."""
    for each in filter(None, (file, file.before)):
        try:
            if (state := checkpoint.load(each)) is not None:
                return each, state
        except checkpoint.DamagedCheckpointError as error:
            _log.warning("%s: set aside; the run goes on from the checkpoint before, or begins again", str(error).rpartition(":")[0])
            each.set_aside()
    return None


def _is_of(state: Mapping[str, Any], run: Run) -> bool:
    """Whether a run that does the same left this state, by its configuration where it holds one."""
    try:
        own = code_of_techniques(run.config)
        same_code = state.get("code", {}) == run.code and state.get("techniques", own) == own  # an earlier version did not tell of these
        same_code = same_code and state.get("revisions", {}) == revisions(run.config)
        return same_code and run_id(RunConfig.parse(state.get("config", run.config.model_dump()))) == run_id(run.config)
    except UserError:
        return False


def _is_laid_out_alike(state: Mapping[str, Any], run: Run) -> bool:
    """Whether its optimizer's state lies as the parameters do, and its sums are those that this version keeps."""
    return state.get("places") == run.flat.places and "techniques" in state["sums"]
