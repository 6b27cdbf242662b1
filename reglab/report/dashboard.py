"""The shared dashboard at W&B, as code: a workspace for the runs as they go on, and a report with a study's questions.

What is shown follows from the study file, as plain data; `push` turns it into W&B's own objects and saves them in place.
Panels group runs on keys of the configuration, and show a mean with its standard deviation over the seeds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reglab.errors import UserError
from reglab.report.studies.columns import Column
from reglab.report.studies.design import Design, Question
from reglab.techniques import TECHNIQUES

if TYPE_CHECKING:
    from reglab.tracking.wandb_library import wandb

WORKSPACE = "reglab study"
"""The name by which an earlier push is found again; the report has the study's title."""

_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 6
"""Panels in a row; a panel's size in W&B's grid of 24 columns."""


@dataclass(frozen=True)
class Line:
    """A metric by epoch, a line for each value of a configuration key."""

    metric: str
    by: str = "label"


@dataclass(frozen=True)
class Bars:
    """What runs came to in a metric, a bar for each value of a configuration key."""

    metric: str
    by: str = "label"


@dataclass(frozen=True)
class Scatter:
    """A dot for each run: a configuration key, or a metric, against a metric."""

    x: str
    y: str


@dataclass(frozen=True)
class Parallel:
    """A line for each run through configuration keys, and what it came to in a metric."""

    keys: tuple[str, ...]
    metric: str


@dataclass(frozen=True)
class Importance:
    """Which configuration keys a metric depends on."""

    metric: str


Panel = Line | Bars | Scatter | Parallel | Importance

HEALTH = ("throughput/images_per_second", "gpu/memory_gb", "train/loss", "lr")
PROBES = tuple(probe.name for technique in TECHNIQUES for probe in technique.probes)
"""What a technique logs to show that it happened."""


def sections(design: Design) -> dict[str, tuple[Panel, ...]]:
    """The workspace, section by section. By the epoch, `train/accuracy` and `train/gap` are by the running training accuracy."""
    keys = keys_of(design)
    selects_on = "val/accuracy"
    return {
        "accuracy": (Line("test/accuracy"), Line("train/accuracy"), Bars("test/accuracy")),
        "time to the target": (
            Bars("time_to_target/seconds"),
            Bars("time_to_target/reached"),
            Bars("time/train_seconds"),
            Line("train/accuracy"),
            Scatter("time_to_target/seconds", "test/accuracy"),
        ),
        "overfitting": (Line("train/gap"), Bars("gap"), Scatter("train_clean/accuracy", "test/accuracy")),
        "search": (Parallel(keys, selects_on), Importance(selects_on), *(Scatter(key, selects_on) for key in _drawn(design))),
        "health": tuple(Line(metric) for metric in (*HEALTH, *PROBES)),
    }


def keys_of(design: Design) -> tuple[str, ...]:
    """The keys of the configuration that a study varies."""
    return tuple(key for column in design.by_name.values() if column.is_factor for key in column.sources)


def _drawn(design: Design) -> tuple[str, ...]:
    """Those that stand in a row."""
    return tuple(key for column in design.by_name.values() if column.kind == "keys" for key in column.sources)


def shown(question: Question, design: Design) -> tuple[Panel, ...]:
    """What the report shows of a question: each of its figures' measures by each of their columns, as far as those are keys."""
    found: list[Panel] = []
    for figure in question.figures:
        if figure.arrays:
            keys, metric = design.by_name[figure.arrays].sources, question.logged or "test/accuracy"
            found += [Parallel(keys, metric), Importance(metric), *(Scatter(key, "test/accuracy") for key in keys)]
        elif figure.x:
            by = [key for name in (figure.x, figure.lines, figure.panels) if name for key in _keys(design.by_name[name])]
            found += [Bars(metric, key) for metric in figure.y for key in by]
        else:
            found += [Bars(metric, _by(question, design)) for metric in ("test/accuracy", "gap", "time/train_seconds")]
            found += [Line("test/accuracy", _by(question, design))]
    return tuple(dict.fromkeys(found))


def _keys(column: Column) -> tuple[str, ...]:
    """By which W&B groups runs as a column does."""
    if column.kind == "key":
        return column.sources
    return (column.switch,) if column.switch else ("label",)


def _by(question: Question, design: Design) -> str:
    """The key of the first factor that only this question varies; else the label, which tells of the regularization."""
    elsewhere = {name for other in design.questions if other is not question for name in other.varies or ()}
    own = [name for name in question.varies or () if name not in elsewhere and design.by_name[name].kind == "key"]
    return design.by_name[own[0]].sources[0] if own else "label"


@dataclass(frozen=True)
class Links:
    """Where the pushed dashboard is seen."""

    workspace: str
    report: str


def push(entity: str | None, project: str, design: Design) -> Links:
    """Save the workspace and the report in the project, over those of an earlier push.

    Raises UserError without a key, or where the server refuses; ReglabError where it does not answer.
    """
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    from reglab.tracking.wandb_api import answering, connect, owner
    from reglab.tracking.wandb_library import wandb

    api = connect()
    entity = entity or owner(api)
    try:
        saved = _saved(api, entity, project)
        report = wr.Report(
            project, entity, design.title, "What the study asks, and what the runs say so far.", list(_blocks(entity, project, design))
        )
        report.width = "fluid"
        report.id = saved.get(("runs", design.title), _NEW)["id"]
        with answering(f"{entity}/{project}"):
            report.save()
        laid_out = [ws.Section(name=name, panels=_laid_out(panels), is_open=True) for name, panels in sections(design).items()]
        workspace = ws.Workspace(entity, project, WORKSPACE, laid_out)
        workspace.settings.x_axis = "epoch"
        workspace.settings.max_runs = 100
        found = saved.get(("project-view", WORKSPACE), _NEW)
        workspace._internal_id, workspace._internal_name = found["id"], found["name"]
        with answering(f"{entity}/{project}"):
            workspace.save()
    except (wandb.Error, ValueError) as error:
        fault = f"{entity}/{project}: W&B did not take the dashboard ({error})"
        raise UserError(f"{fault}: `wandb login` sets the key, `reglab --debug` says more") from None
    return Links(workspace.url, report.url)


_VIEWS = """
query SavedViews($entity: String!, $project: String!) {
  project(name: $project, entityName: $entity) {
    reports: allViews(viewType: "runs", first: 500) { edges { node { id name type displayName } } }
    workspaces: allViews(viewType: "project-view", first: 500) { edges { node { id name type displayName } } }
  }
}
"""

_NEW = {"id": "", "name": ""}


def _saved(api: "wandb.Api", entity: str, project: str) -> dict[tuple[str, str], dict[str, str]]:
    """What is saved in the project, by type and title; makes the project where there is none, for the library asks for it."""
    from reglab.tracking.wandb_api import answering

    with answering(f"{entity}/{project}"):
        there: Any = api._service_api.execute_graphql(_VIEWS, {"entity": entity, "project": project})["project"]
        if there is not None:
            nodes = [edge["node"] for views in there.values() for edge in views["edges"]]
            return {(node["type"], node["displayName"]): {"id": node["id"], "name": node["name"]} for node in nodes}
    api.create_project(project, entity)
    return {}


def _blocks(entity: str, project: str, design: Design) -> Iterator[Any]:
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    yield wr.TableOfContents()
    for question in design.questions:
        yield wr.H2(question.title)
        yield wr.P(question.asks)
        ended = [expr.Metric("State") == "finished"]
        among = [expr.Summary(question.logged) >= 0] if question.logged else []
        runs = wr.Runset(entity, project, "finished runs", filters=ended + among)
        yield wr.PanelGrid(runsets=[runs], panels=_laid_out(shown(question, design)))


def _laid_out(panels: Sequence[Panel]) -> list[Any]:
    """W&B's panels, each in a place of its own: else all of them lie on top of each other."""
    import wandb_workspaces.reports.v2 as wr

    places = [(number % _COLUMNS * _WIDTH, number // _COLUMNS * _HEIGHT) for number in range(len(panels))]
    return [_made(panel, wr.Layout(x, y, _WIDTH, _HEIGHT)) for panel, (x, y) in zip(panels, places, strict=True)]


def _made(panel: Panel, layout: Any) -> Any:
    import wandb_workspaces.reports.v2 as wr

    spread: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev", "layout": layout}
    title = _title(panel)
    match panel:
        case Line(metric, by):
            return wr.LinePlot(title, x="epoch", y=[metric], title_x="epoch", title_y=metric, groupby=wr.Config(by), **spread)
        case Bars(metric, by):
            return wr.BarPlot(title, [wr.SummaryMetric(metric)], title_x=metric, title_y=by, groupby=wr.Config(by), **spread)
        case Scatter(x, y):
            return wr.ScatterPlot(title, x=_accessor(x), y=_accessor(y), layout=layout)
        case Parallel(keys, metric):
            columns = [wr.ParallelCoordinatesPlotColumn(_accessor(name), display_name=name) for name in (*keys, metric)]
            return wr.ParallelCoordinatesPlot(columns, title, layout=layout)
        case Importance(metric):
            return wr.ParameterImportancePlot(with_respect_to=metric, layout=layout)


def _title(panel: Panel) -> str:
    match panel:
        case Line(metric, by) | Bars(metric, by):
            return f"{metric} by {by}"
        case Scatter(x, y):
            return f"{y} against {x}"
        case Parallel(_, metric) | Importance(metric):
            return f"what leads to {metric}"


def _accessor(name: str) -> Any:
    """Metrics have slashes in their names, keys of the configuration have dots."""
    import wandb_workspaces.reports.v2 as wr

    return wr.SummaryMetric(name) if "/" in name else wr.Config(name)
