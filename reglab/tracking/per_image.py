"""Which test images a run classified rightly at its end: a bit each, as its record keeps them."""

import base64
import zlib
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import numpy as np

MOST_IMAGES = 10**6
"""Of a test part: of a larger one no bits are kept, which would make its record larger than any."""

_LONGEST = MOST_IMAGES // 5
"""Characters: a sixth of the images, where nothing could be packed closer."""


class PerImage(BaseModel):
    """The images of one test part that a run classified rightly, in the order in which the fingerprint was taken of them.

    Whoever has the same fingerprint has the same images in the same order: the bits of two runs are of the same images, place by place.
    Raises ValueError, when built, for bits that are not as many as the images.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    images: Annotated[str, Field(max_length=255)] = Field(description="fingerprint of the test part: `ImageSet.test_fingerprint`")
    count: int = Field(ge=1, le=MOST_IMAGES, description="of the test part's images")
    correct: Annotated[str, Field(max_length=_LONGEST)] = Field(
        description="a bit an image, 1 where it was classified rightly; eight a byte, the first image's the highest; zlib, then base64"
    )

    @model_validator(mode="after")
    def _is_a_bit_an_image(self) -> Self:
        content, unused = self._bytes, -self.count % 8
        if len(content) != -(-self.count // 8) or content[-1] & ((1 << unused) - 1):
            raise ValueError(f"the bits of the test images are not those of {self.count} images")
        return self

    @classmethod
    def of(cls, images: str, correct: "np.ndarray") -> "PerImage | None":
        """Pack `correct` (N,), bool; None of more than `MOST_IMAGES`."""
        import numpy as np  # a tenth of a second: not for commands that only read records

        if len(correct) > MOST_IMAGES:
            return None
        # Packed once here, since an archive of records that unpacks to much more than it is long is taken for a trap.
        packed = zlib.compress(np.packbits(correct).tobytes(), 9)
        return cls(images=images, count=len(correct), correct=base64.b64encode(packed).decode())

    @property
    def _bytes(self) -> bytes:
        """Unpacked, to a byte more than there should be at most: a short text can be made to unpack to anything."""
        try:
            return zlib.decompressobj().decompress(base64.b64decode(self.correct, validate=True), -(-self.count // 8) + 1)
        except (ValueError, zlib.error):  # the former of what is no base64
            raise ValueError("the bits of the test images cannot be unpacked") from None

    @property
    def right(self) -> int:
        """How many of the images were classified rightly."""
        return int.from_bytes(self._bytes, "big").bit_count()

    def bits(self) -> "np.ndarray":
        """Unpacked: (count,), bool."""
        import numpy as np

        return np.unpackbits(np.frombuffer(self._bytes, np.uint8), count=self.count).astype(bool)
