"""The networks that `model.name` chooses among, as far as it can be said without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BuiltIn:
    """A network of reglab's own.

    `title` and `size`: what it is called, for people; the latter has keys in braces. `keys`: those of the section that have an effect in
    it. `units` of a block, and `stages`, are what the layers of techniques are counted by. `quick`: keys that make it small. `built_by`:
    what builds it, imported only where it trains.
    """

    title: str
    size: str
    keys: tuple[str, ...]
    units: int
    stages: int
    quick: Mapping[str, Any]
    built_by: str


_EVERY = ("placement", "init", "standardize")

NETWORKS = {
    "resnet50": BuiltIn(
        title="ResNet-50",
        size=" of width {width}",
        keys=("width", "stem", *_EVERY),
        units=3,
        stages=4,
        quick={"model.width": 8},
        built_by="reglab.models.resnet:ResNet50",
    ),
    "wide_resnet": BuiltIn(
        title="WideResNet",
        size=" {depth}-{widen}",
        keys=("depth", "widen", *_EVERY),
        units=2,
        stages=3,
        quick={"model.depth": 16, "model.widen": 1},
        built_by="reglab.models.wide_resnet:WideResNet",
    ),
}
"""By what `model.name` calls them; one of another package, as `package.module:function`, is none of these."""


def called(values: Mapping[str, Any]) -> str:
    """What the network is called that has these values at its keys' paths (`model.width`), as far as they are there, for people."""
    name = values.get("model.name")
    if name is None:
        return "several networks"
    if name not in NETWORKS:
        options = [f"{path.rpartition('.')[2]} {value}" for path, value in values.items() if path.startswith("model.options.")]
        return f"{name} ({', '.join(options)})" if options else str(name)
    own = {path.removeprefix("model."): value for path, value in values.items() if path.startswith("model.")}
    try:
        return NETWORKS[name].title + NETWORKS[name].size.format(**own)
    except KeyError:  # a size that is varied
        return NETWORKS[name].title
