"""`command`: runs reglab in a process with limits, on what a test has arranged."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]


ENOUGH_SECONDS = 8.0
"""Of a processor's time, four times what the slowest answer of the corpus takes on an idle machine."""

ENOUGH_BYTES = 500 * 10**6
"""Of memory, beyond what the libraries take."""

HEADROOM = 2 * 10**9
"""Of address space."""


few = settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
"""Of Hypothesis: the same examples everywhere, some seconds in all."""


@dataclass(frozen=True)
class Answer:
    """What a command came to: `code` is None of one that hung. `seconds` of the processor, `bytes` of memory beyond the libraries'."""

    code: int | None
    seconds: float
    bytes: int
    said: str

    @property
    def fault(self) -> str | None:
        """What is wrong with it; None of a success, and of one line that says what is wrong with the input."""
        told = [line for line in self.said.splitlines() if line.startswith("reglab: ")]
        wrong = {
            "it hung": self.code is None,
            f"exit code {self.code}": self.code not in (0, 2, 75),
            "no one line": self.code in (2, 75) and len(told) != 1,
            "unexpected": "unexpected" in self.said or "Traceback" in self.said,
            f"{self.seconds:.1f} seconds": self.seconds > ENOUGH_SECONDS,
            f"{self.bytes / 1e6:.0f} MB": self.bytes > ENOUGH_BYTES,
        }
        return ", ".join(what for what, is_so in wrong.items() if is_so) or None


class Warm:
    """The process that has imported everything."""

    def __init__(self, home):
        self._home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "REGLAB_"))}
        with (home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.hostile.warm"],
                cwd=ROOT,
                env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout.readline() == "ready\n", (home / "log").read_text()

    def run(self, words, folder, headroom=HEADROOM, **variables):
        """The answer to `reglab WORDS` in this folder, where caches and runs are, too; `SWEEP` stands for a file that is good."""
        words = [str(ROOT / "sweeps" / "final.yaml") if word == "SWEEP" else str(word) for word in words]
        places = {"REGLAB_CACHE": str(folder / "cache"), "REGLAB_RUNS": str(folder / "runs"), "HOME": str(folder), "REGLAB_DEVICE": "cpu"}
        offline = {"WANDB_MODE": "offline", "WANDB_BASE_URL": "http://127.0.0.1:1", "NETRC": str(folder / "netrc")}
        order = {
            "words": words,
            "folder": str(folder),
            "variables": places | offline | variables,
            "out": str(self._home / "out"),
            "err": str(self._home / "err"),
            "seconds": PATIENCE,
            "headroom": headroom,
        }
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        came = json.loads(self._process.stdout.readline())
        said = (self._home / "err").read_text(encoding="utf-8", errors="replace")
        return Answer(came["code"], came["worked"], came["bytes"], said)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    made = Warm(tmp_path_factory.mktemp("warm"))
    yield made
    made.close()
