import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from reglab.report import build

CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: install it, or name it in CHROMIUM")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, study, make_record, tmp_path):
    """The page of a study, open in a real browser, with what it complained of and what it asked the network for."""
    hostile = make_record(seed=9, label="</script><script>throw 'label'</script>", identity="hostile")
    address = build.build([*study, hostile], tmp_path / "report").as_uri()
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.complaints, page.asked = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#figure_11 svg", timeout=20_000)
    page.address = address
    yield page
    page.close()


def test_the_page_opens_alone_without_complaint_and_draws_its_figure(opened):
    assert opened.complaints == []
    assert opened.asked == [opened.address]
    assert opened.locator("#figure_11 svg text", has_text="asymmetric_augmentation").count() == 1


def test_the_page_says_first_what_came_out_and_shows_every_run(opened):
    assert opened.locator("main > .headline").inner_text().startswith("asymmetric_cutout_2 has the best test accuracy")
    assert opened.locator("table").nth(1).locator("tbody tr").count() == 19


def test_the_page_fits_a_phone(opened):
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
