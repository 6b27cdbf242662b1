"""Answers that no W&B gives, from a proxy, a login page, another server, or one that means no good: one line, exit 75 or 2, no loop."""

import json

import pytest

from reglab.errors import MachineError, ReglabError
from reglab.report import dashboard
from reglab.sweep import remote
from reglab.tracking import wandb_api, wandb_project
from reglab.tracking.fetch import fetch
from reglab.tracking.wandb_api import Project
from reglab.tracking.wandb_states import kept, runs_of_sweep, state_of_sweep
from tests.hostile import corpus
from tests.loopback.conftest import wandb_server as wandb_server
from tests.loopback.state import ENTITY, Sweep
from tests.report import published

SOURCE = f"wandb://{ENTITY}/p"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(wandb_api, "_PAUSES", ())


def data(**project):
    return json.dumps({"data": {"project": project}}).encode()


def page(*nodes, goes_on=False, cursor="1"):
    return {"runs": {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": goes_on, "endCursor": cursor}}}


NODE = {"name": "a", "state": "finished", "heartbeatAt": "2026-01-01T00:00:00Z"}

BODIES = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html><title>Log in</title></html>",
    "no JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "no data": b"{}",
    "null for data": b'{"data": null}',
    "no project": b'{"data": {}}',
    "a project that is a text": b'{"data": {"project": "p"}}',
    "no runs": data(),
    "null for runs": data(runs=None),
    "runs that are a list": data(runs=[]),
    "no edges": data(runs={"pageInfo": {"hasNextPage": False, "endCursor": None}}),
    "edges that are numbers": data(runs={"edges": [1, 2], "pageInfo": {"hasNextPage": False, "endCursor": None}}),
    "a run that is null": data(**page(None)),
    "a run that is a list": data(**page([])),
    "a run without a name": data(**page({"state": "finished", "heartbeatAt": None})),
    "a run whose name is a number": data(**page(NODE | {"name": 7})),
    "a run whose state is a list": data(**page(NODE | {"state": []})),
    "no page info": data(runs={"edges": []}),
    "a deep list": b'{"data": {"project": ' + b"[" * corpus.DEEP + b"]" * corpus.DEEP + b"}}",
    "a page that leads to itself": data(**page(NODE, goes_on=True)),
    "a page of nothing that goes on": data(**page(goes_on=True)),
}
QUICK = ("no project", "a run without a name", "a page that leads to itself", "a page of nothing that goes on")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BODIES])
def test_an_answer_that_is_none_is_told_in_a_line(wandb_server, name):
    wandb_server.world.project("p")
    wandb_server.instead["ListRuns"] = lambda sent: BODIES[name]
    with pytest.raises(ReglabError) as caught:
        fetch(SOURCE)
    assert "W&B" in str(caught.value) and "\n" not in str(caught.value)
    assert wandb_server.count("ListRuns") < 10


def test_pages_without_end_come_to_an_end(wandb_server, monkeypatch):
    for module in (wandb_api, wandb_project):
        monkeypatch.setattr(module, "MOST_PAGES", 20)
    pages = iter(range(10**6))
    wandb_server.instead["ListRuns"] = lambda sent: data(**page(NODE | {"name": str(next(pages))}, goes_on=True, cursor=str(next(pages))))
    with pytest.raises(MachineError, match="more than 20 pages of runs"):
        fetch(SOURCE)
    assert wandb_server.count("ListRuns") == 20


CONFIG = {key: {"value": value} for key, value in {"schema_version": 1, "identity": "i", "label": "x", "created": "2026-01-01"}.items()}

FIELDS = {
    "config": [
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"a": 1}',
        '{"schema_version": {}}',
        "[" * corpus.DEEP,
        f'{{"a": {{"value": {corpus.HUGE}}}}}',
    ],
    "summaryMetrics": ["", "null", "[]", "NaN", '{"state": []}', '{"state": "finished"}', '{"updated": 7}', '{"parameters": NaN}'],
    "historyLineCount": [None, -1, 10**400, "many", 10**12],
    "history": [None, "rows", [None], ["{"], ["[]"], ["null"], ['{"epoch": []}'], ['{"epoch": "1"}', '{"epoch": 2}'], ["[" * corpus.DEEP]],
    "sweepName": [None, 7, [], "y" * 10**5],
    "group": [None, 7, {}],
    "heartbeatAt": [None, "soon", "0001-01-01T00:00:00", "9999-12-31T23:59:59-23:59"],
    "state": ["", "odd", "running"],
}


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_any_value_of_any_field_is_read_left_out_or_told(wandb_server, field):
    for number, value in enumerate(FIELDS[field]):
        whole = NODE | {"name": str(number), "sweepName": None, "group": "g", "config": json.dumps(CONFIG), "summaryMetrics": "{}"}
        whole |= {"historyLineCount": 0, "history": []} | {field: value}
        listed = {name: whole[name] for name in NODE}
        wandb_server.instead["ListRuns"] = lambda sent, listed=listed: data(**page(listed))
        wandb_server.instead["ReadRuns"] = lambda sent, whole=whole: data(**page(whole))
        wandb_server.instead["ReadHistory"] = lambda sent: data(run={"history": []})
        try:
            fetch(SOURCE)
        except ReglabError as error:
            assert "\n" not in str(error)


def test_an_account_that_is_none_is_told(wandb_server):
    for body in (b'{"data": {}}', b'{"data": {"viewer": []}}', b"<html>"):
        for kind in ("Viewer", "ServerFeaturesQuery", "ServerInfo", "ServerFeatures"):
            wandb_server.instead[kind] = lambda sent, body=body: body
        try:
            wandb_api.default_entity()
        except ReglabError as error:
            assert "W&B" in str(error)


def test_what_is_there_of_runs_is_told_though_their_ends_are_not_readable(wandb_server):
    node = {"name": "a", "state": "finished", "historyLineCount": 3, "summaryMetrics": "[" * corpus.DEEP, "config": "{}"}
    wandb_server.world.project("p")
    wandb_server.instead["ListExtents"] = lambda sent: data(**page(node))
    assert kept(Project(ENTITY, "p"))["a"].updated is None


def test_a_run_of_a_sweep_whose_configuration_is_not_readable_is_taken_up_by_nobody(wandb_server):
    nodes = [NODE | {"name": name, "config": config} for name, config in (("a", "{}"), ("b", "[]"), ("c", '{"x": 1}'))]
    wandb_server.instead["ListConfigurations"] = lambda sent: data(**page(*nodes))
    assert [run.name for run in runs_of_sweep(ENTITY, "p", "s")] == ["a"]


@pytest.mark.parametrize("found", [[], "x", {"odd": 1}])
def test_a_sweep_that_is_none_is_told(wandb_server, found):
    wandb_server.instead["SweepState"] = lambda sent: data(sweep=found)
    if not found:
        assert state_of_sweep(ENTITY, "p", "s") is None
    else:
        with pytest.raises(MachineError):
            state_of_sweep(ENTITY, "p", "s")


BOMB = "x0: &x0 [a,a,a,a,a,a,a,a,a]\n" + "".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9))

TEXTS = {
    "a bomb for a command": BOMB + "method: grid\ncommand: *x8\nparameters: {}\n",
    "a bomb in a command": BOMB + "method: grid\ncommand: [reglab, *x8]\nparameters: {}\n",
    "a text for a command": "method: grid\ncommand: reglab train\n",
    "no method": "command: [reglab, train]\n",
    "a list": "[]\n",
    "nothing": "",
    "brackets": "[" * 2000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_sweep_of_another_kind_is_told(wandb_server, text):
    sweep = Sweep(text="method: grid\nparameters: {}\n")
    wandb_server.world.project("p").sweeps[sweep.name] = sweep
    sweep.text = text
    sweep.__dict__["config"] = {"method": "grid", "parameters": {}}
    with pytest.raises(ReglabError) as caught:
        remote.find(f"{ENTITY}/p/{sweep.name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b'{"data": {}}', b'{"data": {"project": []}}', b'{"data": {"project": {"reports": null}}}'])
def test_a_list_of_pages_that_is_none_is_told(wandb_server, body):
    wandb_server.instead["SavedViews"] = lambda sent: body
    with pytest.raises(MachineError, match="what answers is not W&B"):
        dashboard.push(ENTITY, "p", published.DESIGN)
