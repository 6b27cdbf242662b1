"""What an agent is told, without a client."""

import json

import pytest

from tests.loopback.scheduler import enqueue, heartbeat
from tests.loopback.state import HISTORY, Agent, Run, Sweep, World

GRID = "{method: grid, parameters: {seed: {values: [1, 2]}}}"
HYPERBAND = """
{method: random, metric: {name: accuracy, goal: maximize}, early_terminate: {type: hyperband, min_iter: 1},
 parameters: {lr: {min: 0.1, max: 0.9}}}
"""


@pytest.fixture
def world() -> World:
    return World()


def agent_of(world: World, text: str) -> Agent:
    sweep, project = Sweep(text=text), world.project("p")
    project.sweeps[sweep.name] = sweep
    agent = Agent(project=project, sweep=sweep, host="here")
    world.agents[agent.id] = agent
    return agent


def started(world: World, agent: Agent) -> Run:
    (command,) = heartbeat(world, agent, [])
    run = agent.project.runs[command["run_id"]]
    run.begin()
    return run


def test_a_run_that_never_began_is_handed_out_again(world: World) -> None:
    agent = agent_of(world, GRID)
    (lost,) = heartbeat(world, agent, [])
    started(world, agent).end(0)
    assert heartbeat(world, agent, []) == [{"type": "exit"}]
    assert agent.sweep.state == "RUNNING"
    world.reissue_seconds = 0
    assert heartbeat(world, agent, []) == [lost]


def test_an_idle_agent_waits_while_a_run_may_come_back(world: World) -> None:
    agent = agent_of(world, GRID)
    first, second = started(world, agent), started(world, agent)
    first.end(0)
    assert heartbeat(world, agent, []) == []
    second.preempting = True
    second.end(75)
    world.whole_config_on_resume = True
    second.config["environment"] = {"value": "here"}
    (command,) = heartbeat(world, agent, [])
    assert (command["type"], command["run_id"]) == ("resume", second.name)
    assert command["args"] == {"seed": {"value": 2}, "environment": {"value": "here"}}


def test_a_preempting_run_that_goes_silent_is_resumed(world: World) -> None:
    agent = agent_of(world, GRID)
    run = started(world, agent)
    run.receive({"preempting": True})
    world.silence_seconds = 0
    (command,) = heartbeat(world, agent, [])
    assert (command["type"], command["run_id"]) == ("resume", run.name)


@pytest.mark.parametrize(("state", "idle", "busy"), [("PAUSED", [], []), ("CANCELED", ["exit"], ["stop"]), ("FINISHED", ["exit"], [])])
def test_a_sweep_is_paused_cancelled_and_finished(world: World, state: str, idle: list[str], busy: list[str]) -> None:
    agent = agent_of(world, GRID)
    run = started(world, agent)
    agent.sweep.state = state
    assert [command["type"] for command in heartbeat(world, agent, [run.name])] == busy
    assert [command["type"] for command in heartbeat(world, agent, [])] == idle


def test_a_cap_ends_a_random_search(world: World) -> None:
    agent = agent_of(world, "{method: random, run_cap: 2, parameters: {lr: {min: 0.1, max: 0.9}}}")
    runs = [started(world, agent) for _ in range(2)]
    assert runs[0].chosen != runs[1].chosen
    for run in runs:
        run.end(0)
    assert heartbeat(world, agent, []) == [{"type": "exit"}]


def test_hyperband_stops_what_falls_behind(world: World) -> None:
    agent = agent_of(world, HYPERBAND)
    runs = [started(world, agent) for _ in range(4)]
    for number, run in enumerate(runs):
        run.streams[HISTORY] = [json.dumps({"_step": step, "accuracy": number / 10}) for step in range(4)]
    stopped = {command["run_id"] for command in heartbeat(world, agent, [run.name for run in runs])}
    assert runs[0].name in stopped
    assert runs[3].name not in stopped


def test_runs_that_a_scheduler_enqueues_are_handed_out_in_turn_until_it_ends_the_sweep(world: World) -> None:
    agent = agent_of(world, "{method: custom, scheduler: {engine: optuna}, parameters: {lr: {min: 0.1, max: 0.9}}}")
    assert heartbeat(world, agent, []) == []
    first, second = (enqueue(agent.project, agent.sweep, {"lr": rate}) for rate in (0.2, 0.3))
    assert [first.state, agent.sweep.state] == ["pending", "RUNNING"]
    assert [started(world, agent), started(world, agent)] == [first, second]
    for run in (first, second):
        run.end(0)
    assert heartbeat(world, agent, []) == []
    agent.sweep.state = "FINISHED"
    assert heartbeat(world, agent, []) == [{"type": "exit"}]
