"""How soon a reader sees a report: the first paint of each committed page in Chromium, against that of a page of one line.

The peer is the floor that the browser itself sets. Each round opens both in a new context, with nothing cached, and reads the browser's
own clock: seconds from navigation to the first paint with content (`first-contentful-paint`). Beside it: until the page has loaded, and
its bytes. CHROMIUM names the browser where it is not on the path.

    reglab bench page [--rounds N]
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Browser, sync_playwright

from benchmarks import measure as shared
from benchmarks.browser import CHROMIUM, FLAGS
from benchmarks.measure import Absent, Outcome, Result

ROUNDS = 7
REPORTS = Path(__file__).parents[1] / "reports"
ONE_LINE = "<!doctype html><html lang='en'><title>one line</title><p>A page of one line.</p></html>"

_PAINTED = """() => new Promise((seen) => new PerformanceObserver((list) => {
  const paint = list.getEntriesByName('first-contentful-paint')[0];
  if (paint) seen([paint.startTime / 1000, performance.timing.loadEventEnd - performance.timing.navigationStart]);
}).observe({type: 'paint', buffered: true}))"""


def opened(browser: Browser, page: Path) -> tuple[float, float]:
    """Seconds to the first paint with content, and until the page has loaded."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        tab = context.new_page()
        tab.goto(page.as_uri(), wait_until="load")
        painted, loaded = tab.evaluate(_PAINTED)
        return float(painted), float(loaded) / 1000


def measure(overrides: Sequence[str] = (), rounds: int | None = None) -> Iterator[Outcome]:
    if CHROMIUM is None:
        yield Absent("page", "all", "there is no Chromium here: install it, or name it in CHROMIUM")
        return
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        line = Path(folder) / "index.html"
        line.write_text(ONE_LINE, encoding="utf-8")
        for page in sorted(REPORTS.glob("*/index.html")):
            seconds: dict[str, list[float]] = {page.parent.name: [], "one line": []}
            loads = []
            for number in range((rounds or ROUNDS) + 1):
                (ours, loaded), (peers, _) = opened(browser, page), opened(browser, line)
                if number:  # one before all warms up
                    seconds[page.parent.name].append(ours)
                    seconds["one line"].append(peers)
                    loads.append(loaded)
            facts: dict[str, Any] = {"loaded": shared.duration(sorted(loads)[len(loads) // 2]), "MB": f"{page.stat().st_size / 1e6:.2f}"}
            yield Result.of("page", page.parent.name, seconds, (page.parent.name, "one line"), torch.device("cpu"), facts)
        browser.close()


if __name__ == "__main__":
    shared.main(measure, __doc__)
