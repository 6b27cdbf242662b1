"""The reports that are kept here still say what their runs say."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from benchmarks.browser import CHROMIUM, FLAGS
from reglab.report.check import faults
from reglab.report.collection import sweep_hashes
from reglab.report.manifest import MANIFEST
from tests.report.page.test_page import DESKTOP, in_chromium, scroll_through
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


MOST_BYTES = 2_500_000

CHECKERS = Path(__file__).parents[2] / ".npm" / "node_modules"
"""Brought by `npm install --prefix .npm axe-core html-validate`."""

needs_checkers = pytest.mark.skipif(not CHECKERS.is_dir(), reason="needs `npm install --prefix .npm axe-core html-validate`")


@in_chromium
@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_its_page_is_small_asks_for_nothing_else_and_runs_without_complaint(folder):
    assert (folder / "index.html").stat().st_size < MOST_BYTES
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=DESKTOP)
        page.set_default_timeout(300_000)
        complaints, asked = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / "index.html").as_uri())
        scroll_through(page)
        page.locator(".of-arm").first.click()
        page.locator("#arm").wait_for()
        assert complaints == []
        assert asked == [(folder / "index.html").as_uri()]
        browser.close()


@in_chromium
@needs_checkers
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_axe_finds_nothing_wrong_with_its_page(folder, scheme):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=DESKTOP, color_scheme=scheme)
        page.set_default_timeout(300_000)
        page.goto((folder / "index.html").as_uri())
        scroll_through(page)
        page.locator(".of-arm").first.click()
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.evaluate((CHECKERS / "axe-core" / "axe.min.js").read_text())
        found = page.evaluate("axe.run()")["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        browser.close()


@needs_checkers
@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_html_validate_finds_nothing_wrong_with_its_page(folder):
    done = subprocess.run(
        [CHECKERS / ".bin" / "html-validate", "--formatter", "json", folder / "index.html"], capture_output=True, timeout=300, check=False
    )
    assert [(each["ruleId"], each["line"]) for file in json.loads(done.stdout) for each in file["messages"]] == []
