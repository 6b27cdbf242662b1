"""Independent draws from the parameters' distributions."""

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

from reglab.sweep.engines.engine import Engine


def seed(config: Mapping[str, Any], number: int) -> int:
    """The seed of a sweep's draw, counted from 0: it depends on what the sweep says, and on nothing that its runs came to."""
    digest = hashlib.sha256(f"{json.dumps(config, sort_keys=True)} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


class Random(Engine):
    """As W&B's own engine draws from the same seed: one uniform number for each parameter in turn, fixed ones included.

    So a sweep of before, whose draws were W&B's, finds its runs again where nothing but their records is left.
    """

    def _draw(self) -> dict[str, Any]:
        return self.draw(len(self.trials))

    def draw(self, number: int) -> dict[str, Any]:
        """The draw of this number, whatever came before it."""
        chance = random.Random(seed(self.config, number))
        return self._assembled([parameter.distribution.at(chance.uniform(0.0, 1.0)) for parameter in self.parameters])
