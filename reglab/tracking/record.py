"""The one schema of a run. Everything that writes or reads runs (local folders, W&B, reports) uses it.

Names with a slash are W&B's metric names; in Python the slash is an underscore. A later version adds fields with defaults
and ignores fields it no longer knows, so that old records stay readable.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from reglab import names, reading
from reglab.config import IDENTITY_VERSION, RunConfig, acting, foreign, identity, under_todays_names, unrevised_identity
from reglab.errors import UserError, excerpt, shown
from reglab.tracking.per_image import PerImage
from reglab.tracking.results import LONGEST_NAME, Count, Epoch, Logged, Name, OwnMetric, Stored, Summary, Text
from reglab.tracking.state import State as State  # noqa: PLC0414 – a part of a record, to be had with it

SCHEMA_VERSION = 1

LOGGED_BESIDE = ("schema_version", "identity", "identity_version", "label", "created", "again", "measures", "environment")
"""Fields of `RunRecord` that stand in W&B's configuration of a run, beside the keys of `RunConfig`."""

_LONGEST_REASON = 2000
"""Characters; another library's error may say more."""


def _cut(text: Any) -> Any:
    return f"{text[:_LONGEST_REASON]}…" if isinstance(text, str) and len(text) > _LONGEST_REASON else text


_RunName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
_Reason = Annotated[str, BeforeValidator(_cut)]
_Moment = Annotated[datetime, AfterValidator(reading.in_utc)]


class Environment(Stored):
    """Where a run ran, or, if it went on elsewhere, where it ended. Times are comparable only where these agree."""

    device: Text = Field(description="the name of the GPU or CPU")
    driver: Text | None = None
    cuda: Text | None = None
    torch: Text
    python: Text
    threads: Count = Field(description="CPU threads of the run")
    precision: Text = Field(description="as resolved: bf16, fp16 or fp32")
    compiled: bool
    captured: bool | None = Field(default=None, description="whether training steps were CUDA graphs")
    reglab: Text
    commit: Text | None = Field(default=None, description="of the code; ends in + where it had local changes")
    data: Text = Field(description="what reports call the images")
    data_fingerprint: Text
    pixel_fingerprint: Text | None = Field(
        default=None, description="of the pixels: decoders may read the same files otherwise; records of before lack it"
    )
    train_images: Count
    test_images: Count
    leaked_images: Count | None = Field(
        default=None, description="test images that are training images, too, pixel by pixel; records of before lack it"
    )
    classes: Count | None = Field(default=None, description="of the images; records of before lack it")
    elsewhere: list[Text] | None = Field(
        default=None, description="of a run that went on here: the other machines, in words, that its seconds are of; else none"
    )

    @field_validator("device")
    @classmethod
    def _one_core(cls, device: str) -> str:
        return device.replace("(1 cores)", "(1 core)")  # as records of before have it

    @property
    def machine(self) -> str:
        """The machine and what it ran, in words: times are comparable only where they agree."""
        parts = [self.device, self.precision, f"torch {self.torch}", f"reglab {self.commit or self.reglab}"]
        if self.cuda is None:
            parts.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        if self.compiled:
            parts.append("compiled")
        if self.captured:
            parts.append("CUDA graphs")
        return ", ".join(parts)


_NAME = re.compile(r"[0-9a-f]{12}-s(?P<seed>\d+)")
"""Of a run that is named after its identity."""

_ANOTHER_TRAINING = re.compile(r"-\d{8}T\d{12}$")


def own_id(wandb_id: str) -> str:
    """The id of the run of which W&B has a training under this one."""
    return _ANOTHER_TRAINING.sub("", wandb_id)


def settings_of(logged: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was given, of all that W&B has as its configuration: what a record of reglab's has beside it is none of that.

    In a run of another program such a key is one of its own.
    """
    beside = LOGGED_BESIDE if "schema_version" in logged else ()
    return {key: value for key, value in logged.items() if key not in beside and key != "_wandb"}


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


class RunRecord(Stored):
    """A run, whole. `config` is the nested configuration; of a failed run it may be one that cannot be built.

    A run of another program has `program`: its `config` has keys of its own, nested as it has them, and in place of `summary` and
    `history` it has `logged` and `rows`, whatever it logged. One of `reglab train` has none of the three.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: _RunName
    sweep: Name
    label: Text
    identity: Name
    identity_version: int = Field(default=IDENTITY_VERSION, description="of identities, when it was worked out; 0 of the first records")
    formerly: Name | None = Field(default=None, description="its identity when it began, where that was of an earlier version")
    seed: int = Field(ge=0, lt=2**31)
    config: dict[str, Any]
    state: State = State.running
    reason: _Reason | None = Field(default=None, description="why it failed, diverged or was stopped: one line")
    url: Text | None = Field(default=None, description="its page at W&B, of a run that was read from there")
    wandb_id: Name | None = Field(default=None, description="what W&B calls it, where it has another training of the run under its id")
    again: bool | None = Field(default=None, description="whether it stands in place of what there was of the run before: `train --again`")
    created: _Moment = Field(default_factory=_now)
    updated: _Moment = Field(default_factory=_now)
    environment: Environment | None = None
    summary: Summary | None = None
    history: list[Epoch] = []
    program: Text | None = Field(default=None, description="what was started, where that is not `reglab train`")
    logged: Logged | None = Field(default=None, description="of another program: its summary")
    rows: list[Logged] | None = Field(default=None, description="of another program: its history, a row for each time that it logged")
    code: dict[Name, Name] | None = Field(
        default=None, description="by the keys that name functions of the user's, the hashes of the files that these were in"
    )
    measures: list[OwnMetric] | None = Field(default=None, description="the metrics of the user's that it was measured by")
    weights: Name | None = Field(default=None, description="sha256 of the file of its weights, where it kept them")
    per_image: PerImage | None = Field(default=None, description="which test images it classified rightly at its end, where it finished")
    without_history: bool | None = Field(default=None, description="true where it came without its epochs: from a report, which has none")
    log: list[Text] | None = Field(default=None, description="the last lines of its log, of a run that did not finish: as it is reported")
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
            later = excerpt(record.identity_version)
            raise UserError(f"run {record.run_id} was written by a later reglab (identities {later}): update reglab")
        if not record.identity or record.program is not None:
            return record
        if record.identity_version < IDENTITY_VERSION:
            return record._recognized()
        if not record.formerly and _NAME.fullmatch(record.run_id):
            return record._confirmed()
        return record

    def _recognized(self) -> Self:
        """One of an earlier version, with the identity that its configuration has now; itself where that is none of this version."""
        if (config := self._known_config) is None:
            return self
        now, before = unrevised_identity(config), self.formerly or self.identity
        return self.model_copy(update={"identity": now, "identity_version": IDENTITY_VERSION, "formerly": before})

    def _confirmed(self) -> Self:
        """One that is named after its identity. Raises ValueError where its configuration is another's."""
        if (config := self._known_config) is None:
            return self
        if foreign(config) or any(technique.source for technique in acting(config)):
            return self._under_its_own_name()  # of the code of another package, which may be another one now
        seeds = {self.seed, config.train.seed, int(self.run_id.rpartition("-s")[2])}
        is_its_own = self.identity == identity(config) or self.identity == unrevised_identity(config)
        if not is_its_own or len(seeds) > 1:  # its name may be one of an earlier version
            raise ValueError(f"{self.run_id} has the configuration of {identity(config)}-s{config.train.seed}")
        return self

    @property
    def _known_config(self) -> RunConfig | None:
        """None where it is none of this version."""
        try:
            return RunConfig.parse(self.config)
        except UserError:
            return None

    def _under_its_own_name(self) -> Self:
        """The record called after its identity: it may have the name of other code, which was edited after a sweep had named its runs."""
        if not self.has_former_name:
            return self
        return self.model_copy(update={"run_id": self._own_name, "wandb_id": self.wandb_id or self.run_id})

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
    def logged_config(self) -> dict[str, Any]:
        """What W&B has as its configuration when it begins; `settings_of` gives its own again."""
        return self.config | self.model_dump(mode="json", include={*LOGGED_BESIDE} - {"environment"}, exclude_none=True)

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
