"""W&B's filters and orders of runs: MongoDB's operators over a run's columns."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Column = Callable[[Any, str], Any]
"""Reads one column of a row by its name; None where there is nothing."""

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda have, want: want in have if isinstance(have, list) else have == want,
    "$ne": lambda have, want: have != want,
    "$in": lambda have, want: any(item in want for item in have) if isinstance(have, list) else have in want,
    "$nin": lambda have, want: have not in want,
    "$gt": lambda have, want: have is not None and have > want,
    "$gte": lambda have, want: have is not None and have >= want,
    "$lt": lambda have, want: have is not None and have < want,
    "$lte": lambda have, want: have is not None and have <= want,
    "$exists": lambda have, want: (have is not None) == want,
    "$regex": lambda have, want: have is not None and re.search(want, str(have)) is not None,
}


def matches(row: Any, wanted: Mapping[str, Any], column: Column) -> bool:
    """Whether the row passes. Raises KeyError for an operator that is not known here."""
    return all(_passes(row, name, want, column) for name, want in wanted.items())


def _passes(row: Any, name: str, want: Any, column: Column) -> bool:
    if name == "$and":
        return all(matches(row, part, column) for part in want)
    if name == "$or":
        return any(matches(row, part, column) for part in want)
    if name == "$not":
        return not matches(row, want, column)
    have = _value(row, name, column)
    tests = want if isinstance(want, Mapping) else {"$eq": want}
    return all(_COMPARISONS[operator](have, value) for operator, value in tests.items())


def ordered(rows: Sequence[Any], order: str, column: Column) -> list[Any]:
    """Sorted by `-summary_metrics.test/accuracy, +created_at` and the like; rows without a value come last."""
    rows = list(rows)
    for key in reversed([part.strip() for part in order.split(",") if part.strip()]):
        values = [(_value(row, key.lstrip("+-"), column), row) for row in rows]
        there = sorted((pair for pair in values if pair[0] is not None), key=lambda pair: pair[0], reverse=key.startswith("-"))
        rows = [row for _, row in there] + [row for value, row in values if value is None]
    return rows


def _value(row: Any, path: str, column: Column) -> Any:
    """What `config.lr.value`, `config.dropout.p1`, `summary_metrics.test/accuracy` or `state` means."""
    name, _, rest = path.partition(".")
    return _inside(column(row, name), rest) if rest else column(row, name)


def _inside(value: Any, path: str) -> Any:
    """Goes into W&B's `{"value": …}` where the path does not say so."""
    if not isinstance(value, Mapping):
        return None
    name, _, rest = path.partition(".")
    if path in value:
        found = value[path]
        return found["value"] if isinstance(found, Mapping) and "value" in found else found
    return _inside(value[name], rest) if name in value else _inside(value.get("value"), path)
