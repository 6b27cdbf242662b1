"""The one schema of a run. Everything that writes or reads runs (local folders, W&B, reports) uses it.

Names with a slash are W&B's metric names; in Python the slash is an underscore. A later version adds fields with defaults
and ignores fields it no longer knows, so that old records stay readable.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    field_validator,
    model_serializer,
    model_validator,
)

from reglab import names
from reglab.config import IDENTITY_VERSION, RunConfig, acting, foreign, identity, under_todays_names
from reglab.errors import UserError, shown
from reglab.techniques import TECHNIQUES
from reglab.tracking.per_image import PerImage
from reglab.tracking.state import State as State  # noqa: PLC0414 – a part of a record, to be had with it

SCHEMA_VERSION = 1

QUIET = 0.9
"""The least part of the training time in which the threads of a run on a CPU are running, where nothing else wants their cores."""


_LONGEST_REASON = 2000
"""Characters; another library's error may say more."""


def _in_utc(moment: datetime) -> datetime:
    """Of a moment that does not say where it was noon: what two such moments are compared by."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cut(text: Any) -> Any:
    return f"{text[:_LONGEST_REASON]}…" if isinstance(text, str) and len(text) > _LONGEST_REASON else text


LONGEST_NAME, LONGEST_TEXT = 255, 1000
"""Characters."""

# What a field can hold at most: records are read that others may have written, and what is beyond a limit is none of a run.
_Name = Annotated[str, Field(max_length=LONGEST_NAME)]
_RunName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
_Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
_Reason = Annotated[str, BeforeValidator(_cut)]
_Moment = Annotated[datetime, AfterValidator(_in_utc)]
_Count = Annotated[int, Field(ge=0, lt=2**53)]
_Number = Annotated[float, Field(ge=-1e38, le=1e38)]
_Amount = Annotated[float, Field(ge=0, le=1e12)]
_Fraction = Annotated[float, Field(ge=0, le=1)]

LARGEST = 1e38
"""Of a number that another program logs: beyond it is none."""

_Whole = Annotated[int, Field(ge=-(10**38), le=10**38)]
Logged = dict[_Name, bool | _Whole | _Number | _Text | None]
"""What another program logged at one moment, under names of its own; None for what is no number, and NaN is none."""


def _slashed(name: str) -> str:
    """`train_clean_accuracy` as `train_clean/accuracy`: the part before the last known quantity is the group."""
    for group in ("train_clean", "time_to_target", "train", "test", "val", "time", "throughput", "gpu"):
        if name.startswith(group + "_"):
            return f"{group}/{name[len(group) + 1 :]}"
    return name


class _Stored(BaseModel):
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


class _Metrics(_Stored):
    model_config = ConfigDict(alias_generator=AliasGenerator(alias=_slashed), populate_by_name=True)

    own: dict[_Name, _Number] = Field(default={}, max_length=MOST_OWN, description="metrics of the user's; stored beside the others")

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
    epoch: _Count
    train_loss: float
    train_accuracy: _Fraction = Field(description="running: over the epoch's own batches, dropout and augmentation on")
    train_clean_accuracy: _Fraction | None = Field(default=None, description="evaluation mode; where the target is taken on it")
    test_loss: float | None = None
    test_accuracy: _Fraction | None = None
    val_loss: float | None = None
    val_accuracy: _Fraction | None = None
    train_gap: _Number | None = Field(default=None, description="running training accuracy minus test accuracy")
    lr: _Number
    time_train_seconds: _Amount = Field(description="training steps so far, and nothing else")
    time_wall_seconds: _Amount = Field(description="the run so far")
    time_cpu_seconds: _Amount | None = Field(default=None, description="of the CPU, in training steps so far: all threads of the process")
    throughput_images_per_second: _Amount = Field(description="images trained on in this epoch, copies included")
    gpu_memory_gb: _Amount | None = None

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


class Summary(_Metrics):
    """What a run comes to. Written when it ends; a failed run has none."""

    test_accuracy: _Fraction | None = None
    test_best_accuracy: _Fraction | None = None
    test_best_epoch: _Count | None = None
    val_accuracy: _Fraction | None = None
    val_best_accuracy: _Fraction | None = None
    train_accuracy: _Fraction | None = Field(default=None, description="running, of the last epoch")
    train_clean_accuracy: _Fraction | None = Field(default=None, description="evaluation mode, no augmentation, whole training part")
    gap: _Number | None = Field(default=None, description="overfitting: clean training accuracy minus test accuracy")
    time_to_target_reached: bool = False
    time_to_target_seconds: _Amount | None = Field(default=None, description="training seconds; none where never reached")
    time_to_target_epoch: _Count | None = None
    time_train_seconds: _Amount
    time_wall_seconds: _Amount
    time_warmup_seconds: _Amount | None = Field(default=None, description="compilation and warm-up, outside the training clock")
    time_cpu_seconds: _Amount | None = Field(default=None, description="of the CPU, in training steps: all threads of the process")
    time_cpu_share: _Amount | None = Field(
        default=None, description="that, of what its threads had: the training seconds times their number; on a CPU only"
    )
    throughput_images_per_second: _Amount | None = None
    peak_memory_gb: _Amount | None = Field(default=None, description="GPU memory on a GPU, resident memory of the process on a CPU")
    parameters: _Count
    epochs: _Count = Field(description="epochs completed")
    diverged_epoch: _Count | None = None
    diverged_step: _Count | None = Field(default=None, description="of that epoch, from 1: the first whose loss was not finite")

    @property
    def shared_its_cores(self) -> bool:
        """Whether others ran on its cores: its times say little of what it takes. False where it is not known."""
        return self.time_cpu_share is not None and self.time_cpu_share < QUIET


METRICS: tuple[str, ...] = tuple(
    dict.fromkeys(str(field.alias) for model in (Epoch, Summary) for name, field in model.model_fields.items() if name != "own")
)
"""Every metric that a run logs without being asked, under W&B's names."""


class OwnMetric(_Stored):
    """A metric of the user's (`train.metrics`), as the run had it: nobody who reads a record imports it. `code`: the hash of its file."""

    reference: _Name
    code: _Name | None = None
    title: _Text | None = Field(default=None, description="what reports call it")
    share: bool = Field(default=False, description="its numbers are from 0 to 1: told in per cent, compared in points")
    better: Literal["higher", "lower"] | None = None

    @property
    def name(self) -> str:
        """What it is logged as, and what its numbers' names begin with where it has several."""
        return own_name(self.reference)


class Environment(_Stored):
    """Where a run ran. Times are comparable only where these agree."""

    device: _Text = Field(description="the name of the GPU or CPU")
    driver: _Text | None = None
    cuda: _Text | None = None
    torch: _Text
    python: _Text
    threads: _Count = Field(description="CPU threads of the run")
    precision: _Text = Field(description="as resolved: bf16, fp16 or fp32")
    compiled: bool
    captured: bool | None = Field(default=None, description="whether training steps were CUDA graphs")
    reglab: _Text
    commit: _Text | None = Field(default=None, description="of the code; ends in + where it had local changes")
    data: _Text = Field(description="what reports call the images")
    data_fingerprint: _Text
    train_images: _Count
    test_images: _Count


_NAME = re.compile(r"[0-9a-f]{12}-s(?P<seed>\d+)")
"""Of a run that is named after its identity."""

_ANOTHER_TRAINING = re.compile(r"-\d{8}T\d{12}$")


def own_id(wandb_id: str) -> str:
    """The id of the run of which W&B has a training under this one."""
    return _ANOTHER_TRAINING.sub("", wandb_id)


def _printed(value: Any) -> Any:
    """What was stored, with whatever a terminal, a page or a drawing might obey written out: others may have written the record."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list):
        return [_printed(each) for each in value]
    if isinstance(value, dict):
        return {_printed(name): _printed(each) for name, each in value.items()}
    return value


def _now() -> datetime:
    return datetime.now(UTC)


class RunRecord(_Stored):
    """A run, whole. `config` is the nested configuration; of a failed run it may be one that cannot be built.

    A run of another program has `program`: its `config` has keys of its own, nested as it has them, and in place of `summary` and
    `history` it has `logged` and `rows`, whatever it logged. One of `reglab train` has none of the three.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: _RunName
    sweep: _Name
    label: _Text
    identity: _Name
    identity_version: int = Field(default=IDENTITY_VERSION, description="of identities, when it was worked out; 0 of the first records")
    formerly: _Name | None = Field(default=None, description="its identity when it began, where that was of an earlier version")
    seed: int = Field(ge=0, lt=2**31)
    config: dict[str, Any]
    state: State = State.running
    reason: _Reason | None = Field(default=None, description="why it failed, diverged or was stopped: one line")
    url: _Text | None = Field(default=None, description="its page at W&B, of a run that was read from there")
    wandb_id: _Name | None = Field(default=None, description="what W&B calls it, where it has another training of the run under its id")
    again: bool | None = Field(default=None, description="whether it stands in place of what there was of the run before: `train --again`")
    created: _Moment = Field(default_factory=_now)
    updated: _Moment = Field(default_factory=_now)
    environment: Environment | None = None
    summary: Summary | None = None
    history: list[Epoch] = []
    program: _Text | None = Field(default=None, description="what was started, where that is not `reglab train`")
    logged: Logged | None = Field(default=None, description="of another program: its summary")
    rows: list[Logged] | None = Field(default=None, description="of another program: its history, a row for each time that it logged")
    code: dict[_Name, _Name] | None = Field(
        default=None, description="by the keys that name functions of the user's, the hashes of the files that these were in"
    )
    measures: list[OwnMetric] | None = Field(default=None, description="the metrics of the user's that it was measured by")
    weights: _Name | None = Field(default=None, description="sha256 of the file of its weights, where it kept them")
    per_image: PerImage | None = Field(default=None, description="which test images it classified rightly at its end, where it finished")
    without_history: bool | None = Field(default=None, description="true where it came without its epochs: from a report, which has none")
    log: list[_Text] | None = Field(default=None, description="the last lines of its log, of a run that did not finish: as it is reported")
    damage: str | None = Field(default=None, exclude=True, description="of a stored run: what its history lacks, and how to get it back")

    @field_validator("run_id")
    @classmethod
    def _is_no_path(cls, value: str) -> str:
        if fault := names.fault(value):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _is_of_one_program(self) -> Self:
        theirs, ours = self.logged is not None or self.rows is not None, self.summary is not None or self.history
        if ours if self.program is not None else theirs:
            raise ValueError("a run has the results of `reglab train`, or those of another program")
        return self

    @model_validator(mode="after")
    def _tells_one_accuracy(self) -> Self:
        told = self.summary.test_accuracy if self.summary else None
        if self.per_image and told is not None and self.per_image.right != round(told * self.per_image.count):
            raise ValueError(f"{self.per_image.right} of {self.per_image.count} test images are right, and the test accuracy is {told!r}")
        return self

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> Self:
        """A record as it was stored anywhere. One with an identity of an earlier version is recognized by its configuration.

        It keeps the name it has, here and at W&B. Where its configuration is none of this version, it keeps its old identity, which
        no other run has now. Raises UserError for an identity of a later version, and ValueError for what is no record, and for one that
        contradicts itself: what a hand has changed in it would be pooled with runs that it is none of.
        """
        printed = {name: _printed(value) for name, value in values.items()}
        if isinstance(printed.get("config"), dict) and printed.get("program") is None:
            with suppress(ValueError):  # where a key has two values, under its former name and today's
                printed["config"] = under_todays_names(printed["config"])
        record = cls.model_validate({"identity_version": 0} | printed | {"damage": None})
        if record.identity_version > IDENTITY_VERSION:
            raise UserError(f"run {record.run_id} was written by a later reglab (identities {record.identity_version}): update reglab")
        is_known = record.identity_version == IDENTITY_VERSION
        if not record.identity or record.program is not None or (is_known and (record.formerly or not _NAME.fullmatch(record.run_id))):
            return record
        try:
            config = RunConfig.parse(record.config)
        except UserError:
            return record
        now = identity(config)
        if is_known and (foreign(config) or any(technique.source for technique in acting(config))):
            return record  # of the code of another package, which may be another one now
        if is_known:
            seeds = {record.seed, config.train.seed, int(record.run_id.rpartition("-s")[2])}
            if record.identity != now or len(seeds) > 1:  # its name may be one of an earlier version
                raise ValueError(f"{record.run_id} has the configuration of {now}-s{config.train.seed}")
            return record
        before = record.formerly or record.identity
        return record.model_copy(update={"identity": now, "identity_version": IDENTITY_VERSION, "formerly": before})

    @property
    def came_to(self) -> Mapping[str, Any]:
        """The metrics of its summary, whichever program logged them; none before there is one."""
        return self.summary.metrics() if self.summary else self.logged or {}

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        """The metrics in its history, whichever program logged them: an epoch each, or a time that it logged."""
        return [*(row.metrics() for row in self.history), *(self.rows or ())]

    @property
    def steps_done(self) -> int:
        """How many there are."""
        return len(self.history) or len(self.rows or ())

    @property
    def is_named_after_identity(self) -> bool:
        """As runs of this machine are, and runs of W&B's sweeps are not."""
        return self.run_id == self._own_name or self.has_former_name

    @property
    def has_former_name(self) -> bool:
        """Whether it is named after an identity of an earlier version."""
        name = _NAME.fullmatch(self.run_id)
        return bool(self.identity and name and name["seed"] == str(self.seed)) and self.run_id != self._own_name

    @property
    def id_of_its_own(self) -> str:
        """What W&B calls this training of the run, and no other one."""
        return self.with_id_of(self.created)

    def with_id_of(self, moment: datetime) -> str:
        """An id at W&B of another training of the run, which began at that moment; `own_id` gives the run's own again."""
        return f"{self.run_id}-{moment:%Y%m%dT%H%M%S%f}"

    @property
    def _own_name(self) -> str:
        return f"{self.identity}-s{self.seed}"

    def changed(self, **fields: Any) -> "RunRecord":
        """A copy with other values, dated now."""
        return self.model_copy(update=fields | {"updated": _now()})


class Sink(Protocol):
    """Something a run reports to while it goes on."""

    def started(self, record: RunRecord) -> None:
        """The run begins or goes on; `record.history` holds the epochs it resumes behind."""

    def epoch(self, row: Epoch) -> None:
        """An epoch has ended, and `row` tells of it."""

    def preempting(self) -> None:
        """The run is about to leave a checkpoint and end as preempted: said first, because there may be no time afterwards."""

    def ended(self, record: RunRecord) -> None:
        """The run is over for now; one that failed early never began."""
