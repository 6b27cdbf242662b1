"""Named arms: presets that an `arm:` value in a configuration expands into.

The six final models of the study (Figure 11). A preset fixes the four regularizers; whatever it does not name keeps its
default or the value given beside it.
"""

from typing import Any

_NONE: dict[str, Any] = {
    "batchnorm": {"layers": 0},
    "dropout": {"layers": 0},
    "agc": {"enabled": False},
    "augment": {"policy": "none"},
    "cutout": {"images": 0},
}
_BN2: dict[str, Any] = {"batchnorm": {"layers": 2}}
_SYMMETRIC: dict[str, Any] = {"dropout": {"layers": 3, "p": 0.2}}
_ASYMMETRIC: dict[str, Any] = {"dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}}
_TRANSFORMATIONS: dict[str, Any] = {"augment": {"policy": "basic"}}
_CUTOUT_2: dict[str, Any] = {"cutout": {"images": 2}}

ARMS: dict[str, dict[str, Any]] = {
    "baseline": _NONE,
    "batchnorm_symmetric_dropout": _NONE | _BN2 | _SYMMETRIC,
    "symmetric_augmentation": _NONE | _BN2 | _SYMMETRIC | _TRANSFORMATIONS,
    "asymmetric_augmentation": _NONE | _BN2 | _ASYMMETRIC | _TRANSFORMATIONS,
    "symmetric_cutout_2": _NONE | _BN2 | _SYMMETRIC | _CUTOUT_2,
    "asymmetric_cutout_2": _NONE | _BN2 | _ASYMMETRIC | _CUTOUT_2,
}

FINAL_ARMS: tuple[str, ...] = tuple(ARMS)
"""The six final models, in the order of Figure 11."""
