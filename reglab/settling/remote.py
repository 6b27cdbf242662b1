"""Rounds of a study at W&B: sweeps that machines follow from one to the next, without knowing of each other.

A round is registered under a mark in its description. Where two machines register it within the same seconds, those that look later follow
the sweep whose id comes first, and no machine begins the next round while a run of either is under way anywhere.
"""

import hashlib
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from reglab.errors import ReglabError, UserError
from reglab.settling import files
from reglab.settling.rounds import Course, Round, Wanted
from reglab.sweep import remote
from reglab.sweep.remote import RemoteSweep
from reglab.sweep.spec import read
from reglab.tracking.record import RunRecord
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_states import is_there, runs_of_sweep

UNDER_WAY = ("running", "pending", "preempting", "preempted")
"""W&B's states of runs that some machine has, or is to have."""

LEFT = ("preempted", "crashed")
"""Of runs that whoever asks next may go on with."""

LOOK_SECONDS = 15.0
"""Between two looks at the runs that other machines have of a round."""

TRIES = 20
"""Of such looks that W&B may leave without an answer."""

SETTLE_SECONDS = 3.0
"""After a round was registered, until its sweeps are looked at once more: another machine may have done so at the same moment."""

_MARK = re.compile(r"\[study (?P<study>[0-9a-f]{12}) round (?P<number>\d{1,6})\]")


def mark_of(course: Course) -> str:
    """What tells the rounds of a study from those of others: a hash of all that its machines must agree on, which is its arms with their
    seeds, its looks, and what it asks and claims."""
    arms = [(name, course.arms[name].seeds, course.arms[name].most) for name in sorted(course.asked)]
    design = course.design.model_dump_json(include={"factors", "columns", "questions", "claims"})
    return hashlib.sha256(json.dumps([arms, course.looks, design]).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Rounds:
    """Those of a study in a project at W&B. `folder`: where this machine keeps their files."""

    course: Course
    project: Project
    folder: Path

    @cached_property
    def _mark(self) -> str:
        return mark_of(self.course)

    def records(self) -> list[RunRecord]:
        """All runs of the project; none where it is not there yet."""
        from reglab.tracking.wandb_project import records

        return list(records(self.project, history=False)) if is_there(self.project) else []

    def latest(self) -> tuple[int, list[RemoteSweep]]:
        """The number of the last round that was registered, 0 before the first, and its sweeps: of several that machines registered at one
        moment, the one that is followed comes first."""
        mine: dict[int, list[tuple[str, str]]] = {}
        for sweep in remote.registered(self.project.entity, self.project.name):
            found = _MARK.search(sweep.description)
            if found and found["study"] == self._mark:
                mine.setdefault(int(found["number"]), []).append((sweep.sweep_id, sweep.state))
        number = max(mine, default=0)
        there = sorted(mine.get(number, []))
        return number, [RemoteSweep(self.project.entity, self.project.name, sweep_id, "grid", state=state) for sweep_id, state in there]

    def beside(self, sweep: RemoteSweep) -> list[RemoteSweep]:
        """The sweeps of its round, where that is the last one: another machine may have registered it, too. Else it alone."""
        _, sweeps = self.latest()
        return sweeps if sweep.sweep_id in [each.sweep_id for each in sweeps] else [sweep]

    def under_way(self, sweeps: Iterable[RemoteSweep]) -> Counter[str]:
        """How many of their runs are in which state, of those that some machine has, or is to have, or has left."""
        runs = [run for sweep in sweeps for run in runs_of_sweep(sweep.entity, sweep.project, sweep.sweep_id)]
        return Counter(run.state for run in runs if run.state in (*UNDER_WAY, *LEFT))

    def leaves_some(self, sweep: RemoteSweep, has_worked: bool) -> bool:
        """Wait until no run of a round is under way anywhere; true as soon as there is one that this machine may go on with.

        `has_worked`: whether a run of it ended here; else W&B keeps those that were preempted to itself.
        Raises ReglabError where W&B does not answer for so many looks, and UserError where it does not take the key.
        """
        left, tries = math.inf, 0
        while True:
            try:
                states, tries = self.under_way(self.beside(sweep)), 0
            except ReglabError as error:  # W&B may be away for a while
                tries += 1
                if isinstance(error, UserError) or tries > TRIES:
                    raise
            else:
                there = sum(states[state] for state in LEFT)
                if there > left or not any(states[state] for state in ("running", "pending", "preempting")):
                    return there > left or (states["preempted"] > 0 and has_worked)
                left = min(left, there)
            time.sleep(LOOK_SECONDS)

    def next(self, over: int) -> tuple[Round, int, RemoteSweep | None]:
        """How the claims stand, and the round that is to be worked on, with its number: the one that is under way, else the next, which is
        registered; None where nothing is asked for any more. `over`: the number of the last round that has nothing left for this machine.

        Raises UserError where runs are asked for, and the last round was stopped at W&B.
        """
        number, sweeps = self.latest()
        now = self.course.next(self.records())
        if number > over and self._goes_on(sweeps):
            return now, number, sweeps[0]
        if not now.runs:
            return now, number, None
        if sweeps and sweeps[0].state in ("STOPPED", "CANCELED", "PAUSED"):
            stopped = sweeps[0]
            raise UserError(f"{stopped.path}, round {number} of the study, is {stopped.state.lower()} at W&B: resume it there, or end here")
        return now, number + 1, self.begin(number + 1, now.runs)

    def _goes_on(self, sweeps: Sequence[RemoteSweep]) -> bool:
        if any(sweep.state in ("PENDING", "RUNNING") for sweep in sweeps):
            return True
        states = self.under_way(sweeps)
        return any(states[state] for state in UNDER_WAY)

    def begin(self, number: int, runs: Iterable[Wanted]) -> RemoteSweep:
        """Register a round, or find it where another machine was sooner."""
        file = files.write(self.folder, number, list(runs), f"{self.course.design.path} [study {self._mark} round {number}]")
        there, sweeps = self.latest()
        if there == number:
            return sweeps[0]
        made = remote.create(read(file), self.project.entity, self.project.name, again=True)  # an earlier round may have asked for the same
        time.sleep(SETTLE_SECONDS)
        there, sweeps = self.latest()
        return replace(sweeps[0], is_new=True) if there == number else made
