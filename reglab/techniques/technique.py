"""What a technique declares of itself, without torch: its keys, when they act, how it is called, what proves it, and where it is done."""

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reglab.section import Section

if TYPE_CHECKING:
    from reglab.config import RunConfig
    from reglab.techniques.applied import Applied

S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Probe(Generic[S]):
    """A number that each epoch logs where its technique acts, as proof that it happened.

    `name` is W&B's: `dropout/rate`. `expected` is about what it comes to in the mean where its technique acts alone, and the keys tell.
    """

    name: str
    says: str
    expected: Callable[[S], float | None] | None = None

    @property
    def field(self) -> str:
        """Its name as that of an attribute."""
        return self.name.replace("/", "_")


@dataclass(frozen=True)
class Technique(Generic[S]):
    """One regularization technique: the door of its room. `applied_by` is imported only in a run in which it acts.

    `label` gives its words in a run's label; a technique without it is told of by its keys, where they vary. `columns` has its keys by
    what reports call them, those of which their own name says too little. `example` has keys under
    which it acts, for tests and documentation. `formerly`: paths that its keys had before; identities are of those for good.
    `without`: values of other keys that come to the same where it does not act. `in_network`: whether it puts layers into the network,
    which has to have places for them; `layers`: how many, of one whose layers `model.placement` counts by units or stages. `copies`:
    images that it adds to a batch of so many. `slows`: what of it decides how long a step takes, where that is worth telling. `warns`:
    a line to be said before a run in which it does what is seldom meant. `mixes`: whether it mixes images of a batch. `revised`, given the
    techniques that act: what it does otherwise than in earlier versions, where it does; it is part of the identity of such runs, so that
    those of before are not taken for them. `source`: of one that came with another package, the hash of its code, which is part of the
    identity of runs in which it acts.
    """

    name: str
    section: type[S]
    paper: str
    active: Callable[[S, "RunConfig"], bool]
    applied_by: str
    example: Mapping[str, Any]
    label: Callable[[S], str] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    probes: Sequence[Probe[S]] = ()
    formerly: Mapping[str, str] = field(default_factory=dict)
    without: Callable[[S, "RunConfig"], Mapping[str, Any]] | None = None
    in_network: bool = False
    layers: Callable[[S], int] | None = None
    copies: Callable[[S, int], int] | None = None
    slows: Callable[[S], Hashable] | None = None
    warns: Callable[[S, "RunConfig"], str | None] | None = None
    mixes: bool = False
    revised: Callable[[S, Sequence["Technique[Any]"]], str | None] | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        if fault := self._fault():
            raise TypeError(f"technique {self.name or '(without a name)'}: {fault}")

    def _fault(self) -> str | None:
        """The first thing that its declaration lacks."""
        section = self.section
        if not (isinstance(section, type) and issubclass(section, Section)):
            return "section must be a subclass of reglab.section.Section"
        unknown = self.example.keys() - section.model_fields.keys()
        lacks = {
            "its name must be that of a section, such as stochastic_depth": not re.fullmatch(r"[a-z][a-z0-9_]*", self.name),
            "its section has no docstring, which says what it is and who published it": section.__doc__ in (None, "", Section.__doc__),
            "each key of its section needs a default, under which the technique does nothing": _needs_keys(section),
            "paper is empty: say where it was published": not self.paper.strip(),
            "applied_by must name what does it, as package.module:Class": ":" not in self.applied_by,
            "layers that model.placement counts are in the network: declare in_network=True": bool(self.layers) and not self.in_network,
            f"example has what is no key of its section: {', '.join(sorted(unknown))}": bool(unknown),
            f"its probes must be called {self.name}/…": not all(probe.name.startswith(f"{self.name}/") for probe in self.probes),
        }
        return next((fault for fault, is_so in lacks.items() if is_so), None)

    def of(self, run: "RunConfig") -> S:
        """Its section in a configuration."""
        own: S = getattr(run, self.name)
        return own

    def acts(self, run: "RunConfig") -> bool:
        """Whether it does anything in this run."""
        return self.active(self.of(run), run)

    def effective(self, run: "RunConfig") -> dict[str, Any]:
        """Its keys that have an effect, with their values; where it does not act, those of one that was never touched."""
        own = self.of(run)
        return own.effective(run) if self.active(own, run) else type(own)().effective(run)

    def given(self, run: "RunConfig") -> dict[str, Any]:
        """The same keys as they were given."""
        own = self.of(run)
        return own.given(run) if self.active(own, run) else {key: getattr(own, key) for key in self.effective(run)}

    def load(self) -> type["Applied[S]"]:
        """What does it. Imports torch."""
        module, _, name = self.applied_by.partition(":")
        found: type[Applied[S]] = getattr(import_module(module), name)
        return found

    @property
    def code(self) -> str:
        """The hash of the module that does it and of the one that declares it, found without importing the former."""
        modules = sorted({self.applied_by.partition(":")[0], self.section.__module__})
        origins = [found.origin for module in modules if (found := find_spec(module)) and found.origin]
        return hashlib.sha256(b"\0".join(Path(origin).read_bytes() for origin in origins)).hexdigest()[:12]

    @property
    def is_edited(self) -> bool:
        """Whether its code is no longer what `source` says, which was read when this process, or the one that it is a fork of, began."""
        return self.source is not None and self.code != self.source


def _needs_keys(section: type[Section]) -> bool:
    return any(field.is_required() for field in section.model_fields.values())
