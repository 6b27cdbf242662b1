"""Records that hold what no run writes: refused in a line where they are read, or used like any other."""

import json
import random
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reglab.config import RunConfig
from reglab.errors import UserError
from reglab.report.build import Report
from reglab.report.page.words import headline, label, machines, notes
from reglab.sweep import ledger, plan, spec
from reglab.tracking import store
from reglab.tracking.images import refuse_mixed
from reglab.tracking.record import RunRecord
from tests.hostile import corpus
from tests.hostile.conftest import ROOT, few
from tests.report.published import DESIGN

GOOD = (corpus.record(1), corpus.record(1, "symmetric_augmentation"))


@pytest.fixture(scope="module")
def use():
    """Does with a record, among good ones, what reports, ledgers and plans do, but for drawing."""
    grid, search = (spec.read(ROOT / "sweeps" / f"{name}.yaml", quick=True) for name in ("final", "dropout_arrays"))

    def through(record, folder):
        records = [*map(RunRecord.stored, GOOD), record]
        refuse_mixed(records)
        folder.mkdir(exist_ok=True)
        for design in (DESIGN, None):
            report = Report(records, design)
            report.write_tables(folder)
            report._rows()
            said = notes(report.study), machines(records, ()), label(report.study), report.what(), report.images, report.subtitle(())
            assert said and headline(report.findings, report.answers, report.study) is not None
        for each in (grid, search):
            ledger.reckon(each, records, [])
        plan.forecast([RunConfig.parse(GOOD[0]["config"])], records, plan.device(records, None))

    return through


def _read(values, folder):
    """The record in this folder that holds these values; None where it is refused in a line."""
    corpus.write_run(folder, values)
    try:
        return store.read_run(folder)
    except UserError as error:
        told = rf"{folder}/run.json is (damaged|larger than 1 MB, .*): remove the folder {folder} to run it again"
        later = r".{1,200} was written by a later reglab \((schema|identities) .{1,400}\): update reglab( to read it)?"
        assert re.fullmatch(rf"{told}|{later}", str(error))
        return None


def _told_or_used(values, folder, use):
    if record := _read(values, folder / "x-s0"):
        try:
            use(record, folder / "report")
        except UserError as error:
            assert "\n" not in str(error)


SOME = list(corpus.ODD_RECORDS)[::37]


@pytest.mark.parametrize("name", SOME)
def test_an_odd_record_is_refused_or_used(name, tmp_path, use):
    _told_or_used(corpus.odd_record(corpus.ODD_RECORDS[name]), tmp_path, use)


@pytest.mark.slow
def test_every_odd_record_is_refused_or_used(tmp_path, use):
    for name, change in corpus.ODD_RECORDS.items():
        try:
            _told_or_used(corpus.odd_record(change), tmp_path, use)
        except Exception as error:
            pytest.fail(f"{name}: {error!r}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@few
@given(place=st.sampled_from(corpus.FIELDS), value=JSON)
def test_any_value_in_any_place_is_refused_or_used(place, value, use, tmp_path_factory):
    _told_or_used(corpus.odd_record(corpus._laid(*place, value=value)), tmp_path_factory.mktemp("record"), use)


@few
@given(JSON)
def test_any_json_is_a_record_or_refused(value):
    with suppress(UserError, ValueError):
        RunRecord.stored(value if isinstance(value, dict) else {"run_id": value})


def test_a_moment_that_does_not_say_where_is_taken_as_utc(tmp_path):
    values = corpus.record() | {"created": "2026-01-01T00:00:00", "updated": "2026-01-01T02:00:00+02:00"}
    record = _read(values, tmp_path)
    assert record.created == record.updated


def test_a_reason_is_kept_as_far_as_a_line_needs_it(tmp_path):
    assert len(_read(corpus.record() | {"reason": "y" * 10**5}, tmp_path).reason) == 2001


def test_an_archive_with_a_run_twice_is_refused(tmp_path):
    line = json.dumps(corpus.record()).encode() + b"\n"
    (tmp_path / store.ARCHIVE).write_bytes(corpus._packed(lambda number: line, 2))
    with pytest.raises(UserError, match="is damaged: build the report again"):
        store.read_archive(tmp_path / store.ARCHIVE)


@pytest.mark.parametrize("epochs", [0, 100])
def test_an_archive_of_many_runs_that_are_alike_is_no_bomb(tmp_path, epochs):
    """They differ in seeds, losses and times: no real study packs better."""
    chance = random.Random(0)
    runs = [RunRecord.stored(corpus.record(seed) | {"history": []}) for seed in range(60)]
    row = RunRecord.stored(corpus.record()).history[0]
    for place, run in enumerate(runs):
        rows = [row.model_copy(update={"epoch": n, "train_loss": chance.random(), "time_train_seconds": 7.1 * n}) for n in range(epochs)]
        runs[place] = run.model_copy(update={"history": rows})
    store.write_archive(tmp_path / store.ARCHIVE, runs)
    assert store.read_archive(tmp_path / store.ARCHIVE) == runs
