"""What a report shows first."""

import pytest

from reglab.report.claims.verdicts import judge
from reglab.report.sections import effects
from tests.report import published
from tests.report.published import FINAL


def test_every_comparison_of_few_claims_is_a_row_with_its_pairs_and_its_claimed_range(study):
    found = effects.of_claims(judge(published.study(study)).each)
    assert len(found) <= effects.MOST
    gained = [each for each in found if each.label.startswith("10. test accuracy") and each.label.endswith("against baseline")]
    assert [(each.part.claimed.low, each.part.claimed.high) for each in gained][-1] == (10, 20)
    assert gained[0].part.each == pytest.approx([12.0, 12.0, 12.0])
    assert {each.leads_to for each in found} <= {f"claim-{number}" for number in range(1, 12)}


def test_of_many_comparisons_the_one_that_decides_each_claim_is_shown(whole_study):
    findings = judge(published.study(whole_study())).each
    found = effects.of_claims(findings)
    assert [each.leads_to for each in found] == [f"claim-{finding.number}" for finding in findings if finding.runs]


def test_arms_are_compared_with_the_baseline_seed_by_seed(study):
    study = published.study(study)
    cells = study.answers(FINAL)
    found = effects.of_arms(cells, cells[0], cells)
    assert [each.leads_to for each in found] == [cell.identity for cell in cells[1:]]
    assert found[0].part.each == pytest.approx([4.0, 4.0, 4.0])
    assert not any(each.is_claimed for each in found)


def test_arms_without_a_common_seed_are_compared(make_record):
    records = [make_record(seed=seed, test=0.6 + 0.01 * seed) for seed in (0, 1, 2)]
    records += [make_record("symmetric_cutout_2", seed, test=0.7 + 0.01 * seed) for seed in (3, 4, 5)]
    study = published.study(records)
    cells = study.answers(FINAL)
    (found,) = effects.of_arms(cells, cells[0], cells)
    assert found.part.each == ()
    assert found.part.estimate == pytest.approx(13.0)
    assert found.part.low < 13 < found.part.high


def test_what_held_images_out_is_compared_with_none_that_did_not(make_record):
    held = make_record(config={"data": {"source": "digits", "validation": 100}, "dropout": {"layers": 1, "p": 0.2}}, test=0.5)
    study = published.study([make_record(test=0.6), held])
    cells = study.cells
    plain = next(cell for cell in cells if not cell.held_out)
    assert effects.of_arms(cells, plain, cells) == []
