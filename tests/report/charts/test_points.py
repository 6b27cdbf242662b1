"""Rows of arms of another program, by what they are called."""

from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert

from reglab.report.charts import own, points
from reglab.report.stats import Estimate

LONG = "method with_a_name_that_takes_more_room_than_a_figure_has_beside_its_rows"


def texts(drawn):
    root = ElementTree.fromstring(vl_convert.vegalite_to_svg(drawn.to_json()))
    return " ".join(part for element in root.iter("{http://www.w3.org/2000/svg}text") for part in element.itertext())


def means(names):
    return points.means([(name, name, Estimate(0.5, 0.4, 0.6, 3), [0.4, 0.5, 0.6]) for name in names], "accuracy", "Arms", "")


def intervals(names):
    return own.intervals(pd.DataFrame({"model": names, "value": 1.0, "low": 0.5, "high": 1.5}), "points", "Arms", "")


@pytest.mark.parametrize("drawn", [means, intervals])
def test_long_names_that_differ_at_their_end_are_told_apart(drawn):
    shown = texts(drawn([f"{LONG} · note first", f"{LONG} · note none"]))
    assert "note first" in shown and "note none" in shown and "…" not in shown


@pytest.mark.parametrize("drawn", [means, intervals])
def test_short_names_stand_on_one_line(drawn):
    assert "labelExpr" not in drawn(["baseline", "BN 2"]).to_json()
