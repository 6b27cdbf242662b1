"""W&B's filters and orders of runs."""

import pytest

from tests.loopback.filters import matches, ordered

ROWS = [
    {
        "name": "a",
        "state": "finished",
        "tags": ["x"],
        "config": {"dropout": {"value": {"p1": 0.1}}},
        "summary_metrics": {"test/accuracy": 0.9},
    },
    {"name": "b", "state": "failed", "tags": [], "config": {"dropout": {"value": {"p1": 0.2}}}, "summary_metrics": {}},
    {"name": "c", "state": "finished", "tags": [], "config": {"lr": {"value": 0.3}}, "summary_metrics": {"test/accuracy": 0.8}},
]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "abc"),
        ({"state": "finished", "name": {"$ne": "a"}}, "c"),
        ({"$or": [{"config.dropout.p1": 0.2}, {"config.lr.value": {"$gt": 0.2}}]}, "bc"),
        ({"$and": [{"config.dropout.value.p1": {"$exists": True}}, {"tags": {"$in": ["x"]}}]}, "a"),
        ({"$not": {"summary_metrics.test/accuracy": {"$lt": 0.85}}}, "ab"),
        ({"name": {"$regex": "^[bc]"}}, "bc"),
    ],
)
def test_runs_are_chosen(wanted, names):
    assert "".join(row["name"] for row in ROWS if matches(row, wanted, dict.get)) == names


@pytest.mark.parametrize(
    ("order", "names"), [("+name", "abc"), ("-name", "cba"), ("-summary_metrics.test/accuracy", "acb"), ("+state,-name", "bca")]
)
def test_runs_are_ordered(order, names):
    assert "".join(row["name"] for row in ordered(ROWS, order, dict.get)) == names


def test_an_operator_that_is_not_known_is_refused():
    with pytest.raises(KeyError, match="near"):
        matches(ROWS[0], {"name": {"$near": "a"}}, dict.get)
