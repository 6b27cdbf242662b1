"""The configuration of one run: what it is made of, what it accepts, and which runs are the same experiment.

`RunConfig` is the only description of a run in this project: the command line, a sweep's parameters, W&B's page and a
stored record all hold its nested form. `identity` tells which configurations are one arm.
"""

import difflib
import hashlib
import json
import os
import re
import shlex
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from reglab.arms import ARMS
from reglab.errors import UserError, excerpt, shown

UNITS_PER_BLOCK = 3
"""Convolution units in a bottleneck block, hence the most layers a regularizer can have."""

_MOST = 10**9
"""The largest number that a key without a limit of its own takes: no run needs more, and single-precision arithmetic holds it."""

_BRIGHTEST = 1e38
"""The largest number of a pixel: images can be of 32-bit floats."""

_UNSAID = (_MOST, _BRIGHTEST, -_BRIGHTEST)
"""Limits that nobody meets but by mistake: named to whoever did."""

_LONGEST_NAME = 200
_LONGEST_PATH = 4096
_LONGEST_CELL = 4000
"""Characters. No file system takes a longer path; a cell names each searched key with its value."""

_MOST_VALUES = 10_000
"""Of one `KEY=[a,b]`."""

_LONGEST_GUESSED = 100
"""Characters of a word for which a near one is looked for."""

IDENTITY_VERSION = 1
"""What identities mean: raised whenever a default, or what a value does, is changed; not for a new key whose default does nothing."""


@dataclass(frozen=True)
class Matters:
    """In the annotation of a key: in which runs its value decides what the run comes to. A key without it does in every run."""

    when: Callable[["RunConfig"], bool]


NO_EFFECT = Matters(lambda run: False)
"""Of a key that changes no result: no identity tells of it."""

SPEED_ONLY = "speed only"
"""Of a key that changes times and no accuracy, but for rounding: reports pool the accuracies of runs that differ in it, not the times."""

_OF_A_FOLDER = Matters(lambda run: run.data.source == "folder")


class Section(BaseModel):
    """A group of keys. Frozen, and an unknown key is an error: a misspelt treatment must never run as its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    @field_validator("*", mode="before")
    @classmethod
    def _nothing_is_read_as_what_it_does_not_say(cls, value: Any, info: ValidationInfo) -> Any:
        options, _ = _options(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and bool not in options:
            raise PydanticCustomError("flag", "true and false are not numbers")
        if isinstance(value, str) and options[0] in (int, float) and _number(value) is None:
            raise PydanticCustomError("number", "digits in groups, of another base or of a clock are no number")
        if isinstance(value, float) and options == [str]:
            raise PydanticCustomError("text", "1.10 was text, and is 1.1 as a number")
        return value

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """The keys of this section that have an effect in `run`, and their values: of two ways to say the same, always one."""
        fields = type(self).model_fields.items()
        return {name: getattr(self, name) for name, field in fields if all(_matter(field, run)) and not _is_section(field)}

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """The same keys, with the values that were given."""
        return {name: getattr(self, name) for name in self.effective(run)}


class DataConfig(Section):
    """Which images. The limits and the validation part are the same for every seed, so that seeds differ in training only."""

    source: Literal["cifar10", "folder", "digits"] = "cifar10"
    folder: Annotated[str | None, NO_EFFECT] = Field(
        default=None, max_length=_LONGEST_PATH, description="for source folder: holds train/<class>/* and test/<class>/*"
    )
    name: Annotated[str | None, _OF_A_FOLDER] = Field(
        default=None, max_length=_LONGEST_NAME, description="for source folder: what reports call it; null: the folder's own name"
    )
    resize: Annotated[bool, _OF_A_FOLDER] = Field(
        default=False, description="for source folder: scale images to 32x32 instead of refusing other sizes"
    )
    background: Annotated[Literal["white", "grey", "black"], _OF_A_FOLDER] = Field(
        default="white", description="for source folder: what lies behind transparent images"
    )
    black: Annotated[float, _OF_A_FOLDER] = Field(
        default=0.0, ge=-_BRIGHTEST, le=_BRIGHTEST, description="for source folder: the number that is black in images deeper than 8 bits"
    )
    white: Annotated[float | None, _OF_A_FOLDER] = Field(
        default=None,
        ge=-_BRIGHTEST,
        le=_BRIGHTEST,
        description="for source folder: the number that is white there; null: 65535, where 16 bits are used and the format says so",
    )
    train_limit: int | None = Field(default=None, ge=2, le=_MOST, description="keep this many training images")
    test_limit: int | None = Field(default=None, ge=1, le=_MOST, description="keep this many test images")
    validation: int = Field(default=0, ge=0, le=_MOST, description="training images held out for selection")

    @field_validator("folder", "name", mode="before")
    @classmethod
    def _records_can_hold_it(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and shown(value) != value:
            fault = "it holds what is not printed, or is no UTF-8, so no record can hold it"
            raise ValueError(f"data.{info.field_name} = {excerpt(value)}: {fault}: rename it, or link to it")
        return value

    @model_validator(mode="after")
    def _folder_is_given_where_it_is_read(self) -> Self:
        if self.source == "folder" and not self.folder:
            raise ValueError("data.source = folder needs data.folder, the folder that holds train/<class>/* and test/<class>/*")
        return self

    @model_validator(mode="after")
    def _white_is_above_black(self) -> Self:
        if self.white is None and self.black != 0:
            raise ValueError(f"data.black = {self.black:g} needs data.white, the number that is white")
        if self.white is not None and self.white <= self.black:
            raise ValueError(f"data.white = {self.white:g} must be above data.black = {self.black:g}")
        return self

    @property
    def path(self) -> Path:
        """The folder, for source folder."""
        path = Path(str(self.folder))
        with suppress(RuntimeError):  # a home that is not known here
            path = path.expanduser()
        return path

    @property
    def folder_name(self) -> str:
        """What reports call a folder's images."""
        return self.name or shown(Path(os.path.realpath(self.path)).name)  # of links in a circle, too

    @property
    def is_here(self) -> bool:
        """Whether there is such a folder on this machine."""
        return self.path.is_dir()

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Of a folder the name, given or its own, and not the path: so that an arm is the same on two machines."""
        found = super().effective(run)
        return found | ({"name": self.folder_name} if "name" in found else {})


class ModelConfig(Section):
    """The network (He et al. 2016): its size, its stem, and where regularization layers sit."""

    width: int = Field(default=64, ge=2, le=1024, description="channels of the stem; 64 is the standard ResNet-50")  # torch breaks at 1
    stem: Literal["imagenet", "cifar"] = Field(default="imagenet", description="imagenet: 7x7 stride 2 and pooling; cifar: 3x3 stride 1")
    placement: Annotated[Literal["unit", "stage"], Matters(lambda run: bool(run.batchnorm.layers or run.dropout.acting))] = Field(
        default="unit", description="layers count the units of every block, or the stages"
    )
    init: Literal["glorot", "he"] = Field(default="glorot", description="initial weights; biases start at zero")
    standardize: bool = Field(default=False, description="scaled weight standardization (Brock et al. 2021)")


class BatchNormConfig(Section):
    """Batch normalization (Ioffe and Szegedy 2015)."""

    layers: int = Field(default=0, ge=0, le=UNITS_PER_BLOCK)


class DropoutConfig(Section):
    """Dropout (Srivastava et al. 2014): `p` for every layer, or `p1` `p2` `p3` layer by layer."""

    layers: int = Field(default=0, ge=0, le=UNITS_PER_BLOCK)
    p: float | None = Field(default=None, ge=0, lt=1, description="symmetric probability")
    p1: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 1")
    p2: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 2")
    p3: float | None = Field(default=None, ge=0, lt=1, description="probability of layer 3")

    @model_validator(mode="after")
    def _one_way_to_give_the_probabilities(self) -> Self:
        each = {f"dropout.p{i}": p for i, p in enumerate((self.p1, self.p2, self.p3), start=1)}
        given = {key: p for key, p in each.items() if p is not None}
        if self.p is not None and given:
            key, value = next(iter(given.items()))
            raise ValueError(f"dropout.p = {self.p} stands beside {key} = {value}: give p (the same in every layer) or p1 p2 p3, not both")
        missing = [key for key in list(each)[: self.layers] if self.p is None and key not in given]
        if missing:
            raise ValueError(
                f"dropout.layers = {self.layers} has no {missing[0]}: set dropout.p (the same in every layer) or {' '.join(missing)}"
            )
        return self

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The dropping probability of each layer that is there, first to last."""
        if self.p is not None:
            return (self.p,) * self.layers
        return tuple(float(p or 0) for p in (self.p1, self.p2, self.p3)[: self.layers])

    @property
    def acting(self) -> tuple[float, ...]:
        """The probabilities without the layers at the end that drop nothing."""
        probabilities = list(self.probabilities)
        while probabilities and probabilities[-1] == 0:
            probabilities.pop()
        return tuple(probabilities)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Layer by layer, however the probabilities were given."""
        return {"layers": len(self.acting)} | {f"p{layer}": p for layer, p in enumerate(self.acting, start=1)}

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """One probability where it is that of every layer."""
        return super().given(run) if self.p is None or not self.acting else {"layers": self.layers, "p": self.p}


class AGCConfig(Section):
    """Adaptive gradient clipping (Brock et al. 2021)."""

    enabled: bool = False
    clip: Annotated[float, Matters(lambda run: run.agc.enabled)] = Field(
        default=0.02, gt=0, le=_MOST, description="clip threshold, lambda in equation 3"
    )
    eps: Annotated[float, Matters(lambda run: run.agc.enabled)] = Field(
        default=1e-3, gt=0, le=_MOST, description="floor of a unit's weight norm"
    )


class AugmentConfig(Section):
    """The study's simple transformations, each drawn per image. They act only under policy basic."""

    policy: Literal["none", "basic"] = "none"
    shift: int = Field(default=4, ge=0, le=16, description="largest shift in pixels, in each direction")
    flip: bool = Field(default=True, description="mirror horizontally with probability one half")
    rotate: float = Field(default=0.0, ge=0, le=180, description="largest rotation in degrees, in each direction")

    @property
    def acts(self) -> bool:
        """Whether it does anything to an image."""
        return self.policy == "basic" and bool(self.shift or self.flip or self.rotate)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """No transformation at all is no policy."""
        return super().effective(run) if self.acts else {"policy": "none"}


class CutoutConfig(Section):
    """Copies with a black square, appended to each batch (after DeVries and Taylor 2017)."""

    images: int = Field(default=0, ge=0, le=64, description="copies appended")
    size: Annotated[int, Matters(lambda run: run.cutout.images > 0)] = Field(
        default=12, ge=1, le=32, description="side of the square in pixels"
    )
    per: Annotated[Literal["batch", "image"], Matters(lambda run: run.cutout.images > 0)] = Field(
        default="batch", description="whether `images` counts copies of a batch or of each image"
    )


class OptimizerConfig(Section):
    name: Literal["adam", "sgd", "adamw"] = "adam"
    lr: float = Field(default=1e-3, gt=0, le=_MOST, description="peak learning rate")
    momentum: Annotated[float, Matters(lambda run: run.optimizer.name == "sgd")] = Field(
        default=0.9, ge=0, lt=1, description="Nesterov momentum of sgd"
    )
    eps: Annotated[float, Matters(lambda run: run.optimizer.name != "sgd")] = Field(
        default=1e-7, gt=0, le=_MOST, description="of adam and adamw: the default of the study's framework; PyTorch's is 1e-8"
    )
    weight_decay: float = Field(default=0.0, ge=0, le=_MOST, description="L2 penalty (adam, sgd) or decoupled decay (adamw)")
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0, le=_MOST, description="epochs of linear warm-up from zero")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Without decay, AdamW is Adam."""
        return super().effective(run) | ({"name": "adam"} if self.name == "adamw" and not self.weight_decay else {})


class TrainConfig(Section):
    epochs: int = Field(default=200, ge=1, le=_MOST)
    batch_size: int = Field(default=256, ge=2, le=_MOST)
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(default="auto", description="auto: bf16 or fp16 on a GPU, fp32 on a CPU")
    compile: Annotated[Literal["auto"] | bool, SPEED_ONLY] = Field(
        default="auto", description="torch.compile the network; auto: no, until a benchmark shows it pays"
    )
    graph: Annotated[Literal["auto"] | bool, SPEED_ONLY, NO_EFFECT] = Field(
        default="auto", description="capture the training step as a CUDA graph; auto: on a GPU, where it can be captured"
    )
    target_accuracy: float = Field(default=0.87, gt=0, le=1, description="training accuracy whose time is taken")
    target_on: Literal["running", "clean"] = Field(
        default="running", description="running: over the epoch's own batches; clean: in evaluation mode, measured after each epoch"
    )
    seed: Annotated[int, NO_EFFECT] = Field(default=0, ge=0, lt=2**31)  # of the identity; a run is named after both
    eval_every: int = Field(default=1, ge=1, le=_MOST, description="epochs between evaluations; the last epoch is always evaluated")
    checkpoint_every: Annotated[float, NO_EFFECT] = Field(
        default=60.0, ge=0, le=_MOST, description="seconds between checkpoints; 0: after every step"
    )
    keep_weights: Annotated[bool, NO_EFFECT] = Field(
        default=False, description="leave the weights of the finished run beside its record, for `reglab evaluate`"
    )

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Nothing is compiled unless asked for."""
        return super().effective(run) | ({} if self.compile is True else {"compile": "auto"})


class RunConfig(Section):
    """Everything that decides what one run does. Build it with `RunConfig.parse`."""

    cell: Annotated[str | None, NO_EFFECT] = Field(
        default=None,
        max_length=_LONGEST_CELL,
        description="`section.key=value` words, expanded into the other keys: one cell of a sweep",
    )
    arm: Annotated[str | None, NO_EFFECT] = Field(default=None, description="a named preset, expanded into the other keys")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    batchnorm: BatchNormConfig = BatchNormConfig()
    dropout: DropoutConfig = DropoutConfig()
    agc: AGCConfig = AGCConfig()
    augment: AugmentConfig = AugmentConfig()
    cutout: CutoutConfig = CutoutConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="before")
    @classmethod
    def _expand_presets(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if isinstance(values.get("cell"), str) and len(values["cell"]) <= _LONGEST_CELL:  # a longer one is refused where it stands
            values = _laid_under(values, _cell(values["cell"]))
        if values.get("arm") is None:
            return values
        name = values["arm"]
        if not isinstance(name, str) or name not in ARMS:
            raise ValueError(f"arm = {excerpt(name)}: must be {allowed('arm')}{nearest(str(name), ARMS)}")
        return _laid_under(values, ARMS[name])

    @model_validator(mode="after")
    def _presets_are_what_they_say(self) -> Self:
        for name, preset in (("cell", _cell(self.cell or "")), ("arm", ARMS.get(self.arm or "", {}))):
            for path, value in flat(preset).items():
                section, _, key = path.rpartition(".")
                given = getattr(getattr(self, section) if section else self, key)
                if given != value and str(given) != str(value):
                    fault = f"{path} = {given} contradicts {name} = {getattr(self, name)}, which sets it to {value}"
                    raise ValueError(f"{fault}: drop one of the two")
        return self

    @model_validator(mode="after")
    def _warm_up_ends_within_the_run(self) -> Self:
        if self.optimizer.warmup_epochs > self.train.epochs:
            raise ValueError(
                f"optimizer.warmup_epochs = {self.optimizer.warmup_epochs:g} is longer than train.epochs = {self.train.epochs}: "
                "the learning rate would never reach optimizer.lr; shorten one or lengthen the other"
            )
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate a nested mapping of keys. Raises UserError with one line that names the key, the value and what is allowed."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error)) from None

    @property
    def label(self) -> str:
        """What it regularizes with, for people: the arm's name where it is one, so one regularization has one label."""
        mine = _regularizers(self)
        return next((name for name in ARMS if _regularizers(RunConfig(arm=name)) == mine), None) or _describe(self)


def _laid_under(values: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values, with those of the preset where they have none."""
    expanded = dict(values)
    for name, value in preset.items():
        if not isinstance(value, Mapping):
            expanded[name] = value if values.get(name) is None else values[name]
        elif isinstance(given := values.get(name, {}), Mapping):  # what is not a mapping, the section itself refuses
            expanded[name] = {**value, **given}
    return expanded


def _cell(words: str) -> dict[str, Any]:
    return nested(parse_overrides(shlex.split(words)))


LABELLED = ("batchnorm.", "dropout.", "agc.", "augment.", "cutout.")
"""How the keys begin of which a run's label tells."""


def _describe(config: RunConfig) -> str:
    parts = []
    if config.batchnorm.layers:
        parts.append(f"BN {config.batchnorm.layers}")
    if probabilities := config.dropout.acting:
        shown = probabilities[:1] if len(set(probabilities)) == 1 else probabilities
        parts.append(f"dropout {len(probabilities)} at " + "/".join(f"{p:.3g}" for p in shown))
    if config.agc.enabled:
        parts.append(f"AGC {config.agc.clip:g}" + (f" eps {config.agc.eps:g}" if config.agc.eps != AGCConfig().eps else ""))
    if config.augment.acts:
        moves = {"shift": config.augment.shift, "flip": config.augment.flip, "rotate": config.augment.rotate}
        unusual = [f"{name} {value:g}" for name, value in moves.items() if value != getattr(AugmentConfig(), name)]
        parts.append(" ".join(["transformations", *unusual]))
    if config.cutout.images:
        size = f" of {config.cutout.size}" if config.cutout.size != CutoutConfig().size else ""
        parts.append(f"cutout {config.cutout.images}{size}" + (" per image" if config.cutout.per == "image" else ""))
    return " · ".join(parts)


def _regularizers(config: RunConfig) -> dict[str, Any]:
    """What the four techniques do, without values that have no effect."""
    return {path: value for path, value in effective(config).items() if path.startswith(LABELLED)}


def effective(config: RunConfig) -> dict[str, Any]:
    """The keys that have an effect in this run (`dropout.p1`), with their values. What has none declares so where it stands."""
    found = config.effective(config)
    for name, section in config:
        if isinstance(section, Section):
            found |= {f"{name}.{key}": value for key, value in section.effective(config).items()}
    return found


def as_given(config: RunConfig) -> dict[str, Any]:
    """The keys that have an effect in this run as they were given: `dropout.p` for the same in every layer, AdamW without decay."""
    return {
        f"{name}.{key}": value for name, section in config if isinstance(section, Section) for key, value in section.given(config).items()
    }


def identity(config: RunConfig) -> str:
    """Hash of what a run does, whatever its seed: 12 hexadecimal digits.

    Two configurations with one identity are the same arm and run once a seed. It is the hash of `IDENTITY_VERSION` and of the
    effective values that depart from the defaults, so that a key which is added later changes no identity where it does nothing.
    A departure is from the constant that a key has as its default, whatever other keys are. Numbers of one value are one (1, 1.0).
    """
    defaults = _defaults(type(config))
    departures = {path: text for path, value in effective(config).items() if (text := _canonical(value)) != defaults[path]}
    return hashlib.sha256(json.dumps([IDENTITY_VERSION, departures], sort_keys=True).encode()).hexdigest()[:12]


@cache
def _defaults(model: type[RunConfig]) -> dict[str, str]:
    return {path: _canonical(field.default) for path, field in _fields(model)}


@lru_cache(maxsize=10_000, typed=True)
def _canonical(value: Any) -> str:
    """As JSON, whole numbers without a fraction: a whole float comes back from W&B as an integer, and -0.0 is 0."""
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def run_id(config: RunConfig) -> str:
    """The identity with its seed: the name of the one run that answers this configuration, such as `4f0c…-s0`."""
    return f"{identity(config)}-s{config.train.seed}"


def at_default_speed(config: RunConfig) -> RunConfig:
    """The same run without what changes its speed only."""
    defaults: dict[str, dict[str, Any]] = nested({path: FIELDS[path].default for path in SPEED_KEYS})
    return config.model_copy(update={name: getattr(config, name).model_copy(update=keys) for name, keys in defaults.items()})


def with_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A nested mapping with `section.key=value` words laid over it, as `parse_overrides` reads them.

    Raises UserError for a word without `=` and for a value given to a whole section.
    """
    merged = dict(values)
    for name, value in nested(parse_overrides(overrides)).items():
        both = isinstance(value, dict) and isinstance(merged.get(name, {}), Mapping)
        merged[name] = {**merged.get(name, {}), **value} if both else value
    return merged


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"dropout.p1": 0.1}` as `{"dropout": {"p1": 0.1}}`."""
    out: dict[str, Any] = {}
    for path, value in flat.items():
        section, _, key = path.rpartition(".")
        (out.setdefault(section, {}) if section else out)[key] = value
    return out


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"dropout": {"p1": 0.1}}` as `{"dropout.p1": 0.1}`."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        out |= {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, Mapping) else {name: value}
    return out


def parse_overrides(words: Iterable[str]) -> dict[str, Any]:
    """`section.key=value` words as a mapping of key paths to values; `section.key=[a, b]` gives a list. The key's type decides.

    A text key takes the very text, a number key decimal or scientific notation; `null` unsets a key that may be unset. A text
    in quotes is what stands between them: that is how one begins with `[`, or is called null.
    Raises UserError for an unknown key, and for what the key's type cannot be.
    """
    values = {}
    for word in words:
        path, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"'{excerpt(word)}' is not key=value; for example train.epochs=10")
        if path not in FIELDS:
            raise UserError(unknown_key(path))
        values[path] = _listed(path, text) if text.lstrip().startswith("[") else _read(path, text)
    return values


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _matter(field: FieldInfo, run: RunConfig) -> Iterator[bool]:
    return (mark.when(run) for mark in field.metadata if isinstance(mark, Matters))


def _listed(path: str, text: str) -> list[Any]:
    """The values of `[a, "b, c"]`, a flow sequence of YAML. Raises UserError for anything else that begins with a bracket."""
    if (items := _scalars(text)) is None:
        raise UserError(f"{path}={excerpt(text)}: neither a list such as [a, b], over which a sweep searches, nor a text in quotes")
    if len(items) > _MOST_VALUES:
        raise UserError(f"{path}=[…]: a list of more than {_MOST_VALUES:,} values; give fewer")
    return [_value(path, item.value, quoted=item.style is not None) for item in items]


def _end(event: yaml.Event) -> int | None:
    return event.end_mark.index if event.end_mark else None


def _scalars(text: str) -> list[yaml.ScalarEvent] | None:
    """The scalars of YAML's `[a, "b, c"]`, one more than are allowed where they are too many; or the single one of a text in quotes.

    None for all else, such as what nests, or names values by anchors and tags. It stops at the first event that does not fit: the parser
    takes minutes, and more levels than Python has, for ten thousand brackets.
    """
    found: list[yaml.ScalarEvent] = []
    begun = False
    try:
        for event in yaml.parse(text, yaml.BaseLoader):
            if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
                found.append(event)
                if not begun or len(found) > _MOST_VALUES:
                    return found if begun or _end(event) == len(text) else None
            elif isinstance(event, yaml.SequenceStartEvent) and not begun and event.anchor is None and event.tag is None:
                begun = True
            elif isinstance(event, yaml.SequenceEndEvent):
                return found if _end(event) == len(text.rstrip()) else None
            elif not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                return None
    except (yaml.YAMLError, ValueError, OverflowError):  # the latter two of an escape beyond the last character
        pass
    return None


def _read(path: str, text: str) -> Any:
    """What `text` is to the key at `path`, its quotes removed if it stands in some."""
    if text[:1] in ("'", '"') and (quoted := _scalars(text)):  # else such as 'a' and 'b'
        return _value(path, quoted[0].value, quoted=True)
    return _value(path, text)


def _value(path: str, text: str, quoted: bool = False) -> Any:
    """The text as the key's type has it; what it cannot be is left to the model, but for what that would take for another."""
    options, optional = _options(FIELDS[path].annotation)
    bare = text.strip()
    if optional and bare == "null" and not quoted:
        return None
    if not bare and not quoted:
        raise UserError(f"{path}= has no value: it must be {allowed(path)}")
    if options == [str]:
        return text
    if options[0] in (int, float):
        if (number := _number(bare)) is None:
            raise UserError(f"{path} = {excerpt(text)}: must be {allowed(path)}")
        return number
    if bool in options:
        try:
            return TypeAdapter(bool).validate_python(bare)
        except ValidationError:
            return bare
    return bare


def _number(text: str) -> int | float | None:
    """A number in decimal or scientific notation; None for everything else that programs take for one: `1_000`, `0x10`, `1:30`."""
    if not re.fullmatch(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?", text, re.IGNORECASE):
        return None
    try:
        return int(text)
    except ValueError:  # with a point or an exponent, or thousands of digits
        return float(text)


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if _is_section(field):
            yield from _fields(typing.cast(type[Section], field.annotation), f"{prefix}{name}.")
        else:
            yield prefix + name, field


FIELDS: dict[str, FieldInfo] = dict(_fields(RunConfig))
"""Every key path of a configuration (`dropout.p1`), with its definition."""

SPEED_KEYS = frozenset(path for path, field in FIELDS.items() if SPEED_ONLY in field.metadata)
"""Keys that change how fast a run goes, and nothing else."""


def allowed(path: str) -> str:
    """What a key accepts, in words: its type, its range or its choices."""
    field = FIELDS[path]
    if path == "arm":
        return "one of " + ", ".join(ARMS)
    options, optional = _options(field.annotation)
    choices = [str(choice) for option in options for choice in typing.get_args(option)]
    if bool in options:
        choices += ["true", "false"]
    if choices:
        text = "one of " + ", ".join(choices)
    else:
        text = {int: "a whole number", float: "a number", str: "text"}[options[0]]
        words = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}
        bounds = [
            f"{word} {limit:g}"
            for kind, (word, name) in words.items()
            for bound in field.metadata
            if type(bound) is kind and (limit := getattr(bound, name)) not in _UNSAID
        ]
        text = " ".join([text, " and ".join(bounds)]).strip()
    return text + (" or null" if optional else "")


def _options(annotation: Any) -> tuple[list[Any], bool]:
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)
    return [member for member in members if member is not type(None)], type(None) in members


def unknown_key(path: str) -> str:
    """One line for a key path that does not exist, with the nearest that does."""
    sections = RunConfig.model_fields.keys() - {"arm", "cell"}
    if path in sections:
        keys = [key for key in FIELDS if key.startswith(path + ".")]
        return f"{path} is a section, not a key: set {', '.join(keys)}"
    known = FIELDS if "." in path else [*sections, *FIELDS]
    return f"unknown key {excerpt(path)}{nearest(path, known) or ': `reglab train --print-config` lists the keys'}"


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no known word is near. A bare last part (`lr`) counts as near."""
    if len(word) > _LONGEST_GUESSED:
        return ""
    known = list(known)
    same_tail = [key for key in known if key.rpartition(".")[2] == word.rpartition(".")[2]]
    near = difflib.get_close_matches(word, same_tail or known, n=1, cutoff=0 if same_tail else 0.55)
    return f"; did you mean {near[0]}?" if near else ""


_UNKNOWN = ("extra_forbidden", "invalid_key")


def _unsaid(fault: Mapping[str, Any]) -> str:
    """The limit that a value is beyond, where `allowed` does not name it."""
    limits = {"le": "at most", "ge": "at least"}
    met = (f", {words} {limit:g}" for name, words in limits.items() if (limit := fault.get("ctx", {}).get(name)) in _UNSAID)
    return next(met, "")


def explain(error: ValidationError) -> str:
    """One line for the first fault that pydantic found: the key, the value, what is allowed, and the nearest valid key."""
    faults: dict[str, Any] = {}
    for found in error.errors():
        faults.setdefault(".".join(map(str, found["loc"][:2])), found)  # a union reports each of its members
    path, fault = min(faults.items(), key=lambda item: item[1]["type"] not in _UNKNOWN)
    if fault["type"] in _UNKNOWN:
        line = unknown_key(path)
    elif fault["type"] == "value_error":
        line = str(fault["ctx"]["error"])
    elif fault["type"] == "string_too_long":
        line = f"{path} is a text of {len(fault['input']):,} characters: give at most {fault['ctx']['max_length']:,}"
    elif path in FIELDS:
        options, _ = _options(FIELDS[path].annotation)
        choices = [str(choice) for option in options for choice in typing.get_args(option)]
        given = excerpt(fault["input"])
        line = f"{path} = {given}: must be {allowed(path)}{_unsaid(fault)}{nearest(given, choices)}"
        if isinstance(fault["input"], list):
            line += "; a sweep searches over a list, and a text that begins with [ stands in quotes"
    else:
        section = str(fault["loc"][0]) if fault["loc"] else "the configuration"
        line = f"{section} = {excerpt(fault['input'])}: must be a mapping of keys"
    return line + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
