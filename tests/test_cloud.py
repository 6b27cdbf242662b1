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
