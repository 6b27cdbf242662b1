"""The CUDA path on a machine without a GPU: each file of `checks/` in a process that has a fake one (see `fake.py`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_gpu import fake

ROOT = Path(__file__).parents[2]
CHECKS = sorted(Path(__file__).parent.glob("checks/test_*.py"))
pytestmark = pytest.mark.skipif(fake.missing() is not None, reason=f"no fake GPU: {fake.missing()}")


@pytest.mark.slow
@pytest.mark.parametrize("file", CHECKS, ids=[file.stem for file in CHECKS])
def test_on_a_fake_gpu(file):
    # A line each: pytest would print tensors of the device, element by element.
    command = [sys.executable, "-m", "pytest", str(file), "-p", "no:cacheprovider", "--tb", "line", "-rs"]
    done = subprocess.run(command, cwd=ROOT, env=fake.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout


def test_it_is_shown_to_no_process_that_did_not_ask_for_it():
    assert not fake.is_here()
