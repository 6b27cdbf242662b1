"""The shared dashboard at W&B, as code: a workspace for the runs as they go on, and a report with the study's questions.

What is shown is plain data here (`SECTIONS`, `SHOWN`); `push` turns it into W&B's own objects and saves them in place.
Panels group runs on keys of the configuration, and show a mean with its standard deviation over the seeds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reglab.errors import UserError
from reglab.report.questions import QUESTIONS

if TYPE_CHECKING:
    from reglab.tracking.wandb_library import wandb

WORKSPACE = "reglab study"
REPORT = "Four regularizers on a ResNet-50"
"""The names by which an earlier push is found again."""

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

_PROBABILITIES = ("dropout.p1", "dropout.p2", "dropout.p3")

SECTIONS: dict[str, tuple[Panel, ...]] = {
    "accuracy": (Line("test/accuracy"), Line("train/accuracy"), Bars("test/accuracy")),
    "time to 87 %": (
        Bars("time_to_target/seconds"),
        Bars("time_to_target/reached"),
        Bars("time/train_seconds"),
        Line("train/accuracy"),
        Scatter("time_to_target/seconds", "test/accuracy"),
    ),
    "overfitting": (Line("gap"), Bars("gap"), Scatter("train_clean/accuracy", "test/accuracy")),
    "search": (
        Parallel((*_PROBABILITIES, "agc.clip", "cutout.images"), "val/accuracy"),
        Importance("val/accuracy"),
        *(Scatter(key, "val/accuracy") for key in _PROBABILITIES),
    ),
    "health": (
        Line("throughput/images_per_second"),
        Line("gpu/memory_gb"),
        Line("train/loss"),
        Line("lr"),
        Line("agc/clipped_fraction"),
        Line("dropout/rate"),
        Line("cutout/masked_fraction"),
    ),
}
"""The workspace, section by section."""


@dataclass(frozen=True)
class Shown:
    """What the report shows of a question. `among`: only runs that logged this metric; of these, each technique has one of its own."""

    panels: tuple[Panel, ...]
    among: str | None = None


SHOWN: dict[str, Shown] = {
    "final": Shown((Bars("test/accuracy", "arm"), Bars("gap", "arm"), Bars("time/train_seconds", "arm"), Line("test/accuracy", "arm"))),
    "dropout_symmetric": Shown(
        (
            Bars("test/accuracy", "dropout.p"),
            Bars("test/accuracy", "dropout.layers"),
            Bars("gap", "dropout.layers"),
            Line("train/accuracy", "dropout.p"),
            Line("test/accuracy", "dropout.layers"),
        ),
        among="dropout/rate",
    ),
    "dropout_arrays": Shown(
        (
            Parallel(_PROBABILITIES, "val/accuracy"),
            Importance("val/accuracy"),
            *(Scatter(key, "test/accuracy") for key in _PROBABILITIES),
        ),
        among="val/accuracy",
    ),
    "batchnorm": Shown(
        tuple(Bars(metric, "batchnorm.layers") for metric in ("test/accuracy", "time_to_target/seconds", "time_to_target/reached"))
    ),
    "agc": Shown(
        (Bars("test/accuracy", "agc.clip"), Bars("time/train_seconds", "train.batch_size"), Bars("time/train_seconds", "agc.clip")),
        among="agc/clipped_fraction",
    ),
    "agc_batchnorm": Shown(
        tuple(Bars(metric, "agc.enabled") for metric in ("test/accuracy", "time/train_seconds", "time_to_target/seconds"))
    ),
    "cutout_screening": Shown(
        (Bars("test/accuracy", "cutout.images"), Bars("time/train_seconds", "cutout.images")), among="cutout/masked_fraction"
    ),
    "augmentation": Shown(
        (Bars("gap", "label"), Bars("test/accuracy", "label"), Bars("time/train_seconds", "label"), Bars("gap", "augment.policy"))
    ),
    "agc_rescue": Shown(
        tuple(Bars("test/accuracy", key) for key in ("optimizer.name", "optimizer.weight_decay", "model.standardize")),
        among="agc/clipped_fraction",
    ),
    "placement": Shown(tuple(Bars(metric, "model.placement") for metric in ("test/accuracy", "gap", "time/train_seconds"))),
    "cutout_per": Shown(
        tuple(Bars(metric, "cutout.per") for metric in ("test/accuracy", "gap", "time/train_seconds")), among="cutout/masked_fraction"
    ),
    "cifar_stem": Shown(
        (Bars("test/accuracy", "model.stem"), Bars("time/train_seconds", "model.stem"), Line("test/accuracy", "model.stem"))
    ),
}
"""The report, by the stem of each question."""


@dataclass(frozen=True)
class Links:
    """Where the pushed dashboard is seen."""

    workspace: str
    report: str


def push(entity: str | None, project: str) -> Links:
    """Save the workspace and the report in the project, over those of an earlier push.

    Raises UserError without a key, or where the server refuses.
    """
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    from reglab.tracking.wandb_library import server_api, wandb
    from reglab.tracking.wandb_project import answering

    try:
        with answering(f"{entity or ''}/{project}"):
            api = server_api()
        entity = entity or api.default_entity
        if not entity:
            raise UserError("no W&B entity: give --entity, or set WANDB_ENTITY")
        saved = _saved(api, entity, project)
        report = wr.Report(project, entity, REPORT, "What the study asks, and what the runs say so far.", list(_blocks(entity, project)))
        report.width = "fluid"
        report.id = saved.get(("runs", REPORT), _NEW)["id"]
        report.save()
        sections = [ws.Section(name=name, panels=_laid_out(panels), is_open=True) for name, panels in SECTIONS.items()]
        workspace = ws.Workspace(entity, project, WORKSPACE, sections)
        workspace.settings.x_axis = "epoch"
        workspace.settings.max_runs = 100
        found = saved.get(("project-view", WORKSPACE), _NEW)
        workspace._internal_id, workspace._internal_name = found["id"], found["name"]
        workspace.save()
    except (wandb.Error, ValueError) as error:
        fault = f"{entity or ''}/{project}: W&B did not take the dashboard ({error})"
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
    from reglab.tracking.wandb_project import answering

    with answering(f"{entity}/{project}"):
        there: Any = api._service_api.execute_graphql(_VIEWS, {"entity": entity, "project": project})["project"]
        if there is not None:
            nodes = [edge["node"] for views in there.values() for edge in views["edges"]]
            return {(node["type"], node["displayName"]): {"id": node["id"], "name": node["name"]} for node in nodes}
    api.create_project(project, entity)
    return {}


def _blocks(entity: str, project: str) -> Iterator[Any]:
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    yield wr.TableOfContents()
    for question in QUESTIONS:
        yield wr.H2(question.title)
        yield wr.P(question.asks)
        shown = SHOWN[question.stem]
        ended = [expr.Metric("State") == "finished"]
        among = [expr.Summary(shown.among) >= 0] if shown.among else []
        runs = wr.Runset(entity, project, "finished runs", filters=ended + among)
        yield wr.PanelGrid(runsets=[runs], panels=_laid_out(shown.panels))


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
