"""How the tables of trackers tell settings from results: MLflow's, Optuna's and Ray Tune's by a prefix of their columns, what a script
writes of W&B's API by two columns of dictionaries."""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reglab import reading


@dataclass(frozen=True)
class Export:
    """A tracker's table of runs, a row each, as its own function writes it.

    It is known by the columns `known_by`, and by some that begin with `settings`. Those that begin with one of `results` are what a run
    came to, and all others tell of the run itself; without `results` all that are not `of_the_run` are results. `key` tells runs apart,
    `named` is what a run is called. How long it took is in `seconds`, or from `starts` to `ends`.
    """

    known_by: frozenset[str]
    settings: str
    results: tuple[str, ...] = ()
    of_the_run: frozenset[str] = frozenset()
    key: str | None = None
    named: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()

    def is_setting(self, column: str) -> bool:
        """Whether the column is what runs were given."""
        return column.startswith(self.settings)

    def is_result(self, column: str) -> bool:
        """Whether the column is what runs came to."""
        if self.results:
            return column.startswith(self.results)
        return bool(column) and not self.is_setting(column) and column not in self.of_the_run


_EXPORTS = (
    Export(  # MLflow's search_runs
        known_by=frozenset({"run_id", "experiment_id"}),
        settings="params.",
        results=("metrics.",),
        key="run_id",
        named=("tags.mlflow.runName",),
        starts=("start_time",),
        ends=("end_time",),
    ),
    Export(  # Optuna's trials_dataframe
        known_by=frozenset({"number", "state"}),
        settings="params_",
        results=("value",),  # or, of several objectives, values_0
        key="number",
        starts=("datetime_start",),
        ends=("datetime_complete",),
    ),
    Export(  # Ray Tune's get_dataframe
        known_by=frozenset({"trial_id", "training_iteration"}),
        settings="config/",
        of_the_run=frozenset(
            {"trial_id", "trial_name", "training_iteration", "time_this_iter_s", "time_total_s", "time_since_restore", "date"}
            | {"iterations_since_restore", "checkpoint_dir_name", "should_checkpoint", "timestamp", "pid", "hostname", "node_ip"}
            | {"done", "logdir"}
        ),
        key="trial_id",
        seconds=("time_total_s",),
    ),
)


CONFIG, SUMMARY = "config", "summary"
"""Columns of a table that is made of W&B's API as its documentation shows it: dictionaries, as Python or JSON writes them."""


def holds_dictionaries(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether the cells under both columns look like dictionaries; an empty one does, too, but not all of a column."""
    return all(
        any(row.get(name) for row in rows) and all(row[name].startswith("{") for row in rows if row[name]) for name in (CONFIG, SUMMARY)
    )


def dictionary(cell: str) -> dict[str, Any]:
    """What a cell under such a column holds; an empty one nothing. Raises ValueError where it is no dictionary of plain values."""
    try:
        found = reading.parsed(cell or "{}", numbers_only=False)
    except ValueError:
        found = _literal(cell)
    if not isinstance(found, dict):
        raise ValueError("no dictionary")
    return {str(key): value for key, value in found.items()}


def _literal(text: str) -> Any:
    """What a text of Python holds, of which nothing is run: plain values, NaN and infinity as `repr` has them among them."""
    try:
        tree = _Unnamed().visit(ast.parse(text, mode="eval"))
        return ast.literal_eval(tree)
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


class _Unnamed(ast.NodeTransformer):
    """Puts the numbers in place of `nan` and `inf`, which Python reads as names."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        number = {"nan": math.nan, "inf": math.inf}.get(node.id)
        return node if number is None else ast.copy_location(ast.Constant(number), node)


def of(columns: Sequence[str]) -> Export | None:
    """The tracker whose table has such columns; None of any other table."""
    return next((each for each in _EXPORTS if each.known_by <= set(columns) and any(map(each.is_setting, columns))), None)
