"""What a run that diverged counts as."""

import pytest

from reglab.report.comparisons.chance import counts_as_chance, of_guessing
from reglab.tracking.record import State


@pytest.mark.parametrize(
    ("source", "classes", "chance"), [("folder", 7, 1 / 7), ("digits", None, 0.1), ("digits", 5, 0.2), ("folder", None, None)]
)
def test_guessing_has_one_of_as_many_as_there_are_classes(make_record, source, classes, chance):
    record = make_record(config={"data": {"source": source, "folder": "images"} if source == "folder" else {"source": source}})
    assert of_guessing(record.changed(environment=record.environment.model_copy(update={"classes": classes}))) == chance


def test_only_what_diverged_counts_so_and_only_in_accuracies(make_record):
    diverged = make_record(state=State.diverged)
    assert counts_as_chance(diverged, "test/accuracy")
    assert not counts_as_chance(diverged, "gap")
    assert not counts_as_chance(make_record(), "test/accuracy")
