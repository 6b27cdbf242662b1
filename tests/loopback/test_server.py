"""The real client, agent and Api of W&B against the server of this folder."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.loopback.faults import REFUSALS, Fault
from tests.loopback.server import Server
from tests.loopback.state import ENTITY, Project, Run, Sweep
from tests.waiting import PATIENCE, wait_for

SWEEP = """
name: trial
program: cell.py
command: ["${interpreter}", "${program}"]
method: grid
parameters:
  what: {values: [killed, preempted, stopped, finished]}
  dropout: {parameters: {p1: {value: 0.25}, layers: {value: 2}, enabled: {value: true}, kind: {value: "2"}}}
"""

CELL = """
import os, signal, sys, time, wandb
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
with wandb.init(resume="allow") as run:
    what = run.config["what"]
    for step in range(run.starting_step, 6):
        run.log({"epoch": step})
        if step == 2 and what == "preempted" and not run.resumed:
            run.mark_preempting()
            sys.exit(75)
        if step == 2 and what == "killed":
            os.kill(os.getpid(), 9)
        if step == 2 and what == "stopped":
            wandb.Api().run(run.path).stop()
            time.sleep(600)
"""

STOPPED = """
import signal, time, wandb
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores: the client interrupts with it
with wandb.init(project="p", id="stopped") as run:
    wandb.Api().run(run.path).stop()
    for epoch in range(600):  # it hears of the stop in an answer to what it sends
        run.log({"epoch": epoch})
        time.sleep(1)
"""

THREE_STEPS = """
import time, wandb
with wandb.init(project="p", config={"dropout": {"p1": 0.5}}) as run:
    for step in range(3):
        run.log({"epoch": step, "loss": 1.5})
        time.sleep(0.2)
    run.summary["best"] = 0.25
"""


def environment(server: Server, home: Path, **more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | server.environment(home) | more


Client = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def client(wandb_server: Server, tmp_path: Path) -> Iterator[Client]:
    """Starts a script that uses W&B's client."""
    with ExitStack() as stack:

        def start(script: str, **more: str) -> subprocess.Popen[str]:
            command, variables = [sys.executable, "-c", script], environment(wandb_server, tmp_path, **more)
            process = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)  # where a test failed before its end
            return process

        yield start


@pytest.fixture
def three_runs(wandb_server: Server) -> None:
    """Three finished runs in project `p`, logged in this process."""
    import wandb

    for number in range(3):
        with wandb.init(project="p", config={"dropout": {"p1": number / 4}}, settings=wandb.Settings(silent=True, console="off")) as run:
            for step in range(number + 2):
                run.log({"epoch": step, "test/accuracy": step / 8})


# A sweep with two agents, in half a minute.


@dataclass
class Study:
    """`agents` are processes; `page` is one too, with a run on the server `elsewhere` that is stopped from the page."""

    server: Server
    elsewhere: Server
    project: Project
    sweep: Sweep
    agents: list[subprocess.Popen[bytes]]
    page: subprocess.Popen[bytes]

    def run(self, what: str) -> Run:
        return next(run for run in self.sweep.handed_out if run.chosen["what"] == what)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    home = tmp_path_factory.mktemp("study")
    (home / "sweep.yaml").write_text(SWEEP)
    (home / "cell.py").write_text(CELL)
    with ExitStack() as stack:
        server, elsewhere = stack.enter_context(Server()), stack.enter_context(Server())
        server.world.silence_seconds = 12  # in place of five minutes

        def start(where: Server, *command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(command, env=environment(where, home), cwd=home, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)  # first, where a test failed before its end
            return process

        log = stack.enter_context((home / "log.txt").open("w"))
        page = start(elsewhere, sys.executable, "-c", STOPPED)
        assert start(server, "wandb", "sweep", "--entity", ENTITY, "--project", "study", "sweep.yaml").wait(PATIENCE) == 0, (
            home / "log.txt"
        ).read_text()
        project = server.world.projects[ENTITY, "study"]
        (sweep,) = project.sweeps.values()
        for fault in (Fault.error_500, Fault.error_429, Fault.refuse):
            server.faults.plan("Heartbeat", fault)
        agents = [start(server, "wandb", "agent", f"{ENTITY}/study/{sweep.name}") for _ in range(2)]
        yield Study(server, elsewhere, project, sweep, agents, page)


@pytest.fixture(scope="module")
def finished_study(study: Study) -> Study:
    for process in (*study.agents, study.page):
        process.wait(PATIENCE)
    return study


# Without agents.


def test_a_sweep_is_registered_and_found_again(wandb_server: Server) -> None:
    import wandb

    config = {"name": "again", "method": "random", "run_cap": 5, "parameters": {"agc": {"parameters": {"clip": {"values": [0.01, 0.02]}}}}}
    name = wandb.sweep(config, entity=ENTITY, project="p")
    (found,) = wandb.Api().project("p", ENTITY).sweeps(filters={"name": name})
    assert (found.id, found.config, found.state, found.expected_run_count) == (name, config, "PENDING", 5)
    assert wandb.Api().sweep(f"{ENTITY}/p/{name}").config == config


FAULTS = [fault for fault in Fault if fault not in REFUSALS]


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=() if fault == Fault.error_500 else pytest.mark.slow) for fault in FAULTS])
def test_a_run_survives_a_fault(fault: Fault, wandb_server: Server, client: Client) -> None:
    kinds = ("file_stream", "upload") if fault == Fault.cut else ("UpsertBucket", "file_stream", "upload")
    for kind in kinds:
        wandb_server.faults.plan(kind, fault, hold_seconds=3)
    timeouts = {f"WANDB__{part}_TIMEOUT_SECONDS": "1" for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")}
    process = client(THREE_STEPS, **timeouts)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert wandb_server.faults.suffered == {(kind, fault): 1 for kind in kinds}
    assert_whole(wandb_server)


def assert_whole(server: Server) -> None:
    (run,) = server.world.projects[ENTITY, "p"].runs.values()
    assert (run.state, run.exitcode, run.inits, run.values) == ("finished", 0, 1, {"dropout": {"p1": 0.5}})
    assert [(row["_step"], row["epoch"], row["loss"]) for row in run.history] == [(0, 0, 1.5), (1, 1, 1.5), (2, 2, 1.5)]
    assert run.summary["best"] == 0.25
    assert b"dropout" in run.files["config.yaml"]


def test_a_graphql_answer_that_is_cut_short_is_not_asked_for_again(wandb_server: Server, client: Client) -> None:
    """As the client is, not as one would wish: `wandb.init` fails, though the server has begun the run."""
    import wandb

    wandb_server.faults.plan("UpsertBucket", Fault.cut)
    process = client(THREE_STEPS)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "unexpected EOF" in errors
    (run,) = wandb_server.world.projects[ENTITY, "p"].runs.values()
    assert run.state == "running"
    wandb_server.world.silence_seconds = 0
    assert wandb.Api().run(f"p/{run.name}").state == "crashed"


def test_a_run_goes_on_while_nobody_listens(wandb_server: Server, client: Client) -> None:
    process = client(THREE_STEPS)
    wait_for(lambda: wandb_server.count("UpsertBucket"))
    with wandb_server.down():
        time.sleep(2)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert_whole(wandb_server)


@pytest.mark.usefixtures("three_runs")
def test_the_api_reads_configuration_summary_and_whole_history(wandb_server: Server) -> None:
    import wandb

    runs = list(
        wandb.Api().runs(f"{ENTITY}/p", filters={"config.dropout.value.p1": {"$gte": 0}}, order="-created_at", per_page=2, lazy=False)
    )
    assert [run.config for run in runs] == [{"dropout": {"p1": number / 4}} for number in (2, 1, 0)]
    assert [run.summary["epoch"] for run in runs] == [3, 2, 1]
    assert [[row["epoch"] for row in run.scan_history()] for run in runs] == [[0, 1, 2, 3], [0, 1, 2], [0, 1]]
    assert [row["test/accuracy"] for row in runs[0].scan_history(keys=["test/accuracy"])] == [0, 0.125, 0.25, 0.375]
    assert (wandb_server.count("Runs"), wandb_server.count("Run")) == (2, 0)
    assert not wandb_server.refused


HISTORIES = """
query Histories($entity: String, $project: String, $cursor: String, $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: 2, order: "+created_at") {
      edges { node { name config summaryMetrics history(samples: 100000) } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


@pytest.mark.usefixtures("three_runs")
def test_one_paged_query_reads_the_histories_of_many_runs(wandb_server: Server) -> None:
    import wandb

    nodes: list[dict[str, Any]] = []
    cursor, more = None, True
    while more:
        variables = {"entity": ENTITY, "project": "p", "filters": '{"state": "finished"}', "cursor": cursor}
        page = wandb.Api()._service_api.execute_graphql(HISTORIES, variables)["project"]["runs"]
        nodes += [edge["node"] for edge in page["edges"]]
        cursor, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    assert [[json.loads(line)["epoch"] for line in node["history"]] for node in nodes] == [[0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert [json.loads(node["config"])["dropout"]["value"] for node in nodes] == [{"p1": number / 4} for number in range(3)]
    assert wandb_server.count("Histories") == 2


def test_a_query_with_a_wrong_name_is_refused_at_once(wandb_server: Server) -> None:
    import wandb

    wandb_server.world.project("p")
    with pytest.raises(Exception, match="Cannot query field 'runz'"):
        wandb.Api()._service_api.execute_graphql('query Wrong { project(name: "p") { runz } }')
    assert [request.kind for request in wandb_server.refused] == ["Wrong"]


def test_workspaces_and_reports_are_saved_in_place_and_read_back(wandb_server: Server) -> None:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    panels = [wr.BarPlot(metrics=[wr.SummaryMetric("test/accuracy")], groupby="config.dropout.p1", layout=wr.Layout(0, 0, 8, 6))]
    workspace = ws.Workspace(entity=ENTITY, project="p", name="Study", sections=[ws.Section(name="accuracy", panels=panels)])
    workspace.save()
    again = ws.Workspace.from_url(workspace.url)
    assert again.sections[0].panels[0].metrics == panels[0].metrics
    again.name = "Study, again"
    again.save()
    assert ws.Workspace.from_url(workspace.url).name == "Study, again"

    report = wr.Report(entity=ENTITY, project="p", title="Questions", blocks=[wr.H1("Does it help?")])
    report.save()
    read = wr.Report.from_url(report.url)
    assert (read.title, read.blocks[0].text) == ("Questions", "Does it help?")
    read.title = "Answers"
    read.save()
    assert [(view.type, view.display_name) for view in wandb_server.world.views.values()] == [
        ("project-view", "Study, again"),
        ("runs", "Answers"),
    ]
    assert not wandb_server.refused


# When they are done.


@pytest.mark.slow
def test_agents_get_every_cell_once_with_nesting_and_types(finished_study: Study) -> None:
    sweep, server = finished_study.sweep, finished_study.server
    assert [run.values["what"] for run in sweep.handed_out] == ["killed", "preempted", "stopped", "finished"]
    for run in sweep.handed_out:
        assert run.values["dropout"] == {"p1": 0.25, "layers": 2, "enabled": True, "kind": "2"}
        assert run.values["dropout"]["enabled"] is True
        assert run.sweep == sweep.name
    assert (finished_study.run("finished").state, sweep.state) == ("finished", "FINISHED")
    assert [agent.returncode for agent in finished_study.agents] == [0, 0]
    assert server.faults.left() == 0
    assert not server.refused


@pytest.mark.slow
def test_a_preempted_run_is_handed_out_again_and_goes_on_without_gap(finished_study: Study) -> None:
    run = finished_study.run("preempted")
    assert (run.state, len(run.handed_out), run.inits) == ("finished", 2, 2)
    assert [(row["_step"], row["epoch"]) for row in run.history] == [(step, step) for step in range(6)]


@pytest.mark.slow
def test_a_stopped_run_is_told_by_its_agent(finished_study: Study) -> None:
    run = finished_study.run("stopped")
    assert (run.state, len(run.handed_out)) == ("killed", 1)
    assert [row["epoch"] for row in run.history] == [0, 1, 2]


@pytest.mark.slow
def test_a_run_without_an_agent_is_stopped_from_the_page(finished_study: Study) -> None:
    run = finished_study.elsewhere.world.projects[ENTITY, "p"].runs["stopped"]
    assert run.state == "killed"
    assert finished_study.page.returncode != 0


@pytest.mark.slow
def test_a_killed_run_has_crashed_and_is_not_handed_out_again(finished_study: Study) -> None:
    run = finished_study.run("killed")
    assert (run.state, run.exitcode, len(run.handed_out)) == ("crashed", None, 1)
