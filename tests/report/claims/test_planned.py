"""What claims ask of runs that are not there yet."""

import pytest

from reglab.report.claims import planned
from reglab.report.studies import study_file
from reglab.settling.arms import arms_of, study_of
from reglab.sweep import spec

SWEEP = """
name: rates
method: grid
metric: {name: test/accuracy, goal: maximize}
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}}}
  optimizer: {parameters: {lr: {values: [0.001, 0.01]}}}
"""

STUDY = """
title: Rates
sweeps: [rates.yaml]
factors: {rate: optimizer.lr}
questions: [{name: rates, x: rate, y: test/accuracy}]
claims:
  - text: The larger is better.
    difference: {of: test/accuracy, between: {rate: LARGER}, and: {rate: SMALLER}, at_least: 0}
"""


@pytest.mark.parametrize(
    ("larger", "smaller", "lacks"),
    [
        ("0.01", "0.001", []),
        ("any", "base", ["claim 1 would decide nothing: rate any is said of 2 arms"]),
        ("1e-2", "0.001", []),
        ("0.1", "0.001", ["claim 1 is about rate: 0.1, and no arm of its sweeps has that; they have 0.001, 0.01"]),
        ("[0.01, 0.1]", "0.002", ["rate: 0.1,", "rate: 0.002,"]),
    ],
)
def test_a_level_that_no_arm_has_is_named_before_anything_runs(tmp_path, larger, smaller, lacks):
    (tmp_path / "rates.yaml").write_text(SWEEP)
    (tmp_path / "study.yaml").write_text(STUDY.replace("LARGER", larger).replace("SMALLER", smaller))
    design = study_file.read(tmp_path / "study.yaml")
    plan = study_of(design, arms_of(map(spec.read, design.files)))
    said = planned.in_vain(design, plan)
    assert len(said) == len(lacks)
    for line, each in zip(said, lacks, strict=True):
        assert line.startswith(str(tmp_path / "study.yaml")) and each in line


DECAYS = SWEEP.replace("  optimizer:", "  weight_decay: {parameters: {rate: {values: [0, 0.1]}}}\n  optimizer:")


@pytest.mark.parametrize(
    ("larger", "smaller", "said"),
    [
        ("0.01", "0.001", None),  # at each decay
        ("0.01, decay: 0.1", "0.001, decay: 0", None),
        ("0.01, decay: 0.1", "0.001", "rate 0.001 is said of 2 arms that differ in decay: say its level, too"),
        ("0.01", "0.001, decay: 0", "rate 0.01 is said of 2 arms that differ in decay: say its level, too"),
    ],
)
def test_a_level_of_several_arms_is_named_before_anything_runs_and_nobody_asks_for_them(tmp_path, larger, smaller, said):
    study = STUDY.replace("LARGER", larger).replace("SMALLER", smaller).replace("optimizer.lr", "optimizer.lr, decay: weight_decay.rate")
    (tmp_path / "rates.yaml").write_text(DECAYS)
    (tmp_path / "study.yaml").write_text(study)
    design = study_file.read(tmp_path / "study.yaml")
    plan = study_of(design, arms_of(map(spec.read, design.files)))
    found, (asked,) = planned.in_vain(design, plan), planned.asked_by(design.claims[0], plan)
    assert found == ([f"{design.path}: claim 1 would decide nothing: {said}"] if said else [])
    assert bool(asked) == (said is None)
