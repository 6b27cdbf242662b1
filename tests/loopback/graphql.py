"""The part of W&B's GraphQL schema that its clients use: a method for each mutation, a tree of nodes for what is read."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from tests.loopback.filters import matches, ordered
from tests.loopback.scheduler import enqueue, heartbeat
from tests.loopback.state import ENTITY, EVENTS, OUTPUT, Agent, Project, Run, Sweep, View, World

Node = dict[str, Any]

FEATURES = ("MARK_RUN_FILES_UPLOADED", "SWEEPS_QUERY_FILTERING", "SWEEPS_LOCAL_SCHEDULER")
"""What the server says that it can do beyond the oldest one."""

USER = {
    "id": "VXNlcjox",
    "name": ENTITY,
    "username": ENTITY,
    "email": f"{ENTITY}@localhost",
    "entity": ENTITY,
    "admin": False,
    "flags": "{}",
    "deletedAt": None,
    "apiKeys": {"edges": []},
    "teams": {"edges": []},
}


class NotFoundError(Exception):
    """Answered with status 404."""


class DeletedError(Exception):
    """Answered with status 409."""


class Schema:
    """Answers from a `World`, whose lock is held meanwhile; `base_url` is where files are sent and fetched."""

    def __init__(self, world: World, base_url: str):
        self._world, self._base_url = world, base_url

    def root(self) -> Node:
        """The fields that a document can begin with."""
        mutations = (
            self.upsertModel,
            self.upsertSweep,
            self.enqueueSweepRun,
            self.createAgent,
            self.agentHeartbeat,
            self.upsertBucket,
            self.createRunFiles,
            self.markRunFilesUploaded,
            self.stopRun,
            self.upsertView,
        )
        return {
            "viewer": USER,
            "serverInfo": {"features": [{"name": name, "isEnabled": True} for name in FEATURES]},
            "project": self._find_project,
            "model": self._find_project,
            "models": self._projects,
            "view": lambda id: self._view(self._world.views.get(id)),
        } | {mutation.__name__: _of_input(mutation) for mutation in mutations}

    # What is read.

    def _find_project(self, name: str = "", entityName: str = ENTITY) -> Node | None:
        return self._project(self._world.projects.get((entityName or ENTITY, name)))

    def _projects(self, entityName: str = ENTITY, after: str | None = None, first: int = 50) -> Node:
        return _page([each for each in self._world.projects.values() if each.entity == entityName], self._project, first, after)

    def _project(self, project: Project | None) -> Node | None:
        if project is None:
            return None

        def find_run(name: str, missingOk: bool = False) -> Node | None:
            run = project.runs.get(name)
            self._world.settle([run] if run else [])
            return self._run(project, run) if run else None

        def runs(filters: str = "{}", order: str = "+created_at", first: int = 50, after: str | None = None) -> Node:
            return _page(self._filtered(project, filters, order), lambda run: self._run(project, run), first, after)

        def sweeps(filters: str = "{}", first: int = 50, after: str | None = None) -> Node:
            found = [each for each in project.sweeps.values() if matches(each, json.loads(filters), getattr)]
            return _page(found, lambda sweep: self._sweep(project, sweep), first, after)

        def views(viewType: str | None = None, viewName: str | None = None, userName: str | None = None, first: int = 50) -> Node:
            there = [view for view in self._world.views.values() if view.project is project]
            return _page([view for view in there if viewType in (None, view.type) and viewName in (None, view.name)], self._view, first)

        return {
            "id": project.id,
            "internalId": str(project.number),
            "name": project.name,
            "entityName": project.entity,
            "entity": {"id": "RW50aXR5OjE=", "name": project.entity},
            "createdAt": _when(project.created),
            "description": None,
            "access": "PRIVATE",
            "views": "{}",
            "isBenchmark": False,
            "readOnly": False,
            "user": USER,
            "run": find_run,
            "bucket": find_run,
            "runs": runs,
            "runCount": lambda filters="{}": len(self._filtered(project, filters)),
            "sweep": lambda sweepName: self._sweep(project, project.sweeps.get(sweepName)),
            "sweeps": sweeps,
            "totalSweeps": len(project.sweeps),
            "allViews": views,
        }

    def _filtered(self, project: Project, filters: str, order: str = "+created_at") -> list[Run]:
        self._world.settle(project.runs.values())
        wanted = json.loads(filters)
        found = [run for run in project.runs.values() if matches(run, wanted, _column)]
        return found if order == "+created_at" else ordered(found, order, _column)

    def _run(self, project: Project, run: Run) -> Node:
        events = run.streams.get(EVENTS, [])

        def wandb_config(keys: Iterable[str]) -> str:
            return json.dumps(_only(run.config.get("_wandb", {}).get("value", {}), keys))

        def sampled_history(specs: str | list[str]) -> list[list[Node]]:
            return [_sampled_history(run, json.loads(spec)) for spec in ([specs] if isinstance(specs, str) else specs)]

        def files(names: Sequence[str] = (), pattern: str | None = None, first: int = 50, after: str | None = None) -> Node:
            return _page(
                [name for name in run.files if not names or name in names], lambda name: self._file(project, run, name), first, after
            )

        return {
            "id": run.id,
            "projectId": str(project.number),
            "project": lambda: self._project(project),
            "name": run.name,
            "displayName": run.display_name or run.name,
            "description": None,
            "notes": run.notes,
            "tags": run.tags,
            "group": run.group,
            "jobType": run.job_type,
            "commit": None,
            "host": run.host,
            "readOnly": False,
            "user": USER,
            "sweepName": run.sweep,
            "state": run.state,
            "exitcode": run.exitcode,
            "shouldStop": run.stop_requested,
            "stopped": run.state == "killed",
            "failed": run.state in ("failed", "crashed"),
            "running": run.alive,
            "createdAt": _when(run.created),
            "heartbeatAt": _when(run.heard),
            "config": lambda: json.dumps(run.config),
            "wandbConfig": wandb_config,
            "summaryMetrics": lambda: json.dumps(run.summary),
            "systemMetrics": events[-1] if events else "{}",
            "historyLineCount": len(run.history_lines),
            "eventsLineCount": len(events),
            "logLineCount": len(run.streams.get(OUTPUT, [])),
            "historyTail": lambda: json.dumps(run.history_lines[-1:]),
            "eventsTail": lambda: json.dumps(events[-1:]),
            "historyKeys": lambda: _history_keys(run.history),
            "history": lambda **limits: _history(run, **limits),
            "events": lambda samples=500: _sampled(events, samples),
            "sampledHistory": sampled_history,
            "parquetHistory": lambda liveKeys: {"parquetUrls": [], "liveData": [_only(row, liveKeys) for row in run.history]},
            "fileCount": len(run.files),
            "files": files,
        }

    def _file(self, project: Project, run: Run, name: str) -> Node:
        url = f"{self._base_url}/storage/{project.entity}/{project.name}/{run.name}/{name}"
        return {
            "id": f"{run.id}/{name}",
            "name": name,
            "url": lambda upload=False: url,
            "directUrl": url,
            "uploadUrl": url,
            "sizeBytes": len(run.files.get(name, b"")),
            "mimetype": "application/octet-stream",
            "updatedAt": _when(run.heard),
            "md5": "",
        }

    def _sweep(self, project: Project, sweep: Sweep | None) -> Node | None:
        if sweep is None:
            return None
        self._world.settle(sweep.handed_out)
        runs = [run for run in project.runs.values() if run.sweep == sweep.name]
        agents = [agent for agent in self._world.agents.values() if agent.sweep is sweep]
        metric = sweep.config.get("metric") or {}
        best = max if metric.get("goal") == "maximize" else min
        return {
            "id": sweep.id,
            "name": sweep.name,
            "project": lambda: self._project(project),
            "displayName": sweep.display_name,
            "method": sweep.config["method"],
            "state": sweep.state,
            "description": sweep.config.get("description"),
            "config": sweep.text,
            "createdAt": _when(sweep.created),
            "updatedAt": _when(sweep.created),
            "heartbeatAt": _when(max((agent.heard for agent in agents), default=sweep.created)),
            "bestLoss": best((run.summary[metric["name"]] for run in runs if metric.get("name") in run.summary), default=None),
            "controller": sweep.controller,
            "scheduler": sweep.scheduler,
            "earlyStopJobRunning": False,
            "runCount": len(runs),
            "runCountExpected": sweep.expected,
            "controllerRunName": f"controller-{sweep.name}",
            "runs": lambda first=50, after=None: _page(runs, lambda run: self._run(project, run), first, after),
            "agents": lambda: _page(agents, lambda agent: self._agent(project, agent), len(agents)),
            "agent": lambda agentName: next((self._agent(project, agent) for agent in agents if agentName in (agent.id, agent.name)), None),
        }

    def _agent(self, project: Project, agent: Agent) -> Node:
        runs = [run for run in agent.sweep.handed_out if agent.name in run.handed_out]
        return {
            "id": agent.id,
            "name": agent.name,
            "state": "RUNNING",
            "host": agent.host,
            "createdAt": _when(agent.created),
            "heartbeatAt": _when(agent.heard),
            "totalRuns": len(runs),
            "runs": lambda first=50, after=None, order="": _page(runs, lambda run: self._run(project, run), first, after),
        }

    def _view(self, view: View | None) -> Node | None:
        return (
            None
            if view is None
            else {
                "id": view.id,
                "name": view.name,
                "type": view.type,
                "displayName": view.display_name,
                "description": view.description,
                "project": self._project(view.project),
                "createdAt": _when(view.created),
                "updatedAt": _when(view.updated),
                "spec": view.spec,
            }
        )

    # What is changed: named as W&B names it, with the fields of its input.

    def upsertModel(self, name: str, entityName: str = ENTITY, **_: Any) -> Node:
        node = self._project(self._world.project(name, entityName))
        return {"project": node, "model": node, "inserted": True}

    def upsertSweep(self, id: str | None = None, config: str = "", **given: Any) -> Node:
        if id:
            project, sweep = self._world.find_sweep(id)
        else:
            project = self._world.project(given["projectName"], given.get("entityName"))
            sweep = Sweep(text=config)
            project.sweeps[sweep.name] = sweep
        _take(sweep, given, state="state", display_name="displayName", controller="controller", scheduler="scheduler")
        return {"sweep": self._sweep(project, sweep), "configValidationWarnings": []}

    def enqueueSweepRun(self, id: str, config: str, displayName: str | None = None) -> Node:
        project, sweep = self._world.find_sweep(id)
        run = enqueue(project, sweep, {key: entry["value"] for key, entry in json.loads(config).items()})
        run.display_name = displayName or ""
        return {"id": run.name, "runQueueItemId": str(run.number)}  # the client watches it by its name

    def createAgent(self, host: str, sweep: str, projectName: str = "", entityName: str = ENTITY) -> Node:
        project = self._world.project(projectName, entityName)
        if sweep not in project.sweeps:
            raise NotFoundError(f"no sweep {entityName}/{projectName}/{sweep}")
        agent = Agent(project=project, sweep=project.sweeps[sweep], host=host)
        self._world.agents[agent.id] = agent
        return {"agent": self._agent(project, agent)}

    def agentHeartbeat(self, id: str, runState: str = "{}", metrics: str = "{}") -> Node:
        agent = self._world.agents.get(id)
        if agent is None or agent.sweep.name not in agent.project.sweeps:
            raise NotFoundError("no such agent, or its sweep was deleted")
        commands = heartbeat(self._world, agent, [name for name, alive in json.loads(runState).items() if alive])
        return {"agent": self._agent(agent.project, agent), "commands": json.dumps(commands)}

    def upsertBucket(self, id: str | None = None, name: str = "", state: str = "", **said: Any) -> Node:
        """By name, a client's `wandb.init` or a later change of what it said there; by id, a change through the Api."""
        inserted = False
        if id:
            project, run = self._world.find_run(id)
        else:
            project = self._world.project(said["modelName"], said.get("entityName"))
            if name in project.deleted:
                raise DeletedError(f"run {project.entity}/{project.name}/{name} was previously created and deleted; try a new run name")
            inserted = name not in project.runs
            run = project.add(Run(name=name, state="pending"))
            if not run.alive:
                run.begin()
        _take(
            run,
            said,
            display_name="displayName",
            sweep="sweep",
            group="groupName",
            job_type="jobType",
            tags="tags",
            notes="notes",
            host="host",
        )
        run.config = json.loads(said["config"]) if "config" in said else run.config
        run.summary = json.loads(said["summaryMetrics"]) if "summaryMetrics" in said else run.summary
        return {"bucket": self._run(project, run), "inserted": inserted}

    def createRunFiles(self, entityName: str, projectName: str, runName: str, files: Iterable[str]) -> Node:
        project = self._world.project(projectName, entityName)
        run = project.runs[runName]
        return {"runID": run.id, "uploadHeaders": [], "files": [self._file(project, run, name) for name in files]}

    def markRunFilesUploaded(self, **_: Any) -> Node:
        return {"success": True}

    def stopRun(self, id: str) -> Node:
        _, run = self._world.find_run(id)
        run.stop_requested = run.alive
        return {"success": True}

    def upsertView(self, id: str | None = None, projectName: str = "", entityName: str = ENTITY, **given: Any) -> Node:
        view = self._world.views[id] if id else View(project=self._world.project(projectName, entityName))
        self._world.views[view.id] = view
        _take(view, given, name="name", type="type", display_name="displayName", description="description", spec="spec")
        view.updated = time.time()
        return {"view": self._view(view), "inserted": id is None}


def _of_input(mutation: Callable[..., Node]) -> Callable[..., Node]:
    return lambda input: mutation(**input)


def _take(stored: Any, given: Mapping[str, Any], **columns: str) -> None:
    """Set the columns that were given; each under the name that W&B's input has for it."""
    for column, name in columns.items():
        if name in given:
            setattr(stored, column, given[name])


def _page(items: Sequence[Any], node: Callable[[Any], Node | None], first: int = 50, after: str | None = None) -> Node:
    """One page of a connection; a cursor is the number of items up to it."""
    begin = int(after or 0)
    edges = [{"node": node(item), "cursor": str(number)} for number, item in enumerate(items[begin : begin + first], begin + 1)]
    end = begin + len(edges)
    return {"edges": edges, "pageInfo": {"endCursor": str(end), "hasNextPage": end < len(items)}}


@cache
def _when(moment: float, precision: str = "seconds") -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


_COLUMNS: dict[str, Callable[[Run], Any]] = {
    "display_name": lambda run: run.display_name or run.name,
    "displayName": lambda run: run.display_name or run.name,
    "jobType": lambda run: run.job_type,
    "created_at": lambda run: _when(run.created, "microseconds"),
    "createdAt": lambda run: _when(run.created, "microseconds"),
    "heartbeat_at": lambda run: _when(run.heard, "microseconds"),
    "summary_metrics": lambda run: run.summary,
}


def _column(run: Run, name: str) -> Any:
    """What filters and orders can ask for."""
    return _COLUMNS[name](run) if name in _COLUMNS else getattr(run, name, None)


def _only(row: Mapping[str, Any], keys: Iterable[str]) -> Node:
    return {key: row[key] for key in keys if key in row}


def _sampled(rows: Sequence[Any], samples: int) -> list[Any]:
    return list(rows) if len(rows) <= samples else [rows[place * len(rows) // samples] for place in range(samples)]


def _history(run: Run, minStep: int | None = None, maxStep: int | None = None, samples: int = 500) -> list[str]:
    """Rows from `minStep` up to and without `maxStep`, as lines; thinned out where they are more than `samples`."""
    lines = run.history_lines
    if minStep is not None and maxStep is not None:
        lines = [line for line in lines if minStep <= json.loads(line)["_step"] < maxStep]
    return _sampled(lines, samples)


def _sampled_history(run: Run, spec: Mapping[str, Any]) -> list[Node]:
    """Rows that hold all of the spec's keys, and nothing else of them; steps up to and with `maxStep`."""
    keys, begin, end = spec.get("keys", []), spec.get("minStep", 0), spec.get("maxStep", float("inf"))
    rows = [row for row in run.history if begin <= row["_step"] <= end and all(key in row for key in keys)]
    return _sampled([_only(row, keys or row) for row in rows], spec.get("samples", 500))


def _history_keys(rows: Sequence[Mapping[str, Any]]) -> Node:
    last = {key: value for row in rows for key, value in row.items()}
    counts = {key: [{"type": "string" if isinstance(value, str) else "number", "count": len(rows)}] for key, value in last.items()}
    keys = {key: {"typeCounts": counts[key], "monotonic": False, "previousValue": value} for key, value in last.items()}
    return {"lastStep": max((row["_step"] for row in rows), default=-1), "sets": [], "keys": keys}
