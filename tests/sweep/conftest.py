import json
import os
import subprocess
from pathlib import Path

import pytest

from reglab.settings import settings
from tests.loopback.conftest import away as away
from tests.loopback.conftest import wandb_server as wandb_server

ORACLE = os.environ.get("SWEEPS_ORACLE") or Path(__file__).parents[2] / ".venv-oracle" / "bin" / "python"
"""A Python with W&B's own engine, sweeps 0.3, which asks for numpy below 2: `make oracle` makes it."""


@pytest.fixture(scope="session")
def oracle_python():
    if not Path(ORACLE).exists():
        pytest.skip("needs W&B's own engine in an environment of its own: `make oracle`, or SWEEPS_ORACLE=/path/to/python")
    return ORACLE


@pytest.fixture(scope="session")
def oracle(oracle_python):
    """What W&B's own engine answers to questions, as `tests/sweep/oracle.py` has them."""

    def ask(questions):
        asked = "\n".join(map(json.dumps, questions)) + "\n"
        script = Path(__file__).parent / "oracle.py"
        done = subprocess.run([oracle_python, script], input=asked, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return ask


@pytest.fixture
def gpus(monkeypatch):
    """A machine with these GPUs, as the environment names them."""

    def show(names, device="auto"):
        monkeypatch.setenv("REGLAB_DEVICE", device)
        settings.cache_clear()
        if names is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names)

    return show
