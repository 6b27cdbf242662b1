"""The second study that ships: each of its arms is one level on one network, and each claim has all of its comparisons."""

from itertools import product

import pytest

from reglab.config import NETWORKS, RunConfig, as_given, effective
from reglab.report.claims.verdicts import judge
from reglab.report.studies import study_file
from reglab.report.studies.study import Study
from reglab.sweep import spec
from reglab.tracking.results import OwnMetric

DESIGN = study_file.read("modern_regularizers")
MOST_ARMS = 24


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "quick"])
def asked(request):
    """The values of all its runs."""
    return [values for file in DESIGN.files for values in spec.read(file, quick=request.param).grid()]


def test_its_arms_are_the_levels_of_its_column_once_on_each_network(asked):
    configs = [RunConfig.parse(values) for values in asked if values["train"]["seed"] == 0]
    treated = [DESIGN.treatment(as_given(config) | effective(config)) for config in configs]
    arms = sorted((str(each["network"]), str(each["regularizers"])) for each in treated)
    assert arms == sorted(product(NETWORKS, DESIGN.columns["regularizers"].levels)) and len(arms) <= MOST_ARMS


def test_every_claim_is_of_both_networks_and_has_runs_for_all_that_it_compares(asked, make_record):
    own, declared = {"test/ece": 0.1}, [OwnMetric(reference="reglab.metrics:ece", share=True, better="lower")]
    records = [make_record(config=values, test=0.8 + 0.01 * values["train"]["seed"], own=own, measures=declared) for values in asked]
    study = Study.of(records, DESIGN)
    assert not study.others
    for finding in judge(study).each:
        assert finding.parts and all(part.n for part in finding.parts), finding.claim
        for network in ("ResNet-50", "WideResNet"):
            assert any(part.what.endswith(network) for part in finding.parts), finding.claim
