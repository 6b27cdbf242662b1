"""A study file is read whole, or refused in one line that says where and what is allowed."""

import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

from reglab.errors import UserError
from reglab.report import build, manifest, sections
from reglab.report.claims import verdicts
from reglab.report.page import page
from reglab.report.studies.study import Study
from reglab.report.studies.study_file import ANCHORS, OTHER_FIGURES, OTHER_TABLES, PUBLISHED, of, read

OWN = """\
title: Does weight decay matter on small images?
factors: {rate: optimizer.lr, decay: optimizer.weight_decay}
columns:
  gentle:
    levels:
      gentle: {rate: 0.001, decay: 0}
questions:
  - {name: Decay at each rate, x: decay, lines: rate, y: test/accuracy}
claims:
  - text: A decay of 0.1 gains at least half a point over none.
    difference: {of: test/accuracy, between: {decay: 0.1}, and: {decay: 0}, at_least: 0.5, because: that much a longer schedule gives}
"""


@pytest.fixture
def own(tmp_path):
    """Reads the file above with one text in place of another."""

    def make(old="", new=""):
        assert old in OWN
        path = tmp_path / "decay.yaml"
        path.write_text(OWN.replace(old, new, 1))
        return read(path)

    return make


@pytest.fixture(scope="module")
def runs(make_record):
    """Rate by decay, three seeds; a decay of 0.1 gains a point at each rate, to some tenths."""
    return [
        make_record(
            seed=seed,
            test=0.8 + 0.05 * (rate == 0.01) + 0.1 * decay + 0.001 * seed * (decay > 0) + 0.001 * (decay > 0) * (rate == 0.01),
            seconds=100 + 0.2 * (decay > 0) * (rate == 0.01),
            config={"optimizer": {"name": "adamw", "lr": rate, "weight_decay": decay}},
            sweep="rate_and_decay",
        )
        for rate in (0.001, 0.01)
        for decay in (0.0, 0.1)
        for seed in (0, 1, 2)
    ]


SECOND = """\
  - {name: Overfitting at each rate, x: rate, lines: decay, y: gap}
  - {name: Decay alone, varies: [decay], x: decay, y: test/accuracy}
claims:"""


def test_every_question_that_the_same_runs_answer_has_its_section(own, runs):
    report = build.Report(runs, own("claims:", SECOND))
    assert {question.name: len(cells) for question, cells in report.answers.items()} == {
        "decay_at_each_rate": 4,
        "overfitting_at_each_rate": 4,
        "decay_alone": 2,
    }


def test_a_question_of_which_the_first_one_s_runs_compare_nothing_has_none(own, runs):
    """Arms of which each differs from each in both factors are an answer to the first alone."""
    report = build.Report([*runs[:3], *runs[-3:]], own("claims:", SECOND))
    assert {question.name: len(cells) for question, cells in report.answers.items()} == {
        "decay_at_each_rate": 2,
        "overfitting_at_each_rate": 0,
        "decay_alone": 0,
    }


def test_a_study_of_one_s_own_takes_ten_lines(own):
    study = own()
    (question,) = study.questions
    assert (question.name, question.title, question.figures[0].name) == (
        "decay_at_each_rate",
        "Decay at each rate",
        "figure_decay_at_each_rate",
    )
    assert (study.by_name["rate"].sources, study.by_name["rate"].title) == (("optimizer.lr",), "rate")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title:", "titel:", "line 1: unknown key titel"),
        ("optimizer.lr", "optimizer.rate", "line 2: factors.rate: unknown key optimizer.rate"),
        ("{rate: optimizer.lr, decay", "{rate: {count: decay}, decay", "line 2: rate: `count` stands under columns"),
        ("{rate: optimizer.lr", "{model: model.stem, rate: optimizer.lr", "line 2: model is a column of every table: give it another name"),
        ("decay: optimizer.weight_decay", "decay: optimizer.lr", "line 2: optimizer.lr is in rate already"),
        ("gentle: {rate", "gentle: {pace", "line 4: gentle looks at pace, which is no column above it"),
        ("gentle: {rate: 0.001", "gentle: {rate: -1", "line 6: rate is never -1: optimizer.lr must be a number above 0"),
        ("x: decay", "x: decoy", "line 8: no factor and no column is called decoy; did you mean decay"),
        ("y: test/accuracy", "y: test/acuracy", "line 8: .*no report has test/acuracy; did you mean test/accuracy"),
        ("lines: rate", "lines: rate, order: worst", "line 8: no factor and no column is called worst"),
        ("difference:", "diference:", "line 11: claims: unknown key diference; did you mean difference"),
        ("at_least: 0.5", "at_leest: 0.5", "line 11: claims.difference: unknown key at_leest; did you mean at_least"),
        ("of: test/accuracy, between", "of: time/train_seconds, between", "line 11: .*time/train_seconds has no difference in points"),
        ("at_least: 0.5, ", "", "line 10: .*must say what is claimed: at_least, at_most"),
        ("and: {decay: 0}", "and: {decoy: 0}", "line 11: no factor and no column is called decoy"),
        ("and: {decay: 0}", "and: 0", "line 11: .*must be columns with their levels, such as {decay: 0.1}"),
        ("name: Decay at each rate", "name: Per image", "line 8: per_image is a file of every report: give it another name"),
        (
            "lines: rate",
            "lines: rate, figures: [{name: summary, title: All}]",
            "line 8: summary is a file of every report",
        ),
        ("name: Decay at each rate", "name: Convergence", "line 8: convergence is a file of every report"),
        ("name: Decay at each rate", "name: epoch seconds", "line 8: epoch_seconds is a file of every report"),
        ("name: Decay at each rate", "name: '!?'", "line 8: .*'!\\?' cannot name a file: give a name with a letter or a digit"),
        ("name: Decay at each rate", f"name: {100 * 'ü'}", "line 8: .* is too long for the name of a file"),
        ("lines: rate", "lines: rate, figures: [{name: Training time, title: All}]", "line 8: training_time is a file of every report"),
        ("lines: rate", "lines: rate, figures: [{name: findings, title: All}]", "line 8: findings is a place on the page of every report"),
        ("questions:", "questions:\n  - {name: decay at each RATE!}", "line 9: two questions are called decay_at_each_rate, as files are"),
        ("    difference:", "    question: rate\n    difference:", "line 11: no question is called rate"),
        ("title:", "sweeps: [nowhere.yaml]\ntitle:", "line 1: nowhere.yaml: no such sweep file"),
        ("title:", "setup: {model.wide: 8}\ntitle:", "line 1: no key of a run, nor images, train_images or seeds: model.wide; did you"),
        ("title:", "looks: [5, 3]\ntitle:", "line 1: looks: must be numbers of seeds that rise"),
        ("title:", "looks: [1, 3]\ntitle:", "line 1: looks: must be numbers of seeds that rise, from 2 on"),
        ("title:", "title: [\ntitle:", "line 3: not YAML"),
        ("at_least: 0.5", "within: 1, at_least: 0.5", "line 11: .*`within` is a range of its own, beside at_least or at_most"),
        ("at_least: 0.5", "at_most: 0, within: 1", "line 11: .*`within` is a range of its own"),
        ("at_least: 0.5", "at_least: 0.5, at_most: 0.5", "line 11: .*at_least 0.5 is not below at_most 0.5: nothing lies between"),
        ("at_least: 0.5", "at_least: .nan", "line 11: claims.difference.at_least = nan: input should be a finite number"),
        ("at_least: 0.5", "at_most: .inf", "line 11: claims.difference.at_most = inf: input should be a finite number"),
        ("at_least: 0.5", "at_least: true", "line 11: claims.difference.at_least: must be a number"),
        ("between: {decay: 0.1}", "between: {decay: []}", "line 11: claims.difference.between: decay is a list of no levels"),
        ("between: {decay: 0.1}", "between: {}", "line 11: claims.difference.between: must name a level"),
        ("between: {decay: 0.1}", "between: {decay: [0.1, 0.10]}", "line 11: .*decay: 0.1 is there twice"),
        ("between: {decay: 0.1}", "between: {decay: [0.1, 0]}", "line 11: .*a level of `between` is one of `and`, too"),
        ("between: {decay: 0.1}", "between: {decay: {at: 0.1}}", "line 11: .*a level is a word or a number, and not a mapping"),
        ("between: {decay: 0.1}", "between: {decay: [[0.1]]}", "line 11: .*a level is a word or a number, and not a list"),
        ("between: {decay: 0.1}", f"between: {{decay: 1{400 * '0'}}}", "line 11: decay is never 1000.*0: weight_decay.rate must be"),
        ("between: {decay: 0.1}", "between: {decay: base/two}", "line 11: decay: base/two is no share of the base's level"),
        ("between: {decay: 0.1}", "between: {decay: base/0}", "line 11: decay: base/0 is no share of the base's level"),
        ("between: {decay: 0.1}", "between: {gentle: base/2}", "line 11: gentle: base/2 is no level, since that of the base is no number"),
        ("between: {decay: 0.1}", "between: {decay: its}", "line 11: decay: `its` is the level of a champion, and none is compared here"),
        ("gentle: {rate: 0.001, decay: 0}", "gentle: {rate: [[1]]}", "line 6: .*a level is a word or a number, and not a list"),
        ("{rate: optimizer.lr", "{rate: {key: optimizer.lr, colours: 5}", "line 2: .*colours: must have a word for each level"),
        (
            "{rate: optimizer.lr",
            "{rate: {key: optimizer.lr, says: 'at {rate}'}",
            "line 2: .*says: at {rate}: braces stand for the level, as {}",
        ),
        ("{rate: optimizer.lr", "{rate: {key: optimizer.lr, says: '{} of {}'}", "line 2: .*braces stand for the level, as {}, and once"),
        ("{rate: optimizer.lr", "{rate: {keys: []}", "line 2: factors.rate: keys: must not be empty"),
        ("y: test/accuracy", "y: 5", "line 8: .*must name a measure, such as test/accuracy"),
        ("y: test/accuracy", "y: []", "line 8: .*at least 1 item"),
        ("title:", "covers: [model.wide]\ntitle:", "line 1: covers: unknown key model.wide; did you mean model.widen"),
        (
            "rate: optimizer.lr",
            "rate: data.file",
            "line 2: factors.rate: data.file is no factor: runs that differ in nothing else are one arm",
        ),
        ("rate: optimizer.lr", "rate: train.seed", "line 2: factors.rate: train.seed is no factor"),
        ("rate: optimizer.lr", "rate: train.compile", "line 2: factors.rate: train.compile is no factor"),
        ("rate: optimizer.lr", "rate: cell", "line 2: factors.rate: cell is no factor"),
        ("rate: optimizer.lr", "rate: {keys: [arm]}", "line 2: factors.rate: arm stands for other keys: name those that differ"),
        ("rate: optimizer.lr", "rate: model.options", "line 2: factors.rate: model.options is a mapping and no level"),
        (
            "{rate: optimizer.lr, decay: optimizer.weight_decay}\ncolumns:\n  gentle:\n    levels:\n      gentle: {rate: 0.001",
            "{rate: {key: optimizer.lr, base: most}, decay: optimizer.weight_decay}\n"
            "columns:\n  gentle:\n    levels:\n      gentle: {rate: other",
            "line 6: rate: what most arms have is not known to a column: name the level instead of other",
        ),
        *(
            (OWN[OWN.index("difference:") :], f"{kind}\n", f"line 11: {said}")
            for kind, said in {
                "best: {of: gap, level: {decay: 1}, among: {decay: [0, 0.1]}}": ".*level: must be one of `among`, by the same columns",
                "best: {of: gap, level: {rate: 1}, among: {decay: [0, 0.1]}}": ".*level: must be one of `among`, by the same columns",
                "best: {of: gap, level: {decay: 0}, among: {decay: 0}}": ".*among: must have two or more levels",
                "sooner: {between: {decay: 0}, and: {decay: [0, 0.1]}}": ".*a level of `between` is one of `and`, too",
                "ratio: {of: time/train_seconds, between: {decay: 0.1}, and: {decay: 0}, at_least: 0}": ".*at_least: 0: a ratio is above 0",
                "threshold: {of: gap, between: {decay: 0}, at_least: 3, at_most: 1}": ".*at_least 3 is not below at_most 1",
                "interaction: {of: gap, between: {decay: 1}, and: {decay: 0}, with: {rate: 1}, at_most: 0}": ".*against is missing",
                "interaction: {of: gap, between: {decay: 1}, and: {decay: 0}, with: {rate: 1}, against: {rate: 1}, at_most: 0}": (
                    ".*a level of `with` is one of `against`, too"
                ),
                "interaction: {of: gap, between: {decay: 1}, and: {decay: 0}, with: {rate: 1}, against: {decay: 2}, at_most: 0}": (
                    ".*decay is in `between` or `and`, and in `with` or `against`: they are of other columns"
                ),
                "interaction: {of: time/train_seconds, between: {decay: 1}, and: {decay: 0}, with: {rate: 1}, against: {rate: 2}, "
                "at_most: 0}": ".*at_most: 0: a ratio is above 0, and 1 of times that are alike",
                "interaction: {of: gap, between: {decay: 1}, and: {decay: 0}, with: {rate: -1}, against: {rate: 2}, at_most: 0}": (
                    "rate is never -1: optimizer.lr must be a number above 0"
                ),
            }.items()
        ),
    ],
)
def test_a_fault_is_one_line_with_the_file_and_the_line(own, old, new, said):
    with pytest.raises(UserError, match=f"decay.yaml, {said}") as caught:
        own(old, new)
    assert "\n" not in str(caught.value)


def test_the_files_of_every_report_are_those_that_it_writes_of_no_question():
    modules = [import_module(f"{sections.__name__}.{each.name}") for each in iter_modules(sections.__path__)]
    stems, figures = ({found for each in modules if (found := getattr(each, name, None))} for name in ("STEM", "FIGURE"))
    assert {build.TABLE_1, build.CLAIMS, build.OTHERS.name, Path(page.RUNS).stem, *stems} == OTHER_TABLES
    assert {build.EFFECTS, build.OTHERS.figures[0].name, Path(manifest.MANIFEST).stem, *figures} == OTHER_FIGURES
    template = (Path(page.__file__).parent / "web" / "page.html.j2").read_text(encoding="utf-8")
    assert set(re.findall(r' id="([a-z0-9_]+)"', template)) == ANCHORS


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Decay at each rate", "decay_at_each_rate"),
        ("Gewichtsabnahme: wie groß?", "gewichtsabnahme_wie_groß"),
        ("衰减", "衰减"),
        ("затухание 0.1", "затухание_0_1"),
        ("../../up", "up"),
        ("3", "3"),
    ],
)
def test_a_name_in_any_script_names_files(own, name, stem):
    study = own("Decay at each rate, x: decay", f"'{name}', figures: [{{name: 'The {name}', title: a}}], x: decay")
    assert study.questions[0].name == stem
    assert [figure.name for figure in study.questions[0].figures] == [f"the_{stem}", f"figure_{stem}"]
    study.path.write_text(
        study.path.read_text().replace("    difference", f"    question: '{name}'\n    figure: 'The {name}'\n    difference")
    )
    assert read(study.path).claims[0].question == stem


@pytest.mark.parametrize(
    ("method", "given", "seeds"),
    [
        ("grid", "parameters: {train: {parameters: {seed: {values: [0, 1, 2]}}}}", 3),
        ("grid", "parameters: {train: {parameters: {seed: {values: [0, 0, 1]}}}}", 2),
        ("grid", "parameters: {train: {parameters: {seed: {min: 0, max: 4}}}}", 5),
        ("grid", "parameters: {train: {parameters: {seed: {value: 7}}}}", None),
        ("grid", "parameters: {train: {parameters: {seed: {values: 7}}}}", None),
        ("grid", "replicates: {key: train.seed, start: 3, most: 12}", 3),
        ("random", "replicates: {key: train.seed, start: 2}", 2),
        ("random", "parameters: {train: {parameters: {seed: {values: [0, 1, 2]}}}}", None),
        ("grid", "parameters: [1]", None),
    ],
)
def test_the_seeds_of_a_plan_are_those_that_a_sweep_gives_an_arm(own, tmp_path, method, given, seeds):
    (tmp_path / "rates.yaml").write_text(f"method: {method}\n{given}\n")
    assert own("title:", "sweeps: [rates.yaml]\ntitle:").planned.get("rates") == seeds


def test_a_study_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such study; give a file such as"):
        read("five_regularizers")
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "nothing.yaml")


def test_a_claim_of_one_s_own_is_judged_and_its_rule_says_what_was_looked_for(own, runs):
    (found,) = verdicts.judge(Study.of(runs, own())).each
    assert (found.verdict, found.parts[0].n) == ("reproduced", 3)  # seeds
    assert found.parts[0].estimate == pytest.approx(1.15)
    assert "at least +0.5 points against decay 0 (that much a longer schedule gives)" in found.rule


DECAY_AT_RATES = "between: {decay: 0.1}, and: {decay: 0}, with: {rate: 0.01}, against: {rate: 0.001}"


@pytest.mark.parametrize(
    ("claim", "verdict", "estimates"),
    [
        ("difference: {of: test/accuracy, between: {decay: 0.1}, and: {decay: 0}, within: 2, because: x}", "reproduced", [1.1]),
        ("difference: {of: test/accuracy, between: {decay: 0.1}, and: {decay: 0}, within: 0.5}", "contradicted", [1.1]),
        ("difference: {of: test/accuracy, at: {rate: 0.01}, between: {decay: 0.1}, and: {decay: 0}, at_least: 5}", "contradicted", [1.1]),
        ("trend: {of: test/accuracy, over: {decay: [0, 0.1]}, direction: rises}", "reproduced", [1.1]),
        ("trend: {of: test/accuracy, over: {decay: [0, 0.1]}, direction: falls}", "contradicted", [1.1]),
        ("best: {of: test/accuracy, level: {rate: 0.01}, among: {rate: [0.001, 0.01]}}", "undecided", [1.0]),  # of two cases
        ("sooner: {between: {decay: 0.1}, and: {decay: 0}}", "undecided", [0.0]),
        ("ratio: {of: time/train_seconds, between: {decay: 0.1}, and: {decay: 0}, within: 0.05}", "reproduced", [1.0]),
        (f"interaction: {{of: test/accuracy, {DECAY_AT_RATES}, within: 0.5}}", "reproduced", [0.1]),
        (f"interaction: {{of: test/accuracy, {DECAY_AT_RATES}, at_least: 0.5}}", "contradicted", [0.1]),
        (f"interaction: {{of: time/train_seconds, {DECAY_AT_RATES}, within: 0.05}}", "reproduced", [1.002]),
        ("threshold: {of: test/accuracy, between: {gentle: gentle}, at_least: 70}", "reproduced", [80.0]),
        ("threshold: {of: test/accuracy, between: {gentle: gentle}, at_most: 70}", "contradicted", [80.0]),
        ("threshold: {of: time/train_seconds, between: {gentle: gentle}, at_least: 50}", "reproduced", [100.0]),
        ("difference: {of: test/accuracy, between: {decay: 0.5}, and: {decay: 0}, at_least: 0}", "not tested", [None]),
    ],
)
def test_each_kind_of_claim_is_judged(own, runs, claim, verdict, estimates):
    line = next(line for line in OWN.splitlines() if line.strip().startswith("difference"))
    (found,) = verdicts.judge(Study.of(runs, own(line.strip(), claim))).each
    assert found.verdict == verdict
    assert [part.estimate for part in found.parts] == [None if each is None else pytest.approx(each, abs=0.11) for each in estimates]
    assert found.rule.endswith(".")


@pytest.fixture
def loose(own):
    """Judges a claim by runs; there is a column of which the level `none of it` is said of two arms, of either rate."""

    def judged(claim, records):
        levels = "most: {decay: 0.1, rate: 0.01}\n      none of it: {decay: 0}"
        path = own("gentle: {rate: 0.001, decay: 0}", levels).path
        path.write_text(path.read_text().partition("    difference")[0] + f"    {claim}\n")
        (found,) = verdicts.judge(Study.of(records, read(path))).each
        return found

    return judged


@pytest.mark.parametrize(
    ("claim", "side"),
    [
        ("difference: {of: test/accuracy, between: {decay: 0.1, rate: 0.01}, and: {decay: 0}, at_least: 0}", "decay 0"),
        ("difference: {of: test/accuracy, between: {decay: 0}, and: {decay: 0.1, rate: 0.01}, at_most: 0}", "decay 0"),
        (
            "difference: {of: test/accuracy, between: {decay: any, rate: 0.01}, and: {decay: 0, rate: 0.01}, within: 9}",
            "decay any · rate 0.01",
        ),
        ("ratio: {of: time/train_seconds, between: {gentle: most}, and: {gentle: none of it}, at_least: 1}", "none of it"),
        ("sooner: {between: {gentle: most}, and: {gentle: none of it}, cases: seeds}", "none of it"),
        ("best: {of: test/accuracy, level: {gentle: most}, among: {gentle: [most, none of it]}}", "none of it"),
        ("trend: {of: test/accuracy, over: {gentle: [none of it, most]}, direction: rises}", "none of it"),
        ("trend: {of: time_to_target/seconds, over: {gentle: [none of it, most]}, direction: rises}", "none of it"),
    ],
)
def test_a_level_of_several_arms_decides_nothing_whichever_was_there_first(loose, runs, claim, side):
    said = f"{side} is said of 2 arms that differ in {'decay' if 'any' in claim else 'rate'}: say its level, too"
    estimates = set()
    for order in (1, -1):
        records = [record.changed(created=record.created + place * timedelta(hours=1)) for place, record in enumerate(runs[::order])]
        found = loose(claim, records)
        (part,) = found.parts
        assert (found.verdict, part.undecided, found.more) == ("undecided", said, f"a claim that one arm meets each level of: {said}")
        assert said in found.how
        estimates.add(part.estimate)
    assert len(estimates) == 1


def test_the_base_has_a_factor_s_default_what_it_is_without_or_what_most_arms_have(own, runs):
    given = "decay: optimizer.weight_decay"
    assert Study.of(runs, own()).base["decay"] == 0
    assert Study.of(runs[:3] + runs[6:], own(given, "decay: {key: weight_decay.rate, without: 0.1}")).base["decay"] == 0.1
    most = [each for each in runs if each.config["weight_decay"]["rate"] or each.config["optimizer"]["lr"] == 0.01]
    assert Study.of(most, own(given, "decay: {key: weight_decay.rate, base: most}")).base["decay"] == 0.1


@pytest.mark.parametrize(("level", "there"), [("{rate: base}", "gentle"), ("{rate: other}", None), ("{decay: other}", None)])
def test_a_column_knows_the_base(own, level, there):
    design = own("gentle: {rate: 0.001, decay: 0}", f"gentle: {level}")
    assert design.treatment({"optimizer.lr": 0.001, "weight_decay.rate": 0.0})["gentle"] == there


def test_a_mean_is_over_all_arms_of_its_level(own, runs):
    line = next(line for line in OWN.splitlines() if line.strip().startswith("difference"))
    design = own(line.strip(), "threshold: {of: test/accuracy, between: {decay: 0}, at_least: 80}")
    (found,) = verdicts.judge(Study.of(runs, design)).each
    assert (found.verdict, found.parts[0].estimate, found.parts[0].undecided) == ("reproduced", pytest.approx(82.5), "")


def test_runs_are_of_the_published_study_by_their_sweeps_and_by_what_they_are(study, make_record, runs):
    assert of(study).title == read(PUBLISHED).title
    assert of([record.model_copy(update={"sweep": "mine"}) for record in study]) is None
    assert of([record.model_copy(update={"sweep": "final"}) for record in runs]) is None
    assert of(runs) is None
