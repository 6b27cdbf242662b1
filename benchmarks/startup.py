"""How soon the command line answers: a fresh process of `reglab --help` against `wandb --help` and `import torch`.

The peers are the command line that this one works beside, and the import that every training command needs and no page of
help should wait for. Each round starts one process of each, in turns, so that a noisy machine disturbs all alike.

    python -m benchmarks.startup [--rounds N]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from reglab.training.environment import cpu_name

COMMANDS = {
    "reglab --help": [sys.executable, "-m", "reglab", "--help"],
    "wandb --help": [sys.executable, "-m", "wandb", "--help"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, list[float]]:
    """Quartiles in seconds of each command; a first round, which fills the machine's caches, does not count."""
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            spent = seconds(command)
            if number:
                taken[name].append(spent)
    return {name: statistics.quantiles(spent, n=4, method="inclusive") for name, spent in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = max(2, parser.parse_args().rounds)
    quartiles = measure(rounds)
    for name, (low, middle, high) in quartiles.items():
        print(f"{name:14}{middle:7.3f} s   quartiles {low:.3f} to {high:.3f}")
    print(json.dumps({"quartiles_seconds": quartiles, "rounds": rounds, "machine": cpu_name()}))


if __name__ == "__main__":
    main()
