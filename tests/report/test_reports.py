"""The reports that are kept here still say what their runs say."""

import re
from pathlib import Path

import pytest

from reglab.report.check import faults
from reglab.report.collection import sweep_hashes
from reglab.report.manifest import MANIFEST
from tests.report.published import DESIGN

REPORTS = sorted(path.parent for path in (Path(__file__).parents[2] / "reports").glob(f"*/{MANIFEST}"))


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_a_report_that_is_kept_is_up_to_date(folder):
    """Else: `reglab report build --from reports/NAME --out reports/NAME`."""
    assert faults(folder, sweep_hashes(DESIGN), None) == []


def test_the_report_of_no_study_says_no_word_about_one():
    page = (REPORTS[0].parent / "adamw_digits" / "index.html").read_text(encoding="utf-8")
    words = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    for word in ("study", "claim", "published", "final model", "Four regularizers"):
        assert word not in words, word
