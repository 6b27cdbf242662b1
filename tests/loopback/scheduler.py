"""What an agent is told to do next. The engine chooses the configurations, or a scheduler that is not the server's has enqueued them."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from reglab.tracking.record import RunRecord, State
from tests.loopback.state import Agent, Project, Run, Sweep, World

_ENDED_AS = {"finished": State.finished, "killed": State.stopped, "failed": State.failed, "crashed": State.failed}
"""How the engine sees a run; every other state counts as running."""


def heartbeat(world: World, agent: Agent, running: Iterable[str]) -> list[dict[str, Any]]:
    """An agent says which runs it has, and gets its commands: stop some, start one, wait, or exit."""
    agent.running, agent.heard = set(running), time.time()
    sweep, runs = agent.sweep, agent.project.runs
    world.settle(sweep.handed_out)
    early = _early_ended(sweep)
    for name in agent.running & runs.keys():
        runs[name].stop_requested |= sweep.state == "CANCELED" or name in early
    if agent.running:
        return [{"type": "stop", "run_id": name} for name in sorted(agent.running & runs.keys()) if runs[name].stop_requested]
    if sweep.state in ("PENDING", "RUNNING"):
        sweep.state = "RUNNING"
        if command := _next(world, agent):
            return [command]
        if any(_may_come_back(world, run) for run in sweep.handed_out):
            return []
        if not sweep.has_scheduler and all(run.state != "pending" for run in sweep.handed_out):
            sweep.state = "FINISHED"
    return [] if sweep.state == "PAUSED" or (sweep.has_scheduler and sweep.state == "RUNNING") else [{"type": "exit"}]


def enqueue(project: Project, sweep: Sweep, values: Mapping[str, Any]) -> Run:
    """Take in a run that a scheduler has chosen: it is pending until an agent gets it."""
    run = project.add(Run(sweep=sweep.name, state="pending", chosen=dict(values), config=_wrapped(values)))
    sweep.enqueued.append(run)
    return run


def _next(world: World, agent: Agent) -> dict[str, Any] | None:
    """The command that starts a run: one that was preempted, one that never began, or a new one."""
    for run in agent.sweep.handed_out:
        forgotten = run.state == "pending" and time.time() - run.heard >= world.reissue_seconds and not _held(world, run)
        if run.state == "preempted" or forgotten:
            return _hand_out(world, agent, run)
    if agent.sweep.has_scheduler:
        new = agent.sweep.enqueued.pop(0) if agent.sweep.enqueued else None
    else:
        chosen = _choose(agent.sweep)
        new = None if chosen is None else agent.project.add(Run(sweep=agent.sweep.name, chosen=chosen, config=_wrapped(chosen)))
    if new is None:
        return None
    agent.sweep.handed_out.append(new)
    return _hand_out(world, agent, new)


def _hand_out(world: World, agent: Agent, run: Run) -> dict[str, Any]:
    run.state, run.heard = "pending", time.time()
    run.handed_out.append(agent.name)
    how = "resume" if run.inits else "run"
    arguments = run.values if how == "resume" and world.whole_config_on_resume else run.chosen
    return {"type": how, "run_id": run.name, "program": agent.sweep.config.get("program"), "args": _wrapped(arguments)}


def _held(world: World, run: Run) -> bool:
    """Whether the agent that was given the run has it, or has not spoken since."""
    agent = next(agent for agent in world.agents.values() if agent.name == run.handed_out[-1])
    return run.name in agent.running or agent.heard <= run.heard


def _may_come_back(world: World, run: Run) -> bool:
    return run.alive or (run.state == "pending" and _held(world, run))


def _wrapped(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: {"value": value} for key, value in values.items()}


def _choose(sweep: Sweep) -> dict[str, Any] | None:
    """The next configuration; None when there is none left."""
    _tell(sweep)
    return sweep.engine.ask()


def _early_ended(sweep: Sweep) -> set[str]:
    """The names of runs that early termination would end now; a scheduler asks for that itself."""
    if sweep.has_scheduler:
        return set()
    _tell(sweep)
    return sweep.engine.prune()


@dataclass
class _Record:
    """What a search engine reads of a RunRecord."""

    run_id: str
    state: State
    came_to: dict[str, Any]
    steps: list[dict[str, Any]]


def _tell(sweep: Sweep) -> None:
    for number, run in enumerate(sweep.handed_out):
        state = _ENDED_AS.get(run.state, State.running)
        sweep.engine.tell(number, cast(RunRecord, _Record(run.name, state, run.summary, run.history)))
