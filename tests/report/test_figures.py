import json
from xml.etree import ElementTree

import pytest
from PIL import Image

from reglab.arms import FINAL_ARMS
from reglab.report import figures, stats, tables
from reglab.tracking.record import State


@pytest.fixture
def draw(tmp_path):
    def draw(records):
        table = tables.tidy(stats.cells(records))
        figures.save(figures.final_models(table, 0.87, "Final models", "made up"), tmp_path, "figure")
        return tmp_path

    return draw


def texts(folder):
    root = ElementTree.parse(folder / "figure.svg").getroot()
    return [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_figure_is_saved_as_png_svg_and_json(draw, study):
    folder = draw(study)
    with Image.open(folder / "figure.png") as png:
        assert png.width > 1000
    assert json.loads((folder / "figure.json").read_text())["$schema"].startswith("https://vega.github.io/schema/vega-lite")
    shown = texts(folder)
    assert [text for text in shown if text in FINAL_ARMS] == list(FINAL_ARMS)
    assert "100 s" in shown


def test_an_arm_that_never_reaches_the_target_says_so(draw, make_record):
    shown = texts(draw([make_record(), make_record("symmetric_cutout_2", to_target=None)]))
    assert shown.count("not reached") == 1


def test_arms_without_a_finished_run_and_a_single_arm_are_drawn(draw, make_record):
    assert "no finished run" in texts(draw([make_record(state=State.failed)]))


def test_an_arm_keeps_its_colour_whatever_else_is_shown(make_record, study):
    def colour_of(records, arm):
        chart = figures.final_models(tables.tidy(stats.cells(records)), 0.87, "", "").to_dict()
        scale = chart["hconcat"][1]["layer"][0]["encoding"]["color"]["scale"]
        return scale["range"][scale["domain"].index(arm)]

    assert colour_of(study, "symmetric_cutout_2") == colour_of([make_record("symmetric_cutout_2")], "symmetric_cutout_2")
