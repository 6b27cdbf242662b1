"""Rounds of a study at W&B: sweeps that machines follow from one to the next, without knowing of each other.

A round is registered once, under a mark in its description; where two machines register it at the same moment, all follow the one whose id
comes first. A machine begins the next round only when no run of the last one is under way anywhere.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from reglab.errors import UserError
from reglab.settling import files
from reglab.settling.rounds import Course, Round, Wanted
from reglab.sweep import remote
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.spec import read
from reglab.tracking import client
from reglab.tracking.record import RunRecord
from reglab.tracking.wandb_api import Project, default_entity
from reglab.tracking.wandb_states import runs_of_sweep

UNDER_WAY = ("running", "pending", "preempting", "preempted")
"""W&B's states of runs that some machine has, or is to have."""

SETTLE_SECONDS = 3.0
"""After a round was registered, until its sweeps are looked at once more: another machine may have done so at the same moment."""

_MARK = re.compile(r"\[study (?P<study>[0-9a-f]{12}) round (?P<number>\d{1,6})\]")


def mark_of(course: Course) -> str:
    """What tells the rounds of a study from those of others: a hash of its arms, its looks and its claims."""
    claims = [claim.model_dump_json() for claim in course.design.claims]
    text = json.dumps([sorted(course.asked), course.looks, claims])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Rounds:
    """Those of a study in a project at W&B. `folder`: where this machine keeps their files."""

    course: Course
    entity: str
    project: str
    folder: Path

    @classmethod
    def of(cls, course: Course, entity: str | None, project: str | None, folder: Path) -> "Rounds":
        """Those in the project that is meant, as for any sweep. Raises UserError without a good key."""
        entity, project = client.destination(entity, project)
        entity = entity or default_entity()
        if not entity:
            raise UserError("no W&B entity: give --entity, or set WANDB_ENTITY")
        return cls(course, entity, project, folder)

    def records(self) -> list[RunRecord]:
        """All runs of the project; none where it is not there yet."""
        from reglab.tracking.wandb_project import records

        there = remote.registered(self.entity, self.project)
        return list(records(Project(self.entity, self.project), history=False)) if there else []

    def latest(self) -> tuple[int, RemoteSweep | None]:
        """The number of the last round that was registered, 0 before the first, and its sweep."""
        mine: dict[int, list[tuple[str, str]]] = {}
        for sweep in remote.registered(self.entity, self.project):
            found = _MARK.search(sweep.description)
            if found and found["study"] == mark_of(self.course):
                mine.setdefault(int(found["number"]), []).append((sweep.sweep_id, sweep.state))
        if not mine:
            return 0, None
        sweep_id, state = min(mine[max(mine)])
        return max(mine), RemoteSweep(self.entity, self.project, sweep_id, "grid", state=state)

    def is_under_way(self, sweep: RemoteSweep) -> bool:
        """Whether some machine has a run of it, or is to have one."""
        return any(run.state in UNDER_WAY for run in runs_of_sweep(self.entity, self.project, sweep.sweep_id))

    def next(self, over: int) -> tuple[Round, int, RemoteSweep | None]:
        """How the claims stand, and the round that is to be worked on, with its number: the one that is under way, else the next, which is
        registered; None where nothing is asked for any more. `over`: the number of the last round that has nothing left for this machine.

        Raises UserError where the last round was stopped at W&B.
        """
        number, sweep = self.latest()
        if sweep and sweep.state in ("STOPPED", "CANCELED", "PAUSED"):
            raise UserError(f"{sweep.path}, round {number} of the study, is {sweep.state.lower()} at W&B: resume it there, or end here")
        now = self.course.next(self.records())
        if sweep and number > over and (sweep.state in ("PENDING", "RUNNING") or self.is_under_way(sweep)):
            return now, number, sweep
        return (now, number + 1, self.begin(number + 1, now.runs)) if now.runs else (now, number, None)

    def begin(self, number: int, runs: Iterable[Wanted]) -> RemoteSweep:
        """Register a round, or find it where another machine was sooner."""
        file = files.write(self.folder, number, list(runs), f"{self.course.design.path} [study {mark_of(self.course)} round {number}]")
        made = remote.create(read(file), self.entity, self.project)
        if made.is_new:
            time.sleep(SETTLE_SECONDS)
        _, first = self.latest()
        return replace(first or made, is_new=made.is_new)
