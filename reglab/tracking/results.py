"""What a run comes to: the numbers of each epoch and of its end, under the names that W&B knows them by."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from reglab.techniques import TECHNIQUES

QUIET = 0.9
"""The least part of the training time in which the threads of a run on a CPU are running, where nothing else wants their cores."""

LONGEST_NAME, LONGEST_TEXT = 255, 1000
"""Characters."""

# What a field can hold at most: records are read that others may have written, and what is beyond a limit is none of a run.
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Number = Annotated[float, Field(ge=-1e38, le=1e38)]
Amount = Annotated[float, Field(ge=0, le=1e12)]
Fraction = Annotated[float, Field(ge=0, le=1)]

LARGEST = 1e38
"""Of a number that another program logs: beyond it is none."""

Whole = Annotated[int, Field(ge=-(10**38), le=10**38)]
Logged = dict[Name, bool | Whole | Number | Text | None]
"""What another program logged at one moment, under names of its own; None for what is no number, and NaN is none."""


def _slashed(name: str) -> str:
    """`train_clean_accuracy` as `train_clean/accuracy`: the part before the last known quantity is the group."""
    for group in ("train_clean", "time_to_target", "train", "test", "val", "time", "throughput", "gpu"):
        if name.startswith(group + "_"):
            return f"{group}/{name[len(group) + 1 :]}"
    return name


class Stored(BaseModel):
    """A piece of a record. What it does not know it ignores, so that an older version reads what a later one wrote."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def metrics(self) -> dict[str, Any]:
        """The values that are there, under W&B's names."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")


OWN = "test/"
"""How the names of metrics of the user's begin (`train.metrics`): `test/ece`, or `test/class_accuracy/cat`."""

MOST_OWN = 1000
"""Of one moment."""


def is_own(name: str) -> bool:
    """Whether a metric of this name would be one of the user's."""
    return name.startswith(OWN) and name != OWN and name not in METRICS


def own_name(reference: str) -> str:
    """What the metric `package.module:function` is logged as, or what its numbers' names begin with."""
    return OWN + reference.partition(":")[2]


def is_of(name: str, own: str) -> bool:
    """Whether a number of this name is one of the metric that is logged as `own`: its only one, or one of several."""
    return f"{name}/".startswith(f"{own}/")


class _Metrics(Stored):
    model_config = ConfigDict(alias_generator=AliasGenerator(alias=_slashed), populate_by_name=True)

    own: dict[Name, Number] = Field(default={}, max_length=MOST_OWN, description="metrics of the user's; stored beside the others")

    @model_validator(mode="before")
    @classmethod
    def _own_ones_apart(cls, values: Any) -> Any:
        """As they are stored, the user's metrics stand among the others; whatever else has such a name is none of them."""
        if not isinstance(values, Mapping) or "own" in values:
            return values
        own = {name: value for name, value in values.items() if isinstance(name, str) and is_own(name) and _is_number(value)}
        return {**{name: value for name, value in values.items() if name not in own}, "own": own} if own else values

    @field_validator("own")
    @classmethod
    def _have_names_of_their_own(cls, own: dict[str, float]) -> dict[str, float]:
        if odd := [name for name in own if not is_own(name)]:
            raise ValueError(f"{odd[0]} is no name of a metric of the user's")
        return own

    @model_serializer(mode="wrap")
    def _own_ones_among_the_others(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored: dict[str, Any] = dump(self)
        own: dict[str, Any] = stored.pop("own", {})
        return stored | own


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


class _Epoch(_Metrics):
    epoch: Count
    train_loss: float
    train_accuracy: Fraction = Field(description="running: over the epoch's own batches, dropout and augmentation on")
    train_clean_accuracy: Fraction | None = Field(default=None, description="evaluation mode; where the target is taken on it")
    test_loss: float | None = None
    test_accuracy: Fraction | None = None
    val_loss: float | None = None
    val_accuracy: Fraction | None = None
    train_gap: Number | None = Field(default=None, description="running training accuracy minus test accuracy")
    lr: Number
    time_train_seconds: Amount = Field(description="training steps so far, and nothing else")
    time_wall_seconds: Amount = Field(description="the run so far")
    time_cpu_seconds: Amount | None = Field(default=None, description="of the CPU, in training steps so far: all threads of the process")
    throughput_images_per_second: Amount = Field(description="images trained on in this epoch, copies included")
    gpu_memory_gb: Amount | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_its_former_name(cls, row: Any) -> Any:
        """`gap` was another number here than in the summary, where it is that of the clean training accuracy."""
        if isinstance(row, Mapping) and "gap" in row:
            return {**{key: value for key, value in row.items() if key != "gap"}, "train/gap": row["gap"]}
        return row


if TYPE_CHECKING:
    _WithProbes = _Epoch
else:
    _PROBES = {
        probe.field: (float | None, Field(default=None, alias=probe.name, description=probe.says))
        for technique in TECHNIQUES
        for probe in technique.probes
    }
    _WithProbes = create_model("_WithProbes", __base__=_Epoch, **_PROBES)


class Epoch(_WithProbes):
    """One row of a run's history, at the end of an epoch (counted from 1); the techniques' probes are in it."""


Shared = Literal["", "cores", "GPU"]
"""What a run shared with others."""


class Summary(_Metrics):
    """What a run comes to. Written when it ends; a failed run has none."""

    test_accuracy: Fraction | None = None
    test_best_accuracy: Fraction | None = None
    test_best_epoch: Count | None = None
    val_accuracy: Fraction | None = None
    val_best_accuracy: Fraction | None = None
    train_accuracy: Fraction | None = Field(default=None, description="running, of the last epoch")
    train_clean_accuracy: Fraction | None = Field(
        default=None,
        description="evaluation mode, no augmentation, whole training part; none of a run that ended otherwise than it was tested last",
    )
    gap: Number | None = Field(default=None, description="overfitting: clean training accuracy minus test accuracy, of one moment")
    time_to_target_reached: bool = False
    time_to_target_seconds: Amount | None = Field(default=None, description="training seconds; none where never reached")
    time_to_target_epoch: Count | None = None
    time_train_seconds: Amount
    time_wall_seconds: Amount
    time_warmup_seconds: Amount | None = Field(default=None, description="compilation and warm-up, outside the training clock")
    time_cpu_seconds: Amount | None = Field(default=None, description="of the CPU, in training steps: all threads of the process")
    time_cpu_share: Amount | None = Field(
        default=None, description="that, of what its threads had: the training seconds times their number; on a CPU only"
    )
    gpu_runs: Count | None = Field(default=None, description="runs at a time that its GPU was for, at most; none where it had none")
    throughput_images_per_second: Amount | None = None
    peak_memory_gb: Amount | None = Field(default=None, description="GPU memory on a GPU, resident memory of the process on a CPU")
    parameters: Count
    epochs: Count = Field(description="epochs completed")
    diverged_epoch: Count | None = None
    diverged_step: Count | None = Field(default=None, description="of that epoch, from 1: the first whose loss was not finite")

    @property
    def shared(self) -> Shared:
        """What it shared with others, `cores` or `GPU`, so that its times say little of what it takes; empty where it is not known."""
        if self.gpu_runs is not None and self.gpu_runs > 1:
            return "GPU"
        return "cores" if self.time_cpu_share is not None and self.time_cpu_share < QUIET else ""


METRICS: tuple[str, ...] = tuple(
    dict.fromkeys(str(field.alias) for model in (Epoch, Summary) for name, field in model.model_fields.items() if name != "own")
)
"""Every metric that a run logs without being asked, under W&B's names."""


class OwnMetric(Stored):
    """A metric of the user's (`train.metrics`), as the run had it: nobody who reads a record imports it. `code`: the hash of its file."""

    reference: Name
    code: Name | None = None
    title: Text | None = Field(default=None, description="what reports call it")
    share: bool = Field(default=False, description="its numbers are from 0 to 1: told in per cent, compared in points")
    better: Literal["higher", "lower"] | None = None

    @property
    def name(self) -> str:
        """What it is logged as, and what its numbers' names begin with where it has several."""
        return own_name(self.reference)


def first_at(history: Iterable[Epoch], share: float, on: str) -> Epoch | None:
    """The first epoch that has so large a training accuracy, `running` or `clean`; None where none has."""
    return next((row for row in history if ((row.train_clean_accuracy or 0) if on == "clean" else row.train_accuracy) >= share), None)


def thinned(length: int, points: int) -> list[int]:
    """Places of a row of so many: all, or `points` at even distances, with both ends."""
    if length <= points:
        return list(range(length))
    return sorted({round(place * (length - 1) / (points - 1)) for place in range(points)})
