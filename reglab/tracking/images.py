"""Whether runs saw the same images: asked before a run is taken for done, and before several are pooled."""

from collections import defaultdict
from collections.abc import Hashable, Iterable

from reglab.config import DataConfig, RunConfig
from reglab.errors import UserError
from reglab.tracking.record import RunRecord


def refuse_mixed(records: Iterable[RunRecord]) -> None:
    """Raises UserError where runs with results call two sets of images by one name: pooled, they would be one mean."""
    seen: defaultdict[Hashable, dict[str, list[RunRecord]]] = defaultdict(dict)
    for record in records:
        if record.state.has_results and record.environment and (data := _called(record)):
            seen[data].setdefault(record.environment.data_fingerprint, []).append(record)
    for sets in seen.values():
        if len(sets) > 1:
            parts = [f"{fingerprint} ({_counted(group)}, such as {group[0].run_id})" for fingerprint, group in sets.items()]
            first = next(iter(sets.values()))[0]
            name = first.environment.data if first.environment else ""
            mend = "train on one of them under a data.name= of its own, or " if (its := _data(first)) and its.where else ""
            raise UserError(
                f"these runs saw different images that are called {name}, of fingerprints {' and '.join(parts)}: they are never pooled; "
                f"{mend}read the runs of each alone, with --from"
            )


def saw_others(record: RunRecord, fingerprint: str) -> bool:
    """Whether it is known that a run saw other images than those of this fingerprint."""
    return record.environment is not None and record.environment.data_fingerprint != fingerprint


def refuse_other(record: RunRecord, fingerprint: str, where: object) -> None:
    """Raises UserError where a run that is there saw other images than those of this fingerprint."""
    if record.environment and saw_others(record, fingerprint):
        name = "give these a data.name= of their own" if (its := _data(record)) and its.where else "name the function of these otherwise"
        raise UserError(
            f"{where} holds this run on other images that are called {record.environment.data}, too: their fingerprint is "
            f"{record.environment.data_fingerprint}, that of these is {fingerprint}: {name}; or, if they are "
            "the same ones, corrected or read otherwise since, replace it by `reglab train --again`, or remove it"
        )


def _called(record: RunRecord) -> Hashable | None:
    """What the images of a run are, as far as its configuration tells: on any machine, so of a folder the name and not the path."""
    return data.on_any_machine() if (data := _data(record)) else None


def _data(record: RunRecord) -> DataConfig | None:
    """Which images its configuration names; None of one that is none of this version."""
    try:
        return RunConfig.parse(record.config).data
    except UserError:
        return None


def _counted(records: list[RunRecord]) -> str:
    return "1 run" if len(records) == 1 else f"{len(records)} runs"
