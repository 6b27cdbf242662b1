import json
import re
from collections import Counter
from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert
from PIL import Image

from reglab.config.arms import FINAL_ARMS
from reglab.report import charts, tables
from reglab.report.charts import style
from reglab.report.charts.lines import Across
from reglab.report.studies.columns import Column
from reglab.report.studies.design import FigureData
from reglab.tracking.record import State
from tests.report import published
from tests.report.conftest import moved, sharing
from tests.report.published import DESIGN

DRAWINGS = {figure.name: (question, figure) for question in DESIGN.questions for figure in question.figures}
ROWS_OF_ARMS = FigureData(name="arms", title="Arms")
ARRAYS = DRAWINGS["figure_4"][1]
LINES = ["figure_2", "figure_3", "figure_5", "figure_6", "figure_7", "figure_8", "figure_9"]
ROWS = ["figure_10", "figure_11", "agc_rescue", "placement", "cutout_per", "cifar_stem"]

_SVG = "{http://www.w3.org/2000/svg}"
_WIDEST = 1100  # of the page, in points


_texts = {}
"""The figures drawn so far, by their stem and study: Altair takes seconds for one."""


def spec(stem, study, **columns):
    """The Vega-Lite of one of the study's figures, drawn of the runs that its question is about; with other columns in their table."""
    question, drawing = DRAWINGS[stem]
    key = (stem, id(study), *columns.items())
    if key not in _texts:
        table = tables.tidy(study.answers(question), DESIGN).assign(**columns)
        _texts[key] = charts.draw(table, drawing, study, "made up").to_json(), study  # which keeps its id its own
    return json.loads(_texts[key][0])


def svg(drawn):
    return ElementTree.fromstring(vl_convert.vegalite_to_svg(drawn))


def texts(root):
    """Every text of a figure; of one in several lines, each line."""
    return [part for element in root.iter(f"{_SVG}text") for part in element.itertext()]


def marks(root, kind):
    """The elements of all marks of a kind, such as `rule`: those that are seen."""
    groups = (group for group in root.iter(f"{_SVG}g") if f"mark-{kind} role-mark" in group.get("class", ""))
    return [element for group in groups for element in group if element.get("opacity") != "0"]


def looks(part, field):
    """For each channel on a field, what each value of the field looks like."""
    found = {}
    if isinstance(part, dict):
        for channel in ("color", "shape", "strokeDash"):
            encoding = part.get("encoding", {}).get(channel, {})
            if encoding.get("field") == field:
                scale = encoding["scale"]
                found.setdefault(channel, {}).update(zip(scale["domain"], map(str, scale["range"]), strict=True))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        for channel, values in looks(inner, field).items():
            found.setdefault(channel, {}).update(values)
    return found


def rows(records, figure=ROWS_OF_ARMS, subtitle="", **columns):
    """The Vega-Lite of a figure of any arms, in the order of the final models."""
    study = published.study(records)
    cells = sorted(study.cells, key=lambda cell: (*FINAL_ARMS, cell.label).index(cell.label))
    return json.loads(charts.draw(tables.tidy(cells, DESIGN).assign(**columns), figure, study, subtitle).to_json())


def on(device, records):
    """The same runs on another machine."""
    return [record.model_copy(update={"environment": record.environment.model_copy(update={"device": device})}) for record in records]


def on_two_machines(records):
    """The same runs, every third of them on another machine."""
    return [on("NVIDIA B200", [record])[0] if record.seed == 2 else record for record in records]


def unreached(record):
    return record.model_copy(
        update={"summary": record.summary.model_copy(update={"time_to_target_reached": False, "time_to_target_seconds": None})}
    )


@pytest.fixture(scope="module")
def study_of(whole_study):
    """The whole study as it may come: whole, of one seed, with arms missing, and so bad that nothing reaches the target."""
    records = whole_study()
    variants = {
        "whole": records,
        "one seed": records[::3],
        "missing": records[::4],
        "two machines": on_two_machines(records),
        "unreached": [unreached(record) for record in records],
    }
    return {variant: published.study(records) for variant, records in variants.items()}


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["missing", "whole", "one seed", "two machines", "unreached"])
def test_every_figure_of_a_study_fits_the_page_and_says_nothing_that_is_no_number(study_of, variant):
    for stem, (_, drawing) in DRAWINGS.items():
        root = svg(spec(stem, study_of[variant]))
        shown = texts(root)
        assert drawing.title in shown and any(text.startswith("made up") for text in shown), stem
        assert not [text for text in shown if re.search("nan|null|undefined|infinity", text, re.IGNORECASE)], stem
        assert float(root.get("width")) <= _WIDEST, stem
        assert len(marks(root, "symbol")) > 3, stem


def test_a_figure_is_saved_as_png_svg_and_json(study, tmp_path):
    study = published.study(study)
    table = tables.tidy(study.answers(published.FINAL), DESIGN)
    drawing = charts.save(charts.draw(table, DRAWINGS["figure_11"][1], study, "made up"), tmp_path, "figure")
    with Image.open(tmp_path / "figure.png") as png:
        assert png.width > 1000 and png.size == pytest.approx((2 * drawing.width, 2 * drawing.height), abs=2)
    assert (tmp_path / "figure.json").read_text() == drawing.spec
    assert json.loads(drawing.spec)["$schema"].startswith("https://vega.github.io/schema/vega-lite")
    shown = texts(ElementTree.parse(tmp_path / "figure.svg").getroot())
    assert [text for text in shown if text in FINAL_ARMS] == list(FINAL_ARMS)
    assert "100 s" in shown


# What lines tell.


@pytest.mark.parametrize(
    "stem", ["figure_2", *(pytest.param(stem, marks=pytest.mark.slow) for stem in ("figure_5", "figure_7", "figure_9"))]
)
def test_means_over_seeds_have_an_interval_and_single_runs_have_none(study_of, stem):
    whole, single = svg(spec(stem, study_of["whole"])), svg(spec(stem, study_of["one seed"]))
    assert len(marks(whole, "rule")) == len(marks(whole, "symbol")) == len(marks(single, "symbol"))
    assert not marks(single, "rule")


def test_an_interval_that_is_open_ends_in_an_arrow(study_of):
    root = svg(spec("figure_6", study_of["whole"], time_to_target_seconds_low=1.0, time_to_target_seconds_high=None))
    assert len(marks(root, "symbol")) == 2 * 16  # a dot and the head of an arrow
    assert len(marks(root, "rule")) == 2 * 16  # below the dot and above it


@pytest.mark.parametrize("stem", LINES)
def test_lines_differ_in_colour_shape_and_dash(study_of, stem):
    told = looks(spec(stem, study_of["whole"]), "level")
    assert told.keys() == {"color", "shape"} | ({"strokeDash"} if stem != "figure_9" else set())  # which has one line
    for channel, values in told.items():
        are_places = stem == "figure_9" and channel == "shape"  # the axis tells them apart, and there is no legend for shapes
        assert len(set(values.values())) == (1 if are_places else len(values)), channel


def test_levels_stand_apart_only_where_there_are_whiskers_and_the_figure_says_so(study_of):
    whole, single = spec("figure_5", study_of["whole"]), spec("figure_5", study_of["one seed"])
    assert len({point["at"] for point in drawn_points(whole)}) > 4 == len({point["at"] for point in drawn_points(single)})
    times = spec("figure_8", study_of["whole"])["hconcat"][-1]  # to the target, of which no median of three has an interval here
    places = [row["at"] for row in spec("figure_8", study_of["whole"])["datasets"][times["data"]["name"]]]
    assert len(set(places)) > 4
    assert "made up; lines stand a little apart at each value" in texts(svg(whole))
    assert "made up" in texts(svg(single))


def test_a_tooltip_says_an_interval_where_there_is_one_and_never_null(study_of):
    for variant, has_interval in (("whole", True), ("one seed", False)):
        said = [point["said"] for point in drawn_points(spec("figure_5", study_of[variant]))]
        assert all((" ± " in text or " to " in text) == has_interval for text in said), said
        assert "null" not in "".join(said)


def test_networks_without_dropout_stand_at_probability_0_of_every_panel(study_of):
    points = drawn_points(spec("figure_2", study_of["whole"]))
    assert (Counter(point["model"] for point in points)["BN 1"], Counter(point["model"] for point in points)["dropout 1 at 0.5"]) == (3, 1)


def drawn_points(drawn):
    """The rows of all panels."""
    return [row for rows in drawn["datasets"].values() for row in rows if "value" in row]


def test_arms_of_asymmetric_dropout_are_not_taken_for_networks_without(make_record):
    arms = [{}, {"dropout": {"layers": 1, "p": 0.2}}, {"dropout": {"layers": 2, "p1": 0.1, "p2": 0.2}}]
    for stem in ("figure_2", "figure_3"):
        drawn = rows([make_record(config=arm) for arm in arms], DRAWINGS[stem][1])
        assert {point["model"] for point in drawn_points(drawn)} == {"baseline", "dropout 1 at 0.2"}


def test_runs_that_never_reach_the_target_are_counted_above_the_others(study_of):
    reached, never = svg(spec("figure_6", study_of["whole"])), svg(spec("figure_6", study_of["unreached"]))
    assert "not reached" not in texts(reached)
    assert texts(never).count("not reached") == 1
    assert texts(never).count("3") == 16 + 1  # arms, each with its three runs, and the axis
    assert not marks(never, "line")


def test_what_was_never_reached_is_told_though_a_number_is_read_a_little_off(make_record):
    """Where a drawing is read, one may come out a unit of its last place away: nothing hangs on its being equal."""
    arms = [({}, 105.29376267897896), ({"batchnorm": {"layers": 1}}, 40.0), ({"batchnorm": {"layers": 2}}, None)]
    drawn = json.dumps(spec("figure_6", published.study([make_record(config=config, to_target=to_target) for config, to_target in arms])))
    axes = re.findall(r'"labelExpr": "datum.value > ([\d.]+) \? \'not reached\'[^"]*", [^}]*"values": \[([^\]]+)\]', drawn)
    assert axes
    for above, values in axes:
        *_, highest, never = map(float, values.split(","))
        assert highest < float(above) < 0.9999 * never


@pytest.mark.parametrize(
    ("marked", "mark"),
    [(lambda record: sharing(record, 0.5), "shared cores"), (moved, "gone on from elsewhere")],
    ids=["shared", "elsewhere"],
)
def test_times_that_are_marked_are_drawn_of_arms_that_have_no_others(make_record, marked, mark):
    arms = [{"batchnorm": {"layers": layers}} for layers in (0, 1, 2)]
    quiet, shared = ([make_record(config=arm, seed=seed) for arm in arms] for seed in (0, 1))
    shared = list(map(marked, shared))
    told = [" ".join(texts(svg(spec("figure_6", published.study(records))))) for records in (quiet + shared, quiet[:2] + shared)]
    assert [mark in text for text in told] == [False, True]


def test_one_run_of_three_that_misses_the_target_is_counted_beside_the_median_of_all(whole_study):
    records = [unreached(record) if record.seed == 2 else record for record in whole_study()]
    root = svg(spec("figure_6", published.study(records)))
    assert texts(root).count("1") == 16 + 1
    assert len(marks(root, "symbol")) >= 2 * 16


@pytest.mark.slow
def test_times_of_several_machines_are_drawn_apart(study_of):
    """Where each has arms that the other has not."""
    lacking = {True: (3, 0.04), False: (1, 0.01)}  # BN layers, and the clip threshold, on the one machine and on the other

    def is_there(config, layers, clip):
        return config["agc"]["clip"] != clip if config["agc"]["enabled"] else config["batchnorm"]["layers"] != layers

    study = published.study([r for r in study_of["two machines"].records if is_there(r.config, *lacking[r.seed == 2])])
    shown = texts(svg(spec("figure_6", study)))
    assert {"on a GPU", "on B200"} <= set(shown)
    panels = spec("figure_7", study)["vconcat"]
    assert len(panels) == 3  # accuracy, and the time on each machine


@pytest.mark.parametrize(
    ("levels", "scale", "are_even"),
    [
        ([0, 0.01, 0.1, 1], None, True),
        ([0, 0.2, 0.5, 0.8], None, False),
        ([0, 0.01, 0.1, 1], "linear", False),
        ([0.001, 0.01, 1], "log", False),
    ],
)
def test_numbers_that_would_stand_upon_each_other_stand_one_after_the_other(levels, scale, are_even):
    column = Column("decay", "key", ("weight_decay.rate",), "weight decay", scale=scale)
    across = Across.over(column, pd.DataFrame({"decay": levels}))
    places = [across.place[level] for level in levels]
    assert (places == [0, 1, 2, 3]) == are_even
    assert ('"0.01"' in across.labels) == are_even


# What rows tell.


def test_an_arm_that_never_reaches_the_target_says_so(make_record):
    shown = texts(svg(rows([make_record(), make_record("symmetric_cutout_2", to_target=None)])))
    assert shown.count("not reached") == 1


@pytest.mark.parametrize(("times", "said"), [([40.0, 41.0, None], "41.0 s (2 of 3)"), ([40.0, None, None], "1 of 3 reached it")])
def test_an_arm_that_some_seeds_bring_to_the_target_says_how_many(make_record, times, said):
    assert said in texts(svg(rows([make_record(seed=seed, to_target=time) for seed, time in enumerate(times)])))


def test_an_arm_without_a_finished_run_is_drawn(make_record):
    assert "no finished run" in texts(svg(rows([make_record(), make_record("symmetric_cutout_2", state=State.failed)])))


def test_an_arm_of_several_machines_has_one_row_with_a_bar_for_each(study):
    """Where each has arms that the other has not."""
    first, last = FINAL_ARMS[0], FINAL_ARMS[-1]
    drawn = rows([record for record in on_two_machines(study) if record.label != (first if record.seed == 2 else last)])
    shown = texts(svg(drawn))
    assert [shown.count(arm) for arm in FINAL_ARMS] == [1] * 6
    assert "times of each arm, from the top: B200; a GPU" in shown
    (data,) = drawn["datasets"].values()
    assert len(data) == 10 and sum(row["test_accuracy"] is None for row in data) == 4
    assert len({row["row"] for row in data}) == 6


@pytest.mark.parametrize("figure", [ROWS_OF_ARMS, DRAWINGS["figure_8"][1]], ids=["rows", "lines"])
def test_a_machine_that_has_but_some_of_the_arms_of_another_is_left_to_the_table_and_the_figure_says_so(study, figure):
    elsewhere = on_two_machines(study)[:3]
    drawn = rows([*elsewhere, *(record for record in study if record.label != "baseline")], figure)
    (note,) = [text for text in texts(svg(drawn)) if text.startswith("times on")]
    assert note == "times on a GPU: those on B200 are in the table"
    assert {row["machine"] for row in drawn_rows(drawn) if "machine" in row} <= {elsewhere[0].environment.machine}


def test_a_machine_of_which_a_figure_of_lines_compares_no_two_arms_is_left_to_the_table(make_record):
    """An arm without batch normalization and dropout and one with both share neither a line nor a place on the axis."""
    apart = on("NVIDIA B200", [make_record(), make_record("batchnorm_symmetric_dropout")])
    beside = [make_record(config={"batchnorm": {"layers": layers}}) for layers in (1, 2)]
    drawn = rows([*apart, *beside], DRAWINGS["figure_8"][1])
    (note,) = [text for text in texts(svg(drawn)) if text.startswith("times on")]
    assert note == "times on a GPU: those on B200 are in the table"
    shown = [{row["identity"] for row in data if row["value"]} for data in drawn["datasets"].values() if "identity" in data[0]]
    assert sorted(map(len, shown)) == [2, 2, 4]  # accuracies of all of them, and the times of two
    alone = rows(apart, DRAWINGS["figure_8"][1])
    assert len([data for data in alone["datasets"].values() if len(data) == 2]) == 3  # where it is the only one it is shown


def test_rows_with_bars_of_several_machines_name_all_machines_once(make_record):
    first, second, third = FINAL_ARMS[:3]
    records = [
        *on("NVIDIA B200", [make_record(first)]),
        *on("NVIDIA A100", [make_record(second)]),
        make_record(second, 1),
        make_record(third),
    ]
    said = [text for text in texts(svg(rows(records))) if "B200" in text or "A100" in text]
    assert said == ["times of each arm, from the top: B200; a GPU; those on A100 are in the table"]


def test_a_diamond_is_seen_where_both_accuracies_are_at_one_place(make_record):
    (accuracies, *_) = rows([make_record(test=0.9, train=0.9)])["hconcat"]
    of = [(layer["mark"].get("shape"), layer["encoding"]["x"].get("field"), layer["mark"].get("size")) for layer in accuracies["layer"]]
    (circle, inside, diamond) = of[-3:]
    assert circle[1] == "test_accuracy" and inside[1] == diamond[1] == "train_accuracy"
    assert inside[2] == diamond[2] < circle[2] / 2


@pytest.mark.parametrize("figure", [ROWS_OF_ARMS, DRAWINGS["figure_7"][1]], ids=["rows", "lines"])
def test_an_interval_far_beyond_all_times_is_cut_and_the_figure_says_so(make_record, figure):
    """Two runs that differ twofold have a mean that is known to a factor of hundreds."""
    clipped = {"agc": {"enabled": True}}
    root = svg(rows([make_record(config=clipped, seed=seed, seconds=seconds) for seed, seconds in enumerate((50.0, 100.0))], figure))
    shown = texts(root)
    assert any("intervals are drawn up to 3 times the longest time" in text for text in shown)
    assert max(float(text) for text in shown if re.fullmatch(r"\d+", text)) < 400


def drawn_rows(drawn):
    return [row for data in drawn["datasets"].values() for row in data]


def test_an_arm_that_had_a_machine_to_itself_shows_no_bar_of_a_shared_one(study):
    baseline, *others = (sharing(record, 0.5 if record.seed else 1.0) for record in study if record.label in FINAL_ARMS[:2])
    (data,) = rows([baseline, *others, *(sharing(record, 0.5) for record in study if record.label == FINAL_ARMS[2])])["datasets"].values()
    on_shared = [row["model"] for row in data if row["machine"].endswith("shared cores")]
    assert on_shared == [FINAL_ARMS[2]]
    assert len(data) == 3


def test_many_machines_stand_below_the_title_in_several_lines(study):
    devices = [f"a device of a long name, number {number} of a dozen" for number in range(12)]
    runs = [
        record.changed(environment=record.environment.model_copy(update={"device": devices[place % 12]}))
        for place, record in enumerate(study)
    ]
    assert max(map(len, texts(svg(rows(runs))))) < 180


def test_times_have_their_interval(study):
    pooled, single = svg(rows(study)), svg(rows(study[::3]))
    assert len(marks(pooled, "rule")) > len(marks(single, "rule")) == 6  # the bars between two accuracies


def test_a_long_name_is_broken_between_its_parts(study_of):
    shown = texts(svg(spec("agc_rescue", study_of["one seed"])))
    assert {"AGC 0.02 · weight standardization", "sgd lr 0.1 decay 0.0005 cosine warm-up 2"} <= set(shown)


def test_augmentation_is_ordered_from_none_to_the_most_cutout(study_of):
    shown = texts(svg(spec("figure_10", study_of["one seed"])))
    names = ["no augmentation", "transformations", "cutout 2", "cutout 8", "cutout 16"]
    assert [text for text in shown if text in names] == names


def test_arms_of_one_name_keep_a_row_each(make_record):
    drawn = rows([make_record(), make_record(config={"optimizer": {"lr": 0.1}})], model="baseline")
    (data,) = drawn["datasets"].values()
    assert len({row["row"] for row in data}) == 2


# Figure 4.


def test_arrays_of_probabilities_are_ranked_and_searched_ones_stand_apart(study_of):
    study = study_of["whole"]
    root = svg(spec("figure_4", study))
    means = [float(text) for text in texts(root) if re.fullmatch(r"\d\d\.\d", text)]
    assert len(means) == 10
    assert means == sorted(means, reverse=True)
    assert "test accuracy of 24 searched arrays, %" in texts(root)
    assert len(marks(root, "symbol")) == 10 + 3 * 24


@pytest.mark.parametrize("searched", [True, False])
def test_arrays_are_drawn_where_only_one_kind_of_them_ran(study_of, searched):
    records = [record for record in study_of["one seed"].records if (record.config["data"]["validation"] > 0) == searched]
    shown = texts(svg(spec("figure_4", published.study(records))))
    assert ("test accuracy, %" in shown, "dropout.p1" in shown) == (not searched, searched)


def arrays(make_record, count, held_out):
    """So many arrays of probabilities, one run each."""
    return [
        make_record(
            test=0.5 + 0.3 * number / count,
            config={"data": {"validation": held_out}, "dropout": {"layers": 3, "p1": 0.1 + number / 1000, "p2": 0.2, "p3": 0.3}},
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("figure", [ARRAYS, ROWS_OF_ARMS], ids=["arrays", "rows"])
def test_of_very_many_arms_the_best_are_drawn_and_the_figure_says_so(figure, make_record):
    records = arrays(make_record, 65, held_out=0)
    drawn = rows(sorted(records, key=lambda record: -record.summary.test_accuracy), figure, "Noise")
    assert "Noise; the best 60 of 65 arms" in texts(svg(drawn))
    cells = published.cells(records)
    assert {row["model"] for rows in drawn["datasets"].values() for row in rows} == {cell.label for cell in cells[:60]}


@pytest.mark.slow
def test_a_search_of_more_draws_than_altair_takes_is_drawn(make_record, tmp_path):
    study = published.study(arrays(make_record, 1, held_out=100))
    table = tables.tidy(study.cells, DESIGN)
    many = pd.concat([table.assign(identity=str(number)) for number in range(5001)], ignore_index=True)
    assert "5001 searched arrays" in charts.save(charts.draw(many, ARRAYS, study, ""), tmp_path, "drawn").spec
    with Image.open(tmp_path / "drawn.png") as image:
        assert image.width > 500


# Colours.


def test_an_arm_keeps_its_colour_whatever_else_is_shown(study_of):
    study = study_of["one seed"]
    final = looks(spec("figure_11", study), "row")["color"]
    assert list(final.values()) == list(DESIGN.by_name["final_model"].colours.values())
    augmented = looks(spec("figure_10", study), "row")["color"]
    per_image = looks(spec("cutout_per", study), "row")["color"]
    cifar = looks(spec("cifar_stem", study), "row")["color"]
    assert augmented["no augmentation"] == per_image["batchnorm_symmetric_dropout"] == final["batchnorm_symmetric_dropout"]
    assert augmented["transformations"] == final["symmetric_augmentation"]
    assert augmented["cutout 2"] == per_image["symmetric_cutout_2"] == final["symmetric_cutout_2"]
    assert {arm: cifar[arm] for arm in FINAL_ARMS} == final


def test_a_level_has_one_colour_in_all_figures(study_of):
    study = study_of["one seed"]
    colours = {stem: looks(spec(stem, study), "level")["color"] for stem in LINES}
    rescue = looks(spec("agc_rescue", study), "row")["color"]
    augmented = looks(spec("figure_10", study), "row")["color"]
    assert [colours["figure_8"][f"BN {layers}"] for layers in range(4)] == list(colours["figure_2"].values())
    assert (rescue["BN 2"], rescue["AGC 0.02"]) == (colours["figure_8"]["BN 2"], colours["figure_8"]["AGC"])
    assert colours["figure_5"] == colours["figure_6"]
    assert [colours["figure_5"][array] for array in ("0.2/0.2", "0.2/0.2/0.2")] == [colours["figure_7"][layers] for layers in "23"]
    assert {colours[stem][none] for stem, none in (("figure_3", "0"), ("figure_5", "none"), ("figure_7", "0"))} == {"#999999"}
    assert [augmented[f"cutout {images}"] for images in (2, 8, 16)] == [colours["figure_9"][images] for images in ("2", "8", "16")]


def test_a_level_keeps_its_look_where_others_are_missing(study_of):
    whole = study_of["one seed"]
    part = published.study([record for record in whole.records if record.config["batchnorm"]["layers"] in (0, 3)])
    for channel, values in looks(spec("figure_2", part), "level").items():
        assert values.items() < looks(spec("figure_2", whole), "level")[channel].items()


# Axes.


@pytest.mark.parametrize(
    ("accuracies", "domain"),
    [([0.881, 0.895], [87, 90.5]), ([0.1, 0.99], [0, 101]), ([0.5], [49, 51]), ([0.999], [98, 100.9])],
)
def test_the_axis_of_accuracies_begins_at_a_round_number_below_them(make_record, accuracies, domain):
    cells = published.cells([make_record(arm, test=test) for arm, test in zip(FINAL_ARMS, accuracies, strict=False)])
    table = tables.tidy(cells, DESIGN)
    assert style.accuracy_domain(table, ["test_accuracy"]) == pytest.approx(domain)


@pytest.mark.parametrize("highest", [0.7, 1, 4.9, 7.3, 20, 99, 1500, 8342])
def test_ticks_of_times_are_few_round_and_reach_near_the_highest(highest):
    ticks = style.ticks(highest)
    assert ticks[0] == 0
    assert 4 <= len(ticks) <= 6
    assert 0.75 * highest <= ticks[-1] <= highest
    assert all(len(f"{tick:g}".strip("0.")) <= 3 for tick in ticks)


@pytest.mark.slow
def test_an_empty_panel_stands_where_a_machine_timed_no_run_of_a_batch_size(study_of):
    def is_there(config, is_elsewhere):
        is_large = config["train"]["batch_size"] == 256
        return is_large if is_elsewhere else not (is_large and config["agc"]["clip"] == 0.01)

    records = [r for r in study_of["two machines"].records if is_there(r.config, r.seed == 2)]
    drawn = spec("figure_7", published.study(records))
    assert [len(row["hconcat"]) for row in drawn["vconcat"]] == [3, 3, 3]
    assert "on B200" in texts(svg(drawn))
