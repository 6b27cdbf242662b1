"""The file of a round asks for the very runs that the round does."""

import pytest

from reglab.config import RunConfig, identity
from reglab.settling import files
from reglab.settling.arms import arms_of
from reglab.settling.rounds import Wanted
from reglab.sweep.spec import read, shipped
from reglab.tracking.store import write_run
from tests.report.published import DESIGN


@pytest.mark.parametrize("quick", [False, True])
def test_every_arm_of_the_study_is_itself_in_a_round(quick, tmp_path):
    arms = arms_of(read(file, quick=quick) for file in DESIGN.files).values()
    spec = read(files.write(tmp_path, 1, [Wanted(arm, 7, None) for arm in arms], "a study"))
    assert [(asked.identity, asked.label, asked.seed) for _, asked in spec.cells] == [(arm.name, arm.label, 7) for arm in arms]
    assert spec.name == "round_1" and spec.method == "grid"


def test_an_arm_has_the_seeds_of_its_file_and_the_next_numbers():
    arm = next(iter(arms_of([read(shipped("final"))]).values()))
    assert arm.further(set(), 5) == [0, 1, 2, 3, 4]
    assert arm.further({0, 1, 2}, 5) == [3, 4]
    assert identity(RunConfig.parse({"cell": arm.cell(3)})) == arm.name


@pytest.mark.parametrize(
    ("there", "count", "looked", "further"),
    [
        ({0, 2}, 3, 0, [1]),  # before its first look the gap is filled
        ({0, 1, 2, 4}, 5, 3, [5]),
        ({10, 11, 12}, 5, 3, [13, 14]),  # none comes before those that a look has seen
        ({10, 11}, 3, 0, [0]),
        ({0, 1, 2}, 3, 3, []),
    ],
)
def test_further_seeds_change_nothing_that_a_look_has_seen(there, count, looked, further):
    arm = next(iter(arms_of([read(shipped("final"))]).values()))
    assert arm.further(there, count, looked) == further


def test_what_is_left_of_a_round_is_asked_for_or_it_is_left(course_of, carry_out, tmp_path):
    course = course_of()
    first = course.next([]).runs
    file = files.write(tmp_path, 1, first, "a study")
    assert files.is_within(file, tmp_path, first) and not files.is_within(file, tmp_path, first[:-1])
    for record in carry_out(first[-1:]):
        write_run(tmp_path / "round_1" / record.run_id, record)
    assert files.is_within(file, tmp_path, first[:-1]) and not files.is_within(file, tmp_path, first[:-2])


def test_the_last_round_is_found_where_it_is_one_of_these_arms(course_of, tmp_path):
    course = course_of()
    assert files.latest(tmp_path, course) == (0, None)
    files.write(tmp_path, 9, course.next([]).runs, "a study")
    path = files.write(tmp_path, 10, course.next([]).runs, "a study")
    assert files.latest(tmp_path, course) == (10, path)
    other = course_of(sweep=course.design.files[0].read_text().replace("epochs: {value: 1}", "epochs: {value: 2}"))
    assert files.latest(tmp_path, other) == (10, None)
