"""The reports that are kept here still say what their runs say."""

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
