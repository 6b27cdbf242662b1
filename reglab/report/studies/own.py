"""The study that runs of no study are: what differs among them, and nothing that anyone claims."""

from collections.abc import Mapping, Sequence
from typing import Any

from reglab.config import FIELDS, SPEED_KEYS, RunConfig, as_given, effective, parse_overrides
from reglab.errors import UserError
from reglab.report import stats
from reglab.report.studies.claim_kinds import stem_of
from reglab.report.studies.colours import colours
from reglab.report.studies.columns import in_order, scale_of, short_names, written
from reglab.report.studies.design import ColumnData, Design, FigureData, Question
from reglab.techniques import TECHNIQUES
from reglab.tracking.record import RunRecord

ARMS = "arms"
_CALLED = {f"{each.name}.{key}": stem_of(title) for each in TECHNIQUES for title, key in each.columns.items()}


def design(records: Sequence[RunRecord], baseline: str | None = None) -> Design:
    """A study of nothing but what differs among these runs. `baseline`: `key=value` words that only one arm has all of.

    Raises UserError where none or several have.
    """
    arms = {stats.arm(record): config for record in records if stats.counts(record) and (config := stats.built(record))}
    return of_arms(arms, ", ".join(dict.fromkeys(record.sweep for record in records)), baseline)


def of_arms(arms: Mapping[str, RunConfig], title: str, baseline: str | None = None) -> Design:
    """The same of configurations, by what reports call their arms."""
    given = {arm: as_given(config) for arm, config in arms.items()}
    acting = [effective(config) for config in arms.values()]
    known = [*FIELDS, *sorted({key for values in acting for key in values} - FIELDS.keys())]  # the latter of options
    there = {key: {written(values[key]) for values in given.values() if key in values} for key in known if key not in SPEED_KEYS}
    keys = [key for key, levels in there.items() if len(levels) > 1]  # where one has no effect, another that varies says so
    keys = sorted(
        {*keys, *_further(keys, known, [own | values for own, values in zip(given.values(), acting, strict=True)])}, key=known.index
    )
    differing = frozenset(key for key in known if len({written(values.get(key)) for values in acting}) > 1)
    names = short_names(keys, _CALLED)
    factors = {}
    for key, name in names.items():
        levels = sorted({values.get(key) for values in given.values()}, key=in_order)
        factors[name] = ColumnData(
            key=key,
            without="none",
            base="most",
            title=name.replace("_", " "),
            scale=scale_of(levels),
            colours={written(level): colour for level, colour in zip(levels, colours(levels), strict=True)},
        )
    question = Question(
        name=ARMS,
        title="What each arm came to",
        asks="Every arm that ran, the best test accuracy first.",
        order="best",
        against=_against(baseline, names, given) if baseline else None,
        figures=(FigureData(name=ARMS, title="The arms", says="For each arm: test and clean training accuracy, and the times it took."),),
    )
    return Design(title=title, factors=factors, questions=(question,), colour_by=tuple(factors)[:1], covers=differing)


def _further(keys: Sequence[str], known: Sequence[str], arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that some arms differ in and that `keys` do not tell apart: of `dropout.p` at .3, and of .1, .2 and .3 a layer, two."""
    found: list[str] = []
    while True:
        groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for values in arms:
            groups.setdefault(tuple(written(values.get(key)) for key in (*keys, *found)), []).append(values)
        alike = [group for group in groups.values() if len(group) > 1]
        apart = (key for group in alike for key in known if key not in SPEED_KEYS and len({written(each.get(key)) for each in group}) > 1)
        if (key := next(apart, None)) is None:
            return found
        found.append(key)


def _against(baseline: str, names: dict[str, str], given: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    wanted = parse_overrides(baseline.split())
    if unknown := [key for key in wanted if key not in names]:
        raise UserError(f"--baseline {baseline}: {unknown[0]} does not differ among these runs; what does is {', '.join(names)}")
    there = [values for values in given.values() if all(written(values.get(key)) == written(value) for key, value in wanted.items())]
    if len(there) != 1:
        which = "no arm has" if not there else f"{len(there)} arms have"
        raise UserError(f"--baseline {baseline}: {which} that; give a value of each of {', '.join(names)}")
    return {name: [written(there[0].get(key))] for key, name in names.items()}
