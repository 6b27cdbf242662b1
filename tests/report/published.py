"""The published study in tests: its design, and runs as it sees them."""

from types import SimpleNamespace

from reglab.config import as_given, effective
from reglab.report import stats
from reglab.report.studies.cells import cells as cells_of
from reglab.report.studies.study import Study
from reglab.report.studies.study_file import PUBLISHED, read

DESIGN = read(PUBLISHED)
BY_NAME = {question.name: question for question in DESIGN.questions}
FINAL = DESIGN.questions[0]


def study(records):
    return Study.of(records, DESIGN)


def cells(records):
    records = list(records)
    found = study(records)
    return cells_of(records, found.treated, found.design)


def treatment(config):
    """What a configuration has in the columns of the study."""
    return DESIGN.treatment(as_given(config) | effective(config))


def treated(record):
    return treatment(config) if (config := stats.built(record)) else None


def factors(config):
    """The same, with what the tests look at as attributes."""
    levels = treatment(config)
    return SimpleNamespace(
        **{**levels, "probability": levels["probability"] or None, "transformations": levels["transformations"] == "basic"},
        symmetric=levels["probability"] is not None,
    )


def seen(record):
    return factors(stats.built(record))
