"""One file as pixels: transparency, orientation, depth, and one reason for whatever cannot be one of the images."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from reglab.config import DataConfig
from reglab.data.decode import Decoded, UnfitError, decode

WHITE, GREY, BLACK = (255, 255, 255), (128, 128, 128), (0, 0, 0)


def config(**keys):
    return DataConfig(source="folder", folder="/nowhere", **keys)


def stored(image, form="PNG", **keys):
    stream = io.BytesIO()
    image.save(stream, form, **keys)
    return stream.getvalue()


def png(depth, colour, samples, channels=1, **chunks):
    """A 32x32 PNG of any depth (of samples) and colour type, row after row the same `samples` (32 * channels)."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    row = b"\0" + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 32, 32, depth, colour, 0, 0, 0)), *((k.encode(), v) for k, v in chunks.items())]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IDAT", zlib.compress(row * 32)), (b"IEND", b"")])


def drawing():
    """A black stroke on nothing."""
    image = np.zeros((32, 32, 4), dtype=np.uint8)
    image[8:24, 14:18, 3] = 255
    return Image.fromarray(image)


def is_stroke(decoded, ground=WHITE):
    stroke = np.zeros((32, 32), dtype=bool)
    stroke[8:24, 14:18] = True
    return (decoded.pixels[stroke] == 0).all() and (decoded.pixels[~stroke] == ground).all()


def as_palette(image):
    mask = np.asarray(image)[..., 3] > 0
    palette = Image.fromarray(mask.astype(np.uint8), "P")
    palette.putpalette([*BLACK, *BLACK])
    palette.info["transparency"] = 0
    return palette


TRANSPARENT = {
    "RGBA PNG": lambda: stored(drawing()),
    "LA PNG": lambda: stored(drawing().convert("LA")),
    "palette PNG": lambda: stored(as_palette(drawing()), transparency=0),
    "palette PNG with levels": lambda: stored(as_palette(drawing()), transparency=b"\x00\xff"),
    "GIF": lambda: stored(as_palette(drawing()), "GIF", transparency=0),
    "WebP": lambda: stored(drawing(), "WEBP", lossless=True, exact=True),
    "TIFF": lambda: stored(drawing(), "TIFF"),
    "ICO": lambda: stored(drawing(), "ICO", sizes=[(32, 32)]),
    "TGA": lambda: stored(drawing(), "TGA"),
}


@pytest.mark.parametrize("make", TRANSPARENT.values(), ids=TRANSPARENT)
@pytest.mark.parametrize(("key", "ground"), [("white", WHITE), ("grey", GREY), ("black", BLACK)])
def test_what_is_transparent_shows_the_background(make, key, ground):
    decoded = decode(make(), config(background=key))
    assert is_stroke(decoded, ground)
    assert decoded.treatments == {f"background {key}"}


def test_half_a_cover_is_half_the_background():
    half = np.full((32, 32, 4), (200, 100, 0, 128), dtype=np.uint8)
    assert np.abs(decode(stored(Image.fromarray(half)), config()).pixels[0, 0].astype(int) - (227, 177, 127)).max() <= 1


@pytest.mark.parametrize(("depth", "level", "shown"), [(1, 1, 255), (2, 1, 85), (4, 5, 85), (8, 5, 5), (16, 50_000, 195)])
def test_a_grey_level_that_is_called_transparent_is_so_at_any_depth(depth, level, shown):
    other = 0 if depth < 16 else 40_000
    blob = png(depth, 0, [level, other] * 16, tRNS=struct.pack(">H", level))
    pixels = decode(blob, config(background="grey")).pixels
    assert (pixels[:, 0::2] == 128).all() and (pixels[:, 1::2] == (other >> 8)).all()
    opaque = decode(png(depth, 0, [level, other] * 16), config()).pixels
    assert (opaque[:, 0::2] == shown).all()


def test_a_colour_that_is_called_transparent_is_so():
    blob = png(8, 2, [1, 2, 3, 4, 5, 6] * 16, 3, tRNS=struct.pack(">3H", 1, 2, 3))
    pixels = decode(blob, config()).pixels
    assert (pixels[:, 0::2] == 255).all() and (pixels[:, 1::2] == (4, 5, 6)).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_opaque_is_as_it_was_before_transparency_was_looked_at(mode):
    levels = np.arange(1024, dtype=np.uint8).reshape(32, 32)
    image = Image.fromarray(levels).convert(mode)
    keys = {"transparency": b"\xff" * 256} if mode == "P" else {}
    decoded = decode(stored(image, **keys), config())
    assert np.array_equal(decoded.pixels, np.asarray(image.convert("RGB"))) and not decoded.treatments


def corner():
    """Red at the top left, so that each turn of it is another picture."""
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[:8, :16] = (255, 0, 0)
    return image


UPRIGHT = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_an_image_is_upright(orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    keys = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    decoded = decode(stored(Image.fromarray(corner()), form, exif=exif, **keys), config())
    assert np.abs(decoded.pixels.astype(int) - UPRIGHT[orientation](corner())).max() < 32
    assert decoded.treatments == (set() if form == "TIFF" else {"upright"})  # Pillow has always turned TIFF


@pytest.mark.parametrize("orientation", [0, 1, 9, 4242])
def test_an_orientation_that_says_nothing_changes_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(stored(Image.fromarray(corner()), exif=exif), config())
    assert np.array_equal(decoded.pixels, corner()) and not decoded.treatments


def test_damaged_metadata_leaves_an_image_as_it_is():
    plain = stored(Image.fromarray(corner()), "JPEG")
    odd = stored(Image.fromarray(corner()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f garbage")
    assert np.array_equal(decode(odd, config()).pixels, decode(plain, config()).pixels)


def test_a_photograph_with_a_preview_is_its_first_image():
    blob = stored(Image.fromarray(corner()), "MPO", save_all=True, append_images=[Image.new("RGB", (32, 32))], quality=100, subsampling=0)
    assert np.abs(decode(blob, config()).pixels.astype(int) - corner()).max() < 32


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("preview", [False, True])
def test_a_jpeg_whose_end_the_disk_lost_is_refused(progressive, preview):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    keys = {"exif": b"Exif\0\0" + stored(noise, "JPEG")} if preview else {}  # has an end of its own
    whole = stored(noise, "JPEG", progressive=progressive, **keys)
    assert decode(whole + b"\0" * 100, config()).pixels.shape == (32, 32, 3)
    for kept in (len(whole) - 2, len(whole) - 100):
        with pytest.raises(UnfitError, match=r"^is a JPEG without an end: mend or remove it$"):
            decode(whole[:kept] + b"\0" * (4096 - kept), config())


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_images_in_one_file_are_refused(form):
    frames = [Image.fromarray(np.full((32, 32, 3), level, dtype=np.uint8)) for level in (0, 100, 200)]
    with pytest.raises(UnfitError, match="more than one image"):
        decode(stored(frames[0], form, save_all=True, append_images=frames[1:]), config())


def test_what_is_no_image_is_told_without_an_address_in_memory():
    with pytest.raises(UnfitError, match=r"^is not an image that can be read: mend or remove it$"):
        decode(b"text", config())


# --- numbers deeper than 8 bits -------------------------------------------------------------------------------------------------


def ramp(kind, low, high):
    return np.linspace(low, high, 1024).reshape(32, 32).astype(kind)


DEEP = {
    "float": (np.float32, 0, 1),
    "float with negatives": (np.float32, -1, 1),
    "int32 of 8 bits": (np.int32, 0, 255),
    "int32 whole": (np.int32, 0, 2**31 - 128),
    "int32 with negatives": (np.int32, -1024, 3071),
    "12 of 16 bits": (np.uint16, 0, 4095),
}


@pytest.mark.parametrize(("kind", "low", "high"), DEEP.values(), ids=DEEP)
def test_numbers_are_scaled_by_a_stated_range(kind, low, high):
    numbers = ramp(kind, low, high)
    decoded = decode(stored(Image.fromarray(numbers), "TIFF"), config(black=low, white=high))
    expected = (numbers.astype(float) - low) / (high - low) * 255
    assert np.abs(decoded.pixels - expected[..., None]).max() <= 0.5
    assert decoded.treatments == {f"black {low:g} white {high:g}"}


@pytest.mark.parametrize(("kind", "low", "high"), DEEP.values(), ids=DEEP)
def test_a_depth_says_the_range_that_was_found(kind, low, high):
    depth = decode(stored(Image.fromarray(ramp(kind, low, high)), "TIFF"), config()).depth
    assert (depth.low, depth.high) == pytest.approx((low, high)) and depth.sixteen_bits == (kind is np.uint16)


@pytest.mark.parametrize(("low", "high"), [(0, 4096), (-1, 4095)])
def test_numbers_beyond_a_stated_range_are_refused(low, high):
    with pytest.raises(UnfitError, match=rf"holds {low} to {high}: .* data.black = 0 and data.white = 4095"):
        decode(stored(Image.fromarray(ramp(np.int32, low, high)), "TIFF"), config(white=4095))


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(odd):
    numbers = ramp(np.float32, 0, 1)
    numbers[3, 4] = odd
    with pytest.raises(UnfitError, match="not finite"):
        decode(stored(Image.fromarray(numbers), "TIFF"), config(white=1))


def test_sixteen_bits_in_full_use_are_the_upper_eight():
    numbers = ramp(np.uint16, 0, 65535)
    for blob in (stored(Image.fromarray(numbers)), stored(Image.fromarray(numbers), "TIFF", compression="tiff_lzw")):
        decoded = decode(blob, config())
        assert np.array_equal(decoded.pixels[..., 0], numbers >> 8) and not decoded.treatments


def test_a_grey_map_that_says_its_largest_number_is_scaled_by_it():
    numbers = ramp(np.uint16, 0, 4095)
    decoded = decode(b"P5 32 32 4095\n" + numbers.astype(">u2").tobytes(), config())
    assert np.abs(decoded.pixels[..., 0] - numbers / 4095 * 255).max() <= 1 and decoded.depth.high == 65535


def test_negative_bytes_do_not_wrap():
    image = Image.fromarray(ramp(np.uint8, 0, 255))
    signed = decode(stored(image, "TIFF", tiffinfo={339: 2}), config()).depth
    assert (signed.low, signed.high, signed.sixteen_bits) == (-128, 127, False)


def test_sixteen_bit_colour_tells_its_range():
    low = decode(png(16, 2, [0, 4095, 100] * 32, 3), config())
    assert low.depth.sixteen_bits and low.depth.high == 4095
    assert decode(png(16, 2, [0, 65535, 100] * 32, 3), config()).depth.high == 65535


def test_sixteen_bit_colour_is_not_scaled_from_its_upper_half():
    with pytest.raises(UnfitError, match="convert it to 8 bits"):
        decode(png(16, 2, [0, 4095, 100] * 32, 3), config(white=4095))


def test_plain_images_have_no_depth_and_no_treatment():
    for mode in ("RGB", "L", "1", "CMYK", "YCbCr"):
        decoded = decode(stored(Image.new(mode, (32, 32)), "TIFF"), config())
        assert isinstance(decoded, Decoded) and decoded.depth is None and not decoded.treatments
