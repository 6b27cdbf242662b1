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
        ("any", "base", []),
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
    said = planned.absent(design, plan)
    assert len(said) == len(lacks)
    for line, each in zip(said, lacks, strict=True):
        assert line.startswith(str(tmp_path / "study.yaml")) and each in line
