"""The CPU threads of a process that trains."""

import torch

from reglab.settings import settings
from reglab.sweep.machine import cores


def take_threads() -> None:
    """As many as the settings say; else as PyTorch would take, and no more than this process may use cores."""
    torch.set_num_threads(settings().threads or min(torch.get_num_threads(), len(cores())))
