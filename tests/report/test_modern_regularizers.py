"""The second study that ships: each of its arms is one level, and each claim has all of its comparisons."""

from pathlib import Path

import pytest

from reglab.config import RunConfig, as_given, effective
from reglab.report import study_file
from reglab.report.claims import judge
from reglab.report.study import Study
from reglab.sweep import spec

DESIGN = study_file.read("modern_regularizers")
SWEEP = Path(__file__).parents[2] / "sweeps" / "modern_regularizers.yaml"


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "quick"])
def asked(request):
    """The values of all its runs."""
    return spec.read(SWEEP, quick=request.param).grid()


def test_its_arms_are_the_levels_of_its_column_once_each(asked):
    configs = [RunConfig.parse(values) for values in asked if values["train"]["seed"] == 0]
    levels = [DESIGN.treatment(as_given(config) | effective(config))["regularizers"] for config in configs]
    assert sorted(levels) == sorted(DESIGN.columns["regularizers"].levels)


def test_every_claim_has_runs_for_all_that_it_compares(asked, make_record):
    records = [make_record(config=values, test=0.8 + 0.01 * values["train"]["seed"]) for values in asked]
    for finding in judge(Study.of(records, DESIGN)).each:
        assert finding.parts and all(part.n for part in finding.parts), finding.text
