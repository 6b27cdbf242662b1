"""Reports of runs of another program: by their own keys, and no word of what they have not."""

import io
import json
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from reglab.errors import UserError
from reglab.report import build
from reglab.report.check import faults
from reglab.report.collection import build_report
from reglab.report.programs.arms import Programs
from reglab.report.programs.details import details
from reglab.report.programs.report import ProgramReport
from reglab.report.programs.roles import AskedRoles, read
from reglab.report.stats import Estimate
from reglab.report.writing.digits import decimals, told
from reglab.tracking.program_run import ProgramRun, read_archive
from reglab.tracking.record import RunRecord
from reglab.tracking.state import State
from reglab.tracking.store import write_run


def grid(seeds=None, metric="val_acc", repeats=3, **more):
    """Rate by decay; the larger rate is better by 0.05, the largest decay much worse."""
    chance, found = random.Random(1), []
    for lr in (0.001, 0.01):
        for decay in (0, 0.1, 1):
            for number in range(repeats):
                value = 0.8 + 0.05 * (lr == 0.01) - 0.2 * (decay == 1) + chance.gauss(0, 0.004)
                config = {"optimizer": {"lr": lr}, "decay": decay} | ({"seed": seeds[number]} if seeds else {})
                found.append(ProgramRun(id=f"r{len(found)}", config=config, summary={metric: value}, **more))
    return found


def report(runs, tmp_path, asked=None, baseline=None):
    roles = read(runs, asked or AskedRoles())
    return build.build_programs(runs, tmp_path / "report", "theirs.csv", roles, baseline).parent


def words(folder):
    return re.sub(r"<script.*?</script>|<style.*?</style>", "", (folder / "index.html").read_text(), flags=re.DOTALL)


def test_no_word_is_said_of_what_the_runs_have_not(tmp_path):
    page = words(report(grid(), tmp_path))
    for word in ("seed", "epoch", "stud", "claim", "ResNet", "test accuracy", "%", "Where it ran", "second"):
        assert word not in page.replace("95 %", "").replace("95\N{NO-BREAK SPACE}%", "").replace("--seed-key", ""), word
    assert "<h1>theirs: val_acc</h1>" in page
    assert "Of 6 arms, lr 0.01 · decay 0" in page


def test_seeds_are_told_where_there_are_some(tmp_path):
    folder = report(grid(seeds=(1, 2, 3)), tmp_path)
    assert "up to 3 seeds each" in words(folder)
    assert list(pd.read_csv(folder / "arms.csv").columns) == ["arm", "optimizer.lr", "decay", "val_acc", "low", "high", "n"]


def test_it_has_its_tables_and_figures_and_holds_until_a_run_changes(tmp_path):
    runs = grid()
    folder = report(runs, tmp_path)
    assert {"arms.png", "arms.tex", "against_the_best.png", "main_effects.svg", "effects.csv", "runs.csv"} <= {
        path.name for path in folder.iterdir()
    }
    for name in ("comparisons", "effects"):
        assert (pd.read_csv(folder / f"{name}.csv")[["value", "low", "high", "p", "n"]].dtypes.map(str) != "object").all()
    assert faults(folder, {}, runs) == []
    changed = [runs[0].model_copy(update={"summary": {"val_acc": 0.1}}), *runs[1:]]
    assert faults(folder, {}, changed) == ["stale: 1 run is changed: r0"]
    assert read_archive(folder / "program_runs.jsonl.gz") == runs


def test_its_tables_are_copied_as_text_and_as_a_spreadsheet_takes_numbers(tmp_path):
    folder = report(grid(), tmp_path)
    told = re.search(r'id="texts-json">(.*?)</script>', (folder / "index.html").read_text()).group(1)
    copies = json.loads(told)
    assert copies.keys() == {"arms", "comparisons", "effects"}
    for stem, texts in copies.items():
        assert list(texts) == ["LaTeX", "Markdown", "numbers"]
        pasted = pd.read_csv(io.StringIO(texts["numbers"]), sep="\t")
        pd.testing.assert_frame_equal(pasted, pd.read_csv(folder / f"{stem}.csv"))


def test_an_arm_is_told_with_its_settings_its_runs_and_their_curves():
    runs = [run.model_copy(update={"curves": {"val_acc": [(0, 0.1), (10, 0.8)], "other": [(0, 9)]}}) for run in grid(seeds=(10, 9, 8))]
    programs = Programs(runs, read(runs, AskedRoles()))
    found = details(programs)
    arm = found["arms"][programs.arms[0].identity]
    assert arm["own"] == {"optimizer.lr": "0.01", "decay": arm["own"]["decay"]}
    assert [(run["seed"], run["name"]) for run in arm["runs"]] == [("8", "seed 8"), ("9", "seed 9"), ("10", "seed 10")]
    assert arm["runs"][0]["curve"] == {"at": [0, 10], "value": [0.1, 0.8]}
    assert found["shown"]["lines"] == [["value", "val_acc"]]


def test_of_several_runs_of_a_seed_metric_and_time_are_one_value_each():
    """Grouped by fewer settings than differ, a seed has several runs: neither column has more of them than the other."""
    runs = [run.model_copy(update={"summary": run.summary | {"took": 10.0 + place}}) for place, run in enumerate(grid(seeds=(0, 1, 2)))]
    programs = Programs(runs, read(runs, AskedRoles(metric="val_acc", group_by=("optimizer.lr",), time="took")))
    for arm in programs.arms:
        assert len(arm.runs) > 3 == len(arm.values) == len(arm.times)
        assert programs.seconds[arm.identity].n == programs.means[arm.identity].n == 3


def test_runs_have_the_curves_of_their_folder_and_a_report_keeps_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, lr in enumerate((0.1, 0.2, 0.3)):
        rows = [{"_step": step, "acc": lr * step / 100, "text": "x"} for step in range(101)]
        record = RunRecord(
            run_id=f"r{number}", sweep="s", label="r", identity="", seed=0, config={"lr": lr}, program="python x.py",
            state=State.finished, rows=rows, logged={"acc": lr},
        )  # fmt: skip
        write_run(tmp_path / "runs" / "s" / f"r{number}", record)
    built = build_report("runs/s", "report")
    archived = read_archive(tmp_path / "report" / "program_runs.jsonl.gz")
    assert [len(run.curves["acc"]) for run in archived] == [40] * 3
    assert archived[0].curves["acc"][-1] == (100, pytest.approx(0.1))
    build_report(Path(built).parent, "again")
    assert read_archive(tmp_path / "again" / "program_runs.jsonl.gz") == archived


def test_runs_without_seeds_are_compared():
    programs = Programs(runs := grid(), read(runs, AskedRoles()))
    better = next(arm for arm in programs.arms if arm.levels == {"optimizer.lr": 0.01, "decay": 0})
    worse = next(arm for arm in programs.arms if arm.levels == {"optimizer.lr": 0.001, "decay": 0})
    found = programs.contrast([better], [worse], ("optimizer.lr",))
    assert (found.over, found.estimate.n) == ("runs", 3)
    assert found.estimate.low < 0.05 < found.estimate.high


def test_runs_with_seeds_are_compared_by_their_means():
    programs = Programs(runs := grid(seeds=(1, 2, 3)), read(runs, AskedRoles()))
    better, worse = (next(arm for arm in programs.arms if arm.levels == {"optimizer.lr": lr, "decay": 0}) for lr in (0.01, 0.001))
    found = programs.contrast([better], [worse], ("optimizer.lr",))
    assert (found.over, found.estimate.n) == ("seeds", 3)
    differences = [better.by_seed[seed] - worse.by_seed[seed] for seed in ("1", "2", "3")]
    assert found.estimate.mean == pytest.approx(sum(differences) / 3)


def test_what_is_to_be_small_is_best_where_it_is_smallest(tmp_path):
    runs = [run.model_copy(update={"summary": {"val_loss": 1 - run.summary["val_acc"]}}) for run in grid()]
    made = ProgramReport(runs, read(runs, AskedRoles()), "theirs.csv")
    higher = ProgramReport(grid(), read(grid(), AskedRoles()), "theirs.csv")
    assert [arm.levels for arm in made.programs.arms] == [arm.levels for arm in higher.programs.arms]
    assert "has the lowest val_loss" in made.headline()[0]
    for label, each in made.programs.with_the_best.items():
        mirrored = higher.programs.with_the_best[label]
        assert (each.low, each.high) == (pytest.approx(-mirrored.high), pytest.approx(-mirrored.low))
        assert each.p == pytest.approx(mirrored.p)


def test_an_arm_that_is_named_is_compared_with(tmp_path):
    folder = report(grid(), tmp_path, baseline="lr=1e-3 decay=0")
    (named,) = [line for line in (folder / "arms.md").read_text().splitlines() if line.startswith("| lr 0.001 · decay 0 ")]
    assert named.split("|")[4].strip() == "baseline"
    with pytest.raises(UserError, match=r"3 arms have that; give a value of each of optimizer\.lr, decay"):
        report(grid(), tmp_path, baseline="lr=0.001")
    with pytest.raises(UserError, match="width does not differ among these runs"):
        report(grid(), tmp_path, baseline="width=1")


def test_what_does_not_count_is_named(tmp_path):
    runs = grid()
    runs[0] = runs[0].model_copy(update={"state": State.crashed, "reason": "out of memory"})
    runs[5] = runs[5].model_copy(update={"summary": {"val_acc": "NaN"}})
    page = words(report(runs, tmp_path))
    assert "1 crashed, not counted: r0 (out of memory)." in page
    assert "1 finished without a number in val_acc, not counted: r5." in page
    assert "16 finished runs of 6 arms, up to 3 runs each" in page


def test_a_number_below_zero_has_a_real_minus_in_what_people_read_and_none_in_what_programs_read(tmp_path):
    lower = [run.model_copy(update={"summary": {"val_acc": run.summary["val_acc"] - 5}}) for run in grid()]
    folder = report(lower, tmp_path)
    for name in ("arms", "comparisons", "effects"):
        assert "−" in (folder / f"{name}.md").read_text() and not re.search(r"(?<!\w)-\d", (folder / f"{name}.md").read_text())
        assert "−" not in (folder / f"{name}.csv").read_text()
    assert "val_acc: −4." in words(folder)


def test_one_run_an_arm_tells_nothing_from_chance(tmp_path):
    made = ProgramReport(runs := grid(repeats=1), read(runs, AskedRoles()), "theirs.csv")
    assert made.headline()[1].startswith("There is one run an arm: nothing tells a difference from chance")
    assert set(made._best_table()["95 % interval, all at once"]) == {"–"}
    assert report(runs, tmp_path)


def test_one_arm_alone_is_told(tmp_path):
    folder = report(grid()[:3], tmp_path)
    assert not (folder / "comparisons.csv").exists()
    assert "No setting differs among them." in words(folder)


def test_one_run_alone_is_told_where_it_lies(tmp_path):
    folder = report([ProgramRun(id="r0", config={}, summary={"val_loss": -3.25})], tmp_path)
    ticks = re.findall(r">(−\d[\d.]*)<", (folder / "arms.svg").read_text())
    assert len(ticks) > 2 and float(ticks[0].replace("−", "-")) < -3.25 < float(ticks[-1].replace("−", "-"))
    page = words(folder)
    assert "1 finished run of 1 arm, up to 1 run each." in page and "For each arm its val_loss." in page


def test_runs_that_repeat_an_arm_and_seed_count_once(tmp_path):
    runs = grid(seeds=(1, 2, 2))
    made = ProgramReport(runs, read(runs, AskedRoles()), "theirs.csv")
    assert {len(arm.values) for arm in made.programs.arms} == {2}
    assert any("6 runs repeat an arm and seed" in note for note in made.notes())


def test_a_search_is_told_by_what_it_found(tmp_path):
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [
        ProgramRun(
            id=f"r{n}", config={"lr": 0.001 * 1.7**n, "opt": "ab"[n % 2]}, summary={"loss": 3 - n / 10}, created=begun - timedelta(hours=n)
        )
        for n in range(12)
    ]
    folder = report(runs, tmp_path)
    assert {"parallel.png", "importance.png", "best_so_far.png", "search.csv"} <= {path.name for path in folder.iterdir()}
    table = pd.read_csv(folder / "search.csv")
    assert table["setting"][0] == "lr" and table["rank correlation"].dtype == float
    best = next(each for each in json.loads((folder / "best_so_far.json").read_text())["datasets"].values() if "best" in each[0])
    assert [row["_value"] for row in best] == sorted(row["_value"] for row in best)  # in the order in which they began
    assert {row["best"] for row in best} == {best[0]["_value"]}  # the smallest until then
    assert "too good" in words(folder)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "%s \\input{x}",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("=HYPERLINK(1)", "a|b\n| c", "{{ 7*7 }}", "\u202eevil", "x" * 10**7)),
    ],
)
def test_hostile_keys_and_values_are_text(tmp_path, hostile):
    runs = [
        ProgramRun(
            id=f"r{n}", name=hostile, config={"opt": (hostile, "adam")[n % 2], f"key {hostile[:200]}": n // 2}, summary={"acc": n / 10}
        )
        for n in range(4)
    ]
    folder = report(runs, tmp_path)
    text = "".join(path.read_text() for path in folder.glob("*.[cmh]*") if path.suffix in (".csv", ".md"))
    assert "<script>alert" not in words(folder)
    assert "\u202e" not in text
    assert max(map(len, text.splitlines())) < 2000
    assert not re.search(r"(^|,)=HYP", text)
    assert faults(folder, {}, runs) == []


def test_keys_that_the_page_uses_itself_are_still_told(tmp_path):
    runs = [ProgramRun(id=f"r{n}", config={"state": n % 2, "question": n // 2, "run": n % 2 + 5}, summary={"acc": n}) for n in range(4)]
    page = words(report(runs, tmp_path, AskedRoles(group_by=("state", "question", "run"))))
    assert "state (key)" in page
    assert "question (key)" in page


def test_keys_that_a_table_has_columns_for_have_some_of_their_own(tmp_path):
    """A setting called n was lost to how many runs there are."""
    runs = [
        ProgramRun(id=f"{n}-{low}-{seed}", config={"n": n, "low": low, "n (key)": -low, "seed": seed}, summary={"arm": n + low + seed / 7})
        for n in (5, 9) for low in (1, 2) for seed in (0, 1)
    ]  # fmt: skip
    folder = report(runs, tmp_path, AskedRoles("arm", "maximize", group_by=("n", "low", "n (key)")))
    told = pd.read_csv(folder / "arms.csv")
    assert list(told.columns) == ["arm", "n (key) (key)", "low (key)", "n (key)", "arm (key)", "low", "high", "n"]
    assert list(told["n (key) (key)"]) == [9, 9, 5, 5] and set(told["n"]) == {2}
    assert told["arm (key)"].is_monotonic_decreasing
    assert "arm (key)" in (folder / "arms.md").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("mean", "half", "said"),
    [
        (0.91234, 0.0123, "0.912 ± 0.012"),
        (1234.5678, 56.0, "1,235 ± 56"),
        (91.23456, None, "91.23"),
        (1.5e-7, 2e-8, "1.500e−07 ± 2.000e−08"),
    ],
)
def test_numbers_have_the_digits_that_say_something(mean, half, said):
    estimate = Estimate(mean, None if half is None else mean - half, None if half is None else mean + half, 3)
    assert told(estimate) == said
    assert decimals(0, 0) == 0


@pytest.mark.parametrize("asked", [AskedRoles("mse"), AskedRoles("other", "minimize", time="mse")])
def test_what_is_too_large_to_be_averaged_is_refused_in_a_line(asked):
    runs = [ProgramRun(id=f"r{n}", config={"lr": n // 2}, summary={"mse": 10.0 ** (305 + n), "other": n}) for n in range(4)]
    with pytest.raises(UserError, match=r"^mse of r0 is 1e\+305, which is too large to be averaged: write inf for what diverged"):
        Programs(runs, read(runs, asked))


def test_numbers_of_any_size_are_compared_and_told(tmp_path):
    runs = [run.model_copy(update={"summary": {"mse": 1e-14 * run.summary["val_acc"]}}) for run in grid()]
    folder = report(runs, tmp_path)
    assert "may be the best" in words(folder)
    assert pd.read_csv(folder / "comparisons.csv")["low"].notna().all()
    figure = json.loads((folder / "main_effects.json").read_text())["datasets"]
    (rows,) = (rows for rows in figure.values() if "said" in rows[0])
    assert all(re.fullmatch(r"[+−]\d\.\d{3}e−1\d ± \d\.\d{3}e−1\d", row["said"]) for row in rows)


def test_arms_that_read_alike_in_short_are_told_in_full(tmp_path):
    runs = [
        ProgramRun(id=f"{lr}-{number}", config={"lr": lr}, summary={"acc": value + number / 100})
        for lr, value in ((0.12345678, 0.2), (0.12345679, 0.6), (7.0, 0.4))
        for number in range(3)
    ]
    programs = Programs(runs, read(runs, AskedRoles("acc")))
    assert [arm.label for arm in programs.arms] == ["lr 0.12345679", "lr 7", "lr 0.12345678"]
    best, other, worst = programs.arms
    assert programs.contrast([best], [worst], ("lr",)).estimate.mean == pytest.approx(0.4)
    assert programs.contrast([worst], [other], ("lr",)).estimate.mean == pytest.approx(-0.2)
    assert len(details(programs)["arms"]) == len(programs.with_the_best) == 3
    assert (report(runs, tmp_path, AskedRoles("acc"), baseline="lr=7") / "index.html").exists()
