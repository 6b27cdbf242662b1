"""Optimizers and learning-rate schedules."""

import math

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from reglab.config import OptimizerConfig


def build(config: OptimizerConfig, network: nn.Module) -> Optimizer:
    """The configured optimizer over all parameters of `network`. Adam and SGD add an L2 penalty, AdamW decays decoupled."""
    parameters = list(network.parameters())
    if config.name == "sgd":
        # Not fused: where fp16's scaler skips the first step, the fused kernel would leave the momentum buffer uninitialized.
        return SGD(parameters, config.lr, config.momentum, weight_decay=config.weight_decay, nesterov=config.momentum > 0)
    kind = Adam if config.name == "adam" else AdamW
    return kind(parameters, config.lr, eps=config.eps, weight_decay=config.weight_decay, fused=True)


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
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
