"""Images that are arrays already: an .npz file of the user's, or what a function of theirs returns.

Either has images of uint8, grey `(N, side, side)` or `(N, side, side, channels)`, and whole labels `(N,)` from 0, of two parts; and
may have the names of the classes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from reglab import foreign
from reglab.config import DataConfig
from reglab.data.images import MOST_CHANNELS, ImageSet, Split
from reglab.errors import UserError, excerpt, first_line, shown

_PARTS = ("train", "test")
_LEAST_SIDE = 4
_LARGEST = 10**6
"""Label: numbers of other things, such as files, are larger."""

_SHOWN = 10
"""Names in a message; the rest is counted."""

_RETURNS = "(train_images, train_labels), (test_images, test_labels)"


def of_file(config: DataConfig) -> ImageSet:
    """Those of `data.file`: train_images, train_labels, test_images, test_labels and, if it likes, classes.

    Raises UserError for a file that cannot be read, that lacks one of them, or whose arrays are no labelled images.
    """
    where = f"data.file = {shown(config.path)}"
    try:
        with np.load(config.path, allow_pickle=False) as content:
            found = {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise UserError(f"{where}: there is no such file") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and numpy raise a dozen kinds for a damaged file, and for a lone array
        raise UserError(f"{where} cannot be read as an .npz file of plain arrays ({first_line(error)})") from None
    wanted = [f"{part}_{what}" for part in _PARTS for what in ("images", "labels")]
    if missing := [name for name in wanted if name not in found]:
        there = ", ".join(map(shown, found)) or "nothing"
        raise UserError(f"{where} lacks {', '.join(missing)}; it holds {there}")
    parts = [(found[f"{part}_images"], found[f"{part}_labels"]) for part in _PARTS]
    return image_set(where, config.own_name, parts, found["classes"].tolist() if "classes" in found else None)


def of_function(config: DataConfig) -> ImageSet:
    """Those of the function that `data.source` names, called with nothing: the two parts, and, if it likes, the names of the classes.

    Raises UserError where it is not here, fails, or returns anything else.
    """
    where = f"data.source = {config.source}"
    found = foreign.called("data.source", config.source, foreign.load("data.source", config.source))
    try:
        train, test, *more = found
        parts = [(np.asarray(images), np.asarray(labels)) for images, labels in (train, test)]
        (classes,) = more or (None,)
    except (TypeError, ValueError, RuntimeError):  # the latter of a tensor that is on a GPU, or wants a gradient
        raise UserError(f"{where}: it must return {_RETURNS}, and may add the names of the classes") from None
    return image_set(where, config.source, parts, classes)


def image_set(where: str, name: str, parts: Sequence[tuple[np.ndarray, np.ndarray]], classes: Any) -> ImageSet:
    """Two parts as a run takes them; `classes`: their names, or None. Raises UserError, beginning with `where`, for what is not labelled
    images of one extent.
    """
    train, test = (
        Split(_images(f"{where}: {part}", images), _labels(f"{where}: {part}", labels, len(images)))
        for part, (images, labels) in zip(_PARTS, parts, strict=True)
    )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(f"{where}: images of train are {train.images.shape[1:]}, and those of test {test.images.shape[1:]}")
    trained, tested = set(train.labels.tolist()), set(test.labels.tolist())
    there = trained | tested
    most = 1 + max(there)
    named = _named(where, classes) if classes is not None else None
    if named is None and len(there) < most:  # counted from 1, say: nobody means a class of which there is nothing
        none_of = next(label for label in range(most) if label not in there)
        fault = f"labels go to {most - 1}, and no image is of class {none_of}"
        raise UserError(f"{where}: {fault}: count classes from 0 without a gap, or give the names of all of them (classes)")
    named = tuple(map(str, range(most))) if named is None else named
    if len(named) < most or len(set(named)) < len(named):
        raise UserError(f"{where}: labels go to {most - 1}, and its {len(named)} names of classes ({len(set(named))} different) do not do")
    if len(named) < 2:
        raise UserError(f"{where}: all labels are 0: give images of at least two classes")
    if unknown := sorted(tested - trained):
        which = ", ".join(named[label] for label in unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" if unknown[_SHOWN:] else "")
        raise UserError(f"{where}: test has images of classes of which train has none, so that no network could know them: {which}")
    content = hashlib.sha256("\0".join(named).encode())
    for array in (train.images, train.labels, test.images, test.labels):
        content.update(f"{array.shape}".encode())
        content.update(np.ascontiguousarray(array))
    return ImageSet(name, named, train, test, None, content.hexdigest())


def _named(where: str, classes: Any) -> tuple[str, ...]:
    """The names as they are told."""
    if isinstance(classes, str | bytes) or not isinstance(classes, Iterable):
        raise UserError(f"{where}: the names of the classes are {excerpt(classes)}: give a list of them, in the order of the labels")
    return tuple(shown(name.decode(errors="replace") if isinstance(name, bytes) else str(name)) for name in classes)


def _images(where: str, images: np.ndarray) -> np.ndarray:
    """As (N, side, side, channels)."""
    if images.dtype != np.uint8:
        raise UserError(f"{where}: images are {images.dtype}, not uint8: give levels from 0 to 255, which are normalized here")
    if images.ndim not in (3, 4) or not len(images):
        raise UserError(f"{where}: images of shape {images.shape}, not (N, side, side) or (N, side, side, channels)")
    images = images[..., None] if images.ndim == 3 else images
    _, height, width, channels = images.shape
    if height != width and height <= MOST_CHANNELS and width == channels:
        raise UserError(f"{where}: images of shape {images.shape}: channels come last, .transpose(0, 2, 3, 1) puts them there")
    if height != width or height < _LEAST_SIDE or not 1 <= channels <= MOST_CHANNELS:
        wanted = f"squares of at least {_LEAST_SIDE} pixels a side with 1 to {MOST_CHANNELS} channels"
        raise UserError(f"{where}: images are {height}×{width} of {channels} channels, not {wanted}")
    return np.ascontiguousarray(images)


def _labels(where: str, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{where}: labels are {labels.dtype} of shape {labels.shape}, not whole numbers of shape {(count,)}, one an image")
    if labels.min() < 0:
        raise UserError(f"{where}: a label is {labels.min()}: they count classes from 0")
    if labels.max() > _LARGEST:
        raise UserError(f"{where}: a label is {labels.max()}: they count classes from 0, without a gap")
    return labels.astype(np.int64)
