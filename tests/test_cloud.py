"""The files for cloud machines, against what reads them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from reglab.cli.app import app
from reglab.settings import Settings

CLOUD = Path(__file__).parents[1] / "cloud"
TASK = yaml.safe_load((CLOUD / "skypilot.yaml").read_text())

TASK_FIELDS = {
    *("name", "workdir", "num_nodes", "resources", "envs", "secrets", "file_mounts", "setup", "run", "service", "volumes", "config"),
}
RESOURCE_FIELDS = {
    *("infra", "cloud", "region", "zone", "accelerators", "accelerator_args", "cpus", "memory", "instance_type", "use_spot", "disk_size"),
    *("disk_tier", "network_tier", "image_id", "ports", "labels", "autostop", "any_of", "ordered", "job_recovery", "priority"),
}
"""As SkyPilot 0.14 publishes them."""

UNIT = configparser.ConfigParser(interpolation=None, strict=False)
UNIT.optionxform = str
UNIT.read(CLOUD / "reglab-agent@.service")


def test_the_task_has_fields_that_skypilot_knows():
    assert set(TASK) <= TASK_FIELDS
    assert set(TASK["resources"]) <= RESOURCE_FIELDS
    assert TASK["resources"]["use_spot"] is True
    assert TASK["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]


def test_skypilot_takes_the_task_once_its_blanks_are_filled_in():
    sky = pytest.importorskip("sky")
    blanks = {"envs": {"SWEEP": "e/p/s", "REGLAB_CHECKPOINTS": "gs://b/study"}, "secrets": {"WANDB_API_KEY": "k" * 40}}
    assert sky.Task.from_yaml_config(TASK | blanks).run
    with pytest.raises(ValueError, match="SWEEP"):
        sky.Task.from_yaml(str(CLOUD / "skypilot.yaml"))


@pytest.mark.parametrize(
    ("new_enough", "made"), [(True, "-m venv --system-site-packages"), (False, "-m uv venv --quiet --seed --python 3.12")]
)
def test_the_setup_makes_an_environment_whatever_python_the_image_has(tmp_path, new_enough, made):
    for command, script in {
        "python3": f'[ "$1" = -c ] && exit {int(not new_enough)}; echo "$@"',
        "reglab/bin/pip": 'echo pip "$@"',
    }.items():
        path = tmp_path / command
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", TASK["setup"]], check=True, env=environment, capture_output=True, text=True, timeout=20)
    assert f"{made} {tmp_path}/reglab" in done.stdout
    assert done.stdout.splitlines()[-1] == "pip install --quiet -e .[gcs,s3]"


def test_the_unit_says_how_what_it_starts_comes_to_be_there():
    text = (CLOUD / "reglab-agent@.service").read_text()
    assert UNIT["Service"]["ExecStart"].startswith("/opt/reglab/bin/reglab ")
    assert text.index("-m venv --system-site-packages /opt/reglab\n") < text.index("[Unit]")


def test_the_key_is_a_secret_and_in_no_file():
    assert TASK["secrets"] == {"WANDB_API_KEY": None}
    assert "WANDB_API_KEY" not in TASK["envs"]
    assert not [name for name in UNIT["Service"] if "KEY" in name]


def test_variables_are_settings_of_reglab():
    named = set(re.findall(r"REGLAB_(\w+)", "".join(path.read_text() for path in CLOUD.iterdir())))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("text", [TASK["run"], UNIT["Service"]["ExecStart"], (CLOUD / "README.md").read_text()])
def test_what_runs_is_a_command_of_reglab(text):
    words = re.findall(r"(?:^|\s|/)reglab (\w+)", text)
    assert "agent" in words
    assert set(words) <= set(get_command(app).commands)


def test_the_unit_ends_the_agent_alone_and_gives_it_time():
    service = UNIT["Service"]
    assert service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 25 + 5
    assert service["RestartForceExitStatus"] == service["SuccessExitStatus"] == "75"
    assert service["Restart"] == "no"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "reglab-agent@study.service"
    text = (CLOUD / "reglab-agent@.service").read_text()
    unit.write_text(text.replace("/opt/reglab/bin/reglab", "/bin/true"))  # which must be there
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True, timeout=60)
    complaints = [line for line in done.stderr.splitlines() if "reglab-agent" in line]
    assert complaints == []


STUB = """#!/bin/sh
echo "$*" >> said
case "$*" in
  *"$SLOW"*) sleep 20 ;;
  *"$BROKEN"*) exit 3 ;;
  *"study run"*) exit $STUDY ;;
  *"study report"*) exit $REPORT ;;
esac
"""
"""Stands for `python -m`: says what it was asked for, and ends as it is told."""


@pytest.fixture
def gpu_study(tmp_path):
    """Runs a copy of the script in a folder of its own: returns its exit code, what it asked for, and the measurements there are."""
    (tmp_path / "cloud").mkdir()
    script = shutil.copy(CLOUD / "gpu_study.sh", tmp_path / "cloud")
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def run(stretch="9m", **variables):
        (tmp_path / "said").write_text("")
        environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(stub), "NAME": "n", "STUDY": "0", "REPORT": "0"}
        environment |= {"SLOW": "none of them", "BROKEN": "none of them"}
        command = ["bash", script, stretch, "data.source=digits"]
        done = subprocess.run(command, check=False, env=environment | variables, capture_output=True, text=True, timeout=60)
        asked = (tmp_path / "said").read_text().splitlines()
        return done.returncode, asked, {path.name: path.read_text() for path in (tmp_path / "benchmarks" / "n").iterdir()}

    return run


def about(asked, words):
    return [line for line in asked if words in line]


def test_the_study_on_a_gpu_measures_once_and_goes_on_until_nothing_is_left(gpu_study):
    code, asked, measured = gpu_study(STUDY="75", REPORT="2")  # no run has finished: no report yet
    assert code == 75
    assert about(asked, "pytest tests -m gpu")
    assert len(about(asked, "reglab bench ")) == 10
    assert about(asked, "reglab doctor --measure 1,2,4")
    assert {"tests.txt", "agc.txt", "epoch_imagenet_128.txt", "doctor.txt"} <= set(measured)
    (study,) = about(asked, "study run")
    assert re.search(r"--name n --workers 1 --stop-after 5[01]\ds data.source=digits$", study)

    code, asked, _ = gpu_study()
    assert code == 0
    assert not about(asked, "pytest") + about(asked, "bench") + about(asked, "doctor")
    assert [line.split()[2] for line in asked] == ["study", "study", "report"]


def test_a_report_that_fails_when_the_study_is_done_is_a_failure(gpu_study):
    assert gpu_study(REPORT="2")[0] == 1


def test_a_measurement_that_outlasts_a_stretch_is_made_in_the_next(gpu_study):
    code, asked, measured = gpu_study("31s", SLOW="bench batches")
    assert (code, about(asked, "study")) == (75, [])
    assert "agc.txt" in measured
    assert "batches.txt" not in measured
    code, asked, measured = gpu_study()
    assert code == 0
    assert "batches.txt" in measured
    assert not about(asked, "bench agc")


def test_a_measurement_that_fails_says_so_and_keeps_nothing_from_going_on(gpu_study):
    code, asked, measured = gpu_study(BROKEN="bench batches")
    assert code == 0
    assert "exit code 3; remove benchmarks/n/batches.txt to do this again" in measured["batches.txt"]
    assert about(asked, "study run")
