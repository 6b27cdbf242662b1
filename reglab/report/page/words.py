"""What a report says in sentences: what came out, how sure it is, and what a reader must know."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from reglab.report import stats, tables
from reglab.report.claims.findings import Finding, Verdict
from reglab.report.comparisons.best import with_the_best
from reglab.report.comparisons.differences import of_cells
from reglab.report.studies.cells import Cell
from reglab.report.studies.design import Question
from reglab.report.studies.study import Study
from reglab.report.writing.numbers import any_of, counted
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import QUIET


def label(study: Study) -> str | None:
    """What a reader must not take these runs for; None for the published study's own set-up."""
    if not (departures := study.unlike_the_published()):
        return None
    return f"Not the published study's set-up: {', '.join(departures)}."


def headline(findings: Sequence[Finding], answers: Mapping[Question, Sequence[Cell]], study: Study) -> list[str]:
    """What came out, in a sentence, and how sure it is, in some more; the verdicts are counted beside it."""
    said = []
    question, first = next(iter(answers.items()), (None, []))
    if question and (best := max((cell for cell in first if cell.test_accuracy), key=_mean, default=None)):
        said.append(_best(best, question, first, study))
        reached = sum(any(times.to_target and times.to_target.reached for times in cell.times) for cell in first)
        said.append(f"{reached} of {len(first)} reach{'es' * (reached == 1)} {study.target.words}.")
    elif tested := sum(finding.verdict != Verdict.not_tested for finding in findings):
        said.append(f"These runs test {tested} of {len(findings)} claims.")
    if study.seeds == 1:
        over = "intervals are over configurations, not over seeds" if findings else "nothing tells a difference from chance"
        said.append(f"With one seed an arm, {over}: take them as a first look.")
    return said


def chosen(cells: Sequence[Cell], study: Study) -> list[str]:
    """What each search chose on its held-out images, and what that comes to on the test images, seen once."""
    drawn: dict[str, list[tuple[float, Cell]]] = {}
    for cell in cells:
        for record in cell.records:
            if cell.is_searched and record.summary and record.summary.val_accuracy is not None:
                drawn.setdefault(record.sweep, []).append((record.summary.val_accuracy, cell))
    said = []
    for sweep, found in drawn.items():
        validation, best = max(found, key=lambda pair: pair[0])
        if best.test_accuracy:
            best_of = f"Of its {len(found)} draws, {sweep} chooses {study.labels[best.records[0].run_id]}"
            seen = f"{100 * validation:.1f} % on held-out training images"
            said.append(f"{best_of} by {seen}: {100 * best.test_accuracy.mean:.1f} % on the test images.")
    return said


def _mean(cell: Cell) -> float:
    return cell.test_accuracy.mean if cell.test_accuracy else 0.0


def _best(best: Cell, question: Question, first: Sequence[Cell], study: Study) -> str:
    assert best.test_accuracy
    line = f"Of {question.called}, {best.label} has the best test accuracy: {tables.percent(best.test_accuracy)} %"
    plain = next((cell for cell in first if cell.treatment and study.is_baseline(question, cell.treatment)), None)
    if plain and plain is not best and plain.test_accuracy:
        gained = tables.points(of_cells(best, plain, [*first, *study.cells]), None)
        line += f", {gained} points against {plain.label}"
    return f"{line}.{_as_good(first)}"


def _as_good(cells: Sequence[Cell]) -> str:
    """How many arms may be the best: by the intervals against the best of the others, which hold for all arms at once."""
    compared = with_the_best({cell.identity: each for cell in cells if (each := cell.accuracies)}).values()
    if any(each.low is None for each in compared):
        return ""
    possible = sum(each.high is None or each.high > 0 for each in compared)
    if possible == len(compared):
        return f" {'Either' if possible == 2 else 'Any'} of them may be the best: these runs do not tell."
    return f" {any_of(possible, 'arms')} may be the best." if possible > 1 else " Every other is surely below it."


def notes(study: Study) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = []
    for state in State:
        left_out = [
            f"{study.labels[record.run_id]} s{record.seed}" + (f" ({record.reason})" if record.reason else "")
            for record in study.records
            if record.state == state
        ]
        if left_out and state != State.finished:
            how = "counted as chance where accuracies are compared, and in no mean" if state == State.diverged else "not counted"
            found.append(f"{len(left_out)} {state}, {how}: " + "; ".join(left_out))
    if damaged := [record.run_id for record in study.records if record.damage and record.state.has_results]:
        runs = "1 run" if len(damaged) == 1 else f"{len(damaged)} runs"
        found.append(f"the history of {runs} is damaged, and the summary counts: {', '.join(damaged)}")
    if study.others:
        keys = "; ".join(f"{key} {' / '.join(map(str, values))}" for key, values in study.differing.items())
        runs = "1 run is" if len(study.others) == 1 else f"{len(study.others)} runs are"
        found.append(f"{runs} of another set-up, and only among the rows: {keys}")
    if study.again:
        runs = "1 run is" if len(study.again) == 1 else f"{len(study.again)} runs are"
        found.append(f"{runs} of an arm and seed that is there already, and only among the rows")
    environments = [record.environment for record in study.records if record.environment]
    found += [*_leaks(environments), *_decoded_unlike(environments)]
    if study.by_turns:
        who = "1 run" if len(study.by_turns) == 1 else f"{len(study.by_turns)} runs"
        of = ", in the session that most arms are of (claims go by the first that all arms in question are of)" * (len(study.sessions) > 1)
        found.append(f"{who} shared cores or a GPU, and their times are epochs times what one of their arms took in turns{of}")
    if study.other_turns:
        arms = len({stats.arm(turn) for turn in study.other_turns})
        found.append(f"turns of {arms} arm{'s' * (arms > 1)} are of another set-up, or cannot be built, and left out")
    there = {where for record in study.records if stats.counts(record) and (where := stats.place(record))}
    if len(there) > 1:
        found.append(
            f"Times come from {len(there)} unlike machines or versions of the code, and are not pooled: {' / '.join(sorted(there))}"
        )
    for what, how in (("cores", f" with other programs, and had less than {100 * QUIET:.0f} % of their time"), ("GPU", " with other runs")):
        if shared := sum(record.summary.shared == what for record in study.records if record.summary):
            who = "1 run" if shared == 1 else f"{shared} runs"
            found.append(f"{who} shared {'a GPU' if what == 'GPU' else what}{how}: slower than need be")
    if moved := sum(map(stats.has_moved, study.records)):
        who = "1 run" if moved == 1 else f"{moved} runs"
        found.append(f"{who} went on elsewhere, with seconds of several machines or versions of the code: such times decide nothing")
    return found


def _leaks(environments: Sequence[Environment]) -> Iterator[str]:
    """Of each set that has test images among its training images: how many, which may depend on the limits of a run."""
    leaked: dict[str, set[tuple[int, int]]] = {}
    for where in environments:
        if where.leaked_images is not None:  # records of before lack it
            leaked.setdefault(where.data, set()).add((where.leaked_images, where.test_images))
    for name, found in leaked.items():
        most, tests = max(found)
        if most:
            count = f"{'up to ' * (len(found) > 1)}{most:,} of its {tests:,} test images"
            said = f"the training images of {name} hold {count}, too, pixel by pixel"
            yield f"{said}: test accuracy is in part that of images that were trained on"


def _decoded_unlike(environments: Sequence[Environment]) -> Iterator[str]:
    pixels: dict[tuple[str, str], set[str]] = {}
    for where in environments:
        if where.pixel_fingerprint is not None:  # records of before lack it
            pixels.setdefault((where.data, where.data_fingerprint), set()).add(where.pixel_fingerprint)
    for (name, _), found in pixels.items():
        if len(found) > 1:
            yield f"the same files of {name} were decoded to {len(found)} unlike sets of pixels, as several versions of Pillow may do"


def machines(records: Sequence[RunRecord], turns: Sequence[RunRecord]) -> list[str]:
    """Where the runs ran, and where arms took turns, with their number."""
    found = []
    for each, many in ((records, "runs"), (turns, "turns")):
        places = Counter(where for record in each if (where := stats.place(record)))
        found += [f"{counted(count, many)}: {name}" for name, count in places.items()]
    return found


def sentence(title: str) -> str:
    """A title, with a point where something else follows it."""
    return title if title.endswith((".", "?", "!", ":")) else f"{title}."


def timed_where(cells: Sequence[Cell]) -> str:
    """On which machines times that stand beside each other were taken; empty where there is one."""
    machines = tables.timed_on(cells)
    if len(machines) < 2:
        return ""
    return f"Times are of {' / '.join(machines)}, in this order, and told once where they read alike."
