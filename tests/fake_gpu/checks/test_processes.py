"""More than one process on a GPU: who touches it, and which one each is shown."""

import os
import re
import subprocess
import sys

import pytest

from reglab.config import RunConfig
from reglab.running import capacity
from reglab.settings import settings
from reglab.sweep.machine import visible_gpus


def python(*words, **variables):
    traced = os.environ | {"FAKE_GPU_TRACE": "1"} | variables
    return subprocess.run([sys.executable, *words], env=traced, capture_output=True, text=True, check=False)


def test_what_is_imported_before_a_fork_leaves_the_gpu_alone():
    from reglab.running import worker

    modules = {*worker._PRELOADED, capacity.__name__}
    done = python("-c", "; ".join(f"import {name}" for name in sorted(modules)))
    assert done.returncode == 0, done.stderr
    assert "fake GPU" not in done.stderr
    assert "fake GPU" in python("-c", "import torch; torch.cuda.is_available()").stderr  # which the trace would show


def test_doctor_measures_how_many_runs_a_gpu_takes(tmp_path, monkeypatch):
    variables = {"REGLAB_DEVICE": "cuda", "REGLAB_RUNS": str(tmp_path), "CUDA_VISIBLE_DEVICES": " 0 "}
    words = ["doctor", "--measure", "1,2", "model.width=4", "train.batch_size=64", "data.train_limit=128"]
    done = python("-m", "reglab", *words, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r"[12] +[\d,]+ ", line)]
    assert [row[0] for row in rows] == ["1", "2"], done.stdout
    touched = set(re.findall(r"cudaMalloc in process (\d+) with CUDA_VISIBLE_DEVICES=0$", done.stderr, re.MULTILINE))
    assert len(touched) == 3


@pytest.mark.parametrize("names", ["GPU-1c0d-88", "0"])
def test_processes_share_a_device_however_it_is_named(names, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)
    monkeypatch.setenv("REGLAB_DEVICE", "cuda")
    settings.cache_clear()
    (gpu,) = visible_gpus()
    config = RunConfig.parse({"data": {"source": "digits", "train_limit": 128}, "model": {"width": 4}, "train": {"batch_size": 64}})
    reading = capacity.measure(config, [capacity.Place(gpu, ())] * 2, 0.5)
    assert reading.fault is None
    assert len(reading.throughputs) == 2
    assert all(pace.images_per_second > 0 and pace.memory_gb > 0 for pace in reading.throughputs)
