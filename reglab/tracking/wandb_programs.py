"""Runs of any program in a project on W&B's server, and the curve of one of their metrics."""

import json
import logging
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from reglab.errors import first_line, in_one_line
from reglab.reading import moment_in
from reglab.tracking import program_run
from reglab.tracking.program_run import Curve, ProgramRun, by_path, results_of, seconds_of
from reglab.tracking.record import RunRecord, State, settings_of
from reglab.tracking.wandb_api import (
    CONFIGURATIONS,
    LISTED_AT_ONCE,
    UNREADABLE,
    Project,
    address_of_runs,
    config_of,
    connect,
    mapping_in,
    nodes,
    page,
)
from reglab.tracking.wandb_files import metrics
from reglab.tracking.wandb_project import SILENT, own_word

CURVES_AT_ONCE = 50
"""Runs in one answer."""

_log = logging.getLogger(__name__)

_SUMMARIES = page("ListSummaries", "name state createdAt heartbeatAt sweepName group config summaryMetrics")
_RESULTS = page("ListResults", "name displayName state createdAt config summaryMetrics")


def holds_records(project: Project) -> bool:
    """Whether any of its runs is reglab's. Raises ReglabError where the server does not answer."""
    for node in nodes(connect(), project, CONFIGURATIONS, project.filters, LISTED_AT_ONCE):
        with suppress(*UNREADABLE):
            if "schema_version" in config_of(node):
                return True
    return False


def records_of_program(project: Project, program: str) -> list[RunRecord]:
    """The runs of another program in a project, oldest first, as far as W&B tells without their epochs: state, configuration, summary.

    A run that cannot be read is left out, with a warning that names it. Raises ReglabError where the server does not answer.
    """
    found = []
    for node in nodes(connect(), project, _SUMMARIES, project.filters, LISTED_AT_ONCE):
        try:
            config = config_of(node)
            if "schema_version" not in config:  # else it is a run of reglab's
                found.append(_record_of_program(node, config, program))
        except UNREADABLE as error:
            _log.warning("run %s at W&B is left out: this reglab cannot read it (%s)", node["name"], first_line(error))
    return found


def _record_of_program(node: dict[str, Any], config: dict[str, Any], program: str) -> RunRecord:
    moments = {"created": node["createdAt"], "updated": node["heartbeatAt"]}
    state = State.finished if node["state"] == "finished" else SILENT.get(node["state"], State.running)
    return RunRecord(
        run_id=node["name"],
        sweep=node["sweepName"] or node["group"] or "",
        label=node["name"],
        identity="",
        seed=0,
        config=config,
        program=program,
        state=State.stopped if node["state"] == "killed" else state,
        logged=metrics(mapping_in(node["summaryMetrics"])),
        **{name: moment for name, text in moments.items() if (moment := moment_in(text))},
    )


def program_runs(project: Project) -> list[ProgramRun]:
    """The runs of any program in a project, oldest first, without their histories; of reglab's own, too, what stands in their pages.

    A run that cannot be read is left out, with a warning that names it. Raises ReglabError where the server does not answer.
    """
    found = []
    for node in nodes(connect(), project, _RESULTS, project.filters, LISTED_AT_ONCE):
        try:
            found.append(_program_run(node, project))
        except UNREADABLE as error:
            _log.warning("run %s at W&B is left out: it cannot be read (%s)", node["name"], in_one_line(error))
    return found


def curves(project: Project, metric: str, points: int) -> dict[str, Curve]:
    """What the runs in a project logged of a metric, by their ids: W&B itself thins each to so many points.

    A run that cannot be read has none, with a warning that names it. Raises ReglabError where the server does not answer.
    """
    specs = [json.dumps({"keys": ["_step", metric], "samples": points})]
    listing = page("ListCurves", "name sampledHistory(specs: $specs)", ", $specs: [JSONString!]!")
    found = {}
    for node in nodes(connect(), project, listing, project.filters, CURVES_AT_ONCE, specs=specs):
        try:
            rows = sorted((dict(row) for sampled in node["sampledHistory"] for row in sampled), key=lambda row: row["_step"])
        except UNREADABLE as error:
            _log.warning("the curve of run %s at W&B is left out: it cannot be read (%s)", node["name"], first_line(error))
            continue
        if curve := program_run.curve(rows, metric, points):
            found[node["name"]] = curve
    return found


def _program_run(node: dict[str, Any], project: Project) -> ProgramRun:
    """Raises ValueError, KeyError, … for what it cannot read."""
    config = config_of(node)
    told = mapping_in(node["summaryMetrics"])
    ended = own_word(node["state"], told) if "schema_version" in config else None  # W&B has no word for one that diverged
    return ProgramRun(
        id=node["name"],
        name=str(node.get("displayName") or ""),
        program=str(project),
        config=dict(sorted(by_path(settings_of(config)).items())),  # W&B has them in no order
        summary=results_of(told),
        state=ended or _OF_A_PROGRAM.get(node["state"], State.running),
        reason=told.get("reason") if ended else None,
        seconds=seconds_of(told),
        created=moment_in(node.get("createdAt")),
        url=f"{address_of_runs(project)}/{quote(node['name'])}",
    )


_OF_A_PROGRAM = {
    "finished": State.finished,
    "failed": State.failed,
    "killed": State.stopped,
    "crashed": State.crashed,
    "preempted": State.preempted,
    "pending": State.pending,
}
"""What W&B says of a run that it alone can say it of; whatever else it says means that the run goes on."""
