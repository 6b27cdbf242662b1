"""What the server knows: projects, sweeps, runs, agents and saved views, under one lock.

Times are seconds since 1970. A run's configuration is kept in W&B's own form, `{key: {"value": …}}`.
"""

import base64
import json
import secrets
import string
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import yaml

from reglab.sweep import engines
from reglab.sweep.engines import Engine

ENTITY = "loopback"
"""Who owns the key; meant where a request names no entity."""

HISTORY, EVENTS, SUMMARY, OUTPUT = "wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log"

_numbers = count(1)


def _new_name() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))


@dataclass(kw_only=True, eq=False)
class _Stored:
    name: str = field(default_factory=_new_name)
    created: float = field(default_factory=time.time)
    number: int = field(default_factory=lambda: next(_numbers), repr=False)

    @cached_property
    def id(self) -> str:
        """The storage id, in W&B's form: wandb-workspaces reads a report's out of its address."""
        return base64.b64encode(f"{type(self).__name__}:{self.number}".encode()).decode()


@dataclass(kw_only=True, eq=False)
class Run(_Stored):
    """A run. `streams` holds the lines of each file that came by file_stream, `files` what was uploaded."""

    state: str = "running"
    display_name: str = ""
    sweep: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    host: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict, repr=False)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    chosen: dict[str, Any] = field(default_factory=dict, repr=False)  # by its sweep, unwrapped
    exitcode: int | None = None
    preempting: bool = False
    stop_requested: bool = False
    handed_out: list[str] = field(default_factory=list)  # names of the agents that were told to start it, in order
    inits: int = 0
    heard: float = field(default_factory=time.time)

    @property
    def history_lines(self) -> list[str]:
        return self.streams.get(HISTORY, [])

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.history_lines]

    @property
    def values(self) -> dict[str, Any]:
        """The configuration as the user sees it."""
        return {key: entry["value"] for key, entry in self.config.items() if key != "_wandb"}

    @property
    def alive(self) -> bool:
        return self.state in ("running", "preempting")

    def begin(self) -> None:
        """A client called `wandb.init`."""
        self.state, self.exitcode, self.preempting, self.stop_requested = "running", None, False, False
        self.inits += 1
        self.heard = time.time()

    def receive(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Take in a `file_stream` request and answer it. One that comes twice leaves what it left the first time."""
        self.heard = time.time()
        if self.state == "crashed":  # it was given up too early
            self.state = "running"
        for name, chunk in (sent.get("files") or {}).items():
            if name == SUMMARY:
                self.summary = json.loads(chunk["content"][-1])
                continue
            lines, offset = self.streams.setdefault(name, []), chunk["offset"]
            lines.extend([""] * (offset - len(lines)))
            lines[offset : offset + len(chunk["content"])] = chunk["content"]
        if sent.get("preempting"):
            self.preempting, self.state = True, "preempting"
        if sent.get("complete"):
            self.end(sent.get("exitcode", 0))
        return {"limits": {}} | ({"stopped": True} if self.stop_requested else {})

    def end(self, exitcode: int | None) -> None:
        """It said how it ended, or (None) went silent."""
        self.exitcode = exitcode
        if exitcode == 0:
            self.state = "finished"
        elif self.preempting:
            self.state = "preempted"
        elif exitcode is None:
            self.state = "crashed"
        else:
            self.state = "killed" if self.stop_requested else "failed"


@dataclass(kw_only=True, eq=False)
class Sweep(_Stored):
    """A sweep: `text` is its YAML as it came, `handed_out` its runs in the order in which they were chosen.

    `enqueued` are those that a scheduler, which is not the server's, has chosen and no agent has got yet.
    """

    text: str = field(repr=False)
    display_name: str | None = None
    state: str = "PENDING"
    controller: str | None = None
    scheduler: str | None = None
    handed_out: list[Run] = field(default_factory=list, repr=False)
    enqueued: list[Run] = field(default_factory=list, repr=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        content: dict[str, Any] = yaml.safe_load(self.text)
        return content

    @property
    def has_scheduler(self) -> bool:
        """Whether it waits for a scheduler to choose its runs and to end it."""
        return "scheduler" in self.config

    @cached_property
    def engine(self) -> Engine:
        return engines.of(self.config)

    @cached_property
    def expected(self) -> int | None:
        """How many runs it comes to, if it ends."""
        return len(list(engines.of(self.config).rest())) if self.config["method"] == "grid" else self.config.get("run_cap")


@dataclass(kw_only=True, eq=False)
class Project(_Stored):
    entity: str = ENTITY
    runs: dict[str, Run] = field(default_factory=dict, repr=False)
    sweeps: dict[str, Sweep] = field(default_factory=dict, repr=False)
    deleted: set[str] = field(default_factory=set, repr=False)  # names that no run may have again

    def delete(self, name: str) -> None:
        """Delete a run, as the page does."""
        del self.runs[name]
        self.deleted.add(name)

    def add(self, run: Run) -> Run:
        """Put a run there as if a client had logged it."""
        return self.runs.setdefault(run.name, run)


@dataclass(kw_only=True, eq=False)
class Agent(_Stored):
    project: Project
    sweep: Sweep
    host: str
    running: set[str] = field(default_factory=set)  # names of the runs that it said it has
    heard: float = field(default_factory=time.time)


@dataclass(kw_only=True, eq=False)
class View(_Stored):
    """A saved workspace (type `project-view`) or report (`runs`)."""

    project: Project
    type: str = ""
    display_name: str = ""
    description: str = ""
    spec: str = "{}"
    updated: float = field(default_factory=time.time)


class World:
    """Everything. Hold `lock` to look at it while clients are about.

    `silence_seconds`: a run that is not heard of for so long has crashed, or, if it was preempting, is to be resumed.
    `reissue_seconds`: a run that was handed out and never called `wandb.init` is handed out again.
    `whole_config_on_resume`: pass a resumed run all of its configuration, not only what the sweep chose (wandb issue 9143).
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.silence_seconds = 300.0
        self.reissue_seconds = 3600.0
        self.whole_config_on_resume = False
        self.projects: dict[tuple[str, str], Project] = {}
        self.agents: dict[str, Agent] = {}
        self.views: dict[str, View] = {}

    def project(self, name: str, entity: str | None = None) -> Project:
        """The project, made where it is not there."""
        entity = entity or ENTITY
        return self.projects.setdefault((entity, name), Project(name=name, entity=entity))

    def find_sweep(self, id_: str) -> tuple[Project, Sweep]:
        return next((project, sweep) for project in self.projects.values() for sweep in project.sweeps.values() if sweep.id == id_)

    def find_run(self, id_: str) -> tuple[Project, Run]:
        return next((project, run) for project in self.projects.values() for run in project.runs.values() if run.id == id_)

    def settle(self, runs: Iterable[Run]) -> None:
        """Give up those that have gone silent."""
        now = time.time()
        for run in runs:
            if run.alive and now - run.heard >= self.silence_seconds:
                run.end(None)
