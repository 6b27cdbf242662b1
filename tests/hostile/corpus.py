"""The hostile inputs, by kind: each is made in a folder of its own by a function that returns the words of the command that meets it."""

import gzip
import io
import json
import os
import pickle
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reglab.config import RunConfig, identity, run_id
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Epoch, Summary

Arrange = Callable[[Path], list[str]]
"""Makes the input in an empty folder, which is the command's working folder, too."""

HUGE = 10**400
DEEP = 10_000

# A good run.


def record(seed: int = 0, arm: str = "baseline") -> dict[str, Any]:
    """A finished run as run.json and history.jsonl together would hold it."""
    made: dict[str, Any] = json.loads(_record(seed, arm))
    return made


@cache
def _record(seed: int, arm: str) -> str:
    config = RunConfig.parse({"arm": arm, "data": {"source": "digits"}, "train": {"epochs": 1, "seed": seed}})
    made = RunRecord(
        run_id=run_id(config),
        sweep="final",
        label=config.label,
        identity=identity(config),
        seed=seed,
        config=config.model_dump(),
        state=State.finished,
        environment=Environment(
            device="a GPU",
            cuda="13.0",
            torch="2.15",
            python="3.12",
            threads=8,
            precision="bf16",
            compiled=False,
            reglab="0.1.0",
            data="digits",
            data_fingerprint="f",
            train_images=1442,
            test_images=355,
        ),
        summary=Summary(
            test_accuracy=0.7,
            train_accuracy=0.9,
            train_clean_accuracy=0.9,
            gap=0.2,
            time_to_target_reached=True,
            time_to_target_seconds=40,
            time_train_seconds=100,
            time_wall_seconds=110,
            parameters=23_528_522,
            epochs=1,
        ),
        history=[
            Epoch(
                epoch=1,
                train_loss=1,
                train_accuracy=0.9,
                test_accuracy=0.7,
                lr=0.001,
                time_train_seconds=100,
                time_wall_seconds=100,
                throughput_images_per_second=14.4,
            )
        ],
    )
    return made.model_dump_json(by_alias=True, exclude_none=True)


def write_run(folder: Path, values: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    head = {key: value for key, value in values.items() if key != "history"}
    (folder / "run.json").write_text(json.dumps(head), encoding="utf-8")
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in values["history"]), encoding="utf-8")


# Files that are none.


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        here = Path.cwd()
        os.chdir(path.parent)  # an address has room for a hundred characters
        listening.bind(path.name)
        os.chdir(here)


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(10**12)


def _endless_text(path: Path) -> None:
    path.symlink_to("/proc/self/smaps")  # it tells of no bytes


NO_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": _pipe,
    "a device without end": _endless,
    "a terabyte of nothing": _sparse,
    "a socket": _socket,
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "a file of the kernel's": _endless_text,
}


def _at(name: str, make: Callable[[Path], None], words: list[str]) -> Arrange:
    def arrange(folder: Path) -> list[str]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)
        return words

    return arrange


def _beside_a_run(name: str, make: Callable[[Path], None], words: list[str]) -> Arrange:
    def arrange(folder: Path) -> list[str]:
        write_run(folder / "runs" / "final" / "a-s0", record() | {"run_id": "a-s0", "weights": "0" * 64})
        (folder / "runs" / "final" / "a-s0" / name).unlink(missing_ok=True)
        return _at(f"runs/final/a-s0/{name}", make, words)(folder)

    return arrange


STATUS = ["sweep", "status", "SWEEP", "--quick", "--from", "runs/final"]
BUILD = ["report", "build", "--from", "runs/final", "--out", "out"]
PARAMETERS = ["train", "--print-config"]

_PLACES: dict[str, Callable[[Callable[[Path], None]], Arrange]] = {
    "record": lambda make: _at("runs/final/x-s0/run.json", make, STATUS),
    "history": lambda make: _beside_a_run("history.jsonl", make, ["evaluate", "runs/final/a-s0"]),
    "weights": lambda make: _beside_a_run("weights.safetensors", make, ["evaluate", "runs/final/a-s0"]),
    "ledger of a sweep": lambda make: _at("runs/final/sweep.json", make, ["sweep", "run", "SWEEP", "--name", "final"]),
    "archive of a report": lambda make: _at("r/records.jsonl.gz", make, ["report", "build", "--from", "r", "--out", "out"]),
    "manifest of a report": lambda make: _at("r/manifest.json", make, ["report", "check", "r"]),
    "source": lambda make: _at("source", make, ["report", "build", "--from", "source", "--out", "out"]),
    "run to evaluate": lambda make: _at("run", make, ["evaluate", "./run"]),
    "folder to sync": lambda make: _at("runs", make, ["sync", "runs"]),
    "CIFAR-10": lambda make: _at("cache/downloads/cifar-10-python.tar.gz", make, ["train", "train.epochs=1"]),
    "part of CIFAR-10": lambda make: _at("cache/downloads/cifar-10-batches-py/data_batch_1", make, ["train", "train.epochs=1"]),
    "images": lambda make: _at("images", make, ["train", "data.source=folder", "data.folder=images"]),
    "image": lambda make: _at("images/train/cat/1.png", make, ["train", "data.source=folder", "data.folder=images"]),
    "stray image": lambda make: _at("images/train/1.png", make, ["train", "data.source=folder", "data.folder=images"]),
}


def _files() -> dict[str, Arrange]:
    return {f"{place}: {kind}": at(make) for place, at in _PLACES.items() for kind, make in NO_FILES.items()}


# Records.


def _laid(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def lay(values: dict[str, Any]) -> None:
        *outer, last = path
        for key in outer:
            values = values[key]
        values[last] = value

    return lay


FIELDS = [
    *(("schema_version",), ("run_id",), ("sweep",), ("label",), ("identity",), ("identity_version",), ("formerly",), ("seed",)),
    *(("config",), ("state",), ("reason",), ("url",), ("created",), ("updated",), ("environment",), ("summary",), ("weights",)),
    ("per_image",),
    *(("config", "train"), ("config", "data"), ("config", "arm"), ("config", "cell"), ("config", "dropout"), ("config", "other")),
    *(("config", "train", "seed"), ("config", "train", "epochs"), ("config", "data", "source"), ("config", "agc", "clip")),
    *(("environment", "device"), ("environment", "threads"), ("environment", "train_images"), ("environment", "data")),
    *(("summary", "test/accuracy"), ("summary", "time/train_seconds"), ("summary", "time_to_target/seconds"), ("summary", "parameters")),
    *(("summary", "epochs"), ("summary", "gap"), ("summary", "time/cpu_share"), ("summary", "gpu/runs"), ("summary", "val/accuracy")),
]

VALUES: dict[str, Any] = {
    "null": None,
    "a list": [1, [2]],
    "a mapping": {"a": {"b": 1}},
    "a number beyond all": HUGE,
    "a number below all": -HUGE,
    "a very large number": 1e308,
    "true": True,
    "an empty text": "",
    "another text": "x",
    "a million letters": "y" * 10**6,
    "a moment nowhere": "2026-01-01T00:00:00",
    "NUL": "a\0b",
    "half a character": "\ud800",
    "not a number": float("nan"),
    "infinity": float("inf"),
}

ODD_RECORDS: dict[str, Callable[[dict[str, Any]], None]] = {
    f"{'.'.join(path)} is {kind}": _laid(*path, value=value) for path in FIELDS for kind, value in VALUES.items()
}


def odd_record(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    values = record()
    change(values)
    return values


TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "zeros": bytes(1000),
    "no text": b"\xff\xfe\x00",
    "brackets": b"[" * DEEP,
    "a deep list": b"[" * DEEP + b"]" * DEEP,
    "a deep mapping": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a list": b"[]",
    "a number": b"7",
    "a number of 5,000 digits": b"9" * 5000,
    "a text": b'"run"',
    "fifteen megabytes of lists": b"[" + b"[]," * (5 * 10**6) + b"[]]",
    "ten megabytes in a line": b" " * 10**7,
    "a million empty lines": b"\n" * 10**6,
}


def _text_at(place: str, content: bytes) -> Arrange:
    return _PLACES[place](lambda path: path.write_bytes(content) and None)


def _texts() -> dict[str, Arrange]:
    return {f"{place}: {kind}": _text_at(place, text) for place in _TEXT_PLACES for kind, text in TEXTS.items()}


_TEXT_PLACES = ("record", "history", "weights", "ledger of a sweep", "archive of a report", "manifest of a report", "CIFAR-10")


def _packed(line: Callable[[int], bytes], count: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
        for number in range(count):
            stream.write(line(number))
    return packed.getvalue()


def _line(number: int) -> bytes:
    return json.dumps(record() | {"run_id": f"{number:012x}-s0"}).encode() + b"\n"


def _archives() -> dict[str, Arrange]:
    made: dict[str, Callable[[], bytes]] = {
        "a gigabyte of zeros": lambda: _packed(lambda number: bytes(10**6), 1000),
        "a gigabyte of empty lines": lambda: _packed(lambda number: b"\n" * 10**6, 1000),
        "one run ten thousand times": lambda: _packed(lambda number: _REPEATED, 10_000),
        "a run of a million epochs": lambda: _packed(lambda number: _LONG, 1),
        "lists": lambda: _packed(lambda number: b"[" + b"[]," * 10**6 + b"[]]\n", 30),
        "cut short": lambda: _packed(_line, 3)[:-20],
        "another checksum": lambda: _packed(_line, 3)[:-8] + b"\1" * 8,
        "a deep list": lambda: _packed(lambda number: b"[" * DEEP + b"]" * DEEP, 1),
    }

    def at(make: Callable[[], bytes]) -> Arrange:
        return _PLACES["archive of a report"](lambda path: path.write_bytes(make()) and None)

    return {f"archive of a report: {kind}": at(make) for kind, make in made.items()}


_REPEATED = _line(0)
_LONG = json.dumps(record() | {"history": [dict(record()["history"][0]) for _ in range(1000)] * 100}).encode() + b"\n"


# Words.


def _words() -> dict[str, Arrange]:
    train = ["train", "--print-config"]
    said: dict[str, list[str]] = {
        "a list of ten thousand brackets": [*train, "train.seed=" + "[" * DEEP],
        "a mapping of ten thousand brackets": [*train, "data.name='a': " + "[" * DEEP],
        "ten thousand braces": [*train, "train.seed=[" + "{a: " * DEEP],
        "a hundred thousand seeds": [*train, "train.seed=[" + "1," * 60_000 + "1]"],
        "an escape beyond all characters": [*train, 'data.name="\\UFFFFFFFF"'],
        "an escape beyond Unicode": [*train, 'data.name=["\\U0011FFFF"]'],
        "anchors": [*train, "train.seed=[&a 1, *a]"],
        "a tag for a number": [*train, "train.seed=[!!float '']"],
        "a tag for truth": [*train, "train.keep_weights=[!!bool x]"],
        "a tag for a moment": [*train, "data.name=[!!timestamp x]"],
        "tags outside lists": [*train, "train.seed=!!float ''", "train.keep_weights=!!bool x"],
        "a seed beyond all": [*train, f"train.seed={HUGE}"],
        "epochs beyond all": [*train, f"train.epochs={HUGE}"],
        "epochs of 5,000 digits": [*train, "train.epochs=" + "9" * 5000],
        "a batch beyond all": [*train, f"train.batch_size={HUGE}"],
        "a limit beyond all": [*train, f"data.train_limit={HUGE}"],
        "a rate beyond all": [*train, "optimizer.lr=1e308"],
        "an infinite rate": [*train, "optimizer.lr=1e999"],
        "seeds of mixed kinds": [*train, 'train.seed=[1, "a", null]'],
        "no seeds": [*train, "train.seed=[]"],
        "no choice": [*train, "cutout.per=[]"],
        "no arm": [*train, "arm="],
        "a list for an arm": [*train, "arm=[]"],
        "a name of 130,000 letters": [*train, "data.source=folder", "data.folder=x", "data.name=" + "y" * 130_000],
        "a folder of 130,000 letters": ["train", "data.source=folder", "data.folder=" + "y" * 130_000],
        "a path of 5,000 letters": ["train", "data.source=folder", "data.folder=" + "y/" * 2000],
        "an arm of 130,000 letters": [*train, "arm=" + "y" * 130_000],
        "a key of 130,000 letters": [*train, "y" * 130_000 + ".lr=1"],
        "a word of 130,000 letters": [*train, "y" * 130_000],
        "a cell of ten thousand words": [*train, "cell=" + "train.seed=1 " * 9000],
        "a cell in a cell in a cell": [*train, "cell=cell=cell=train.seed=1"],
        "a cell that does not end": [*train, "cell='"],
        "a source of 5,000 letters": ["report", "build", "--from", "y" * 5000, "--out", "out"],
        "no source": ["report", "build", "--from", "", "--out", "out"],
        "a run of 5,000 letters": ["evaluate", "y" * 5000],
        "a report of 5,000 letters": ["report", "check", "y" * 5000],
        "a folder to sync of 5,000 letters": ["sync", "y" * 5000],
        "a billion workers": ["sweep", "run", "SWEEP", "--quick", "--workers", "1000000000"],
        "workers beyond all": ["sweep", "run", "SWEEP", "--quick", "--workers", str(HUGE)],
        "a limit of time beyond all": ["sweep", "run", "SWEEP", "--quick", "--stop-after", "9" * 5000 + "h"],
        "a billion runs at once": ["doctor", "--measure", "1000000000"],
        "runs at once beyond all": ["doctor", "--measure", "9" * 5000],
        "a price beyond all": ["sweep", "plan", "SWEEP", "--price", "1e999"],
        "GPUs beyond all": ["sweep", "plan", "SWEEP", "--gpus", str(HUGE)],
        "a wandb address of 100,000 letters": ["report", "build", "--from", "wandb://" + "y" * 100_000, "--out", "out"],
    }

    def say(words: list[str]) -> Arrange:
        return lambda folder: words

    return {kind: say(words) for kind, words in said.items()}


# Images.


def png(width: int, height: int, colour: int = 2, depth: int = 8, pixels: bytes = b"", before: bytes = b"") -> bytes:
    """A PNG whose header says what it is told, whatever the pixels are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _rows(width: int, height: int, channels: int = 3) -> bytes:
    pack = zlib.compressobj(1)
    row = bytes(1 + width * channels)
    return b"".join(pack.compress(row) for _ in range(height)) + pack.flush()


def _long_text() -> bytes:
    content = b"comment\0\0" + zlib.compress(bytes(10**8))
    return struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))


def _saved(kind: str, **keys: Any) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, kind, **keys)
    return stream.getvalue()


IMAGES: dict[str, Callable[[], bytes]] = {
    "13,000 by 13,000": lambda: png(13_000, 13_000, pixels=_rows(13_000, 13_000)),
    "two thousand million pixels": lambda: png(46_000, 46_000),
    "the largest size there is": lambda: png(2**31 - 1, 2**31 - 1),
    "no pixel": lambda: png(0, 0),
    "a size of 32 with pixels for 5,000": lambda: png(32, 32, pixels=_rows(5000, 5000)),
    "a text of a hundred megabytes": lambda: png(32, 32, pixels=_rows(32, 32), before=_long_text()),
    "a program that draws": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n{} loop\n",
    "a page": lambda: b"%PDF-1.7\n",
    "a JPEG without end": lambda: _saved("JPEG")[:-2] + b"\xff\xd8" * 10**6,
    "a TIFF of tags": lambda: b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
    "a TIFF that leads to itself": lambda: b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
    "a GIF of nothing": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0" + b"!\xf9\x04\0\0\0\0\0" * 10**5,
    "a BMP of another size": lambda: _saved("BMP")[:18] + struct.pack("<ii", 32, 2**30) + _saved("BMP")[26:],
    "a WebP of another size": lambda: _saved("WEBP", lossless=True)[:-1] + b"\xff",
    "a hundred megabytes": lambda: _saved("PNG") + bytes(10**8),
}


def _in_images(content: Callable[[], bytes], resize: bool) -> Arrange:
    def arrange(folder: Path) -> list[str]:
        for part in ("train", "test"):
            for number, name in enumerate(("bird", "cat")):
                (folder / "images" / part / name).mkdir(parents=True)
                pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "images" / part / name / "good.png")
        (folder / "images" / "train" / "cat" / "odd.png").write_bytes(content())
        words = ["train", "data.source=folder", "data.folder=images", "model.width=2", "train.epochs=1"]
        return [*words, "data.resize=true"] if resize else words

    return arrange


def _many(folder: Path, parts: list[str], kind: str) -> list[str]:
    for part in parts:
        path = folder / "images" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if kind == "folder" else path.write_bytes(b"no image")
    return ["train", "data.source=folder", "data.folder=images"]


def _folders() -> dict[str, Arrange]:
    found = {f"{kind}{', scaled' if resize else ''}": _in_images(make, resize) for kind, make in IMAGES.items() for resize in (False, True)}
    found["ten thousand files that are no images"] = lambda folder: _many(
        folder, [f"{part}/{name}/{number}" for part in ("train", "test") for name in "ab" for number in range(2500)], "file"
    )
    found["three thousand classes without images"] = lambda folder: _many(
        folder, [f"{part}/{number}" for part in ("train", "test") for number in range(3000)], "folder"
    )
    found["folders in three thousand classes"] = lambda folder: _many(
        folder, [f"{part}/{number}/{'y' * 200}" for part in ("train", "test") for number in range(3000)], "folder"
    )
    return found


# Caches.


def _cache(change: Callable[[dict[str, Any]], object], packed: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        content: dict[str, Any] = {
            "name": np.str_("digits"),
            "fingerprint": np.str_("f"),
            "classes": np.asarray(list("0123456789"), dtype=np.str_),
            "train_images": np.zeros((10, 32, 32, 3), np.uint8),
            "train_labels": np.arange(10),
            "test_images": np.zeros((10, 32, 32, 3), np.uint8),
            "test_labels": np.arange(10),
        }
        change(content)
        with path.open("wb") as stream:
            (np.savez_compressed if packed else np.savez)(stream, **content)

    return write


def _member(path: Path) -> None:
    """An array whose header tells of a terabyte."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32, 3)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train_images.npy", head.getvalue())
        archive.writestr("classes.npy", head.getvalue())


class _Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


CACHES: dict[str, Callable[[Path], None]] = {
    **NO_FILES,
    "labels beyond the classes": _cache(lambda content: content["train_labels"].__setitem__(0, 10)),
    "labels below all classes": _cache(lambda content: content["train_labels"].__setitem__(0, -1)),
    "labels that are fractions": _cache(lambda content: content.update(train_labels=np.linspace(0, 1, 10))),
    "fewer labels than images": _cache(lambda content: content.update(train_labels=np.arange(9))),
    "labels in a square": _cache(lambda content: content.update(test_labels=np.zeros((10, 10), int))),
    "images of another size": _cache(lambda content: content.update(train_images=np.zeros((10, 28, 28), np.uint8))),
    "images of fractions": _cache(lambda content: content.update(train_images=np.zeros((10, 32, 32, 3)))),
    "no image": _cache(lambda content: content.update(train_images=np.zeros((0, 32, 32, 3), np.uint8), train_labels=np.zeros(0, int))),
    "no class": _cache(lambda content: content.update(classes=np.asarray([], dtype=np.str_))),
    "one class": _cache(lambda content: content.update(classes=np.asarray(["0"]), train_labels=np.zeros(10, int))),
    "no name": _cache(lambda content: content.pop("name")),
    "what runs when it is read": _cache(lambda content: content.update(classes=np.asarray([_Trap()], dtype=object))),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(_Trap())) and None,
    "a gigabyte that is packed": _cache(lambda content: content.update(train_images=np.zeros((10**5, 32, 32, 3), np.uint8)), packed=True),
    "an array that tells of a terabyte": _member,
    "an archive of nothing": lambda path: zipfile.ZipFile(path, "w").close(),
    "no archive": lambda path: path.write_bytes(b"PK\3\4" + bytes(1000)) and None,
}

DIGITS = ["train", "data.source=digits", "data.train_limit=64", "data.test_limit=32", "model.width=2", "train.epochs=1"]


def _caches() -> dict[str, Arrange]:
    return {kind: _at("cache/images/digits-v1.npz", make, DIGITS) for kind, make in CACHES.items()}


# What W&B's agent hands over.


def _tangled() -> bytes:
    lines = [b"a0: &a0 {value: [x, x, x, x, x, x, x, x, x]}"]
    lines += [f"a{n}: &a{n} {{value: [{', '.join([f'*a{n - 1}'] * 9)}]}}".encode() for n in range(1, 10)]
    return b"\n".join(lines)


HANDED_OVER: dict[str, Callable[[Path], None]] = {
    **NO_FILES,
    **{kind: (lambda path, text=text: path.write_bytes(text) and None) for kind, text in TEXTS.items() if text},
    "values that stand for others": lambda path: path.write_bytes(_tangled()) and None,
    "a date that is none": lambda path: path.write_text("train: {value: {seed: 2001-99-99}}\n") and None,
    "a tag that is run": lambda path: path.write_text("arm: {value: !!python/object/apply:os.mkdir [trapped]}\n") and None,
    "a number beyond all": lambda path: path.write_text(f"train: {{value: {{seed: {HUGE}}}}}\n") and None,
    "a number in a base": lambda path: path.write_text(f"train: {{value: {{seed: 0x{'f' * 5000}}}}}\n") and None,
    "an escape beyond all": lambda path: path.write_text('arm: {value: "\\UFFFFFFFF"}\n') and None,
    "seeds of mixed kinds": lambda path: path.write_text("train: {value: {seed: [1, a, null]}}\n") and None,
    "an empty arm": lambda path: path.write_text("arm: {value: }\n") and None,
    "a list for an arm": lambda path: path.write_text("arm: {value: [baseline]}\n") and None,
    "no value": lambda path: path.write_text("arm: baseline\n") and None,
}


def _handed_over() -> dict[str, Arrange]:
    return {kind: _at("parameters.yaml", make, PARAMETERS) for kind, make in HANDED_OVER.items()}


# Sweep files, as anybody writes them.

SWEEPS: dict[str, str] = {
    "an alias bomb": "x0: &x0 [a,a,a,a,a,a,a,a,a]\n"
    + "".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9))
    + "method: grid\nparameters: {arm: {values: *x8}}\n",
    "a million cells": "method: grid\nparameters:\n  train: {parameters: {seed: {values: ["
    + ",".join(map(str, range(1000)))
    + "]}, epochs: {values: ["
    + ",".join(map(str, range(1, 1001)))
    + "]}}}\n",
    "ten thousand brackets": "method: grid\nparameters: " + "[" * DEEP,
    "a date that is none": "method: grid\nparameters: {arm: {value: 2001-99-99}}\n",
    "a number of 5,000 digits": f"method: grid\nparameters: {{train: {{parameters: {{seed: {{value: {'9' * 5000}}}}}}}}}\n",
    "seeds of mixed kinds": "method: grid\nparameters: {train: {parameters: {seed: {values: [1, a, null]}}}}\n",
    "an empty arm": "method: grid\nparameters: {arm: }\n",
    "a list for an arm": "method: grid\nparameters: {arm: [baseline]}\n",
    "a label of a million letters": "method: grid\nparameters: {data: {parameters: {name: {values: [" + "y" * 10**6 + "]}}}}\n",
}


def _sweep_files() -> dict[str, Arrange]:
    def text(words: str) -> Callable[[Path], None]:
        return lambda path: path.write_text(words, encoding="utf-8") and None

    makers = {kind: text(words) for kind, words in SWEEPS.items()} | NO_FILES
    return {kind: _at("odd.yaml", make, ["sweep", "check", "odd.yaml"]) for kind, make in makers.items()}


def _environments() -> dict[str, Arrange]:
    makers = NO_FILES | {kind: (lambda path, text=text: path.write_bytes(text) and None) for kind, text in TEXTS.items()}
    return {kind: _at(".env", make, ["train", "--print-config"]) for kind, make in makers.items()}


KINDS: dict[str, Callable[[], dict[str, Arrange]]] = {
    "files that are none": _files,
    "texts that are no records": _texts,
    "archives": _archives,
    "words": _words,
    "image folders": _folders,
    "caches": _caches,
    "what an agent hands over": _handed_over,
    "sweep files": _sweep_files,
    ".env": _environments,
}
"""All kinds of input that a command meets; of records, `ODD_RECORDS` are the fields."""
