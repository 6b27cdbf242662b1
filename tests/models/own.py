"""Networks as a user might bring them, for tests: reached by name, such as `tests.models.own:small`."""

from functools import cache

import torch
from torch import nn


def small(classes, side, channels, width=4):
    """A convolution, a norm, dropout and a linear layer: a fraction of a second to train."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    )


def torchvisions(classes, side, channels, **options):
    """Torchvision's ResNet-18."""
    import torchvision

    return torchvision.models.resnet18(num_classes=classes, **options)


def timms(classes, side, channels, **options):
    """Timm's ResNet-18."""
    import timm

    return timm.create_model("resnet18", num_classes=classes, in_chans=channels, **options)


class Odd(nn.Module):
    """A frozen part, a part in double precision, a tied one, one that is never used, and one that lies transposed."""

    def __init__(self, classes, side, channels):
        super().__init__()
        self.frozen = nn.Linear(channels * side * side, 8).requires_grad_(False)
        self.exact = nn.Linear(8, 8).double()
        self.tied = nn.Linear(8, 8)
        self.tied.weight = self.exact.weight
        self.unused = nn.Linear(3, 3)
        self.lying = nn.Parameter(torch.randn(classes, 8).t())

    def forward(self, images):
        return self.tied(self.exact(self.frozen(images.flatten(1))).relu()) @ self.lying


def two_heads(classes, side, channels):
    """Two linear layers with an output a class."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes), nn.ReLU(), nn.Linear(classes, classes))


def frozen(classes, side, channels):
    """Nothing to train."""
    return two_heads(classes, side, channels).requires_grad_(False)


def of_a_thousand(classes, side, channels):
    """It does not ask how many classes there are."""
    return two_heads(1000, side, channels)


def of_no_images(classes, side, channels):
    """It wants other images."""
    return nn.Linear(7, classes)


class Viewing(nn.Module):
    """It takes for granted that the channels of its images, and of what it makes of them, come first in memory."""

    def __init__(self, classes, side, channels):
        super().__init__()
        self.convolution = nn.Conv2d(channels, 4, 3, padding=1)
        self.head = nn.Linear(4 * side * side, classes)

    def forward(self, images):
        return self.head(self.convolution(images).view(len(images), -1))


class OneOrTwo(nn.Module):
    """In training it gives two answers, as some of torchvision's networks do."""

    def __init__(self, classes, side, channels):
        super().__init__()
        self.head = nn.Linear(channels * side * side, classes)

    def forward(self, images):
        logits = self.head(images.flatten(1))
        return (logits, logits) if self.training else logits


class Detached(OneOrTwo):
    """No gradient gets through it."""

    def forward(self, images):
        return self.head(images.flatten(1)).detach()


class Noted(Detached):
    """Its state is more than tensors."""

    def get_extra_state(self):
        return {"note": 1}

    def forward(self, images):
        return self.head(images.flatten(1))


class Remembering(nn.Module):
    """It takes away a mean over the batches so far, in a buffer that is new with each, from a second on; and counts in one of no state."""

    def __init__(self, classes, side, channels):
        super().__init__()
        self.head = nn.Linear(channels * side * side, classes)
        self.register_buffer("batches", torch.zeros(()), persistent=False)
        self.register_buffer("mean", None)

    def forward(self, images):
        if self.training:
            mean = images.detach().mean()
            self.mean = mean if self.mean is None else self.mean * 0.9 + mean * 0.1
            self.batches += 1
        logits = self.head((images - (0 if self.mean is None else self.mean)).flatten(1))
        return logits * (1 + self.batches / 10)


_before = nn.Linear(3 * 32 * 32, 10)


def of_before(classes, side, channels):
    """A layer of it is made when the file is imported."""
    return nn.Sequential(nn.Flatten(), _before)


@cache
def of_a_cache(classes, side, channels):
    """The second call gives what the first one made."""
    return two_heads(classes, side, channels)


def none(classes, side, channels):
    """No module."""


def failing(classes, side, channels, loudly=False):
    """It cannot be built."""
    raise ValueError("two\nlines")


LIMIT = 3
