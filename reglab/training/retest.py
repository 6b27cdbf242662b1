"""A finished run, tested again from the weights that it kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reglab.config import FIELDS, RunConfig, code_of, effective, parse_overrides, with_overrides
from reglab.data.images import ImageSet
from reglab.data.sources import load
from reglab.errors import ReglabError, UserError, shown
from reglab.settings import settings
from reglab.tracking import storage
from reglab.tracking.record import RunRecord, State
from reglab.tracking.storage import File
from reglab.tracking.store import LocalRun, read_run, run_folders
from reglab.training import weights
from reglab.training.environment import describe, pick_device
from reglab.training.evaluation import Evaluation, evaluate_kept
from reglab.training.measured import Metrics

_ITS_OWN = ("data.train_limit", "data.test_limit", "data.validation")
"""How a run's own images were split: it says nothing of others."""

_METRICS = "train.metrics"

_DECIDE = ("device", "torch", "cuda", "threads")
"""What must be as it was for the last bit to be: fields of `Environment`."""


@dataclass(frozen=True)
class Result:
    """`accuracy` is a fraction of `images`; `own` are metrics of the user's; `note` says in a line how it stands to the record, where that
    needs saying."""

    record: RunRecord
    data: str
    images: int
    accuracy: float
    loss: float
    own: Mapping[str, float]
    note: str | None

    @property
    def correct(self) -> int:
        """Images classified rightly."""
        return round(self.accuracy * self.images)


def find(run: str) -> Path:
    """The folder of the run that is meant: a run's folder, or an id below REGLAB_RUNS. Raises UserError where there is none, or several."""
    folders = run_folders(Path(run))
    if not folders and "/" not in run:
        folders = [folder for folder in run_folders(settings().runs) if folder.name == run]
        folders = [folder for folder in folders if LocalRun(folder).weights.modified()][:1] or folders[:1]  # the same run in several sweeps
    if not folders:
        raise UserError(f"{shown(run)} is no run: give a run's folder, or the id of one in {shown(settings().runs)}{_example()}")
    if len(folders) > 1:
        raise UserError(f"{shown(run)} holds {len(folders)} runs: give one of them, such as {shown(folders[0])}")
    return folders[0]


def _example() -> str:
    """Of the runs that are there, those with weights first."""
    found = run_folders(settings().runs)
    folder = next((each for each in found if LocalRun(each).weights.modified()), found[0] if found else None)
    return f", such as {shown(folder.name)}" if folder else ", which holds none"


def of_run(folder: Path, words: Sequence[str]) -> Result:
    """Test the run in `folder` on its own test images, or on those that `data.…=…` words name; one without effect names none.

    By its own metrics, or by those that a word `train.metrics=…` names. Raises UserError for a run without weights, for images that
    changed or have other classes, and for words of another section; ReglabError where all is as it was, and the accuracy is not the
    recorded one.
    """
    if odd := [path for path in parse_overrides(words) if not path.startswith("data.") and path != _METRICS]:
        raise UserError(f"{odd[0]} is fixed by the run: only data.* keys choose what it is tested on, and {_METRICS} what is measured")
    measuring = [word for word in words if word.partition("=")[0] == _METRICS]
    words = [word for word in words if word not in measuring]
    record = read_run(folder)
    if record is None:
        raise UserError(f"{folder} holds no run")
    if record.weights is None:
        raise UserError(_without_weights(record, folder))
    kept = weights.load(_where(folder), record.weights)
    if (record.code or {}) != (here := code_of(kept.config)):
        name = next(key for key in {**(record.code or {}), **here} if (record.code or {}).get(key) != here.get(key))
        raise UserError(f"{name} of {folder} was of other code than what is here: bring that back, or train the run again")
    device = pick_device(settings().device)
    if threads := settings().threads or (record.environment and record.environment.threads):
        torch.set_num_threads(threads)  # sums of other threads round otherwise
    words = _naming(kept.config, words)
    images = load(_images(kept.config, words).data, settings().cache)
    if not words:
        _expect_own(images, record, folder)
    asked = RunConfig.parse(with_overrides(_spelled_out(kept.config), measuring))
    found = evaluate_kept(kept, images, device, Metrics(asked, images))
    note = None if words else _compared(found, record, images, device, kept)
    return Result(record, images.name, len(images.test), found.accuracy, found.loss, found.own, note)


def _where(folder: Path) -> File:
    """Beside the record, with the checkpoints that machines share, or where another sweep trained the same run."""
    here = LocalRun(folder).weights
    others = sorted(folder.parent.parent.glob(f"*/{folder.name}/{storage.WEIGHTS}"))
    return next((file for file in (File(folder / storage.WEIGHTS), here, *map(File, others)) if file.modified()), here)


def _without_weights(record: RunRecord, folder: Path) -> str:
    if record.state != State.finished:
        return f"{folder} is {record.state}: only a run that has finished keeps weights"
    return f"{folder} kept no weights: train it with train.keep_weights=true (and --again, for it has finished)"


def _naming(config: RunConfig, words: Sequence[str]) -> Sequence[str]:
    """The words that choose images: `data.background` of digits, say, does not."""
    named = _images(config, words)
    matter = {path for path in effective(named) if path.startswith("data.")} | ({"data.folder", "data.file"} if named.data.where else set())
    return [word for word in words if word.partition("=")[0] in matter]


def _spelled_out(config: RunConfig) -> dict[str, Any]:
    return config.model_dump(mode="json") | {"arm": None, "cell": None}


def _images(config: RunConfig, words: Sequence[str]) -> RunConfig:
    """The configuration with the images that the words name; its presets are spelled out in it."""
    values = _spelled_out(config)
    if words:
        values["data"] |= {path.removeprefix("data."): FIELDS[path].default for path in _ITS_OWN}
        if {"data.folder", "data.file"} & parse_overrides(words).keys():
            values["data"]["name"] = None
    return RunConfig.parse(with_overrides(values, words))


def _expect_own(images: ImageSet, record: RunRecord, folder: Path) -> None:
    if record.environment and images.fingerprint != record.environment.data_fingerprint:
        seen = f"fingerprint {images.fingerprint}, not {record.environment.data_fingerprint}"
        raise UserError(f"the images of {folder} are no longer those that it saw ({seen}): bring them back, or name others by data.* keys")


def _compared(found: Evaluation, record: RunRecord, images: ImageSet, device: torch.device, kept: weights.Kept) -> str | None:
    recorded = record.summary.test_accuracy if record.summary else None
    others = _answered_otherwise(found, record, images)
    if recorded is None or (recorded == found.accuracy and not others):
        return None
    differs = f"{recorded!r}" + (f", and {others} of the images answered otherwise" if others else "")
    here = describe(device, kept.precision, kept.config.train.compile is True, images)
    differing = [
        f"{name} {getattr(record.environment, name)}, here {getattr(here, name)}"
        for name in _DECIDE
        if record.environment and getattr(record.environment, name) != getattr(here, name)
    ]
    if record.environment and record.environment.pixel_fingerprint not in (None, here.pixel_fingerprint):
        differing.append("the same files are other pixels here, as another version of Pillow decodes them")
    if differing:
        return f"the record has {differs}, of another place, which may round otherwise: {'; '.join(differing)}"
    raise ReglabError(
        f"the weights of {record.run_id} give {found.accuracy!r} where its record has {differs}, on the same images and machine"
    )


def _answered_otherwise(found: Evaluation, record: RunRecord, images: ImageSet) -> int:
    """How many images are right here and wrong in the record, or the other way round; 0 where it tells of none."""
    if record.per_image is None or record.per_image.images != images.test_fingerprint:
        return 0
    return int((record.per_image.bits() != found.correct.numpy()).sum())
