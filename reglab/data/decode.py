"""One image file as `data.side` × `data.side` pixels: upright, opaque, 8 bits a channel; or why it cannot be."""

import io
import re
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from reglab.config import DataConfig
from reglab.errors import first_line

DECODING = 2
"""Part of every cache key of a folder: raise it when decoding changes."""

_COLOURS = {"white": (255, 255, 255), "grey": (128, 128, 128), "black": (0, 0, 0)}

_METADATA = ("transparency", "exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""What an image may bring beside its pixels that changes how they look; most bring none."""

_DEEP_COLOUR = re.compile(r";16[BLN]$")
"""Ends Pillow's name for samples of 16 bits; of several channels it keeps the upper 8 bits."""

_LOW_DEPTHS = {"L;2": 85, "L;4": 17}
"""What Pillow multiplies grey levels of 2 and 4 bits with, but not the level that a PNG calls transparent."""

_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

_LAYERED = ("MPO", "PSD")
"""Formats whose first image is the picture, and the others previews or layers of it."""

_SIGNED, _SAMPLE_FORMAT = 2, 339  # of TIFF

_MOST_PIXELS = 2**25
"""Of an image that is scaled: one of some hundred bytes can unpack to gigabytes, and a camera's 33 million still fit."""

_JPEG_END = b"\xff\xd9"
"""Stands behind the picture, and nowhere within it."""

_PROGRAMS = ("EPS",)
"""Formats whose files are programs, which Pillow has another program run."""


class UnfitError(Exception):
    """A file that cannot be one of the images. `fault` is about this file; `advice` is the same for all that are alike in it."""

    def __init__(self, fault: str, advice: str):
        super().__init__(f"{fault}: {advice}")
        self.fault, self.advice = fault, advice


@dataclass(frozen=True)
class Depth:
    """The numbers of an image deeper than 8 bits: the least, the largest, and whether its format says that 65535 is white."""

    low: float
    high: float
    sixteen_bits: bool


@dataclass(frozen=True)
class Decoded:
    """`pixels`: uint8 (32, 32, 3). `treatments`: what was done to it beyond reading its bytes, as the fingerprint has to tell."""

    pixels: np.ndarray
    treatments: frozenset[str] = frozenset()
    depth: Depth | None = None


def decode(blob: bytes, config: DataConfig) -> Decoded:
    """The image in a file's bytes, drawn over `data.background`, and where it is deeper than 8 bits, between `data.black` and `data.white`.

    Of an image whose range nothing tells, only the depth counts. Raises UnfitError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged metadata, which the pixels do not depend on
            return _decode(blob, config)
    except UnfitError:
        raise
    except UnidentifiedImageError:
        raise UnfitError("is not an image that can be read", "mend or remove it") from None
    except Exception as error:  # Pillow raises a dozen kinds for a damaged file
        raise UnfitError(f"is not an image that can be read ({first_line(error)})", "mend or remove it") from None


def _decode(blob: bytes, config: DataConfig) -> Decoded:
    image: Image.Image
    with Image.open(io.BytesIO(blob)) as opened:
        if opened.format in _PROGRAMS:
            raise UnfitError("is a program that draws, not an image", "convert it to PNG")
        _refuse_size(opened, config)
        if getattr(opened, "is_animated", False) and opened.format not in _LAYERED:
            raise UnfitError("holds more than one image", "split it, since only the first would be used")
        if opened.format == "JPEG" and _JPEG_END not in blob[opened.fp.tell() if opened.fp else 0 :]:  # opened up to its picture
            # A disk that was full or failed leaves zeros there, which are drawn as well: the format has no checksum.
            raise UnfitError("is a JPEG without an end", "mend or remove it")
        raw = _raw_mode(opened)
        opened.load()
        image, treatments = opened, set[str]()
        if any(key in opened.info for key in _METADATA):
            image = _upright(opened, treatments)
        depth = None
        if (numbers := _numbers(image, raw)) is not None:
            depth = _depth(numbers, image.mode.startswith("I;16") or (image.mode == "I" and opened.format in ("PNG", "PPM")))
            image = _grey(numbers, depth, image.info.get("transparency"), config, treatments)
        elif _DEEP_COLOUR.search(raw):
            depth = _depth_of_colour(image, config, treatments)
        if image.mode in _TRANSPARENT or "transparency" in image.info:
            image = _over_background(image, raw, config, treatments)
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    if rgb.size != (config.side, config.side):
        rgb = rgb.resize((config.side, config.side), Image.Resampling.BICUBIC)
    return Decoded(np.asarray(rgb), frozenset(treatments), depth)


def _refuse_size(image: Image.Image, config: DataConfig) -> None:
    """By what the file says of itself, before a pixel is unpacked."""
    if image.size != (config.side, config.side) and not config.resize:
        raise UnfitError(f"is {image.width}x{image.height}, not {config.side}x{config.side}", "set data.resize=true to scale every image")
    if image.width * image.height > _MOST_PIXELS:
        raise UnfitError(f"is {image.width}x{image.height}", f"scale it beforehand to at most {_MOST_PIXELS / 10**6:.0f} million pixels")


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """Pillow's name for the samples in the file, such as `RGB;16B`; known only before the pixels are loaded."""
    arguments = image.tile[0][3] if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _upright(image: Image.Image, treatments: set[str]) -> Image.Image:
    """Turned as its EXIF orientation says."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata says nothing
        return image
    if orientation not in range(2, 9):
        return image
    treatments.add("upright")
    return ImageOps.exif_transpose(image)


def _numbers(image: Image.Image, raw: str) -> np.ndarray | None:
    """The numbers of a grey image deeper than 8 bits, or signed; None of any other."""
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image)
    if image.mode == "L" and _SIGNED in getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ()):
        return np.asarray(image).view(np.int8)
    return None


def _depth(numbers: np.ndarray, sixteen_bits: bool) -> Depth:
    low, high = float(numbers.min()), float(numbers.max())
    if not np.isfinite(low + high):
        raise UnfitError("holds numbers that are not finite", "mend or remove it")
    return Depth(low, high, sixteen_bits)


def _grey(numbers: np.ndarray, depth: Depth, transparent: int | None, config: DataConfig, treatments: set[str]) -> Image.Image:
    """The numbers as 8-bit grey levels, transparent where they are `transparent`."""
    if config.white is not None:
        if depth.low < config.black or depth.high > config.white:
            range_ = f"data.black = {config.black:g} and data.white = {config.white:g}"
            raise UnfitError(f"holds {depth.low:g} to {depth.high:g}", f"that is not between {range_}: state the range of all images")
        treatments.add(f"black {config.black:g} white {config.white:g}")
        levels = np.rint((numbers.astype(np.float64) - config.black) * (255 / (config.white - config.black)))
    else:
        levels = numbers >> 8 if depth.sixteen_bits else np.zeros(numbers.shape)  # which the caller refuses
    grey = Image.fromarray(levels.astype(np.uint8))
    if transparent is not None:
        grey.putalpha(Image.fromarray(np.where(numbers == transparent, 0, 255).astype(np.uint8)))
    return grey


def _depth_of_colour(image: Image.Image, config: DataConfig, treatments: set[str]) -> Depth:
    """Of 16-bit colour, whose upper 8 bits are all that Pillow gives."""
    if "transparency" in image.info or (config.white is not None and (config.black, config.white) != (0, 2**16 - 1)):
        raise UnfitError("has 16 bits a channel, of which only the upper 8 can be read", "convert it to 8 bits a channel")
    if config.white is not None:
        treatments.add(f"black {config.black:g} white {config.white:g}")
    upper = np.asarray(image.convert("RGB"))
    return Depth(256.0 * upper.min(), 256.0 * upper.max() + 255, True)


def _over_background(image: Image.Image, raw: str, config: DataConfig, treatments: set[str]) -> Image.Image:
    """Drawn over the background, as far as it is transparent."""
    if raw in _LOW_DEPTHS and "transparency" in image.info:
        image.info["transparency"] *= _LOW_DEPTHS[raw]
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return rgba
    treatments.add(f"background {config.background}")
    ground = Image.new("RGBA", rgba.size, _COLOURS[config.background])
    ground.alpha_composite(rgba)
    return ground
