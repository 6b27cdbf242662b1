"""`reglab sweep run`: what the command hands to the sweep, and what it hears meanwhile."""

import itertools
import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from reglab.cli.local_sweep import Terms, _complaints, carry_out
from reglab.config import RunConfig, identity, run_id
from reglab.errors import UserError
from reglab.sweep import local, machine
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import write_run
from tests.tracking.test_wandb_project import ENVIRONMENT

SWEEPS = Path(__file__).parents[2] / "sweeps"


class BegunError(Exception):
    """The sweep would begin now, with so many workers."""


@pytest.mark.parametrize(
    ("stem", "asked", "overrides", "count"),
    [("final", None, [], 8), ("final", 3, [], 3), ("final", None, ["train.seed=0", "arm=baseline"], 1), ("dropout_bayes", None, [], 3)],
)
def test_a_sweep_has_as_many_workers_as_it_is_told_else_one_a_core(monkeypatch, tmp_path, stem, asked, overrides, count):
    def begin(spec, folder, workers, *rest):
        raise BegunError(workers)

    monkeypatch.setattr(machine, "cores", lambda: range(8))
    monkeypatch.setattr(machine, "memory_gb", lambda: 100.0)
    monkeypatch.setattr(local, "LocalSweep", begin)
    with pytest.raises(BegunError, match=f"^{count}$"):
        carry_out(SWEEPS / f"{stem}.yaml", Terms(overrides, asked), tmp_path)


@pytest.fixture
def one(tmp_path):
    """A sweep of one run on a folder of images, and the record of that run, which has finished on them."""
    for part, name in itertools.product(("train", "test"), ("cats", "dogs")):
        (tmp_path / "pets" / part / name).mkdir(parents=True)
    values = {"data": {"source": "folder", "folder": str(tmp_path / "pets")}, "train": {"epochs": 1}}
    parameters = {section: {"parameters": {key: {"value": value} for key, value in keys.items()}} for section, keys in values.items()}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    config = RunConfig.parse(values)
    record = RunRecord(
        run_id=run_id(config),
        sweep="one",
        label=config.label,
        identity=identity(config),
        seed=0,
        config=values,
        state=State.finished,
        environment=ENVIRONMENT,
    )
    write_run(tmp_path / "runs" / "one" / record.run_id, record)
    return tmp_path / "one.yaml"


@pytest.mark.parametrize("command", [["sweep", "run"], ["study", "run"]], ids=" ".join)
def test_a_signal_while_the_sweep_itself_decodes_images_ends_it_at_once(reglab, one, monkeypatch, tmp_path, capsys, command):
    def decodes(config, cache):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(300):
            time.sleep(0.1)
        pytest.fail("the signal was not heard")

    monkeypatch.setattr("reglab.data.sources.load", decodes)
    if command == ["study", "run"]:
        monkeypatch.setattr("reglab.cli.study._chosen", lambda only, design: [one])
        (tmp_path / "runs" / "study").mkdir()
        (tmp_path / "runs" / "one").rename(tmp_path / "runs" / "study" / "one")
        assert reglab(*command) == 75
    else:
        assert reglab(*command, one) == 75
    assert "interrupted before anything more was begun; the same command goes on" in capsys.readouterr().err


def test_a_signal_when_all_is_done_leaves_nothing_to_go_on_with(reglab, one, monkeypatch, capsys):
    @contextmanager
    def display(sweep):
        yield lambda: os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("reglab.data.sources.load", lambda config, cache: SimpleNamespace(fingerprint=ENVIRONMENT.data_fingerprint))
    monkeypatch.setattr("reglab.cli.local_sweep.display", display)
    assert reglab("sweep", "run", one) == 0
    said = capsys.readouterr().err
    assert "1 run, 1 finished" in said
    assert "interrupted" not in said


NAMES = ["../../x", "/tmp/x", "..", ".", "", "a/b", "a" * 300, "a\nb", "\x1b[2J"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[1:9])
@pytest.mark.parametrize("command", [("sweep", "run", SWEEPS / "final.yaml"), ("study", "run"), ("study", "report")])
def test_a_name_that_is_a_path_is_refused_and_nothing_is_written(reglab, monkeypatch, tmp_path, capsys, command, name):
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    assert reglab(*command, "--name", name) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reglab: --name ") and len(line) < 300
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "below"]


@pytest.mark.parametrize("name", ["..yaml", "...yaml", " .yaml", f"{'a' * 230}.yaml"], ids=lambda name: name[:5])
def test_so_is_a_sweep_s_file_whose_name_is_no_folder_s(reglab, monkeypatch, tmp_path, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text((SWEEPS / "final.yaml").read_text())
    assert reglab("sweep", "run", name) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its runs go to a folder of its name, and it is" in line
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_many_runs_failed_of_is_said_once():
    def cell(seed, reason):
        record = SimpleNamespace(reason=reason, damage=None) if reason else None
        return SimpleNamespace(label="baseline", seed=seed, state=State.failed if reason else State.pending, record=record)

    found = list(_complaints([cell(0, "no room"), cell(1, "no room"), cell(2, "too large"), cell(3, None)]))
    assert found == ["baseline s0 and 1 more failed: no room", "baseline s2 failed: too large"]


def test_images_that_all_runs_lack_are_told_before_the_first_begins(tmp_path, monkeypatch):
    """Offline CIFAR-10 without its archive was a long error for each of its runs."""
    from reglab.data import sources

    def lacking(data, cache):
        raise UserError("CIFAR-10 could not be downloaded")

    monkeypatch.setattr(sources, "load", lacking)
    with pytest.raises(UserError, match="could not be downloaded"):
        carry_out(SWEEPS / "final.yaml", Terms(["train.epochs=1"]), tmp_path / "runs")
    assert not list((tmp_path / "runs").glob("*/run.json"))


def test_check_names_the_next_command(reglab, tmp_path, capsys):
    """With quotes where a shell needs them."""
    files = [tmp_path / name for name in ("one sweep.yaml", "other.yaml")]
    for file in files:
        file.write_text(yaml.safe_dump({"method": "grid", "parameters": {"train": {"parameters": {"seed": {"values": [0, 1]}}}}}))
    assert reglab("sweep", "check", files[0]) == 0
    assert f"next: `reglab sweep run '{files[0]}'` trains it here" in " ".join(capsys.readouterr().err.split())
    assert reglab("sweep", "check", *files) == 0
    assert f"`reglab sweep create '{files[0]}' {files[1]}` registers them at W&B" in " ".join(capsys.readouterr().err.split())


def parameter(path, value):
    section, key = path.split(".")
    return {"method": "grid", "parameters": {section: {"parameters": {key: {"value": value}}}}}


OPTUNA = {"method": "custom", "run_cap": 3, "metric": {"name": "test/accuracy", "goal": "maximize"}}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (parameter("model.name", "functions_here:smal"), "model.name = functions_here:smal: functions_here has no smal"),
        (parameter("data.source", "functions_here:smal"), "data.source = functions_here:smal: functions_here has no smal"),
        (parameter("train.metrics", "functions_here:small, functions_here:smal"), "train.metrics = functions_here:smal: functions_here"),
        (
            parameter("train.seed", 0) | OPTUNA | {"scheduler": {"engine": "optuna", "source": "functions_here.py", "optimizer": "smal"}},
            "scheduler.optimizer = smal: functions_here.py has no smal",
        ),
        (
            OPTUNA | {"scheduler": {"engine": "optuna", "source": "functions_here.py", "search_space": "smal"}},
            "scheduler.search_space = smal: functions_here.py has no smal",
        ),
    ],
    ids=["network", "images", "metrics", "optimizer", "search space"],
)
@pytest.mark.parametrize("command", ["check", "create", "run"])
def test_a_function_that_its_module_lacks_is_refused_before_a_run_begins(reglab, tmp_path, monkeypatch, capsys, command, config, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("functions_here.py").write_text("def small(): ...\n", encoding="utf-8")
    Path("mine.yaml").write_text(yaml.safe_dump(config | {"command": ["reglab", "train"]}), encoding="utf-8")
    assert reglab("sweep", command, "mine.yaml") == 2
    assert f"reglab: mine.yaml: {told}" in " ".join(capsys.readouterr().err.split())
    Path("functions_here.py").write_text("def small(): ...\nsmal = small\n", encoding="utf-8")
    if command == "check":
        assert reglab("sweep", "check", "mine.yaml") == 0
