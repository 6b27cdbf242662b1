"""What the study varies: a run's configuration as its factors, each in one canonical form.

A question of the study is about the runs that differ from its base (the plain network at the study's batch size and number
of epochs) in some factors only. `departures` says in which; no list of runs is kept anywhere.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import Any

from reglab.config import FIELDS, AugmentConfig, OptimizerConfig, RunConfig, flat


@dataclass(frozen=True)
class Factors:
    """One treatment. Every default is the plain network of the study; what has no effect has its default, too."""

    batchnorm: int = 0
    """Layers."""
    dropout: tuple[float, ...] = ()
    """The probability of each layer, first to last."""
    clip: float | None = None
    """AGC's clip threshold; None without AGC."""
    transformations: bool = False
    cutout: int = 0
    """Copies of each batch, or of each image."""
    per: str = "batch"
    batch_size: int = 256
    epochs: int = 200
    optimizer: str = "adam"
    """With everything in which it departs from Adam at its default rate: `sgd lr 0.1 cosine`."""
    standardize: bool = False
    placement: str = "unit"
    stem: str = "imagenet"
    held_out: int = 0
    """Training images held out for selection."""

    @property
    def layers(self) -> int:
        """Dropout layers."""
        return len(self.dropout)

    @property
    def symmetric(self) -> bool:
        """Whether all dropout layers, if any, have one probability."""
        return len(set(self.dropout)) <= 1

    @property
    def probability(self) -> float | None:
        """The probability of symmetric dropout; None without dropout, and where it is asymmetric."""
        return self.dropout[0] if self.dropout and self.symmetric else None

    @property
    def array(self) -> str:
        """`0.1/0.2/0.3`; empty without dropout."""
        return "/".join(f"{p:.3g}" for p in self.dropout)

    @property
    def is_at_02(self) -> bool:
        """Whether it is without dropout, or has it at 0.2 in whatever number of layers."""
        return self.symmetric and self.probability in (None, 0.2)

    def departures(self, base: "Factors") -> frozenset[str]:
        """Names of the factors in which it differs from the base."""
        return frozenset(field.name for field in fields(self) if getattr(self, field.name) != getattr(base, field.name))

    def but(self, **changes: object) -> "Factors":
        """The same with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def words(self, names: Collection[str]) -> list[str]:
        """What some factors are, for people, as far as a label of the regularizers does not say it; nothing for what is plain."""
        said = {
            "stem": "CIFAR stem" if self.stem == "cifar" else "",
            "placement": "by stage" if self.placement == "stage" else "",
            "standardize": "weight standardization" if self.standardize else "",
            "optimizer": "" if self.optimizer == Factors.optimizer else self.optimizer,
            "batch_size": f"batch {self.batch_size}",
            "epochs": f"{self.epochs} epochs",
            "held_out": f"{self.held_out:,} held out" if self.held_out else "",
        }
        return [words for name, words in said.items() if words and name in names]

    def columns(self) -> dict[str, object]:
        """As columns of a table of numbers."""
        shown = asdict(self) | {"dropout": self.array, "layers": self.layers, "probability": self.probability}
        return shown | {"agc": self.clip is not None}


SYMMETRIC = (0.2, 0.2, 0.2)
ASYMMETRIC = (0.1, 0.2, 0.3)
CONFIGURATIONS: tuple[tuple[float, ...], ...] = ((), SYMMETRIC[:2], SYMMETRIC, ASYMMETRIC)
"""The dropout configurations that batch normalization is combined with (Figures 5 and 6)."""


@cache
def factors(config: RunConfig) -> Factors:
    """The factors of a configuration."""
    probabilities = list(config.dropout.probabilities)
    while probabilities and probabilities[-1] == 0:
        probabilities.pop()
    layered = bool(config.batchnorm.layers or probabilities)
    return Factors(
        batchnorm=config.batchnorm.layers,
        dropout=tuple(probabilities),
        clip=config.agc.clip if config.agc.enabled else None,
        transformations=_transforms(config.augment),
        cutout=config.cutout.images,
        per=config.cutout.per if config.cutout.images else "batch",
        batch_size=config.train.batch_size,
        epochs=config.train.epochs,
        optimizer=_optimizer(config.optimizer),
        standardize=config.model.standardize,
        placement=config.model.placement if layered else "unit",
        stem=config.model.stem,
        held_out=config.data.validation,
    )


def _transforms(config: AugmentConfig) -> bool:
    return config.policy == "basic" and bool(config.shift or config.flip or config.rotate)


def _optimizer(config: OptimizerConfig) -> str:
    default = OptimizerConfig()
    parts: list[str] = ["adam" if config.name == "adamw" and not config.weight_decay else config.name]  # then they are one algorithm
    parts += [f"lr {config.lr:g}"] if config.lr != default.lr else []
    parts += [f"momentum {config.momentum:g}"] if config.name == "sgd" and config.momentum != default.momentum else []
    parts += [f"decay {config.weight_decay:g}"] if config.weight_decay else []
    parts += [config.schedule] if config.schedule != default.schedule else []
    parts += [f"warm-up {config.warmup_epochs:g}"] if config.warmup_epochs else []
    parts += [f"smoothing {config.label_smoothing:g}"] if config.label_smoothing else []
    return " ".join(parts)


def base(treatments: Iterable[Factors]) -> Factors:
    """The plain network of a study: at the batch size and the number of epochs that most of its runs have."""
    treatments = list(treatments)
    sizes, epochs = Counter(each.batch_size for each in treatments), Counter(each.epochs for each in treatments)
    return Factors(batch_size=_most(sizes), epochs=_most(epochs)) if treatments else Factors()


def _most(counted: Counter[int]) -> int:
    """The commonest; of several that are as common, the largest."""
    return max(counted, key=lambda value: (counted[value], value))


_VARIED = frozenset(
    {"arm", "cell", "data.folder", "data.validation", "agc.enabled", "agc.clip", "augment.policy", "cutout.images", "cutout.per"}
    | {f"model.{key}" for key in ("standardize", "placement", "stem")}
    | {f"train.{key}" for key in ("epochs", "batch_size", "seed", "checkpoint_every", "keep_weights")}
    | {key for key in FIELDS if key.startswith(("batchnorm.", "dropout.", "optimizer.")) and key != "optimizer.eps"}
)
"""Keys that the factors stand for, and those that change no result."""


def setup(config: RunConfig) -> dict[str, Any]:
    """What a study holds fixed while its factors vary, as far as it has an effect in this run: key paths and values."""
    unused = {
        "agc.": not config.agc.enabled,
        "augment.": not _transforms(config.augment),
        "cutout.": not config.cutout.images,
        "optimizer.eps": config.optimizer.name == "sgd",
        "data.name": config.data.source != "folder",
        "data.resize": config.data.source != "folder",
    }
    without = (*_VARIED, *(prefix for prefix, is_unused in unused.items() if is_unused))
    held = {key: value for key, value in flat(config.model_dump()).items() if not key.startswith(without)}
    if "data.name" in held:
        held["data.name"] = config.data.folder_name
    return held | {"train.compile": config.train.compile is True}
