import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import altair as alt
import pandas as pd
import pytest
import vl_convert
from playwright.sync_api import expect, sync_playwright

from benchmarks.browser import CHROMIUM, FLAGS
from reglab.report.charts import Drawing
from reglab.report.charts.font import FAMILY
from reglab.report.claims.findings import Finding, Verdict
from reglab.report.comparisons.parts import Part
from reglab.report.page import page as page_module
from reglab.report.page.details import SHOWN
from reglab.report.page.page import Figure, Page, PageGrid, PageSection
from tests.waiting import PATIENCE

HOSTILE = """</script><script>window.broken = 1</script><!--<script><img src=x onerror="window.broken = 1">"'><b>"""
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 800}

expect.set_options(timeout=1000 * PATIENCE)

in_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: install it, or name it in CHROMIUM")


def drawn(label="0.2"):
    frame = pd.DataFrame({"layers": [0, 1, 2], "accuracy": [60.0, 70.0, 75.0], "p": [label] * 3})
    chart = alt.Chart(frame, width=500, height=300).mark_line(point=True)
    chart = chart.encode(x="layers:Q", y="accuracy:Q", color=alt.Color("p:N", title=label)).configure(font=FAMILY)
    return Drawing(chart.to_json(), width=594, height=347)


def figure(number, drawing):
    return Figure(f"figure_{number}", f"Figure {number}: accuracy, part {number}", f"Test accuracy, as in figure {number}.", drawing)


def finding(number, verdict=Verdict.reproduced, **changes):
    parts = (
        Part("0.2 against 0.5", "points", 1.94, 0.4, 3.2, 12, True),
        Part("cases in which 0.2 is best", "share", 0.75, 0.43, 0.95, 12, None, over="cases"),
        Part("time at 256 against 64", "ratio", 0.62, None, None, 1, False),
    )
    rule = f"Rule {number}: above zero with its interval."
    said = f"+{number}.0 points"
    made = Finding(number, f"Claim number {number}", rule, verdict, said, parts, ("a-s0", "b-s0"), "figure_2", jointly=verdict)
    return replace(made, **changes)


RUNS = pd.DataFrame(
    {
        "run": ["a-s0", "b-s0", "c-s0", "d-s0"],
        "model": ["baseline", "BN 10", "BN 2", "BN 2 · dropout 1 at 0.2"],
        "question": [["dropout", "layers"], ["layers"], ["layers"], ["dropout"]],
        "state": ["finished", "finished", "failed", "finished"],
        "test/accuracy": [0.61234567, 0.9, None, 0.7],
        "train_seconds": [12345.6, 9.0, None, 100.25],
        "url": ["https://wandb.ai/someone/project/runs/a-s0", "javascript:window.broken=1", None, None],
    }
)


def study(**changes):
    """A page of two questions with three figures, one of them without a run, and of three claims."""
    table = pd.DataFrame({"arm": ["baseline", "BN 2"], "test, %": ["61.2 ± 1.0", "–"]})
    dropout = PageSection(
        "dropout", "Dropout", "Which probability is best?", [figure(2, drawn()), figure(4, None)], table, ["a-s0", "d-s0"], []
    )
    layers = PageSection("layers", "Layers", "How many layers?", [figure(5, drawn())], None, ["a-s0"], ["Half of the grid is there."])
    nothing = PageSection("arrays", "Arrays", "Which arrays?", [], None, [], [])
    findings = [finding(1), finding(2, Verdict.contradicted, figure="figure_5"), finding(3, Verdict.undecided, parts=(), runs=())]
    made = Page(
        title="Four regularizers on digits",
        what="ResNet-50 of width 16 on digits",
        headline=["One of three claims is reproduced.", "BN 2 is the best model."],
        findings=findings,
        sections=[dropout, layers, nothing],
        table_1=pd.DataFrame({"technique": ["dropout"], "parameter": ["layers"], "values": ["0, 1, 2, 3"]}),
        runs=RUNS,
        machines=["4 runs: a GPU, torch 2.15"],
        notes=["1 failed, not counted: BN 2 s0"],
        label="Digits, one seed: it shows the machinery.",
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a page in a real browser; it has what the browser complained of, and what it asked the network for."""
    opened = []

    def open_(made=None, before="", fragment="", viewport=DESKTOP, **options):
        path = tmp_path / "index.html"
        path.write_text((made or study()).render())
        (tmp_path / "figure_2.png").touch()
        (tmp_path / "figure_5.png").touch()
        page = browser.new_page(viewport=viewport, **options)
        page.set_default_timeout(1000 * PATIENCE)
        opened.append(page)
        page.complaints, page.asked, page.address = [], [], path.as_uri()
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        if before:
            page.add_init_script(before)
        page.goto(page.address + fragment)
        return page

    yield open_
    for page in opened:
        page.close()


def rows(page):
    return page.locator("#rows tbody tr")


def models(page):
    return page.locator("#rows tbody td:nth-child(2)").all_inner_texts()


def scroll_through(page):
    for drawing in page.locator(".drawing").all():
        drawing.scroll_into_view_if_needed()
        expect(drawing.locator("svg")).to_be_visible()


# What the page says.


@in_chromium
def test_the_page_opens_alone_without_complaint(open_page):
    page = open_page()
    scroll_through(page)
    assert page.complaints == []
    assert page.asked == [page.address]


@in_chromium
def test_the_page_says_first_what_it_is_and_what_came_out(open_page):
    page = open_page()
    headings = page.locator("h1, h2").all_inner_texts()
    assert headings[0] == "Four regularizers on digits"
    assert headings[1:3] == ["What came out, and how sure it is", "What a reader must know"]
    assert headings[3:-1] == ["Dropout", "Layers", "Not tested", "Table 1 as run", "All runs", "Where it ran", "Downloads"]
    assert page.locator(".label").inner_text() == "Digits, one seed: it shows the machinery."
    assert page.locator(".headline p").all_inner_texts() == ["One of three claims is reproduced.", "BN 2 is the best model."]
    assert page.locator(".tally .badge").all_inner_texts() == ["1 reproduced", "1 contradicted", "1 undecided", "0 not tested"]


def test_a_study_that_is_what_it_looks_like_has_no_label():
    assert 'class="label"' in study().render()
    assert 'class="label"' not in study(label=None).render()


@in_chromium
def test_every_claim_stands_under_its_verdict_with_its_effect_and_a_link_to_its_figure(open_page):
    page = open_page()
    claims = page.locator(".claims > li")
    assert page.locator(".group .badge").all_inner_texts() == ["reproduced", "contradicted", "undecided"]
    assert page.locator(".group .badge > svg").count() == 3
    assert claims.locator("> .effect").all_inner_texts() == ["+1.0 points", "+2.0 points", "+3.0 points"]
    claims.nth(1).get_by_role("link", name="Figure 5", exact=True).click()
    expect(page.locator("#figure_5 .card")).to_be_in_viewport()


@in_chromium
def test_a_claim_says_what_it_is_jointly_what_it_still_needs_and_where_another_margin_would_hold(open_page):
    told = finding(
        1,
        Verdict.undecided,
        jointly=Verdict.contradicted,
        joint="with the 2 other claims that are tested: contradicted.",
        margin="It holds within any margin above 2.1 points.",
        decided="Told as of the look at 3 seeds.",
        more="about 4 more seeds",
        how=("compared seed by seed",),
    )
    page = open_page(study(findings=[told], plan="Looks at 3 and 8 seeds an arm."), fragment="#claim-1")
    assert page.locator("#plan").inner_text() == "Looks at 3 and 8 seeds an arm."
    effect = page.locator("#claim-1 .effect").inner_text()
    assert effect == "+1.0 points Told as of the look at 3 seeds. Jointly: contradicted. Still needed: about 4 more seeds."
    behind = page.locator("#claim-1 .behind").inner_text()
    for said in ("Jointly with the 2 other claims", "Margin. It holds within any margin above 2.1 points.", "How: compared seed by seed."):
        assert said in behind


@in_chromium
def test_a_figure_links_back_to_the_claims_that_it_shows(open_page):
    links = open_page().locator("#figure_2 figcaption a[href^='#claim']")
    assert links.all_inner_texts() == ["1, reproduced", "3, undecided"]


@in_chromium
def test_a_claim_opens_by_keyboard_to_its_rule_its_parts_and_its_runs(open_page):
    page = open_page()
    summary = page.locator("#claim-1 summary").first
    summary.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert summary.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    behind = page.locator("#claim-1 .behind")
    expect(behind).to_be_visible()
    assert behind.locator("p").first.inner_text() == "Rule. Rule 1: above zero with its interval."
    cells = [[cell.strip() for cell in row.locator("th, td").all_inner_texts()] for row in behind.locator("tbody tr").all()]
    assert cells == [
        ["0.2 against 0.5", "+1.9", "+0.4 to +3.2", "points", "12 seeds", "yes"],
        ["cases in which 0.2 is best", "75 %", "43 % to 95 %", "of the cases", "12 cases", "open"],
        ["time at 256 against 64", "×0.62", "–", "times", "1 seed", "no"],
    ]
    behind.get_by_text("2 runs behind it").press("Enter")
    assert behind.locator(".ids li").all_inner_texts() == ["a-s0", "b-s0"]


@pytest.mark.slow
@in_chromium
def test_a_link_to_a_claim_opens_it(open_page):
    page = open_page(fragment="#claim-2")
    expect(page.locator("#claim-2 .behind")).to_be_visible()
    expect(page.locator("#claim-1 .behind")).to_be_hidden()


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("points", -1.25, "−1.2"), ("share", 1, "100 %"), ("ratio", 1.304, "×1.30"), ("points", None, "–"), ("ratio", float("inf"), "×∞")],
)
def test_an_estimate_is_shown_in_its_unit(unit, value, text):
    assert page_module.estimate(Part("", unit, value, None, None, 1, None)) == text


def test_an_interval_that_is_open_on_one_side_says_so():
    assert page_module.interval(Part("", "ratio", 1.3, 1.1, None, 5, None)) == "1.10 to open"


@pytest.mark.slow
@in_chromium
def test_a_table_has_a_caption_and_names_its_rows_and_columns(open_page):
    table = open_page().get_by_role("table", name="Results: Dropout", exact=True)
    assert table.get_by_role("columnheader").all_inner_texts() == ["arm", "test,\N{NO-BREAK SPACE}%"]
    assert table.get_by_role("rowheader").all_inner_texts() == ["baseline", "BN 2"]
    right = "cell => getComputedStyle(cell).textAlign"
    assert table.locator("td").first.evaluate(right) == "right"
    assert table.locator("tbody th").first.evaluate(right) == "left"


@pytest.mark.slow
@in_chromium
def test_what_has_no_run_is_behind_one_line(open_page):
    page = open_page()
    assert page.locator("#figure_4, #untested table, #untested figure").count() == 0
    assert page.locator("#untested summary").inner_text() == "1 question has no arms to compare yet"
    assert page.locator("#question-arrays").is_hidden()
    page.locator("#untested summary").click()
    assert page.locator("#question-arrays").inner_text() == "Arrays Which arrays?"


@in_chromium
def test_the_files_beside_the_page_are_linked(open_page):
    page = open_page()
    hrefs = set(page.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href')).filter(to => !/^(#|http)/.test(to))"))
    figures = {f"figure_{number}.{kind}" for number in (2, 5) for kind in ("png", "svg", "json")}
    assert hrefs == figures | {f"{stem}.{kind}" for stem in ("dropout", "table_1") for kind in ("md", "csv", "tex")} | {
        "runs.csv",
        "manifest.json",
    }


@in_chromium
def test_the_text_the_tables_and_the_claims_are_there_without_a_script(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator(".claims > li").count() == 3
    page.locator("#claim-1 summary").first.click()
    assert page.locator("#claim-1 .behind").is_visible()
    assert page.get_by_role("table", name="Results: Dropout").is_visible()
    assert models(page) == list(RUNS["model"])
    assert page.locator("#count").inner_text() == "4 runs"
    assert page.locator(".filter").is_hidden()
    assert page.locator("#figure_2 img").get_attribute("src") == "figure_2.png"
    assert page.locator("#figure_2 img").get_attribute("width") == "594"  # as large as it is drawn, and no place kept beside it
    assert page.locator("#figure_2 .drawing").is_hidden()


# Figures.


@in_chromium
def test_a_figure_is_drawn_when_the_reader_comes_to_it(open_page):
    sections = [PageSection(f"s{n}", f"Question {n}", "What?", [figure(n, drawn(f"p {n}"))], None, [], []) for n in range(16)]
    page = open_page(study(sections=sections))
    expect(page.locator("#figure_0 svg")).to_be_attached()
    assert page.locator("#figure_15 svg").count() == 0
    scroll_through(page)
    assert page.locator(".drawing svg").count() == 16
    assert page.locator("#figure_15 svg text", has_text="p 15").count() > 0


@pytest.mark.slow
@in_chromium
def test_all_figures_are_drawn_and_all_claims_open_on_paper(open_page):
    sections = [PageSection(f"s{n}", f"Question {n}", "What?", [figure(n, drawn())], None, [], []) for n in range(16)]
    page = open_page(study(sections=[*sections, PageSection("later", "What next?", "Not yet.", [], None, [], [])]))
    seen = ", ".join(
        f"document.querySelectorAll('{what}').length" for what in (".drawing svg", "details.more[open]", "#untested details[open]")
    )
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = [{seen}]; }})")
    page.pdf()
    assert page.evaluate("printed") == [16, 3, 1]
    assert page.locator("details.more[open], #untested details[open]").count() == 0
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.get_by_text("Not yet.").is_visible()
    assert page.complaints == []


@pytest.mark.slow
@in_chromium
def test_the_head_of_a_table_is_not_left_alone_at_the_foot_of_a_sheet(open_page):
    page = open_page()
    page.emulate_media(media="print")
    kept = "['thead', 'tbody tr'].map(what => getComputedStyle(document.querySelector(`table ${what}`)))"
    assert page.evaluate(f"(([head, first]) => [head.breakAfter, first.breakBefore])({kept})") == ["avoid", "avoid"]


@in_chromium
def test_on_paper_heads_are_no_buttons_and_nothing_leads_to_a_file_beside_the_page(open_page):
    page = open_page(study_of_arms())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('thead button')).display") == "contents"  # so its head is on each sheet
    beside = page.locator("a[href]:not([href^='#'])")
    assert beside.count() > 5 and not any(link.is_visible() for link in beside.all())
    expect(page.get_by_role("heading", name="All runs")).to_be_hidden()


def test_a_number_stays_on_one_line_with_its_interval_and_its_unit():
    assert page_module._unbroken("the best: 96.7 ± 0.7 %, by 2") == "the best: 96.7\xa0±\xa00.7\xa0%, by 2"


@pytest.mark.parametrize(
    ("values", "is_number"),
    [(["baseline", "−0.4 ± 0.9 (p 0.3)"], True), (["a", "b", "1.0"], False), (["–"], False), (["−1.5e−09 ± 2.0e−10"], True)],
)
def test_a_column_half_of_which_are_numbers_stands_to_the_right(values, is_number):
    """As in LaTeX: of two arms, one is what the other is compared with."""
    assert PageGrid.of(pd.DataFrame({"difference": values})).columns[0].is_number == is_number


@pytest.mark.slow
@in_chromium
def test_all_figures_are_drawn_where_the_browser_cannot_tell_what_is_near(open_page):
    page = open_page(before="delete window.IntersectionObserver")
    for stem in ("figure_2", "figure_5"):
        expect(page.locator(f"#{stem} svg")).to_be_attached()
    assert page.complaints == []


@in_chromium
def test_a_figure_has_a_name_and_a_description(open_page):
    page = open_page()
    image = page.get_by_role("img", name="Figure 5: accuracy, part 5", exact=True)
    expect(image).to_have_accessible_description("Test accuracy, as in figure 5.")


@pytest.mark.slow
@in_chromium
def test_a_figure_that_cannot_be_drawn_says_so_and_the_others_are_drawn(open_page):
    broken = PageSection("broken", "Broken", "What?", [figure(3, Drawing('{"mark": 7}', 100, 100)), figure(5, drawn())], None, [], [])
    page = open_page(study(sections=[broken]))
    page.locator("#figure_3").scroll_into_view_if_needed()
    expect(page.locator("#figure_3 .drawing")).to_have_text("This figure cannot be drawn here: open its PNG or SVG below.")
    page.locator("#figure_5").scroll_into_view_if_needed()
    expect(page.locator("#figure_5 svg")).to_be_visible()


@pytest.mark.slow
@in_chromium
def test_the_page_brings_its_font_in_both_weights(open_page):
    """A digit of Liberation Sans is 0.556 of its size wide; a machine's own fixed-width font has others."""
    measure = """async (weight) => {
      const context = document.createElement("canvas").getContext("2d");
      context.font = `${weight} 1000px Reglab Sans, monospace`;
      await document.fonts.load(context.font);
      return ["0123456789", "il"].map((text) => context.measureText(text).width);
    }"""
    page = open_page()
    assert page.evaluate(measure, "400") == pytest.approx([5562, 444], abs=2)
    assert page.evaluate(measure, "700") == pytest.approx([5562, 556], abs=2)
    assert page.locator("body").evaluate("body => getComputedStyle(body).fontFamily").startswith('"Reglab Sans"')


@pytest.mark.slow
@in_chromium
def test_a_figure_is_as_wide_in_the_page_as_in_its_files(open_page):
    """Whatever fonts the machine has: its texts are measured with the font that both bring. Some screens round each letter's width."""
    mark = {"type": "text", "text": "a text that another font would give more room, or less", "align": "left", "x": 0}
    spec = json.dumps({"data": {"values": [{}]}, "width": 10, "mark": mark, "config": {"font": FAMILY}})
    page = open_page(study(sections=[PageSection("dropout", "Dropout", "Which?", [figure(2, Drawing(spec, 300, 30))], None, [], [])]))
    scroll_through(page)
    there = float(page.locator("#figure_2 svg").get_attribute("width"))
    here = float(re.search(r'width="([\d.]+)"', vl_convert.vegalite_to_svg(spec)).group(1))
    assert there == pytest.approx(here, rel=0.08)


# Arms.


ARMS = {
    "shown": SHOWN,
    "common": {"optimizer.lr": "0.001"},
    "arms": {
        "aaa": {
            "label": "baseline",
            "own": {"batchnorm.layers": "0"},
            "runs": [
                {
                    "run": "a-s0",
                    "seed": 0,
                    "name": "seed 0",
                    "state": "finished",
                    "clean": 98.1,
                    "curve": {"at": [1, 2], "test": [50.0, 60.0], "train": [55.0, 70.0]},
                },
                {
                    "run": "d-s0",
                    "seed": 1,
                    "name": "seed 1",
                    "state": "failed",
                    "reason": "out of memory",
                    "log": ["step 7", "<b>CUDA error</b>"],
                },
            ],
        },
        "bbb": {
            "label": "BN 2",
            "own": {"batchnorm.layers": "2"},
            "runs": [{"run": "b-s0", "seed": 0, "name": "seed 0", "state": "finished"}],
        },
    },
}


def study_of_arms(**changes):
    """The page whose first table has a row for each of two arms, with a point for each in its figure."""
    frame = pd.DataFrame({"x": [1, 2], "accuracy": [60.0, 70.0], "identity": ["aaa", "bbb"]})
    chart = alt.Chart(frame, width=300, height=200).mark_point(size=400, filled=True, opacity=1).encode(x="x:Q", y="accuracy:Q")
    table = pd.DataFrame({"arm": ["baseline", "BN 2"], "test, %": ["61.2 ± 1.0", "9.5 (0 to 50)"]})
    points = Drawing(chart.configure(font=FAMILY).to_json(), 350, 250)
    section = PageSection(
        "dropout", "Dropout", "Which?", [figure(2, points)], table, ["a-s0"], [], ["aaa", "bbb"], "", {"LaTeX": "\\begin{table}"}
    )
    return study(sections=[section], details=ARMS, **changes)


@in_chromium
def test_a_row_opens_its_arm_with_curves_runs_configuration_and_the_log_of_what_failed(open_page):
    page = open_page(study_of_arms())
    panel = page.locator("#arm")
    expect(panel).to_be_hidden()
    page.get_by_role("button", name="baseline").first.press("Enter")
    expect(panel).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "arm-title"
    expect(panel.locator(".drawing svg")).to_be_visible()
    assert {"test", "training, running"} <= set(panel.locator("svg text").all_text_contents())
    assert "◇ is the clean one" in panel.inner_text()
    assert panel.get_by_role("table", name="Its runs").locator("td").all_inner_texts()[:4] == ["finished", "a-s0", "60.0", "70.0"]
    assert panel.locator("pre").inner_text() == "step 7\n<b>CUDA error</b>"
    assert "out of memory" in panel.inner_text()
    assert panel.get_by_role("table", name="Its configuration, where arms differ").locator("td").all_inner_texts() == ["0"]
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "baseline"
    assert page.complaints == []


@pytest.mark.slow
@in_chromium
def test_an_arm_without_epochs_says_so(open_page):
    page = open_page(study_of_arms(), fragment="#&arm=bbb")
    assert "No epochs are kept of these runs" in page.locator("#arm").inner_text()


@in_chromium
def test_a_point_of_a_figure_leads_to_its_arm_and_both_are_pointed_at_together(open_page):
    page = open_page(study_of_arms())
    page.locator("#figure_2").scroll_into_view_if_needed()
    points = page.locator("#figure_2 .mark-symbol path")
    expect(points).to_have_count(2)
    page.locator("tr[data-arm=aaa]").first.hover()
    assert [("other" in (point.get_attribute("class") or "")) for point in points.all()] == [False, True]
    points.nth(1).hover(force=True)
    expect(page.locator("tr[data-arm=bbb]").first).to_have_class("pointed")
    points.nth(1).click(force=True)
    expect(page.locator("#arm-title")).to_have_text("BN 2")


@pytest.mark.slow
@in_chromium
def test_what_was_chosen_stands_in_the_address_and_comes_back_from_it(open_page):
    page = open_page(study_of_arms())
    page.get_by_role("button", name="test, %").click()
    page.get_by_label("Text in any column").fill("bn")
    page.get_by_role("button", name="baseline").first.click()
    page.get_by_role("link", name="All runs", exact=True).first.click()
    place, *chosen = page.evaluate("location.hash").split("&")
    assert place == "#runs"
    assert sorted(chosen) == ["arm=aaa", "dropout.sort=1", "text=bn"]
    again = open_page(study_of_arms(), fragment=page.evaluate("location.hash"))
    expect(again.locator("#arm-title")).to_have_text("baseline")
    assert again.get_by_label("Text in any column").input_value() == "bn"
    assert again.locator("table[data-table=dropout] tbody th").all_inner_texts() == ["BN 2", "baseline"]
    expect(again.locator("#runs-title")).to_be_in_viewport()


@in_chromium
def test_an_address_that_names_nothing_there_is_harmless(open_page):
    page = open_page(study_of_arms(), fragment="#nowhere&arm=zzz&sort=99&dropout.sort=-77&text=%E0%A4%A&x")
    expect(page.locator("#arm")).to_be_hidden()
    assert page.complaints == []


@pytest.mark.slow
@in_chromium
def test_a_table_is_sorted_by_its_numbers_and_copied_whole(open_page):
    page = open_page(study_of_arms(), before="navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    heading = page.get_by_role("button", name="test, %")
    heading.click()
    names = page.locator("table[data-table=dropout] tbody th")
    assert names.all_inner_texts() == ["BN 2", "baseline"]  # 9.5 before 61.2
    heading.click()
    assert names.all_inner_texts() == ["baseline", "BN 2"]
    page.get_by_role("button", name="Copy as LaTeX").click()
    assert page.evaluate("copied") == "\\begin{table}"


SORTED = {
    "p (Holm)": ["< 0.001", "0.001", "0.020", "0.500", "–"],
    "training, s": ["9.5 ± 0.2 / – / –", "10.1 / – / 8.0", "– / 28.4 / 3.0", "– / 1,037.9 / 2.0", "– / – / –"],
    "to 87 %, s": ["5.9 / 5.1", "5.9 / 6.0", "17.0", "not reached / 3.0", "not reached (1 of 3)"],
    "seeds more": ["0", "9", "87", "> 200", "–"],
    "interval": ["−12.1 to 0.0", "−2.1 to −1.9", "−2.1 to +2.1", "+3.3 to open", "–"],
    "name": ["arm 2", "arm 10", "Ärm 11", "b", "–"],
}
"""Columns of a table as they stand when they are sorted, upwards."""

DOWNWARDS = {"training, s": ["1", "0", "3", "2", "4"], "to 87 %, s": ["4", "3", "2", "1", "0"]}
"""Where that is not all but the last row turned over: times on the first machine stand before those on others, and a target that is not
reached is later than any time."""


@in_chromium
@pytest.mark.parametrize("column", SORTED)
def test_a_column_is_sorted_by_what_its_texts_say(open_page, column):
    table = pd.DataFrame({"arm": ["3", "0", "4", "1", "2"], column: [SORTED[column][place] for place in (3, 0, 4, 1, 2)]})
    page = open_page(study(sections=[PageSection("dropout", "Dropout", "Which?", [], table, [], [])]))
    heading = page.locator("table[data-table=dropout]").get_by_role("button", name=column)
    heading.click()
    names = page.locator("table[data-table=dropout] tbody th")
    assert names.all_inner_texts() == ["0", "1", "2", "3", "4"]
    heading.click()
    assert names.all_inner_texts() == DOWNWARDS.get(column, ["3", "2", "1", "0", "4"])  # what is missing stands last


OF_THREE_MACHINES = pd.DataFrame(
    {
        "model": ["batchnorm_symmetric_dropout", "BN 2 · dropout 3 at 0.2 · cutout 16"],
        "runs": [3, 3],
        "test, %": ["72.69 ± 0.71", "72.76 ± 0.64"],
        "train (clean), %": ["97.45 ± 0.62", "99.63 (98.81 to 100.00)"],
        "overfitting": ["24.76 ± 0.63", "24.06 ± 0.63"],
        "training, s": ["2,167.0 / – / 2,089 ± 22", "– / 2,822 (1,854 to 4,217) / –"],
        "to 87 % (running), s": ["2,127.5 / – / 2,019.6", "– / not reached (1 of 3) / –"],
        "difference, points": ["baseline", "+10.24 ± 0.93 (p < 0.001)"],
        "seeds more": ["–", "> 200"],
    }
)
"""A row as long as any of a study: with times on three machines."""


@in_chromium
def test_no_column_of_a_long_row_is_out_of_sight_on_a_laptop(open_page):
    title = "A question so long that a phone has no room for it on one line?"
    section = PageSection("dropout", title, "Which?", [], OF_THREE_MACHINES, [], [])
    page = open_page(study(sections=[section]), viewport={"width": 1280, "height": 800})
    box = page.locator(".scroll:has(table[data-table=dropout])")
    assert box.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    for told in ("2,822 (1,854 to 4,217) /", "+10.24 ± 0.93", "BN 2 ·", "cutout 16"):  # nothing breaks within them
        assert box.locator("span", has_text=told).first.evaluate("span => span.getClientRects().length") == 1
    page.set_viewport_size({"width": 375, "height": 812})
    room, caption = (box.evaluate(f"box => {of}") for of in ("box.clientWidth", "box.querySelector('caption').clientWidth"))
    assert caption <= room < box.evaluate("box => box.scrollWidth")
    assert box.locator("td.parts").first.evaluate("cell => getComputedStyle(cell).whiteSpace") == "nowrap"


@in_chromium
def test_a_table_of_many_rows_is_filtered(open_page):
    table = pd.DataFrame({"arm": [f"arm {number}" for number in range(12)], "n": ["−0.3" if number == 3 else "x" for number in range(12)]})
    page = open_page(study(sections=[PageSection("dropout", "Dropout", "Which?", [], table, [], [])]))
    page.get_by_label("Rows with").fill("arm 1")
    visible = page.locator("table[data-table=dropout] tbody tr:visible th").all_inner_texts()
    assert visible == ["arm 1", "arm 10", "arm 11"]
    assert page.get_by_role("status").first.inner_text() == "3 of 12"
    page.get_by_label("Rows with").fill("-0.")
    assert page.locator("table[data-table=dropout] tbody tr:visible th").all_inner_texts() == ["arm 3"]  # typed as keyboards have it


@pytest.mark.slow
@in_chromium
def test_figures_are_turned_over_in_the_dark(open_page):
    for scheme, filtered in (("light", False), ("dark", True)):
        page = open_page(study_of_arms(), color_scheme=scheme)
        page.locator("#figure_2").scroll_into_view_if_needed()
        expect(page.locator("#figure_2 svg")).to_be_visible()
        assert (page.locator("#figure_2 svg").evaluate("svg => getComputedStyle(svg).filter") != "none") == filtered


# All runs.


@pytest.mark.slow
@in_chromium
def test_typing_keeps_the_runs_that_have_every_word(open_page):
    page = open_page()
    count = page.get_by_role("status")
    expect(count).to_have_text("4 of 4 runs")
    page.get_by_label("Text in any column").press_sequentially("bn FINISHED")
    expect(count).to_have_text("2 of 4 runs")
    assert models(page) == ["BN 10", "BN 2 · dropout 1 at 0.2"]
    page.get_by_label("Text in any column").fill("no such run")
    expect(count).to_have_text("0 of 4 runs")
    assert rows(page).count() == 0


@pytest.mark.slow
@in_chromium
def test_a_question_and_a_state_are_chosen_together(open_page):
    page = open_page()
    page.get_by_label("Question").select_option("Layers")
    assert models(page) == ["baseline", "BN 10", "BN 2"]
    page.get_by_label("State").select_option("failed")
    assert models(page) == ["BN 2"]
    expect(page.get_by_role("status")).to_have_text("1 of 4 runs")


@pytest.mark.slow
@in_chromium
def test_a_table_without_questions_has_no_such_choice(open_page):
    page = open_page(study(runs=RUNS.drop(columns=["question", "state"])))
    assert page.locator(".filter select").count() == 0
    page.get_by_label("Text in any column").fill("baseline")
    expect(page.get_by_role("status")).to_have_text("1 of 4 runs")
    assert page.complaints == []


@pytest.mark.slow
@in_chromium
def test_headings_sort_by_keyboard_and_what_is_missing_stands_last(open_page):
    page = open_page()
    page.get_by_role("button", name="test/accuracy").focus()
    page.keyboard.press("Enter")
    heading = page.locator("#rows th", has_text="test/accuracy")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert models(page) == ["baseline", "BN 2 · dropout 1 at 0.2", "BN 10", "BN 2"]
    page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "descending"
    assert models(page) == ["BN 10", "BN 2 · dropout 1 at 0.2", "baseline", "BN 2"]
    page.get_by_role("button", name="model").press("Enter")
    assert heading.get_attribute("aria-sort") is None
    assert models(page) == ["baseline", "BN 2", "BN 2 · dropout 1 at 0.2", "BN 10"]


@in_chromium
def test_what_is_infinite_is_sorted_as_larger_than_any_number(open_page):
    page = open_page(study(runs=RUNS.assign(loss=[math.inf, 2.5, -math.inf, 10.0])))
    heading = page.locator("#rows").get_by_role("button", name="loss")
    heading.click()
    assert models(page) == ["BN 2", "BN 10", "BN 2 · dropout 1 at 0.2", "baseline"]
    heading.click()
    assert models(page) == ["baseline", "BN 2 · dropout 1 at 0.2", "BN 10", "BN 2"]


@in_chromium
@pytest.mark.parametrize("scripts", [True, False])
def test_values_read_alike_with_and_without_a_script(open_page, scripts):
    page = open_page(java_script_enabled=scripts)
    cells = [row.locator("th, td").all_inner_texts() for row in rows(page).all()]
    assert cells[0] == ["a-s0", "baseline", "dropout, layers", "finished", "0.6123", "12346"]
    assert cells[2] == ["c-s0", "BN 2", "layers", "failed", "–", "–"]
    assert page.locator("#rows a").evaluate_all("links => links.map(link => link.href)") == ["https://wandb.ai/someone/project/runs/a-s0"]


@in_chromium
@pytest.mark.parametrize("scripts", [True, False])
def test_a_column_of_tenths_has_them_all_and_what_is_below_zero_a_real_minus(open_page, scripts):
    numbers = {
        "overfitting": [10.0, -1.9, None, 0.3],
        "epochs": [60, 60, 7, None],
        "images/s": [1234.6, 12.5, 1.0, 2.0],
        "change": [-3, 0, 4, 5],
    }
    page = open_page(study(runs=RUNS[["run"]].assign(**numbers)), java_script_enabled=scripts)
    cells = [row.locator("td").all_inner_texts() for row in rows(page).all()]
    assert [row[0] for row in cells] == ["10.0", "−1.9", "–", "0.3"]
    assert [row[2:] for row in cells[:2]] == [["1235", "−3"], ["12.5", "0"]]
    if scripts:
        page.get_by_label("Text in any column").fill("-1.9")
        expect(page.get_by_role("status")).to_have_text("1 of 4 runs")
        assert page.complaints == []


@in_chromium
def test_a_claim_says_by_how_many_turns_it_is_told(open_page):
    page = open_page(study(findings=[finding(1, runs=(), turns=15), finding(2)]))
    summary = page.locator("#claim-1 summary").first
    assert summary.inner_text().endswith("3 comparisons, 0 runs, 15 turns")
    assert "turn" not in page.locator("#claim-2 summary").first.inner_text()
    summary.click()
    assert "No run speaks to it yet" not in page.locator("#claim-1 .behind").inner_text()


@pytest.mark.slow
@in_chromium
def test_a_run_behind_a_claim_leads_to_its_row(open_page):
    page = open_page(fragment="#claim-1")
    page.get_by_label("Question").select_option("Dropout")
    page.locator("#claim-1 .list summary").click()
    page.locator("#claim-1 .ids a", has_text="b-s0").click()
    assert models(page) == ["BN 10"]
    expect(page.locator("#runs-title")).to_be_in_viewport()


@pytest.mark.slow
@in_chromium
def test_nothing_moves_when_a_figure_is_drawn(open_page):
    watching = "new PerformanceObserver((seen) => moved.push(...seen.getEntries())).observe({type: 'layout-shift'})"
    page = open_page(before=f"window.moved = []; {watching}")
    below = page.locator("#question-layers")
    before = below.evaluate("(section) => section.getBoundingClientRect().top + scrollY")
    scroll_through(page)
    assert below.evaluate("(section) => section.getBoundingClientRect().top + scrollY") == pytest.approx(before, abs=2)
    assert page.evaluate("moved.length") == 0


@pytest.mark.slow
@in_chromium
def test_a_question_leads_to_its_runs(open_page):
    page = open_page()
    page.locator("#question-layers .list summary").click()
    page.get_by_role("link", name="Show them among all runs").click()
    assert models(page) == ["baseline", "BN 10", "BN 2"]


@pytest.mark.slow
@in_chromium
def test_a_page_of_10_000_runs_shows_the_first_and_finds_the_one(open_page):
    n = 10_000
    many = pd.DataFrame({f"metric {k}": [k + index / n for index in range(n)] for k in range(15)})
    many.insert(0, "run", [f"run-{index:05}" for index in range(n)])
    many.insert(1, "model", ["needle" if index == 7_654 else "hay" for index in range(n)])
    page = open_page(study(runs=many))
    count = page.get_by_role("status")
    expect(count).to_have_text("10,000 of 10,000 runs; the first 200 are shown")
    assert rows(page).count() == 200
    page.get_by_role("button", name="Show more").click()
    expect(count).to_have_text("10,000 of 10,000 runs; the first 400 are shown")
    assert rows(page).count() == 400
    page.get_by_role("button", name="metric 3").click()
    page.get_by_role("button", name="metric 3").click()
    assert rows(page).first.locator("th").inner_text() == "run-09999"
    page.get_by_label("Text in any column").fill("needle")
    expect(count).to_have_text("1 of 10,000 runs")
    assert rows(page).locator("th").all_inner_texts() == ["run-07654"]
    assert page.get_by_role("button", name="Show more").is_hidden()


def test_every_run_is_in_the_page_without_a_number_that_json_lacks():
    runs = pd.DataFrame({"run": ["a", "b"], "loss": [float("inf"), float("nan")], "reached": [True, None]})
    found = json.loads(page_module.RunsTable(runs).json().replace(r"\u003c", "<"))
    assert found["rows"] == [["a", "∞", "yes"], ["b", None, None]]


# For everyone.


@in_chromium
@pytest.mark.parametrize("width", [390, *(pytest.param(width, marks=pytest.mark.slow) for width in (320, 1000, 1440))])
def test_the_page_never_scrolls_sideways(open_page, width):
    long = finding(1, claim="a-claim-of-one-very-long-word-" * 5, effect="an_effect_of_one_very_long_word_" * 5, runs=("f" * 200,))
    page = open_page(study(findings=[long], notes=["note" * 80], label="label" * 50), viewport={"width": width, "height": 800})
    page.locator("#claim-1 summary").first.click()
    page.locator("#claim-1 .list summary").click()
    scroll_through(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@in_chromium
def test_a_number_stays_on_one_line_in_a_font_of_any_width(open_page):
    """A reader's browser may take fonts of its own only."""
    page = open_page(study(findings=[finding(number, runs=("r",) * 1234) for number in range(8, 13)]))
    page.add_style_tag(content=".claims * { letter-spacing: .3em }")
    lines = """cell => { const range = document.createRange(); range.selectNodeContents(cell); return range.getClientRects().length; }"""
    cells = page.locator(".claims > li > .place").all()
    assert [cell.evaluate(lines) for cell in cells] == [1] * 5


CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3) return found;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((element) => element.checkVisibility() && !element.closest("svg, script, style"))
    .filter((element) => channels(getComputedStyle(element).color).length === 3)
    .map((element) => {
      const [one, other] = [light(channels(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
      return [element.tagName + "." + element.className, (one + 0.05) / (other + 0.05)];
    });
}"""


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast_in_both_schemes(open_page, scheme):
    page = open_page(color_scheme=scheme)
    for summary in page.locator(".more > summary").all():
        summary.click()
    found = page.evaluate(CONTRASTS)
    assert len(found) > 80
    assert [(name, round(ratio, 2)) for name, ratio in found if ratio < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(253, 253, 251)", "dark": "rgb(23, 24, 26)"}[scheme]


@in_chromium
def test_the_page_has_landmarks_and_headings_in_order(open_page):
    page = open_page()
    assert [page.get_by_role(role).count() for role in ("banner", "main", "contentinfo", "search")] == [1, 1, 1, 1]
    assert page.get_by_role("navigation", name="Contents").count() == 1
    levels = page.locator("h1, h2, h3, h4").evaluate_all("headings => headings.map(heading => Number(heading.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    ids = page.locator("[id]").evaluate_all("elements => elements.map(element => element.id)")
    assert len(ids) == len(set(ids))
    targets = page.locator("a[href^='#']").evaluate_all("links => links.map(link => link.hash.slice(1))")
    assert set(targets) <= set(ids)


@in_chromium
def test_the_first_tab_leads_past_the_contents(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to what came out"
    expect(page.get_by_role("link", name="Skip to what came out")).to_be_in_viewport()


@pytest.mark.slow
@in_chromium
@pytest.mark.parametrize(("motion", "scrolling"), [("reduce", "auto"), ("no-preference", "smooth")])
def test_nothing_moves_where_the_reader_wants_less_motion(open_page, motion, scrolling):
    page = open_page(reduced_motion=motion)
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == scrolling


def test_the_page_s_policy_lets_nothing_be_made_into_code():
    """Vega makes functions of its expressions, which needs eval, unless an interpreter is to walk them."""
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', study().render())
    assert policy.startswith("default-src 'none'; script-src 'unsafe-inline'; ")
    assert "eval" not in policy


@pytest.mark.slow
@in_chromium
def test_figures_are_drawn_under_it(open_page):
    page = open_page()
    page.locator("#figure_2").scroll_into_view_if_needed()
    expect(page.locator("#figure_2 svg").first).to_be_visible()
    assert page.complaints == []


@in_chromium
@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_text_is_only_text_wherever_it_stands(open_page, scripts):
    part = Part(HOSTILE, "points", 1.0, None, None, 1, None)
    hostile = Finding(1, HOSTILE, HOSTILE, Verdict.reproduced, HOSTILE, (part,), (HOSTILE,), "figure_2")
    table = pd.DataFrame({HOSTILE: [HOSTILE], "value": [HOSTILE]})
    picture = Figure("figure_2", HOSTILE, HOSTILE, drawn(HOSTILE))
    section = PageSection("dropout", HOSTILE, HOSTILE, [picture], table, [HOSTILE], [HOSTILE])
    runs = pd.DataFrame(
        {"run": [HOSTILE], "question": [[HOSTILE]], "state": [HOSTILE], HOSTILE: [HOSTILE], "url": [f"https://x/{HOSTILE}"]}
    )
    made = Page(HOSTILE, HOSTILE, [HOSTILE], [hostile], [section], table, runs, [HOSTILE], [HOSTILE], HOSTILE)
    page = open_page(made, java_script_enabled=scripts)
    page.locator("#claim-1 summary").first.click()
    assert page.locator("h1").inner_text() == HOSTILE
    assert page.locator("#rows tbody th a").inner_text() == HOSTILE
    if scripts:
        page.get_by_label("Text in any column").fill("onerror")
        expect(page.get_by_role("status")).to_have_text("1 of 1 run")
        scroll_through(page)
        assert page.locator("#figure_2 svg text", has_text="window.broken").count() > 0
        assert page.evaluate("window.broken") is None
    assert page.locator("b, img:not(noscript img)").count() == 0
    assert page.complaints == []
    assert {request for request in page.asked if not request.endswith("figure_2.png")} == {page.address}
