"""What the runs of a sweep came to before: in its folder, for another sweep on this machine, or elsewhere."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from reglab.config import DataConfig
from reglab.errors import ReglabError, UserError
from reglab.sweep import ledger
from reglab.sweep.draws import DrawnCell
from reglab.sweep.spec import SweepSpec
from reglab.tracking import storage
from reglab.tracking.images import refuse_mixed, refuse_other
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import (
    RECORD,
    RUN_LOCK,
    former_names,
    mark_crashed,
    read_run,
    readable,
    refuse_other_code,
    set_aside,
    write_run,
)


class EarlierRuns:
    """The runs that cells may find themselves done or begun by. `given`, `fingerprint`: as `LocalSweep` has them."""

    def __init__(
        self, spec: SweepSpec, folder: Path, given: Iterable[RunRecord] = (), fingerprint: Callable[[DataConfig], str] | None = None
    ):
        self._spec, self._folder = spec, folder
        self._fingerprint, self._fingerprints = fingerprint, dict[DataConfig, str]()
        given = [record for record in given if record.state == State.finished]
        refuse_mixed(given)
        self._given = {(record.identity, record.seed): record for record in given}
        self._former_names = {key: record.run_id for key, record in self._given.items() if record.has_former_name}

    @property
    def given(self) -> list[RunRecord]:
        """Those from elsewhere that have finished."""
        return list(self._given.values())

    def learn_former_names(self) -> None:
        """Of all runs on this machine that began under an earlier version of identities."""
        self._former_names |= former_names(readable(path.parent for path in sorted(self._folder.parent.glob(f"*/*/{RECORD}"))))

    def former_name(self, cell: DrawnCell) -> str | None:
        """What its run is called, here or where it was given, if that began under an earlier version of identities: it keeps that name."""
        return self._former_names.get((cell.identity, cell.seed)) if cell.config else None

    def learnt_from(self) -> list[dict[str, Any]]:
        """What a search has drawn that learns from its runs, as they tell it: it would draw others now that they have ended."""
        here = [record for path in self._folder.glob(f"*/{RECORD}") if (record := set_aside(path.parent))]
        known = {(record.identity, record.seed) for record in here}
        given = [record for key, record in self._given.items() if record.sweep == self._folder.name and key not in known]
        records = sorted(here + given, key=lambda record: record.created)
        return [values for record in records if record.identity and (values := ledger.draw(self._spec, record))][: self._spec.run_cap]

    def look_up(self, cell: DrawnCell) -> None:
        """What the cell's run came to, here or elsewhere."""
        folder = self._folder / cell.run_id
        self._mark_dead(cell)
        cell.record = self._own(cell, folder)
        elsewhere = self._given_as_finished(cell) or (None if cell.record else self._finished_elsewhere(cell))
        self._compare_images(cell, elsewhere or cell.record)
        if elsewhere:
            write_run(folder, elsewhere)
            cell.record = elsewhere
        if not cell.record or self._spec.program:  # which keeps checkpoints of its own, or none
            return
        if not cell.state.ended:
            with suppress(ReglabError):  # a store that cannot be asked now: the run's own process will say so
                cell.lost = storage.checkpoint(folder).modified() is None
        elif cell.state != State.failed:
            storage.remove_left_over(folder)

    @staticmethod
    def _own(cell: DrawnCell, folder: Path) -> RunRecord | None:
        """What is in the cell's folder, if it is of the code that the cell is named after. Raises UserError for results of other code."""
        record = set_aside(folder)
        if record and cell.config and record.identity and record.identity != cell.identity:
            refuse_other_code(record, folder)
            return None  # nothing of it is lost where the cell's run begins
        return record

    def _compare_images(self, cell: DrawnCell, record: RunRecord | None) -> None:
        """Before a run is taken as done, or goes on. Raises UserError where it saw other images than a worker would train on."""
        data = cell.config.data if cell.config else None
        if record and record.state != State.failed and data and data.is_own and (here := self._images_here(data)):
            refuse_other(record, here, self._folder / cell.run_id if record is cell.record else "--from")

    def _images_here(self, data: DataConfig) -> str | None:
        """The fingerprint of the user's images that a worker would train on; None where they are not here, or nobody tells."""
        if self._fingerprint is None or not data.is_here:
            return None
        if data not in self._fingerprints:
            self._fingerprints[data] = self._fingerprint(data)
        return self._fingerprints[data]

    def _given_as_finished(self, cell: DrawnCell) -> RunRecord | None:
        """The same arm and seed among the runs that were given, under this cell's name: W&B gives its runs names of its own."""
        is_whole = cell.state.ended and cell.state != State.failed and not (cell.record and cell.record.damage)
        if cell.config is None or cell.state == State.running or is_whole:
            return None
        if cell.config.train.keep_weights:  # which no record brings
            return None
        record = self._given.get((cell.identity, cell.seed))
        if record is None or (cell.record and cell.record.damage and not record.history):
            return None
        return record.model_copy(update={"run_id": cell.run_id, "without_history": True if not record.history else None})

    def _mark_dead(self, cell: DrawnCell) -> None:
        """A run that says it is running, and that nobody holds, has crashed. A worker of a sweep that was killed may still hold its own."""
        folder = self._folder / cell.run_id
        if folder.exists():
            with suppress(Timeout), FileLock(folder / RUN_LOCK, timeout=0):
                set_aside(folder)
                mark_crashed(folder)

    def _finished_elsewhere(self, cell: DrawnCell) -> RunRecord | None:
        """The same run, done for another sweep: one arm and seed is trained once, whichever sweeps ask for it.

        Not of another program, which may have changed. Where weights are wanted, one that kept them, and a copy of them.
        """
        if cell.config is None:
            return None
        for path in sorted(self._folder.parent.glob(f"*/{cell.run_id}/{RECORD}")):
            with suppress(UserError):  # a damaged record is the other sweep's affair
                record = read_run(path.parent)
                if record and self._is_its(cell, record) and self._has_what_is_wanted(cell, record, path.parent):
                    return record
        return None

    def _is_its(self, cell: DrawnCell, record: RunRecord) -> bool:
        """Whether a run that is called as the cell's has finished, is of its code, and saw its images."""
        is_done = record.state == State.finished and (record.identity, record.seed) == (cell.identity, cell.seed)
        return is_done and cell.config is not None and self._saw_the_same(cell.config.data, record)

    def _saw_the_same(self, data: DataConfig, record: RunRecord) -> bool:
        """Whether a run of the same name is known to have seen the images that a worker would train on: two sets may have one name."""
        return not data.is_own or (record.environment is not None and record.environment.data_fingerprint == self._images_here(data))

    def _has_what_is_wanted(self, cell: DrawnCell, record: RunRecord, there: Path) -> bool:
        """Whether weights are there to be copied where the cell keeps them, and were; always where it does not."""
        if cell.config is None or not cell.config.train.keep_weights:
            return True
        return record.weights is not None and storage.weights(there).copy(storage.weights(self._folder / cell.run_id))
