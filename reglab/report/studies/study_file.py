"""The reader of study files: whole and valid, or refused in one line with the file, the line and what is allowed."""

import difflib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from reglab import shipped, yaml_files
from reglab.config import FIELDS, allowed, nearest
from reglab.errors import UserError, excerpt
from reglab.report.studies.claim_kinds import Kinds, Place
from reglab.report.studies.columns import ANY, BASE, ITS, NONE, OTHER, TAKEN, Column, Condition, typed, written
from reglab.report.studies.design import Design
from reglab.report.studies.measures import MEASURES
from reglab.report.studies.study import Study
from reglab.section import Functions, types_of
from reglab.tracking.record import RunRecord
from reglab.tracking.results import METRICS, is_of, own_name
from reglab.yaml_files import Document

PUBLISHED = "four_regularizers"
"""The study that comes with reglab."""

OTHER_TABLES = frozenset({"table_1", "claims", "others", "runs", "per_image", "convergence", "epoch_seconds"})
OTHER_FIGURES = frozenset({"summary", "others", "manifest", "test_accuracy_by_epoch", "training_time"})
"""Files that a report has beside those of its questions: a question or a figure of such a name would take the place of one of them."""

ANCHORS = frozenset({"findings", "registered", "plan", "notes", "untested", "runs", "count", "rows", "environment", "downloads", "arm"})
"""Places of its page, by names that figures have there, too."""


def read(study: str | Path, with_sweeps: bool = True) -> Design:
    """The study in a file, or, by its name, one that comes with reglab; of a copy in a report without a look for its sweeps.

    Raises UserError for what is no study.
    """
    path = _path(study)
    document = yaml_files.read(path)
    plain = document.plain()
    if not isinstance(plain, dict):
        raise UserError(f"{path}: not a study; it needs `title:` and `factors:`")
    try:
        found = Design.model_validate({**plain, "path": path, "is_shipped": path.resolve().parent == _shipped().resolve(), "planned": {}})
    except ValidationError as error:
        fault = _plainest(error)
        raise document.error(_place(fault["loc"], document), _explained(fault)) from None
    for place, said in _faults(found, with_sweeps):
        raise document.error(_place(place, document), said)
    return found.model_copy(update={"planned": _planned(found) if with_sweeps else {}})


def _place(place: Place, document: Document) -> list[Hashable]:
    """A place as the file has it: its keys with their own types, and no number where one comparison stands without a list."""
    value, found = document.root, list[Hashable]()
    for key in place:
        inside = dict(enumerate(value.content)) if isinstance(value.content, list) else value.content
        there = [each for each in inside if written(each) == written(key)] if isinstance(inside, dict) else []
        if there:
            value = inside[there[0]]
            found.append(there[0])
        elif key != 0:
            break
    return found


def of(records: Sequence[RunRecord]) -> Design | None:
    """The published study where these runs are all of its sweeps, by their names and by what they are; else None."""
    design = read(PUBLISHED)
    if {record.sweep.removesuffix("-quick") for record in records} - set(design.stems):
        return None
    study = Study.of(records, design)
    return design if study.records and not any(cell.counted for cell in study.unasked(design.questions)) else None


def _planned(design: Design) -> dict[str, int]:
    """How many seeds each sweep of a study gives an arm, by the sweep's name; of those whose files are within reach and say it."""
    found = {}
    for file in design.files:
        if file.is_file():
            seeds = _seeds(yaml_files.read(file).plain())
            if seeds:
                found[file.stem] = seeds
    return found


def _seeds(sweep: Any) -> int | None:
    """How many different values of `train.seed` a grid has, or with how many seeds `replicates` begins: those that a sweep gives an arm
    unless somebody asks for more. None where that is not known: a search draws a seed for each of its arms."""
    if not isinstance(sweep, dict):
        return None
    replicates = sweep.get("replicates")
    if isinstance(replicates, dict):
        start = replicates.get("start")
        return start if isinstance(start, int) else None
    return _count(_of_training(sweep, "seed")) if sweep.get("method") == "grid" else None


def _count(parameter: Mapping[str, Any]) -> int | None:
    """How many different numbers a grid has of a parameter."""
    values, low, high = (parameter.get(name) for name in ("values", "min", "max"))
    if isinstance(values, list) and all(isinstance(value, int | float | str) for value in values):
        return len(set(map(written, values)))
    if isinstance(low, int) and isinstance(high, int) and "q" not in parameter:
        return high - low + 1
    return None


def _of_training(sweep: Any, key: str) -> dict[str, Any]:
    """What a sweep file says of a key of `train`; nothing where it does not, or is no sweep, as whoever runs it hears."""
    for name in ("parameters", "train", "parameters", key):
        sweep = sweep.get(name) if isinstance(sweep, dict) else None
    return sweep if isinstance(sweep, dict) else {}


def _path(study: str | Path) -> Path:
    if Path(study).suffix in (".yaml", ".yml") or Path(study).exists():
        return Path(study)
    path = _shipped() / f"{study}.yaml"
    if not path.exists():
        raise UserError(f"{study}: no such study; give a file such as studies/mine.yaml, or {PUBLISHED}, which comes with reglab")
    return path


def _shipped() -> Path:
    return shipped.folder("sweeps") / "studies"


# What pydantic finds.


def _plainest(error: ValidationError) -> Any:
    """Of all faults a key that is unknown, else the first."""
    faults = error.errors()
    return min(faults, key=lambda fault: fault["type"] != "extra_forbidden")


def _keys(schema: Any) -> Iterator[str]:
    """The names of all fields in a JSON schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
    for inside in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _keys(inside)


def _explained(fault: Any) -> str:
    *outer, last = fault["loc"] or ("the file",)
    where = ".".join(str(part) for part in outer if not isinstance(part, int))
    said = f"{last} is missing" if fault["type"] == "missing" else None
    if fault["type"] == "extra_forbidden":  # it may have been meant for any key that a study file has anywhere
        said = f"unknown key {last}{nearest(str(last), sorted(set(_keys(Design.model_json_schema()))))}"
    if said:
        return f"{where}: {said}" if where else said
    if fault["type"] == "value_error":
        return f"{where + '.' if where else ''}{last}: {fault['ctx']['error']}"
    return f"{where + '.' if where else ''}{last} = {excerpt(fault['input'])}: {fault['msg'].lower()}"


# What only the whole shows.


def _faults(design: Design, with_sweeps: bool) -> Iterator[tuple[Place, str]]:
    yield from _faults_of_columns(design)
    yield from _faults_of_files(design)
    yield from _faults_of_names(design)
    for number, sweep in enumerate(design.files if with_sweeps else ()):
        if not sweep.exists():
            yield ("sweeps", number), f"{design.sweeps[number]}: no such sweep file, seen from this one"
    if len(set(design.stems)) < len(design.stems):
        yield ("sweeps",), "two of its sweeps have one name"
    if with_sweeps:
        yield from _faults_of_measures(design)
    for place, condition in _conditions(design):
        for column, levels in condition.items():
            if column not in design.by_name:
                yield (*place, column), _unknown(design, column)
            found = (_fault_of_word(design, place, column, level) or _fault_of_level(design.by_name[column], level) for level in levels)
            yield from (((*place, column), said) for said in found if said)
    for place, name in _columns(design):
        if name not in design.by_name:
            yield place, _unknown(design, name)


def _is_common(design: Design, name: str) -> bool:
    """Whether the base has in a column what most arms have."""
    column = design.by_name[name]
    return column.is_common or (not column.is_factor and any(_is_common(design, source) for source in column.sources))


def _unknown(design: Design, name: str) -> str:
    return f"no factor and no column is called {name}{nearest(name, design.by_name)}; there are {', '.join(design.by_name)}"


def _faults_of_columns(design: Design) -> Iterator[tuple[Place, str]]:
    known: dict[str, Column] = {}
    covered: dict[str, str] = {}
    for name, column in design.by_name.items():
        group = "factors" if name in design.factors else "columns"
        if (group == "factors") != column.is_factor:
            yield (group, name), f"{name}: `{column.kind}` stands under {'factors' if column.is_factor else 'columns'}"
        if name in known or (name in design.factors and name in design.columns):
            yield ("columns", name), f"{name} is a factor already"
        if name in TAKEN:
            yield (group, name), f"{name} is a column of every table: give it another name"
        for key in column.covers:
            if key in covered:
                yield (group, name), f"{key} is in {covered[key]} already"
            covered[key] = name
        for source in column.sources if not column.is_factor else ():
            if source not in known:
                yield (group, name), f"{name} looks at {source}, which is no column above it{nearest(source, known)}"
        if column.kind in ("count", "same") and design.by_name[column.sources[0]].kind != "keys":
            yield (group, name), f"{name}: {column.sources[0]} is not made of several `keys`"
        known[name] = column


def _faults_of_files(design: Design) -> Iterator[tuple[Place, str]]:
    for number, question in enumerate(design.questions):
        if question.name in OTHER_TABLES:
            yield ("questions", number, "name"), f"{question.name} is a file of every report: give it another name"
        for place, figure in enumerate(question.figures):
            if figure.name in OTHER_FIGURES | ANCHORS:
                what = "file of every report" if figure.name in OTHER_FIGURES else "place on the page of every report"
                yield ("questions", number, "figures", place, "name"), f"{figure.name} is a {what}: give it another name"


def _faults_of_measures(design: Design) -> Iterator[tuple[Place, str]]:
    """Metrics of the user's that no sweep of the study asks for; where it names none, those that are likely one of reglab's, misspelt."""
    asked = [(place, name) for place, name in _measures(design) if name not in MEASURES]
    known = dict.fromkeys(own_name(reference) for file in design.files for reference in _metrics_of(file)) if asked else {}
    for place, name in asked:
        meant = difflib.get_close_matches(name, MEASURES, n=1, cutoff=0.9)
        if not design.files and meant:
            yield place, f"no report has {name}; did you mean {meant[0]}?"
        elif design.files and not any(is_of(name, each) for each in known):
            guess = nearest(name, [*MEASURES, *known]) or f"; there are {', '.join([*MEASURES, *known])}"
            yield place, f"{name}: no sweep of the study has train.metrics with a function of that name{guess}"


def _metrics_of(sweep: Path) -> Iterator[str]:
    """The functions that `train.metrics` names in a sweep file."""
    there = _of_training(yaml_files.read(sweep).plain(), "metrics") if sweep.exists() else {}
    given = [there.get("value"), *(values if isinstance(values := there.get("values"), list) else ())]
    yield from (reference for text in given if isinstance(text, str) for reference in Functions.of(text))


def _measures(design: Design) -> Iterator[tuple[Place, str]]:
    """Every measure that the study names, with its place."""
    for number, question in enumerate(design.questions):
        for place, figure in enumerate(question.figures):
            yield from ((("questions", number, "figures", place, "y"), name) for name in figure.y)
    for number, claim in enumerate(design.claims):
        for group, kinds in ((("claims", number), claim), (("claims", number, "beside"), claim.beside)):
            yield from (((*group, *where, "of"), comparison.of) for where, comparison in kinds.comparisons())


def _faults_of_names(design: Design) -> Iterator[tuple[Place, str]]:
    questions: set[str] = set()
    figures: set[str] = set()
    for number, question in enumerate(design.questions):
        if question.name in questions:
            yield ("questions", number, "name"), f"two questions are called {question.name}, as files are named"
        questions.add(question.name)
        for place, figure in enumerate(question.figures):
            if figure.name in figures:
                yield ("questions", number, "figures", place, "name"), f"two figures are called {figure.name}, as files are named"
            figures.add(figure.name)
        if question.logged is not None and question.logged not in METRICS:
            yield ("questions", number, "logged"), f"no run logs {question.logged}{nearest(question.logged, METRICS)}"
    for number, claim in enumerate(design.claims):
        if claim.question is not None and claim.question not in questions:
            yield ("claims", number, "question"), f"no question is called {claim.question}{nearest(claim.question, questions)}"
        if claim.figure is not None and claim.figure not in figures:
            yield ("claims", number, "figure"), f"no figure is called {claim.figure}{nearest(claim.figure, figures)}"
        for place, champion in enumerate(claim.beside.champion):
            if champion.question not in questions:
                where = ("claims", number, "beside", "champion", place, "question")
                yield where, f"no question is called {champion.question}{nearest(champion.question, questions)}"
    for key in design.setup:
        if key not in FIELDS and key not in ("images", "train_images", "seeds"):
            yield ("setup", key), f"no key of a run, nor images, train_images or seeds: {key}{nearest(key, FIELDS)}"


def _conditions(design: Design) -> Iterator[tuple[Place, Condition]]:
    """Every condition in the study, with its place."""
    for name, column in design.columns.items():
        yield from ((("columns", name, "levels", level), condition) for level, condition in (column.levels or {}).items())
    for number, parameter in enumerate(design.table_1):
        yield ("table_1", number, "among"), parameter.among
    for number, question in enumerate(design.questions):
        yield from ((("questions", number, "among", place), condition) for place, condition in enumerate(question.among))
        yield ("questions", number, "against"), question.against or {}
        for place, figure in enumerate(question.figures):
            yield ("questions", number, "figures", place, "everywhere"), figure.everywhere or {}
    for number, claim in enumerate(design.claims):
        groups: list[tuple[tuple[str | int, ...], Kinds]] = [(("claims", number), claim), (("claims", number, "beside"), claim.beside)]
        for group, kinds in groups:
            for where, comparison in kinds.comparisons():
                yield from (((*group, *where, field), condition) for field, condition in comparison.conditions())


def _columns(design: Design) -> Iterator[tuple[Place, str]]:
    """Every name of a column outside conditions, with its place."""
    yield from ((("colour_by", number), name) for number, name in enumerate(design.colour_by))
    yield from ((("table_1", number, "of"), parameter.of) for number, parameter in enumerate(design.table_1))
    for number, question in enumerate(design.questions):
        yield from ((("questions", number, "varies", place), name) for place, name in enumerate(question.varies or ()))
        if question.order not in ("factors", "best"):
            yield ("questions", number, "order"), question.order
        for place, figure in enumerate(question.figures):
            yield from ((("questions", number, "figures", place, field), name) for field, name in figure.columns())


def _fault_of_word(design: Design, place: Place, column: str, level: str) -> str | None:
    """Why `base`, `other` or `its` stands for no level at a place."""
    if place[0] == "columns" and level.partition("/")[0] in (BASE, OTHER) and _is_common(design, column):
        return f"{column}: what most arms have is not known to a column: name the level instead of {level}"
    if level == ITS and "champion" not in place:
        return f"{column}: `its` is the level of a champion, and none is compared here"
    return None


def _fault_of_level(column: Column, level: str) -> str | None:
    """Why a column can never have a level; None where it can."""
    word, slash, share = level.partition("/")
    if word == BASE and slash:
        return _fault_of_share(column, share)
    if level in (ANY, NONE, OTHER, ITS, BASE):
        return None
    if column.kind == "levels":
        return (
            None
            if level in (column.levels or {})
            else f"{column.name} has no level {excerpt(level)}; it has {', '.join(column.levels or {})}"
        )
    if column.kind != "key":
        return None
    (key,) = column.sources
    field = FIELDS[key]
    try:
        kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        TypeAdapter(kind).validate_python(typed(level))
    except ValidationError:
        return f"{column.name} is never {excerpt(level)}: {key} must be {allowed(key)}"
    return None


def _fault_of_share(column: Column, share: str) -> str | None:
    """Why `base/2` is no level."""
    if not (share.isascii() and share.isdecimal() and int(share)):
        return f"{column.name}: {excerpt(f'{BASE}/{share}')} is no share of the base's level: divide it by a whole number, as in base/2"
    is_number = column.kind in ("count", "same") or (
        column.kind == "key" and {int, float} & {*types_of(FIELDS[column.sources[0]].annotation)[0]}
    )
    return None if is_number else f"{column.name}: base/{share} is no level, since that of the base is no number"
