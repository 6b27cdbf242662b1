"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from reglab.config import OptimizerConfig


def build(config: OptimizerConfig, groups: Sequence[tuple[nn.Parameter, float]]) -> Optimizer:
    """The configured optimizer, fused, of parameters and how much of each decays. Adam and SGD add an L2 penalty, AdamW decays decoupled.

    Rate and state are tensors on the device from the start, so that a captured step finds them where they stay.
    """
    first, _ = groups[0]
    rate = torch.tensor(config.lr, device=first.device)
    decaying = [{"params": [weights], "weight_decay": decay} for weights, decay in groups]
    if config.name == "sgd":
        built: Optimizer = SGD(decaying, rate, config.momentum, nesterov=config.momentum > 0, fused=True)
        # Not left to the first step: where fp16's scaler skips that, the fused kernel would leave momentum uninitialized.
        for weights, _ in groups:
            built.state[weights] = {"momentum_buffer": torch.zeros_like(weights)} if config.momentum else {}
        return built
    kind = Adam if config.name == "adam" else AdamW
    built = kind(decaying, rate, eps=config.eps, fused=True, capturable=first.is_cuda)
    for weights, _ in groups:
        moments = {name: torch.zeros_like(weights) for name in ("exp_avg", "exp_avg_sq")}
        built.state[weights] = {"step": torch.zeros((), device=weights.device), **moments}
    return built


def load(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over the moments of a checkpoint. The rest is the configuration's, and of the device that is here."""
    optimizer.load_state_dict({"state": state["state"], "param_groups": optimizer.state_dict()["param_groups"]})


def learning_rate(config: OptimizerConfig, epochs: int, progress: float) -> float:
    """The rate of the step that starts `progress` epochs into a run of `epochs`.

    Linear warm-up from zero, then constant, or a half cosine down to zero (Loshchilov and Hutter 2017), or a tenth from
    half and a hundredth from three quarters of the run (He et al. 2016).
    """
    if progress < config.warmup_epochs:
        return config.lr * progress / config.warmup_epochs
    if config.schedule == "cosine":
        done = (progress - config.warmup_epochs) / max(epochs - config.warmup_epochs, 1e-9)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1)))
    if config.schedule == "step":
        return config.lr * 0.1 ** ((progress >= epochs * 0.5) + (progress >= epochs * 0.75))
    return config.lr


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the rate of the next step, in place: a captured step reads it from where it stood."""
    for group in optimizer.param_groups:
        group["lr"].fill_(rate)
