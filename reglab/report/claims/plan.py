"""The plan of looks: at how many seeds an arm the claims of a study are decided, and what of their error each look spends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reglab.statistics.looks import levels

LOOKS = (3, 5, 8, 12)
"""The plan of a study that is run until its claims are settled, and says none of its own."""

TURNS = 0
"""The look at what arms take that took turns: no seed of a run is needed for it."""

_QUICK = "-quick"
"""What a sweep is called behind its name where it runs for a look: with one seed."""


@dataclass(frozen=True)
class Looks:
    """The looks at one claim that its runs allow. `first` and `most`: seeds of the plan. `is_exceeded`: there are more, and it is taken as
    ending there. Of a study in which no arm has two seeds there is one look, at its configurations, which no plan is of. Where
    turns speak to the claim, a look at `TURNS` seeds comes before all others.
    """

    taken: Sequence[int]
    first: int
    most: int
    is_exceeded: bool = False
    is_of_cases: bool = False

    def levels(self, alpha: float, arms: int) -> tuple[float, ...]:
        """The two-sided level of each look that was taken, of what is told by runs: none was at turns."""
        if self.is_of_cases:
            return (alpha,) * len(self.taken)
        return (0.0,) * self.taken.count(TURNS) + levels(self.of_seeds, alpha, self.most, arms)

    @property
    def of_seeds(self) -> Sequence[int]:
        """The looks that were taken but for the one at turns."""
        return [look for look in self.taken if look != TURNS]


def reached(counts: Sequence[int], first: int) -> int:
    """How many seeds a comparison can be looked at with, by those of its cases: what all have that have enough for a first look.

    A case more, or one less, from look to look would be another question each time.
    """
    return min((count for count in counts if count >= first), default=max(counts, default=0))


def taken(plan: Sequence[int], counts: Iterable[Sequence[int]]) -> Looks:
    """The looks of a plan that were taken at a claim, by the seeds of the cases of each of its comparisons that runs speak to."""
    there = [reached(each, plan[0]) for each in counts if each]
    looks = [look for look in plan if any(count >= look for count in there)]
    if there and min(there) > plan[-1]:
        return Looks([*looks, min(there)], plan[0], min(there), is_exceeded=True)
    return Looks(looks, plan[0], plan[-1])


def of_sweeps(sweeps: Iterable[Iterable[str]], seeds: Mapping[str, int]) -> int | None:
    """How many seeds are planned of some arms, by the names of the sweeps that each is of; None where those do not say it, or give one."""
    known = [[1 if name.endswith(_QUICK) else seeds.get(name) for name in names] for names in sweeps]
    least = [max((count for count in counts if count), default=None) for counts in known]
    told = [count for count in least if count is not None]
    return min(told) if told and len(told) == len(least) and min(told) > 1 else None
