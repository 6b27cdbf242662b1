"""How runs and sweeps stand on W&B's server, without what they came to."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reglab.names import fault
from reglab.reading import moment_in
from reglab.tracking.wandb_api import (
    CONFIGURATIONS,
    LISTED_AT_ONCE,
    UNREADABLE,
    Project,
    answering,
    ask_if_there,
    config_of,
    connect,
    mapping_in,
    nodes,
    page,
)

GOES_ON = ("running", "pending", "preempting")
"""W&B's words for a run that has not ended."""

_EXTENTS = page("ListExtents", "name state historyLineCount config summaryMetrics")
_EXISTS = "query FindProject($entity: String!, $project: String!) { project(name: $project, entityName: $entity) { id } }"
_SWEEP_STATE = """
query SweepState($entity: String!, $project: String!, $sweep: String!) {
  project(name: $project, entityName: $entity) { sweep(sweepName: $sweep) { state } }
}
"""


@dataclass(frozen=True)
class ListedRun:
    """A run as a listing has it: `state` is W&B's own, `config` nested, with what `WandbRun` logs beside it."""

    name: str
    state: str
    heartbeat: datetime | None
    config: dict[str, Any]


def runs_of_sweep(entity: str, project: str, sweep: str) -> list[ListedRun]:
    """The runs of a sweep, without their results; what has a path for a name is none. Raises ReglabError without an answer."""
    found = []
    for node in nodes(connect(), Project(entity, project), CONFIGURATIONS, {"sweep": sweep}, LISTED_AT_ONCE):
        with suppress(*UNREADABLE):  # it is not known what such a run would be
            if not fault(node["name"]):
                found.append(ListedRun(node["name"], node["state"], moment_in(node["heartbeatAt"]), config_of(node)))
    return found


def state_of_sweep(entity: str, project: str, sweep: str) -> str | None:
    """W&B's own word for how a sweep stands; None where it was deleted. Raises ReglabError where the server does not answer."""
    found = ask_if_there(connect(), Project(entity, project), _SWEEP_STATE, sweep=sweep)
    with answering(f"sweep {sweep}"):
        return found["sweep"]["state"] if found and found["sweep"] else None


@dataclass(frozen=True)
class ServerRun:
    """What the server has of a run: W&B's own state, rows of history, the date of the end that it was told of.

    `created` is when its training began, `data_fingerprint` that of the images it saw; None where nothing of that is there.
    """

    state: str
    epochs: int
    updated: datetime | None
    created: datetime | None
    data_fingerprint: str | None

    @property
    def goes_on(self) -> bool:
        """Whether W&B takes it for a run that has not ended."""
        return self.state in GOES_ON


def is_there(project: Project) -> bool:
    """Whether there is such a project. Raises ReglabError where the server does not answer."""
    return ask_if_there(connect(), project, _EXISTS) is not None


def kept(project: Project) -> dict[str, ServerRun]:
    """What is there of each run, by its name; empty where there is no project. Raises ReglabError where the server does not answer."""
    api, found = connect(), {}
    if ask_if_there(api, project, _EXISTS) is None:
        return {}
    for node in nodes(api, project, _EXTENTS, project.filters, LISTED_AT_ONCE):
        updated, config = None, dict[str, Any]()
        with suppress(*UNREADABLE):
            updated = moment_in(mapping_in(node["summaryMetrics"]).get("updated"))
        with suppress(*UNREADABLE):
            config = config_of(node)
        environment = config.get("environment")
        images = environment.get("data_fingerprint") if isinstance(environment, dict) else None
        images = images if isinstance(images, str) else None
        found[node["name"]] = ServerRun(node["state"], node["historyLineCount"] or 0, updated, moment_in(config.get("created")), images)
    return found
