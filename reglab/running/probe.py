"""A look at how fast this machine trains a configuration, for plans that no finished run informs."""

import math
import time

from reglab.config import DataConfig, RunConfig
from reglab.data.sources import load
from reglab.processes.signals import Signals
from reglab.settings import settings
from reglab.sweep.plan import images_per_epoch
from reglab.training.environment import pick_device
from reglab.training.run import Run

PROBE_SECONDS = 3.0


def seconds_an_image(config: RunConfig) -> float:
    """Wall seconds for an image on this machine's device, from epochs of digits: all images have the same size."""
    config = config.model_copy(update={"data": DataConfig(source="digits")})
    run = Run(config, load(config.data, settings().cache), pick_device(settings().device))
    run.warm_up()
    start, epochs = 0.0, -1  # the first epoch warms up
    while epochs < 1 or time.perf_counter() - start < PROBE_SECONDS:
        run.train_until(math.inf, Signals())
        run.end_epoch(run.sums.read())
        epochs += 1
        start = start or time.perf_counter()
    return (time.perf_counter() - start) / epochs / images_per_epoch(config)
