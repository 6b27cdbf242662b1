"""A run trained as `reglab train` does it, without a folder of runs around it."""

from reglab.training import loop
from reglab.training.resume import resume


def train(run, record, environment, sinks, file, signals, kept=None):
    """From the checkpoint in `file`, where there is one of this run, to its end."""
    with signals.at_once():
        resume(run, file, record.formerly)
    return loop.train(run, record, environment, sinks, file, signals, kept)
