"""The sections of a configuration that no technique brings: images, network, optimizer, training."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer, model_validator

from reglab.config.networks import NETWORKS, BuiltIn
from reglab.errors import excerpt, shown
from reglab.foreign import FORM, is_reference, source
from reglab.section import MOST, NO_EFFECT, SPEED_ONLY, Functions, Matters, OneOf, Options, Section
from reglab.techniques import TECHNIQUES

if TYPE_CHECKING:
    from reglab.config.run import RunConfig

BRIGHTEST = 1e38
"""The largest number of a pixel: images can be of 32-bit floats."""

LONGEST_CELL = 4000
"""Characters: a cell names each searched key with its value."""

_LONGEST_NAME = 200
_LONGEST_PATH = 4096
"""Characters. No file system takes a longer one."""

_TESTED = ("loss", "accuracy", "best_accuracy", "best_epoch")
"""What a run logs of the test images without being asked: as `test/loss`, and so on."""

_OF_A_FOLDER = Matters(lambda own, run: own.source == "folder")

SOURCES = ("cifar10", "cifar100", "svhn", "fashion_mnist", "digits", "folder", "npz")
"""What `data.source` calls images, beside functions of the user's."""


class Presets(Section):
    """Short ways to give many keys at once."""

    cell: Annotated[str | None, NO_EFFECT] = Field(
        default=None,
        max_length=LONGEST_CELL,
        description="`section.key=value` words, expanded into the other keys: one cell of a sweep",
    )
    arm: Annotated[str | None, NO_EFFECT] = Field(default=None, description="a named preset, expanded into the other keys")


class DataConfig(Section):
    """Which images. The limits and the validation part are the same for every seed, so that seeds differ in training only."""

    source: Annotated[str, OneOf(SOURCES)] = Field(
        default="cifar10", description="which; a function of yours returns (images, labels) of both parts, see docs/your_own.md"
    )
    file: Annotated[str | None, NO_EFFECT] = Field(
        default=None, max_length=_LONGEST_PATH, description="for source npz: has train_images, train_labels, test_images and test_labels"
    )
    folder: Annotated[str | None, NO_EFFECT] = Field(
        default=None, max_length=_LONGEST_PATH, description="for source folder: holds train/<class>/* and test/<class>/*"
    )
    name: Annotated[str | None, Matters(lambda own, run: own.where is not None)] = Field(
        default=None, max_length=_LONGEST_NAME, description="for sources folder and npz: what reports call it; null: its own name"
    )
    side: Annotated[int, _OF_A_FOLDER] = Field(
        default=32, ge=8, le=512, description="for source folder: height and width of its images, in pixels"
    )
    resize: Annotated[bool, _OF_A_FOLDER] = Field(
        default=False, description="for source folder: scale images to data.side instead of refusing other sizes"
    )
    background: Annotated[Literal["white", "grey", "black"], _OF_A_FOLDER] = Field(
        default="white", description="for source folder: what lies behind transparent images"
    )
    black: Annotated[float, _OF_A_FOLDER] = Field(
        default=0.0, ge=-BRIGHTEST, le=BRIGHTEST, description="for source folder: the number that is black in images deeper than 8 bits"
    )
    white: Annotated[float | None, _OF_A_FOLDER] = Field(
        default=None,
        ge=-BRIGHTEST,
        le=BRIGHTEST,
        description="for source folder: the number that is white there; null: 65535, where 16 bits are used and the format says so",
    )
    train_limit: int | None = Field(default=None, ge=2, le=MOST, description="keep this many training images")
    test_limit: int | None = Field(default=None, ge=1, le=MOST, description="keep this many test images")
    validation: int = Field(default=0, ge=0, le=MOST, description="training images held out for selection")

    @field_validator("file", "folder", "name", mode="before")
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
        if self.source == "npz" and not self.file:
            raise ValueError("data.source = npz needs data.file, the .npz file that holds the arrays of both parts")
        return self

    @model_validator(mode="after")
    def _white_is_above_black(self) -> Self:
        if self.white is None and self.black != 0:
            raise ValueError(f"data.black = {self.black:g} needs data.white, the number that is white")
        if self.white is not None and self.white <= self.black:
            raise ValueError(f"data.white = {self.white:g} must be above data.black = {self.black:g}")
        return self

    @property
    def where(self) -> str | None:
        """The folder or the file that the images are in, as it was given; None of a source that is no place of a machine's."""
        return {"folder": self.folder, "npz": self.file}.get(self.source)

    @property
    def path(self) -> Path:
        """The folder or the file."""
        path = Path(str(self.where))
        with suppress(RuntimeError):  # a home that is not known here
            path = path.expanduser()
        return path

    @property
    def own_name(self) -> str:
        """What reports call the images of a folder or a file."""
        return self.name or shown(Path(str(self.place)).name.removesuffix(".npz"))  # of links in a circle, too

    @property
    def place(self) -> str | None:
        """Where on this machine the folder or the file is, whichever way leads there."""
        return os.path.realpath(self.path) if self.where else None

    @property
    def is_own(self) -> bool:
        """Whether the images are the user's: of a folder, a file or a function. Two sets of them may have one name."""
        return self.where is not None or is_reference(self.source)

    @property
    def is_here(self) -> bool:
        """Whether there is such a folder, file or function of the user's on this machine."""
        if self.where is None:
            return source(self.source) is not None
        return self.path.is_dir() if self.source == "folder" else self.path.is_file()

    def on_any_machine(self) -> Self:
        """The same images, as another machine may have them: of a folder or a file the name counts and not the path."""
        return self.model_copy(update={"folder": None, "file": None, "name": self.own_name}) if self.where else self

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Of a folder or a file the name, given or its own, and not the path: so that an arm is the same on two machines."""
        found = super().effective(run)
        return found | ({"name": self.own_name} if "name" in found else {})


class ModelConfig(Section):
    """The network: which, its size, its stem, and where regularization layers sit; or one of the user's own."""

    name: Annotated[str, OneOf(tuple(NETWORKS))] = Field(
        default="resnet50", description="which network; a function of yours is called with classes, side, channels and the options"
    )
    options: Options = Field(default=Options(), description="for a network of yours: what its function is called with, name by name")
    width: int = Field(default=64, ge=1, le=1024, description="of resnet50, channels of the stem; 64 is the standard ResNet-50")
    stem: Literal["imagenet", "cifar"] = Field(
        default="imagenet", description="of resnet50; imagenet: 7x7 stride 2 and pooling; cifar: 3x3 stride 1"
    )
    depth: int = Field(default=28, ge=10, le=1000, description="of wide_resnet, layers: a multiple of 6, and 4")
    widen: int = Field(default=10, ge=1, le=64, description="of wide_resnet, channels of its first stage over the 16 of its stem")
    placement: Annotated[Literal["unit", "stage"], Matters(lambda own, run: any(each.layers and each.acts(run) for each in TECHNIQUES))] = (
        Field(default="unit", description="layers count the units of every block, or the stages")
    )
    init: Literal["glorot", "he"] = Field(default="glorot", description="initial weights; biases start at zero")
    standardize: bool = Field(default=False, description="scaled weight standardization (Brock et al. 2021)")

    @model_serializer(mode="wrap")
    def _without_no_options(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """W&B keeps no mapping that is empty: a configuration is stored here as it comes back from there."""
        stored: dict[str, Any] = dump(self)
        return stored if self.options.given else {key: value for key, value in stored.items() if key != "options"}

    @field_validator("depth")
    @classmethod
    def _has_whole_blocks(cls, value: int) -> int:
        if value % 6 != 4:
            near = value // 6 * 6 + 4
            raise ValueError(f"model.depth = {value}: three stages of blocks of two layers need a multiple of 6, and 4, such as {near}")
        return value

    @property
    def built_in(self) -> BuiltIn | None:
        """What is known of the network beforehand; None of one of the user's own."""
        return NETWORKS.get(self.name)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """The keys of this network; of one of the user's own its options, each a key."""
        if self.built_in:
            return {key: value for key, value in super().effective(run).items() if key in ("name", *self.built_in.keys)}
        return {"name": self.name} | {f"options.{name}": value for name, value in self.options.given.items()}

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """They are as they were given."""
        return self.effective(run)


class OptimizerConfig(Section):
    """What makes steps of gradients, and the rate of each (He et al. 2016, Loshchilov and Hutter 2017)."""

    name: Literal["adam", "sgd", "adamw"] = "adam"
    lr: float = Field(default=1e-3, gt=0, le=MOST, description="peak learning rate")
    momentum: Annotated[float, Matters(lambda own, run: own.name == "sgd")] = Field(
        default=0.9, ge=0, lt=1, description="Nesterov momentum of sgd"
    )
    eps: Annotated[float, Matters(lambda own, run: own.name != "sgd")] = Field(
        default=1e-7, gt=0, le=MOST, description="of adam and adamw: the default of the study's framework; PyTorch's is 1e-8"
    )
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0, le=MOST, description="epochs of linear warm-up from zero")


class TrainConfig(Section):
    """How long, on how many images at a time, in which arithmetic, and what is measured and kept on the way."""

    epochs: int = Field(default=200, ge=1, le=MOST)
    batch_size: int = Field(default=256, ge=2, le=MOST)
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
    eval_every: int = Field(default=1, ge=1, le=MOST, description="epochs between evaluations; the last epoch is always evaluated")
    checkpoint_every: Annotated[float, NO_EFFECT] = Field(
        default=60.0, ge=0, le=MOST, description="seconds between checkpoints; 0: after every step"
    )
    keep_weights: Annotated[bool, NO_EFFECT] = Field(
        default=False, description="leave the weights of the finished run beside its record, for `reglab evaluate`"
    )
    metrics: Annotated[str | None, Functions(), NO_EFFECT] = Field(
        default=None, max_length=_LONGEST_PATH, description="measured on the test images beside accuracy, see docs/your_own.md"
    )

    @field_validator("metrics")
    @classmethod
    def _are_functions_of_names_of_their_own(cls, value: str | None) -> str | None:
        names: dict[str, str] = {}
        for reference in Functions.of(value):
            name = reference.partition(":")[2]
            if not is_reference(reference):
                raise ValueError(f"train.metrics = {excerpt(value)}: {excerpt(reference) or 'nothing'} between commas is no {FORM}")
            if name in _TESTED:
                raise ValueError(f"train.metrics = {reference}: test/{name} is what every run logs: give the function another name")
            if name in names:
                raise ValueError(f"train.metrics: {names[name]} and {reference} would both be test/{name}: leave one out, or rename it")
            names[name] = reference
        return value

    @property
    def functions(self) -> tuple[str, ...]:
        """The metrics, each as it is named."""
        return Functions.of(self.metrics)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Nothing is compiled unless asked for."""
        return super().effective(run) | ({} if self.compile is True else {"compile": "auto"})


BEFORE: dict[str, type[Section]] = {"data": DataConfig, "model": ModelConfig}
AFTER: dict[str, type[Section]] = {"optimizer": OptimizerConfig, "train": TrainConfig}

SECTIONS: dict[str, type[Section]] = BEFORE | {technique.name: technique.section for technique in TECHNIQUES} | AFTER
"""Every section of a configuration, in order."""
