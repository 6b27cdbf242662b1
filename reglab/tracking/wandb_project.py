"""Runs of reglab on W&B's server, read back as the records that they were logged from."""

import logging
import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from reglab import reading
from reglab.errors import UserError, in_one_line
from reglab.tracking import wandb_cache
from reglab.tracking.record import Environment, RunRecord, State, own_id, settings_of
from reglab.tracking.results import Epoch, Summary
from reglab.tracking.wandb_api import (
    LISTED_AT_ONCE,
    MOST_PAGES,
    UNREADABLE,
    Project,
    address_of_runs,
    answering,
    ask,
    checked,
    config_of,
    connect,
    mapping_in,
    nodes,
    page,
)
from reglab.tracking.wandb_library import wandb
from reglab.tracking.wandb_states import GOES_ON

_log = logging.getLogger(__name__)

READ_AT_ONCE = 50
"""Runs in one answer: a run with 200 epochs is some 60 kB."""

ROWS_AT_ONCE = 1000
"""Rows of one run's history in one answer."""

_MOST_HISTORY = 10**8
"""Characters of the epochs of one run."""

_LISTING = page("ListRuns", "name state heartbeatAt")
_WHOLE = page(
    "ReadRuns",
    f"""name state heartbeatAt sweepName group config summaryMetrics historyLineCount
      history(minStep: 0, maxStep: {ROWS_AT_ONCE}, samples: {ROWS_AT_ONCE})""",
)
_MORE_HISTORY = """
query ReadHistory($entity: String!, $project: String!, $run: String!, $from: Int64!, $to: Int64!, $samples: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { history(minStep: $from, maxStep: $to, samples: $samples) }
  }
}
"""


def records(project: Project, history: bool = True, progress: Callable[[int, int], None] | None = None) -> Iterator[RunRecord]:
    """The runs of reglab in a project, oldest first, with their epochs or without; one after the other, whatever their number.

    What has ended is kept in the cache: another read, or one that goes on after an interruption, asks for the rest only.
    A run that cannot be read is left out, with a warning that names it. `progress` is told how many runs are here, of how many.
    Raises ReglabError where the server does not answer.
    """
    api = connect()
    with closing(wandb_cache.opened(project)) as cache:
        listed = list(nodes(api, project, _LISTING, project.filters, LISTED_AT_ONCE))
        known = {name: (state, heartbeat) for name, state, heartbeat in cache.execute("SELECT name, state, heartbeat FROM runs")}
        wanted = [
            node["name"] for node in listed if known.get(node["name"]) != (node["state"], node["heartbeatAt"]) or node["state"] in GOES_ON
        ]
        done = len(listed) - len(wanted)
        for begin in range(0, len(wanted), READ_AT_ONCE):
            names, read, gone = wanted[begin : begin + READ_AT_ONCE], list[wandb_cache.Row](), list[str]()
            for node in nodes(api, project, _WHOLE, {"name": {"$in": names}}, READ_AT_ONCE):
                lines = _lines(api, project, node)
                try:
                    read.append(wandb_cache.row(node, _record(node, [mapping_in(line) for line in lines])))
                except UNREADABLE as error:  # a record of a later version, or changed by hand
                    gone.append(node["name"])
                    reason = in_one_line(error)
                    _log.warning("run %s at W&B is left out: this reglab cannot read it (%s)", node["name"], reason)
            wandb_cache.keep(cache, read, gone)
            done += len(names)
            if progress:
                progress(done, len(listed))
        address = address_of_runs(project)
        for name, ids in _standing(cache, [node["name"] for node in listed]).items():
            row = cache.execute("SELECT record, history FROM runs WHERE name = ?", (name,)).fetchone()
            if row and row[0]:  # else it is none of ours, or it was deleted meanwhile
                try:
                    more = ids | {"history": reading.parsed(row[1]) if history else [], "url": f"{address}/{quote(name)}"}
                    record = RunRecord.stored(mapping_in(row[0]) | more)
                except ValueError:  # nobody wrote that here
                    wandb_cache.keep(cache, [], [name])
                    _log.warning("left out: run %s, which was damaged in the cache; the same command reads it again", name)
                except UserError as error:  # of a later version
                    _log.warning("left out: %s", error)
                else:
                    yield record


def _standing(cache: sqlite3.Connection, listed: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of these names at W&B those of runs whose place no later training has taken, each with the ids that its record has here.

    Of the trainings of one run that W&B has, what `reglab train --again` began stands in place of all before it. Where one is left, it
    has the run's own id here, as in the store of the machine that trained it; several are told apart by their names at W&B.
    """
    trainings: defaultdict[str, list[str]] = defaultdict(list)
    for name in listed:
        trainings[own_id(name)].append(name)
    standing: dict[str, dict[str, str]] = {}
    for run_id, names in trainings.items():
        if names != [run_id]:
            found = [cache.execute("SELECT record FROM runs WHERE name = ?", (name,)).fetchone() for name in names]
            heads = {name: mapping_in(row[0]) for name, row in zip(names, found, strict=True) if row and row[0]}
            begun = {name: moment for name, head in heads.items() if (moment := reading.moment_in(head.get("created")))}
            since = max((begun[name] for name in begun if heads[name].get("again")), default=datetime.min.replace(tzinfo=UTC))
            left = [name for name in begun if begun[name] >= since]
        else:
            left = names
        own = {"run_id": run_id} if len(left) == 1 else {}
        standing |= {name: own | ({"wandb_id": name} if own and name != run_id else {}) for name in left}
    return {name: standing[name] for name in listed if name in standing}


def _lines(api: wandb.Api, project: Project, node: dict[str, Any]) -> list[str]:
    """All rows of a run's history, as JSON: those that came with it, and the rest of a long one, as far as any can be."""
    lines = list(node["history"] or [])
    begin = ROWS_AT_ONCE
    while len(lines) < (node["historyLineCount"] or 0) and sum(map(len, lines)) < _MOST_HISTORY and begin < MOST_PAGES * ROWS_AT_ONCE:
        limits = {"from": begin, "to": begin + ROWS_AT_ONCE, "samples": ROWS_AT_ONCE}
        found = ask(api, project, _MORE_HISTORY, run=node["name"], **limits)
        with answering(project):
            more = found["run"]["history"] if found["run"] else None
            if not more:
                break
            lines += checked({"name": node["name"], "history": more})["history"]
        begin += ROWS_AT_ONCE
    return lines


_ENDED_AS: dict[str, tuple[State, ...]] = {
    "finished": (State.finished, State.stopped, State.diverged),
    "failed": (State.failed, State.crashed, State.preempted),
    "killed": (State.stopped, State.failed),
    "preempted": (State.preempted,),
}
"""What a run may say of its end, given W&B's own state. What it said of an earlier end does not count."""

SILENT = {
    "finished": State.crashed,
    "failed": State.failed,
    "killed": State.crashed,
    "crashed": State.crashed,
    "preempted": State.preempted,
}
"""The state of a run that ended without its own word; whatever else W&B says means that it goes on."""


def own_word(at_wandb: str, said: Mapping[str, Any]) -> State | None:
    """How a run of reglab ended by its own word, its summary given; None where it has said nothing of the end that W&B's state tells."""
    return State(said["state"]) if said.get("state") in _ENDED_AS.get(at_wandb, ()) else None


def _record(node: dict[str, Any], rows: Sequence[dict[str, Any]]) -> RunRecord | None:
    """The record that a run was logged from; None for a run of other software. Raises ValueError, KeyError, … for what it cannot read."""
    config = config_of(node)
    if "schema_version" not in config:
        return None
    said = {key: _number(value) for key, value in mapping_in(node["summaryMetrics"]).items()}
    told = own_word(node["state"], said)
    train = config.get("train")
    seed = train.get("seed") if isinstance(train, dict) and config.get("identity") else 0
    return RunRecord(
        schema_version=config["schema_version"],
        run_id=node["name"],
        sweep=node["sweepName"] or node["group"] or "",
        label=config["label"],
        identity=config["identity"],
        identity_version=config.get("identity_version", 0),
        seed=seed or 0,
        config=settings_of(config),
        state=told or SILENT.get(node["state"], State.running),
        reason=said.get("reason") if told else None,
        created=config["created"],
        updated=(told and said.get("updated")) or node["heartbeatAt"] or config["created"],
        again=config.get("again"),
        measures=config.get("measures"),
        environment=Environment.model_validate(config["environment"]) if "environment" in config else None,
        summary=Summary.model_validate(said) if told and "parameters" in said else None,
        history=_epochs(rows),
        weights=said.get("weights") if told else None,
        per_image=said.get("per_image") if told else None,
    )


def _epochs(rows: Sequence[dict[str, Any]]) -> list[Epoch]:
    by_epoch = {row["epoch"]: row for row in rows if "epoch" in row}
    return [Epoch.model_validate({key: _number(value) for key, value in by_epoch[epoch].items()}) for epoch in sorted(by_epoch)]


def _number(value: Any) -> Any:
    """What is no number comes as text, or as it is; a record has nothing there."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value in ("NaN", "Infinity", "-Infinity") else value
