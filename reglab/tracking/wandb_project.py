"""Runs on W&B's server, read back as the records that they were logged from. One request serves many runs."""

import json
import logging
import math
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reglab import reading
from reglab.errors import MachineError, ReglabError, UserError, first_line
from reglab.names import fault
from reglab.settings import settings
from reglab.tracking.program_run import ProgramRun, by_paths
from reglab.tracking.record import Environment, Epoch, RunRecord, State, Summary, own_id
from reglab.tracking.wandb_files import metrics
from reglab.tracking.wandb_library import server_api, wandb
from reglab.tracking.wandb_run import LOGGED_BESIDE

_log = logging.getLogger(__name__)

SCHEME = "wandb://"
LISTED_AT_ONCE = 1000
READ_AT_ONCE = 50
"""Runs in one answer: a run with 200 epochs is some 60 kB."""

ROWS_AT_ONCE = 1000
"""Rows of one run's history in one answer."""

_MOST_PAGES = 1000
"""Of a listing."""

_MOST_HISTORY = 10**8
"""Characters of the epochs of one run."""

_PAUSES = (0.5, 2.0)
"""Seconds before a request is tried again."""

_CACHE_FORMAT = 1
_MOST_CACHE_BYTES = 10**11

_GOES_ON = ("running", "pending", "preempting")

_PAGE = """
query %(name)s($entity: String!, $project: String!, $filters: JSONString!, $after: String, $first: Int!) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $after, first: $first, order: "+created_at") {
      edges { node { %(fields)s } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""
_LISTING = _PAGE % {"name": "ListRuns", "fields": "name state heartbeatAt"}
_CONFIGURATIONS = _PAGE % {"name": "ListConfigurations", "fields": "name state heartbeatAt config"}
_SUMMARIES = _PAGE % {"name": "ListSummaries", "fields": "name state createdAt heartbeatAt sweepName group config summaryMetrics"}
_RESULTS = _PAGE % {"name": "ListResults", "fields": "name displayName state createdAt config summaryMetrics"}
_EXTENTS = _PAGE % {"name": "ListExtents", "fields": "name state historyLineCount config summaryMetrics"}
_EXISTS = "query FindProject($entity: String!, $project: String!) { project(name: $project, entityName: $entity) { id } }"
_SWEEP_STATE = """
query SweepState($entity: String!, $project: String!, $sweep: String!) {
  project(name: $project, entityName: $entity) { sweep(sweepName: $sweep) { state } }
}
"""
_WHOLE = _PAGE % {
    "name": "ReadRuns",
    "fields": f"""name state heartbeatAt sweepName group config summaryMetrics historyLineCount
      history(minStep: 0, maxStep: {ROWS_AT_ONCE}, samples: {ROWS_AT_ONCE})""",
}
_MORE_HISTORY = """
query ReadHistory($entity: String!, $project: String!, $run: String!, $from: Int64!, $to: Int64!, $samples: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { history(minStep: $from, maxStep: $to, samples: $samples) }
  }
}
"""


@dataclass(frozen=True)
class Project:
    """A project on W&B's server, or the runs of one sweep or group in it."""

    entity: str
    name: str
    sweep: str | None = None

    @classmethod
    def parse(cls, address: str) -> "Project":
        """`wandb://entity/project` or `wandb://entity/project/sweep`. Raises UserError for anything else."""
        parts = address.removeprefix(SCHEME).strip("/").split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise UserError(f"{address}: give wandb://entity/project, or wandb://entity/project/sweep")
        return cls(*parts)

    @property
    def filters(self) -> dict[str, Any]:
        """As W&B asks for the runs."""
        return {"$or": [{"sweep": self.sweep}, {"group": self.sweep}]} if self.sweep else {}

    def __str__(self) -> str:
        return f"{SCHEME}{self.entity}/{self.name}" + (f"/{self.sweep}" if self.sweep else "")


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
    for node in _nodes(_api(), Project(entity, project), _CONFIGURATIONS, {"sweep": sweep}, LISTED_AT_ONCE):
        with suppress(*_UNREADABLE):  # it is not known what such a run would be
            if not fault(node["name"]):
                found.append(ListedRun(node["name"], node["state"], _moment(node["heartbeatAt"]), _config(node)))
    return found


def state_of_sweep(entity: str, project: str, sweep: str) -> str | None:
    """W&B's own word for how a sweep stands; None where it was deleted. Raises ReglabError where the server does not answer."""
    found = _answer(_api(), Project(entity, project), _SWEEP_STATE, sweep=sweep)
    with answering(f"sweep {sweep}"):
        return found["sweep"]["state"] if found and found["sweep"] else None


def _moment(text: Any) -> datetime | None:
    """A time as W&B has it, in UTC where it does not say; None for what is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Kept:
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
        return self.state in _GOES_ON


def kept(project: Project) -> dict[str, Kept]:
    """What is there of each run, by its name; empty where there is no project. Raises ReglabError where the server does not answer."""
    api, found = _api(), {}
    if _answer(api, project, _EXISTS) is None:
        return {}
    for node in _nodes(api, project, _EXTENTS, project.filters, LISTED_AT_ONCE):
        updated, config = None, dict[str, Any]()
        with suppress(*_UNREADABLE):
            updated = _moment(_object(node["summaryMetrics"]).get("updated"))
        with suppress(*_UNREADABLE):
            config = _config(node)
        environment = config.get("environment")
        images = environment.get("data_fingerprint") if isinstance(environment, dict) else None
        images = images if isinstance(images, str) else None
        found[node["name"]] = Kept(node["state"], node["historyLineCount"] or 0, updated, _moment(config.get("created")), images)
    return found


def records(project: Project, history: bool = True, progress: Callable[[int, int], None] | None = None) -> Iterator[RunRecord]:
    """The runs of reglab in a project, oldest first, with their epochs or without; one after the other, whatever their number.

    What has ended is kept in the cache: another read, or one that goes on after an interruption, asks for the rest only.
    A run that cannot be read is left out, with a warning that names it. `progress` is told how many runs are here, of how many.
    Raises ReglabError where the server does not answer.
    """
    api = _api()
    with closing(_cache(project)) as cache:
        listed = list(_nodes(api, project, _LISTING, project.filters, LISTED_AT_ONCE))
        known = {name: (state, heartbeat) for name, state, heartbeat in cache.execute("SELECT name, state, heartbeat FROM runs")}
        wanted = [
            node["name"] for node in listed if known.get(node["name"]) != (node["state"], node["heartbeatAt"]) or node["state"] in _GOES_ON
        ]
        done = len(listed) - len(wanted)
        for begin in range(0, len(wanted), READ_AT_ONCE):
            names = wanted[begin : begin + READ_AT_ONCE]
            for node in _nodes(api, project, _WHOLE, {"name": {"$in": names}}, READ_AT_ONCE):
                lines = _lines(api, project, node)
                try:
                    _keep(cache, node, _record(node, [_object(line) for line in lines]))
                except _UNREADABLE as error:  # a record of a later version, or changed by hand
                    cache.execute("DELETE FROM runs WHERE name = ?", (node["name"],))
                    reason = " ".join(str(error).split())
                    _log.warning("run %s at W&B is left out: this reglab cannot read it (%s)", node["name"], reason)
            cache.commit()
            done += len(names)
            if progress:
                progress(done, len(listed))
        pages = _pages(project)
        for name, ids in _standing(cache, [node["name"] for node in listed]).items():
            row = cache.execute("SELECT record, history FROM runs WHERE name = ?", (name,)).fetchone()
            if row and row[0]:  # else it is none of ours, or it was deleted meanwhile
                try:
                    more = ids | {"history": reading.parsed(row[1]) if history else [], "url": f"{pages}/{quote(name)}"}
                    record = RunRecord.stored(_object(row[0]) | more)
                except ValueError:  # nobody wrote that here
                    cache.execute("DELETE FROM runs WHERE name = ?", (name,))
                    cache.commit()
                    _log.warning("left out: run %s, which was damaged in the cache; the same command reads it again", name)
                except UserError as error:  # of a later version
                    _log.warning("left out: %s", error)
                else:
                    yield record


def records_of_program(project: Project, program: str) -> list[RunRecord]:
    """The runs of another program in a project, oldest first, as far as W&B tells without their epochs: state, configuration, summary.

    A run that cannot be read is left out, with a warning that names it. Raises ReglabError where the server does not answer.
    """
    found = []
    for node in _nodes(_api(), project, _SUMMARIES, project.filters, LISTED_AT_ONCE):
        try:
            config = _config(node)
            if "schema_version" not in config:  # else it is a run of reglab's
                found.append(_record_of_program(node, config, program))
        except _UNREADABLE as error:
            _log.warning("run %s at W&B is left out: this reglab cannot read it (%s)", node["name"], first_line(error))
    return found


def _record_of_program(node: dict[str, Any], config: dict[str, Any], program: str) -> RunRecord:
    moments = {"created": node["createdAt"], "updated": node["heartbeatAt"]}
    state = State.finished if node["state"] == "finished" else _SILENT.get(node["state"], State.running)
    return RunRecord(
        run_id=node["name"],
        sweep=node["sweepName"] or node["group"] or "",
        label=node["name"],
        identity="",
        seed=0,
        config=config,
        program=program,
        state=State.stopped if node["state"] == "killed" else state,
        logged=metrics(_object(node["summaryMetrics"])),
        **{name: moment for name, text in moments.items() if (moment := _moment(text))},
    )


def holds_records(project: Project) -> bool:
    """Whether any of its runs is reglab's. Raises ReglabError where the server does not answer."""
    for node in _nodes(_api(), project, _CONFIGURATIONS, project.filters, LISTED_AT_ONCE):
        with suppress(*_UNREADABLE):
            if "schema_version" in _config(node):
                return True
    return False


def program_runs(project: Project) -> list[ProgramRun]:
    """The runs of any program in a project, oldest first, without their histories; of reglab's own, too, what stands in their pages.

    A run that cannot be read is left out, with a warning that names it. Raises ReglabError where the server does not answer.
    """
    found = []
    for node in _nodes(_api(), project, _RESULTS, project.filters, LISTED_AT_ONCE):
        try:
            found.append(_program_run(node, project))
        except _UNREADABLE as error:
            _log.warning("run %s at W&B is left out: it cannot be read (%s)", node["name"], " ".join(str(error).split()))
    return found


def _program_run(node: dict[str, Any], project: Project) -> ProgramRun:
    """Raises ValueError, KeyError, … for what it cannot read."""
    config = {key: value for key, value in _config(node).items() if key not in LOGGED_BESIDE}
    told = _object(node["summaryMetrics"])
    own = own if isinstance(own := told.get("_wandb"), dict) else {}
    seconds = next((value for value in (told.get("_runtime"), own.get("runtime")) if isinstance(value, int | float)), None)
    return ProgramRun(
        id=node["name"],
        name=str(node.get("displayName") or ""),
        program=str(project),
        config=dict(sorted(by_paths(config))),  # W&B has them in no order
        summary={key: value for key, value in by_paths(told) if not key.startswith("_")},
        state=_OF_A_PROGRAM.get(node["state"], State.running),
        seconds=seconds if seconds is not None and math.isfinite(seconds) else None,
        created=_moment(node.get("createdAt")),
        url=f"{_pages(project)}/{quote(node['name'])}",
    )


def _pages(project: Project) -> str:
    """The address of the pages of a project's runs."""
    return f"{wandb.setup().settings.app_url}/{project.entity}/{project.name}/runs"


_OF_A_PROGRAM = {
    "finished": State.finished,
    "failed": State.failed,
    "killed": State.stopped,
    "crashed": State.crashed,
    "preempted": State.preempted,
    "pending": State.pending,
}
"""What W&B says of a run that it alone can say it of; whatever else it says means that the run goes on."""


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
            heads = {name: _object(row[0]) for name, row in zip(names, found, strict=True) if row and row[0]}
            begun = {name: moment for name, head in heads.items() if (moment := _moment(head.get("created")))}
            since = max((begun[name] for name in begun if heads[name].get("again")), default=datetime.min.replace(tzinfo=UTC))
            left = [name for name in begun if begun[name] >= since]
        else:
            left = names
        own = {"run_id": run_id} if len(left) == 1 else {}
        standing |= {name: own | ({"wandb_id": name} if own and name != run_id else {}) for name in left}
    return {name: standing[name] for name in listed if name in standing}


def default_entity() -> str | None:
    """Whose key this is. Raises UserError without a good key, and ReglabError where the server does not answer."""
    return _api().default_entity


def _api() -> wandb.Api:
    try:
        with answering("the account"):
            return server_api()
    except (wandb.Error, ValueError) as error:
        if does_not_answer(error):
            raise ReglabError(f"W&B does not answer ({error})") from None
        raise UserError(f"W&B cannot be asked ({' '.join(str(error).split())}); `wandb login` sets the key") from None


def does_not_answer(error: Exception) -> bool:
    """Whether the client's error means that no server answered it. It calls that, too, a fault of the key."""
    cause = error.__cause__
    return isinstance(error, wandb.errors.AuthenticationError) and cause is not None and getattr(cause, "response", None) is None


_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading an answer raises that is not as W&B's are."""


@contextmanager
def answering(where: object) -> Iterator[None]:
    """Raises MachineError for an answer that is not as W&B gives it: of a proxy, another server. ValueErrors are the client's own."""
    try:
        yield
    except ValueError:
        raise
    except _UNREADABLE as error:
        raise _no_answer(where, f"{type(error).__name__}: {error}") from None


def _no_answer(where: object, fault: str) -> MachineError:
    return MachineError(
        f"{where}: what answers is not W&B, or not as W&B does ({' '.join(fault.split())}): see that WANDB_BASE_URL and the proxy are "
        "right; the same command goes on then"
    )


def _nodes(api: wandb.Api, project: Project, query: str, filters: dict[str, Any], at_once: int) -> Iterator[dict[str, Any]]:
    """What the server says of each run that passes the filters, page by page. Raises MachineError for a listing without end."""
    after: str | None = None
    for _ in range(_MOST_PAGES):
        found = _ask(api, project, query, filters=json.dumps(filters), after=after, first=at_once)
        with answering(project):
            nodes = [_checked(edge["node"]) for edge in found["runs"]["edges"]]
            goes_on, before, after = found["runs"]["pageInfo"]["hasNextPage"], after, found["runs"]["pageInfo"]["endCursor"]
        yield from nodes
        if not goes_on:
            return
        if not nodes or after == before:
            raise _no_answer(project, "a page of runs that leads to none")
    raise _no_answer(project, f"more than {_MOST_PAGES:,} pages of runs")


_TEXTS = ("state", "heartbeatAt", "sweepName", "group", "config", "summaryMetrics")


def _checked(node: Any) -> dict[str, Any]:
    """What W&B says of a run, each field of its kind. Raises TypeError."""
    history, count = node.get("history") or [], node.get("historyLineCount")
    texts = [node["name"], *(node[name] for name in _TEXTS if node.get(name) is not None), *history]
    if not all(isinstance(text, str) for text in texts) or not isinstance(count, int | None) or not isinstance(history, list):
        raise TypeError("a run whose fields are of other kinds")
    return dict(node)


def _object(text: str | None) -> dict[str, Any]:
    """What stands in a field of JSON. Raises ValueError for what is no mapping."""
    if not isinstance(found := reading.parsed(text or "{}", numbers_only=False), dict):
        raise ValueError(f"{type(found).__name__} in place of a mapping")
    return found


def _ask(api: wandb.Api, project: Project, query: str, **variables: Any) -> dict[str, Any]:
    if (found := _answer(api, project, query, **variables)) is None:
        raise UserError(f"{project}: there is no such project, or this key may not read it")
    return found


def _answer(api: wandb.Api, project: Project, query: str, **variables: Any) -> dict[str, Any] | None:
    variables |= {"entity": project.entity, "project": project.name}
    for pause in (*_PAUSES, None):
        try:
            answer: dict[str, Any] = api._service_api.execute_graphql(query, variables)
            with answering(project):
                if isinstance(found := answer["project"], dict | None):
                    return found
                raise TypeError(f"{type(found).__name__} in place of a project")
        except Exception as error:  # the client tries again by itself, but not when an answer is cut short
            if pause is None and isinstance(error, MachineError):
                raise
            if getattr(getattr(error, "response", None), "http_status", None) == HTTPStatus.UNAUTHORIZED:
                raise UserError(f"{project}: W&B does not take the key ({' '.join(str(error).split())}); `wandb login` sets it") from None
            if pause is None:
                raise ReglabError(f"{project}: W&B does not answer ({' '.join(str(error).split())})") from None
            time.sleep(pause)
    raise AssertionError("the last pause is none")


def _lines(api: wandb.Api, project: Project, node: dict[str, Any]) -> list[str]:
    """All rows of a run's history, as JSON: those that came with it, and the rest of a long one, as far as any can be."""
    lines = list(node["history"] or [])
    begin = ROWS_AT_ONCE
    while len(lines) < (node["historyLineCount"] or 0) and sum(map(len, lines)) < _MOST_HISTORY and begin < _MOST_PAGES * ROWS_AT_ONCE:
        limits = {"from": begin, "to": begin + ROWS_AT_ONCE, "samples": ROWS_AT_ONCE}
        found = _ask(api, project, _MORE_HISTORY, run=node["name"], **limits)
        with answering(project):
            more = found["run"]["history"] if found["run"] else None
            if not more:
                break
            lines += _checked({"name": node["name"], "history": more})["history"]
        begin += ROWS_AT_ONCE
    return lines


def _config(node: dict[str, Any]) -> dict[str, Any]:
    return {key: entry["value"] for key, entry in _object(node["config"]).items() if key != "_wandb"}


_ENDED_AS: dict[str, tuple[State, ...]] = {
    "finished": (State.finished, State.stopped, State.diverged),
    "failed": (State.failed, State.crashed, State.preempted),
    "killed": (State.stopped, State.failed),
    "preempted": (State.preempted,),
}
"""What a run may say of its end, given W&B's own state. What it said of an earlier end does not count."""

_SILENT = {
    "finished": State.crashed,
    "failed": State.failed,
    "killed": State.crashed,
    "crashed": State.crashed,
    "preempted": State.preempted,
}
"""The state of a run that ended without its own word; whatever else W&B says means that it goes on."""


def _record(node: dict[str, Any], rows: Sequence[dict[str, Any]]) -> RunRecord | None:
    """The record that a run was logged from; None for a run of other software. Raises ValueError, KeyError, … for what it cannot read."""
    config = _config(node)
    if "schema_version" not in config:
        return None
    said = {key: _number(value) for key, value in _object(node["summaryMetrics"]).items()}
    own_word: bool = said.get("state") in _ENDED_AS.get(node["state"], ())
    state = State(said["state"]) if own_word else _SILENT.get(node["state"], State.running)
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
        config={key: value for key, value in config.items() if key not in LOGGED_BESIDE},
        state=state,
        reason=said.get("reason") if own_word else None,
        created=config["created"],
        updated=(own_word and said.get("updated")) or node["heartbeatAt"] or config["created"],
        again=config.get("again"),
        environment=Environment.model_validate(config["environment"]) if "environment" in config else None,
        summary=Summary.model_validate(said) if own_word and "parameters" in said else None,
        history=_epochs(rows),
        weights=said.get("weights") if own_word else None,
    )


def _epochs(rows: Sequence[dict[str, Any]]) -> list[Epoch]:
    by_epoch = {row["epoch"]: row for row in rows if "epoch" in row}
    return [Epoch.model_validate({key: _number(value) for key, value in by_epoch[epoch].items()}) for epoch in sorted(by_epoch)]


def _number(value: Any) -> Any:
    """What is no number comes as text, or as it is; a record has nothing there."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value in ("NaN", "Infinity", "-Infinity") else value


def _cache(project: Project) -> sqlite3.Connection:
    """What was read of a project, in a database of its own."""
    server = wandb.setup().settings.base_url
    name = quote(f"{server}/{project.entity}/{project.name}", safe="")
    path = settings().cache / "wandb" / f"{name}-v{_CACHE_FORMAT}.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            reading.opened(path, _MOST_CACHE_BYTES, "remove it").close()
        return _opened(path)
    except (OSError, sqlite3.Error) as error:  # a disk that is full or read-only, or a damaged database
        _log.warning("what W&B sends is not kept in %s (%s)", path, " ".join(str(error).split()))
        return _opened(":memory:")


def _opened(path: Path | str) -> sqlite3.Connection:
    cache = sqlite3.connect(path)
    cache.execute("CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, state TEXT, heartbeat TEXT, record TEXT, history TEXT)")
    cache.execute("DELETE FROM runs WHERE name IS NULL")  # whether it can be written is known now
    return cache


def _keep(cache: sqlite3.Connection, node: dict[str, Any], record: RunRecord | None) -> None:
    head = record.model_dump_json(by_alias=True, exclude={"history", "log"}, exclude_none=True) if record else None
    epochs = json.dumps([row.metrics() for row in record.history]) if record else None
    row = (node["name"], node["state"], node["heartbeatAt"], head, epochs)
    cache.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", row)
