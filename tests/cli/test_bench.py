import json
import math
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmarks
from benchmarks import NAMES
from reglab.cli import app as cli
from reglab.cli import bench
from reglab.errors import UserError


def run(*words):
    done = CliRunner().invoke(cli.app, ["bench", *words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.mark.slow
def test_two_benchmarks_show_their_tables_and_write_their_results(tmp_path):
    file = tmp_path / "results.json"
    shown = run("agc", "overhead", "model.width=4", "batchnorm.layers=1", "data.train_limit=64", "--rounds", "2", "--json", str(file))
    clipping, overhead = json.loads(file.read_text())
    assert (clipping["benchmark"], clipping["numerator"], clipping["denominator"]) == ("agc", "timm", "reglab")
    assert clipping["facts"]["launches of timm"] > clipping["facts"]["launches of reglab"]
    assert (overhead["benchmark"], overhead["rounds"], overhead["facts"]["images"]) == ("overhead", 2, 64)
    for result in (clipping, overhead):
        low, high = result["quartiles"]
        assert 0 < low <= result["ratio"] <= high < math.inf
        assert f"{result['ratio']:.3g}" in shown


@pytest.mark.slow
def test_batches_are_those_of_the_peer_before_they_are_timed(monkeypatch, tmp_path):
    from benchmarks import batches

    monkeypatch.setattr(batches, "WORKERS", 0)
    file = tmp_path / "results.json"
    run("batches", "data.train_limit=256", "cutout.images=0", "--rounds", "1", "--json", str(file))
    assert any((result.get("numerator"), result.get("denominator")) == ("torchvision", "reglab") for result in json.loads(file.read_text()))
    monkeypatch.setattr(batches, "PADDING", 3)
    with pytest.raises(Exception, match="not what torchvision makes"):
        run("batches", "data.train_limit=256", "cutout.images=0", "--rounds", "1")


@pytest.mark.parametrize("content", ["years of work", '{"benchmark": 1}', '[{"other": 1}]', "[1]"])
def test_a_file_that_holds_no_results_is_not_replaced(tmp_path, content):
    file = tmp_path / "results.json"
    file.write_text(content)
    with pytest.raises(UserError, match="holds no results of `reglab bench`: give another name"):
        run("agc", "--json", str(file))
    assert file.read_text() == content


def test_a_peer_that_is_not_installed_is_named_in_its_row(monkeypatch, tmp_path):
    from benchmarks import agc

    monkeypatch.setattr(agc, "find_spec", lambda name: None)
    file = tmp_path / "results.json"
    assert "needs timm" in run("agc", "--json", str(file))
    assert json.loads(file.read_text()) == [{"benchmark": "agc", "case": "a call against timm's", "needs": agc.TIMM}]


def test_the_list_says_what_each_measures():
    lines = run("--list").splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert all(len(line.split()) > 4 for line in lines)


def test_an_unknown_name_is_answered_with_those_that_are_there():
    with pytest.raises(UserError, match=r"no benchmark epochs: choose among agc, .*epoch"):
        run("epochs")


def test_outside_a_checkout_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.delitem(sys.modules, "benchmarks", raising=False)
    with pytest.raises(UserError, match="clone the repository"):
        run("--list")


def test_every_benchmark_has_its_name_in_the_list_and_its_row_in_the_readme():
    folder = Path(benchmarks.__file__).parent
    there = {path.stem for path in folder.glob("*.py") if "\ndef measure(" in path.read_text(encoding="utf-8")}
    assert there == set(NAMES)
    told = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"| `{name}` |" not in told] == []
