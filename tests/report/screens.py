"""The screenshots in `docs/screens/`, of the committed reports as they are: `python -m tests.report.screens` makes them anew.

A person looks at them afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.browser import CHROMIUM, FLAGS

HOME = Path(__file__).parents[2]


@dataclass(frozen=True)
class Screen:
    """A report's page, as it is shown after `action`, a line of JavaScript."""

    report: str
    action: str = ""
    size: tuple[int, int] = (1280, 960)
    options: Mapping[str, Any] = field(default_factory=dict)

    def take(self, page: Page, to: Path) -> None:
        """Write it as PNG."""
        page.goto((HOME / "reports" / self.report / "index.html").as_uri())
        page.wait_for_load_state("networkidle")
        if self.action:
            page.evaluate(self.action)
        page.wait_for_timeout(1500)  # until what is in sight is drawn
        page.screenshot(path=to)


OPENED = "const claim = document.querySelector('.claims details'); claim.open = true; claim.closest('.claims').scrollIntoView()"

SCREENS = {
    "first_screen": Screen("cifar10_jpeg_cpu"),
    "claim": Screen("digits_settled", OPENED),
    "arm_dark": Screen("cifar10_jpeg_h200", "document.querySelector('tr[data-arm] button').click()", options={"color_scheme": "dark"}),
    "all_runs": Screen("digits_settled", "location.hash = 'runs'"),
    "no_study": Screen("adamw_digits"),
    "phone": Screen("digits_settled", size=(390, 844)),
}


def main() -> None:
    """Renew them all."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for name, screen in SCREENS.items():
            width, height = screen.size
            with browser.new_context(viewport={"width": width, "height": height}, **screen.options) as context:
                screen.take(context.new_page(), HOME / "docs" / "screens" / f"{name}.png")


if __name__ == "__main__":
    main()
