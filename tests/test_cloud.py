"""The files for cloud machines, against what reads them."""

import configparser
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from reglab.cli.app import app
from reglab.exits import PREEMPTED
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
    assert TASK["resources"]["job_recovery"]["recover_on_exit_codes"] == [PREEMPTED]


SKY = Path(os.environ.get("SKYPILOT_PYTHON") or CLOUD.parent / ".venv-sky" / "bin" / "python")
"""The Python of an environment with SkyPilot, which wants versions of its own of much: `make sky` makes it."""

LOADER = """
import json, sys
import sky
asked = json.load(sys.stdin)
try:
    task = sky.Task.from_yaml_config(asked["task"], env_overrides=asked["envs"], secrets_overrides=asked["secrets"])
    (machine,) = task.resources
    print(json.dumps({"run": task.run, "envs": task.envs, "nodes": task.num_nodes, "machine": machine.to_yaml_config()}))
except ValueError as error:
    print(json.dumps({"refused": str(error)}))
"""

BLANKS = {"envs": [["SWEEP", "e/p/s"], ["REGLAB_CHECKPOINTS", "gs://b/study"]], "secrets": [["WANDB_API_KEY", "k" * 40]]}


@pytest.fixture
def loaded(tmp_path):
    """What SkyPilot's own loader makes of a task, given what the command line gives it, or why it refuses."""
    if not SKY.exists():
        pytest.skip("needs SkyPilot in an environment of its own: `make sky` makes it, SKYPILOT_PYTHON names another")

    def load(task, envs=(), secrets=()):
        asked = json.dumps({"task": task, "envs": list(envs), "secrets": list(secrets)})
        here = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
        command = [str(SKY), "-c", LOADER]
        done = subprocess.run(command, input=asked, check=True, cwd=CLOUD.parent, env=here, capture_output=True, text=True, timeout=600)
        return json.loads(done.stdout.splitlines()[-1])

    return load


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CLOUD.glob("*.yaml")), ids=lambda path: path.name)
def test_skypilot_takes_each_task_once_its_blanks_are_filled_in(loaded, path):
    task = yaml.safe_load(path.read_text())
    made = loaded(task, **BLANKS)
    assert made["run"] == task["run"]
    assert (made["envs"], made["nodes"]) == (dict(BLANKS["envs"]), 1)
    assert made["machine"]["use_spot"] is True
    assert made["machine"]["job_recovery"]["recover_on_exit_codes"] == [PREEMPTED]
    assert "SWEEP" in loaded(task)["refused"]


@pytest.mark.slow
def test_skypilot_refuses_a_key_that_it_does_not_know(loaded):
    assert "use_spots" in loaded(TASK | {"resources": TASK["resources"] | {"use_spots": True}}, **BLANKS)["refused"]


@pytest.mark.parametrize(
    ("new_enough", "made"), [(True, "-m venv --system-site-packages"), (False, "-m uv venv --quiet --seed --python 3.13")]
)
@pytest.mark.parametrize(
    ("project", "installed"),
    [('name = "reglab"\n', "-e .[train,gcs,s3]"), ('name = "mine"\n', "reglab[train,gcs,s3]"), (None, "reglab[train,gcs,s3]")],
    ids=["a clone", "a project of one's own", "what init leaves"],
)
def test_the_setup_makes_an_environment_whatever_python_the_image_has(tmp_path, new_enough, made, project, installed):
    for command, script in {
        "python3": f'[ "$1" = -c ] && exit {int(not new_enough)}; echo "$@"',
        "reglab/bin/pip": 'echo pip "$@"',
    }.items():
        path = tmp_path / command
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    (work := tmp_path / "work").mkdir()
    if project:
        (work / "pyproject.toml").write_text(f"[project]\n{project}")
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    command = ["bash", "-c", TASK["setup"]]
    done = subprocess.run(command, check=True, cwd=work, env=environment, capture_output=True, text=True, timeout=20)
    assert f"{made} {tmp_path}/reglab" in done.stdout
    assert done.stdout.splitlines()[-1] == f"pip install --quiet {installed}"


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


STUB = """#!/bin/bash
[ "$1" = - ] && exec python3 "$@"
echo "$*" >> said
case "$*" in
  *"$SLOW"*) echo "what there is"; exec sleep 60 ;;
  *"$PATIENT"*) trap 'exit 75' TERM; sleep 60 & wait ;;
  *"$BROKEN"*) exit 3 ;;
  *-pace*) mkdir -p runs/n-pace/r && printf '{"time/wall_seconds": %s}\\n' 3 4 5 > runs/n-pace/r/history.jsonl ;;
esac
"""
"""Stands for `python -m`: says what it was asked for, and ends as it is told. Its run takes a second an epoch, and two before."""


@pytest.fixture
def gpu_check(tmp_path):
    """Runs a copy of the script in a folder of its own: returns its exit code, what it asked for, and what it kept."""
    (tmp_path / "cloud").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("@pytest.mark.gpu\n")
    (tmp_path / "tests" / "test_page.py").write_text("import playwright\n")
    script = shutil.copy(CLOUD / "gpu_check.sh", tmp_path / "cloud")
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)

    def run(*words, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHON": str(stub),
            "NAME": "n",
            **dict.fromkeys(["SLOW", "PATIENT", "BROKEN"], "none of them"),
        }
        done = subprocess.run(
            ["bash", script, *words], check=False, env=environment | variables, capture_output=True, text=True, timeout=120
        )
        said = tmp_path / "said"
        kept = {path.name: path.read_text() for path in (tmp_path / "benchmarks" / "n").glob("*")}
        return done.returncode, said.read_text().splitlines() if said.exists() else [], kept

    return run


def about(asked, words):
    return [line for line in asked if words in line]


def test_the_check_of_a_gpu_tests_measures_and_trains_as_many_epochs_as_fit(gpu_check):
    code, asked, kept = gpu_check("data.source=digits", STUDY="240", WORKERS="1")
    assert code == 0
    assert about(asked, "pytest tests/test_one.py -m gpu")  # and no file that needs what the machine may lack
    assert len(about(asked, "reglab bench ")) == 6
    pace, study = about(asked, "sweep run sweeps/final.yaml")
    assert pace.endswith("--name n-pace --workers 1 arm=asymmetric_cutout_2 train.seed=0 train.epochs=5 data.source=digits")
    found = re.search(r"--name n --workers 1 --stop-after (\d+)s train.epochs=(\d+) train.seed=\[0\] data.source=digits$", study)
    limit, epochs = map(int, found.groups())
    assert 200 <= limit <= 235
    assert epochs in (24, 25)  # 0.8 x 240 s / 6 models, less 7 s for a start
    assert {"tests.txt", "agc.txt", "epoch_256.txt", "pace.txt", "study.txt"} <= set(kept)


def test_parts_of_the_check_can_be_left_out(gpu_check):
    _, asked, _ = gpu_check("--skip", "tests", "--skip", "study")
    assert asked and all("bench" in line for line in asked)
    _, asked, _ = gpu_check("--skip", "benchmarks", EPOCHS="3", SEEDS="2")
    assert "train.epochs=3 train.seed=[0,1]" in asked[-1]


@pytest.mark.parametrize("words", [["--skip"], ["--skip", "data.source=digits"], ["study"], ["--steps"]])
def test_the_check_refuses_what_it_does_not_know(gpu_check, words):
    assert gpu_check(*words)[:2] == (2, [])


def test_what_fails_in_the_check_is_told_at_its_end_and_keeps_nothing_from_going_on(gpu_check):
    began = time.monotonic()
    code, asked, kept = gpu_check("--skip", "study", BROKEN="bench agc")
    assert code == 1
    told = re.search(r"^exit code 3 after (\d+) s: reglab bench agc", kept["agc.txt"], re.MULTILINE)
    assert int(told[1]) <= time.monotonic() - began + 1  # the script's clock has whole seconds
    assert about(asked, "bench epoch")


@pytest.mark.slow
def test_a_part_of_the_check_ends_in_its_time(gpu_check):
    code, asked, kept = gpu_check("--skip", "tests", "--skip", "study", SLOW="bench agc", BENCHMARKS="12")
    assert code == 1
    assert kept["agc.txt"].startswith("what there is\nexit code 143 after 1")
    assert not about(asked, "bench epoch")
    assert "no time left for: reglab bench epoch" in kept["epoch_256.txt"]


@pytest.mark.slow
def test_a_study_that_leaves_its_checkpoints_when_its_time_is_up_is_no_failure(gpu_check):
    code, asked, kept = gpu_check("--skip", "tests", "--skip", "benchmarks", PATIENT="--name n ", STUDY="12", EPOCHS="9")
    assert code == 0
    assert about(asked, "--name n ")
    assert kept == {"study.txt": ""}


def test_what_the_check_has_no_time_for_is_told_and_is_no_success(gpu_check):
    code, asked, kept = gpu_check("--skip", "tests", "--skip", "study", BENCHMARKS="5")
    assert (code, asked) == (1, [])
    assert len(kept) == 6
    assert all(text.startswith("no time left for: reglab bench ") for text in kept.values())


def test_the_check_s_benchmarks_take_as_many_images_and_rounds_as_they_are_told(gpu_check):
    _, asked, _ = gpu_check("--skip", "tests", "--skip", "study", IMAGES="512", ROUNDS="1")
    assert len(about(asked, "data.train_limit=512")) == 3
    assert [line for line in asked if "--rounds 1" not in line] == about(asked, "bench kernels")  # which has none


def test_the_unit_is_not_root_and_writes_in_its_own_folders_only():
    service = UNIT["Service"]
    assert service["User"] == "reglab"
    assert "useradd --system" in (CLOUD / "reglab-agent@.service").read_text()
    assert (service["ProtectSystem"], service["ReadWritePaths"], service["ProtectHome"]) == ("strict", "/tmp /var/tmp", "yes")
    assert (service["NoNewPrivileges"], service["CapabilityBoundingSet"], service["UMask"]) == ("yes", "", "0077")
    assert "PrivateDevices" not in service  # it would have no GPU
    assert "MemoryDenyWriteExecute" not in service  # Triton makes code
    written = [service[name] for name in ("StateDirectory", "CacheDirectory")]
    variables = dict(word.split("=") for word in service["Environment"].split())
    assert variables == {"REGLAB_RUNS": "/var/lib/reglab/runs", "REGLAB_CACHE": "/var/cache/reglab", "HOME": "/var/lib/reglab"}
    assert written == ["reglab", "reglab"]
