"""With W&B's own library, against a server on this machine."""

import json

import pytest

from reglab.config import FIELDS
from reglab.errors import UserError
from reglab.report import dashboard
from reglab.report.dashboard import Bars, Importance, Line, Parallel, Scatter
from reglab.tracking.record import LOGGED_BESIDE
from reglab.tracking.results import METRICS
from tests.loopback.faults import Fault
from tests.loopback.state import ENTITY, View
from tests.report.published import DESIGN

SECTIONS = dashboard.sections(DESIGN)
SHOWN = {question.name: dashboard.shown(question, DESIGN) for question in DESIGN.questions}
PANELS = list(dict.fromkeys(panel for panels in (*SECTIONS.values(), *SHOWN.values()) for panel in panels))


def names(panel):
    match panel:
        case Line(metric, by) | Bars(metric, by):
            return {metric}, {by}
        case Scatter(x, y):
            return {name for name in (x, y) if "/" in name}, {name for name in (x, y) if "/" not in name}
        case Parallel(keys, metric):
            return {metric}, set(keys)
        case Importance(metric):
            return {metric}, set()


@pytest.mark.parametrize("panel", PANELS, ids=repr)
def test_a_panel_shows_what_runs_log(panel):
    metrics, keys = names(panel)
    assert metrics <= set(METRICS)
    assert keys <= {*FIELDS, *LOGGED_BESIDE}


def test_a_question_is_shown_by_the_columns_of_its_figures():
    assert SHOWN["batchnorm"][0] == Bars("test/accuracy", "batchnorm.layers")
    assert SHOWN["placement"][0] == Bars("test/accuracy", "model.placement")
    assert SHOWN["dropout_arrays"][0] == Parallel(("dropout.p1", "dropout.p2", "dropout.p3"), "val/accuracy")
    assert all(SHOWN.values())


def views(server):
    return {view.display_name: view for view in server.world.views.values()}


def layouts(panels):
    return [tuple(panel["layout"][key] for key in "xywh") for panel in panels]


def apart(places):
    cells = [(x + dx, y + dy) for x, y, w, h in places for dx in range(w) for dy in range(h)]
    return len(cells) == len(set(cells)) and all(x + w <= 24 for x, _, w, _ in places)


def test_the_workspace_has_its_sections_with_panels_that_do_not_overlap(wandb_server):
    dashboard.push(None, "p", DESIGN)
    view = views(wandb_server)[dashboard.WORKSPACE]
    assert view.type == "project-view"
    sections = json.loads(view.spec)["section"]["panelBankConfig"]["sections"]
    ours = {section["name"]: section["panels"] for section in sections if section["name"] in SECTIONS}
    assert {name: len(panels) for name, panels in ours.items()} == {name: len(panels) for name, panels in SECTIONS.items()}
    assert all(apart(layouts(panels)) for panels in ours.values())
    (accuracy,) = [panel for panel in ours["accuracy"] if panel["viewType"] == "Bar Chart"]
    assert accuracy["config"]["metrics"] == ["summary_metrics.test/accuracy"]
    assert accuracy["config"]["groupBy"] == "label.value"
    assert [panel["config"]["groupBy"] for panel in ours["health"]] == ["label.value"] * len(ours["health"])


def test_the_report_asks_the_study_s_questions(wandb_server):
    dashboard.push(None, "p", DESIGN)
    view = views(wandb_server)[DESIGN.title]
    assert view.type == "runs"
    blocks = json.loads(view.spec)["blocks"]
    titles = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    assert titles == [question.title for question in DESIGN.questions]
    for question, grid in zip(DESIGN.questions, grids, strict=True):
        panels = grid["panelBankSectionConfig"]["panels"]
        assert len(panels) == len(SHOWN[question.name])
        assert apart(layouts(panels))
        filters = [(each["key"]["name"], each["op"]) for each in grid["runSets"][0]["filters"]["filters"]]
        assert filters == [("state", "=")] + ([(question.logged, ">=")] if question.logged else [])
    grouped = [panel["config"].get("groupBy") for panel in grids[1]["panelBankSectionConfig"]["panels"]]
    assert grouped == ["label.value", "batchnorm.value.layers"]


def test_pushed_again_both_are_updated_in_place_and_nothing_else_is_touched(wandb_server, monkeypatch):
    project = wandb_server.world.project("p")
    mine = View(project=project, name="nw-mine-v", type="project-view", display_name="mine", spec='{"my": "own"}')
    wandb_server.world.views[mine.id] = mine
    first = dashboard.push(ENTITY, "p", DESIGN)
    assert dashboard.push(ENTITY, "p", DESIGN) == first
    assert set(views(wandb_server)) == {"mine", dashboard.WORKSPACE, DESIGN.title}
    assert len(wandb_server.world.views) == 3

    monkeypatch.setattr(dashboard, "sections", lambda design: {"only this": (Line("lr"),)})
    dashboard.push(ENTITY, "p", DESIGN)
    assert "only this" in views(wandb_server)[dashboard.WORKSPACE].spec
    assert len(wandb_server.world.views) == 3
    assert mine.spec == '{"my": "own"}'
    assert not wandb_server.refused


def test_without_a_key_it_says_so_in_one_line(wandb_server, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match="`wandb login` sets the key"):
        dashboard.push(None, "p", DESIGN)


@pytest.mark.parametrize("kind", ["SavedViews", "upsertView"])
def test_what_w_and_b_refuses_is_said_in_one_line(wandb_server, kind):
    wandb_server.faults.plan(kind, Fault.error_403)
    with pytest.raises(UserError, match=r"^loopback/p: W&B refuses \(403 on demand\); `wandb login` sets the key$"):
        dashboard.push(None, "p", DESIGN)
