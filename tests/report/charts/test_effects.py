"""The figure of effects: what it explains is what it draws."""

import json

import pytest

from reglab.report.build import Report
from reglab.report.charts import effects
from reglab.report.charts.effects import Effect
from reglab.report.comparisons.parts import Claimed, Part
from reglab.report.sections import effects as effects_shown
from tests.report.published import DESIGN


def drawn(*parts, **options):
    return json.loads(effects.draw([Effect(part.what, part, **options) for part in parts], "Effects", "made up").to_json())


def part(what, low=None, high=None, *, holds=None, each=(), **changes):
    return Part(what, "points", 1.0, low, high, 3, holds, each=each, **changes)


def legend(chart):
    return chart["vconcat"][0]["layer"][-2]["encoding"]["shape"]["scale"]["domain"]


def test_the_legend_has_the_verdicts_that_are_drawn():
    assert legend(drawn(part("a", 0.5, 1.5, holds=True), part("b", -1, 3))) == ["holds", "open"]
    assert legend(drawn(part("a", -3, -1, holds=False))) == ["fails"]


def test_what_is_large_and_small_is_said_as_it_is_drawn():
    def said(*parts):
        return drawn(*parts, is_claimed=False)["title"]["subtitle"]

    assert said(part("one pair", each=(1.0,))) == ["made up"]
    assert said(part("pairs", each=(0.5, 1.5))) == ["made up", "large: estimate; small: each pair of runs of one seed"]
    bounded = part("pairs", 0.1, 1.9, each=(0.5, 1.5))
    assert said(bounded) == ["made up", "large: estimate with its interval; small: each pair of runs of one seed"]


@pytest.mark.parametrize(("least", "is_said"), [(0.75, True), (0.5, False)])
def test_a_share_that_need_not_have_its_whole_interval_in_the_shade_says_what_it_needs(least, is_said):
    share = Part("best", "share", 0.83, 0.51, 1.0, 12, True, claimed=Claimed(low=least))
    (_, notes) = drawn(share)["title"]["subtitle"]
    assert ("a share holds where it lies there, and its interval above one half" in notes) == is_said


def test_intervals_of_one_seed_an_arm_are_said_to_be_over_configurations(make_record, tmp_path):
    """Shares of configurations have an interval, and the figure does not deny it."""
    arms = [(layers, bn, p) for layers in (1, 2, 3) for bn in (0, 1, 2, 3) for p in (0.2, 0.5, 0.8)]
    records = [
        make_record(config={"batchnorm": {"layers": bn}, "dropout": {"layers": layers, "p": p}}, test=0.9 - p / 10)
        for layers, bn, p in arms
    ]
    report = Report(records, DESIGN)
    report._effects(tmp_path)
    (first, *_) = json.loads((tmp_path / "summary.json").read_text())["title"]["subtitle"]
    assert first.endswith("1 seed: 95 % intervals, over configurations")
    alone = [make_record(arm, to_target=None) for arm in ("baseline", "asymmetric_augmentation")]
    Report(alone, DESIGN)._effects(tmp_path)
    (first, *_) = json.loads((tmp_path / "summary.json").read_text())["title"]["subtitle"]
    assert first.endswith("1 seed: no interval")


def test_what_the_first_figure_is_said_to_show_is_what_it_shows(make_record, monkeypatch, tmp_path):
    """Of many comparisons the one that decides each claim, and pairs of runs where there are several."""
    arms = ("baseline", "asymmetric_augmentation", "symmetric_augmentation")

    def says(seeds):
        runs = [make_record(arm, seed, test=0.7 + 0.01 * seed * place) for place, arm in enumerate(arms, start=1) for seed in range(seeds)]
        return Report(runs, DESIGN)._effects(tmp_path).description

    assert says(1) == "Each claim's comparisons: the estimate. The tables below have the numbers."
    assert "interval, and every pair of runs of one seed. " in says(2)
    monkeypatch.setattr(effects_shown, "MOST", 1)
    assert says(2).startswith("Of each claim the comparison that decides it: ")


def test_without_claims_the_figure_says_what_each_arm_is_held_against(make_record, tmp_path):
    records = [make_record(seed=seed, config={"batchnorm": {"layers": layers}}) for layers in (0, 1) for seed in (0, 1)]
    titles = [Report(records, None, baseline)._effects(tmp_path).title for baseline in (None, "batchnorm.layers=0")]
    assert titles[0] == "Each arm's test accuracy less that of the best of the others"
    assert titles[1].startswith("Each arm's test accuracy less that of ") and titles[1] != titles[0]
