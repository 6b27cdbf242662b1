"""How soon the command line answers: a fresh process of `reglab --help` against `wandb --help` and `import torch`.

The peers are the command line that this one works beside, and the import that every training command needs and no page of
help should wait for. Each round starts one process of each, in turns, so that a noisy machine disturbs all alike.

    reglab bench startup [--rounds N]
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import torch

from benchmarks import measure as shared
from benchmarks.measure import Outcome, Result

ROUNDS = 15
COMMANDS = {
    "reglab --help": [sys.executable, "-m", "reglab", "--help"],
    "wandb --help": [sys.executable, "-m", "wandb", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def process(command: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def measure(overrides: Sequence[str] = (), rounds: int | None = None) -> Iterator[Outcome]:
    cpu = torch.device("cpu")
    ours, *peers = COMMANDS
    seconds = shared.alternate({name: process(command) for name, command in COMMANDS.items()}, rounds or ROUNDS, cpu)
    for peer in peers:
        yield Result.of("startup", ours, seconds, (peer, ours), cpu, {})


if __name__ == "__main__":
    shared.main(measure, __doc__)
