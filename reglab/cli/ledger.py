"""`reglab sweep status`, `makeup` and `plan`: what a sweep has, what it lacks, and what it will cost."""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.table import Column, Table
from rich.text import Text

from reglab.cli.sweep import Files, Overrides, Quick, Seeds
from reglab.cli.sweep_view import STYLES
from reglab.console import counting, say, show, styled, tell
from reglab.errors import UserError
from reglab.exits import FAILED
from reglab.extras import need_training
from reglab.report.writing.numbers import counted
from reglab.tracking.recognized import say_recognized
from reglab.tracking.state import State

if TYPE_CHECKING:
    from reglab.config import RunConfig
    from reglab.sweep.draws import Drawn
    from reglab.sweep.ledger import Ledger
    from reglab.sweep.spec import SweepSpec
    from reglab.tracking.record import RunRecord

_MARK = "# made by `reglab sweep makeup`, which replaces it\n"

File = Annotated[Path, typer.Argument(metavar="FILE", help="A sweep YAML file.")]
Source = Annotated[
    str | None, typer.Option("--from", metavar="SOURCE", help="A folder, or wandb://entity/project[/sweep]; runs/<file> by default.")
]


def status(
    file: File,
    overrides: Overrides = None,
    source: Source = None,
    quick: Quick = False,
    seeds: Seeds = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program.")] = False,
) -> None:
    """Show which cells of a sweep are finished, running, failed, twice there or missing. Exit code 1 where it is not complete."""
    from reglab.sweep import ledger
    from reglab.sweep.spec import read

    spec = read(file, overrides or [], quick, seeds)
    _say_absent(spec)
    reckoned = ledger.reckon(spec, _records(spec, source), *_drawn(spec, source))
    if as_json:
        sys.stdout.write(json.dumps(_plain(reckoned), indent=1) + "\n")
    else:
        show(_matrix(reckoned))
        tell(", ".join(f"{count} {state}" for state, count in reckoned.counts.items()) or "no cell")
        for cell in reckoned.cells:
            if cell.records and cell.state in (State.failed, State.crashed, State.diverged):
                tell(f"{cell.label} s{cell.seed} {cell.state} ({cell.records[0].run_id}): {cell.records[0].reason or 'no reason left'}")
            for record in cell.duplicates:
                tell(f"{cell.label} s{cell.seed} is there twice: {cell.records[0].run_id} and {record.run_id}")
        if reckoned.others:
            tell(f"{len(reckoned.others)} other runs, which this file does not ask for")
    if not reckoned.complete:
        raise typer.Exit(FAILED)


def makeup(
    file: File,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The sweep file to write.")],
    overrides: Overrides = None,
    source: Source = None,
    quick: Quick = False,
    seeds: Seeds = None,
) -> None:
    """Write a sweep file for exactly the cells that are missing, crashed or failed. Runs that were preempted come back by themselves.

    --seeds asks for more of each arm than the first round has. What is missing of another program's grid may take several files: FILE,
    and more beside it with a number in their names.
    """
    from reglab.atomic import write_whole
    from reglab.sweep import ledger
    from reglab.sweep.spec import read

    spec = read(file, overrides or [], quick, seeds)
    _refuse_in_the_way(out, file)
    _say_absent(spec)
    reckoned = ledger.reckon(spec, _records(spec, source), *_drawn(spec, source))
    texts = ledger.makeup(reckoned)
    if not texts:
        say(f"{file}: nothing is missing")
        return
    paths = [out, *(out.with_stem(f"{out.stem}-{number}") for number in range(2, len(texts) + 1))]
    for path in paths:
        _refuse_in_the_way(path, file)
    for path, text in zip(paths, texts, strict=True):
        write_whole(path, partial(_write, text=_MARK + text))
    say(f"{', '.join(map(str, paths))}: {counted(len(reckoned.lost) + reckoned.undrawn, 'runs')}")
    if spec.learns:
        say("note: its search begins anew; it does not know of the runs that are there")


def _say_absent(spec: "SweepSpec") -> None:
    """A note on functions of the user's that are not here: nobody can tell of what code runs should be."""
    for each in spec.absent:
        say(f"note: {each}: there is no such module here, so runs count whatever their code")


def _write(stream: BinaryIO, text: str) -> None:
    stream.write(text.encode())


def _refuse_in_the_way(out: Path, file: Path) -> None:
    """Raises UserError where a makeup cannot be written over what is there."""
    if os.path.realpath(out) == os.path.realpath(file):
        raise UserError(f"--out {out} is the sweep itself: give another name")
    if out.exists() and not (out.is_file() and out.read_bytes().startswith(_MARK.encode())):
        raise UserError(f"--out {out} is there, and no earlier makeup: give another name")


def plan(
    files: Files,
    source: Source = None,
    gpu: Annotated[
        str | None, typer.Option("--gpu", metavar="NAME", help="Part of a GPU's name, whose runs tell; by default the GPU of most runs.")
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="So many GPUs at a time.")] = 1,
    price: Annotated[float | None, typer.Option("--price", min=0, help="Of an hour of one GPU.")] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Measure on this machine what no finished run tells.")] = False,
    quick: Quick = False,
) -> None:
    """Say what sweeps will take before anything starts: runs, hours of a GPU, cost. What has finished is not counted again."""
    from reglab.sweep.spec import read

    say_plan([read(path, [], quick) for path in files], source, gpu, gpus, price, probe)


def say_plan(
    specs: "Sequence[SweepSpec]",
    source: str | None = None,
    gpu: str | None = None,
    gpus: int = 1,
    price: float | None = None,
    probe: bool = False,
) -> None:
    """What `plan` says of some sweeps.

    Raises UserError, behind the number of runs, where nothing tells what some of them take.
    """
    from reglab.config import RunConfig, identity_here
    from reglab.sweep import ledger
    from reglab.sweep import plan as planning

    if probe:
        need_training()
    for spec in specs:
        if spec.program:
            raise UserError(f"{spec.path}: it starts `{spec.program.shown}`, and a plan goes by the epochs and images of `reglab train`")
        _say_absent(spec)
    records = _everything(source)
    here = planning.device(records, gpu)
    table = Table("file", "runs", "finished", "to run", "GPU-hours", "range", *(["cost"] if price else []), box=None, pad_edge=False)
    total, low, high, counted, bases = 0.0, 0.0, 0.0, 0, set()
    unknown: UserError | None = None
    seen: set[tuple[str, int]] = set()
    for spec in specs:
        cells = [RunConfig.parse(cell.values) for cell in ledger.reckon(spec, []).cells] or _sample(spec)
        finished = {(ledger.known_as(record), record.seed) for record in records if record.state == State.finished} | seen
        left = [config for config in cells if (identity_here(config), config.train.seed) not in finished]
        seen |= {(identity_here(config), config.train.seed) for config in left} if spec.method == "grid" else set()
        row = [os.path.normpath(spec.path), str(len(cells)), str(len(cells) - len(left)), str(len(left))]
        counted += len(left)
        try:
            forecast = planning.forecast(left, records, here, _probed if probe else None)
        except UserError as error:
            unknown = unknown or error
            table.add_row(*row, "–", "", *(["–"] if price else []))
            continue
        total, low, high = total + forecast.hours, low + forecast.low, high + forecast.high
        bases.add(forecast.basis)
        table.add_row(*row, *_hours(forecast.hours, forecast.low, forecast.high), *([f"{forecast.hours * price:,.2f}"] if price else []))
    if len(specs) > 1:
        hours = ("–", "") if unknown else _hours(total, low, high)
        table.add_row("all", "", "", str(counted), *hours, *(["–" if unknown else f"{total * price:,.2f}"] if price else []))
    show(table)
    if unknown:
        raise unknown
    for basis in sorted(bases):
        tell(basis)
    if gpus > 1:
        tell(f"about {total / gpus:.1f} h with {gpus} GPUs at a time")


def _hours(hours: float, low: float, high: float) -> tuple[str, str]:
    return f"{hours:.2f}", f"{low:.2f} to {high:.2f}" if high > low else ""


def _records(spec: "SweepSpec", source: str | None) -> "list[RunRecord]":
    """The runs in the source; where it is the sweep's own folder, there may be none yet."""
    if source is None and not _own(spec).is_dir():
        return []
    if spec.program and source and source.startswith("wandb://"):
        from reglab.tracking.wandb_api import Project
        from reglab.tracking.wandb_programs import records_of_program

        return records_of_program(Project.parse(source), spec.program.shown)
    return _fetched(source or str(_own(spec)))


def _drawn(spec: "SweepSpec", source: str | None) -> "Drawn":
    """What a search on this machine has drawn: two draws of one run leave one run."""
    from reglab.sweep.draws import drawn

    return drawn(Path(source) if source else _own(spec), spec)


def _own(spec: "SweepSpec") -> Path:
    """Where its runs lie on this machine: in a folder of its name, or in that of a study which runs it.

    Raises UserError where several studies have run it, and none of them is meant more than the others.
    """
    from reglab.settings import settings
    from reglab.sweep.draws import DRAWS

    own = settings().runs / spec.name
    if own.is_dir():
        return own
    found = sorted(path.parent for path in settings().runs.glob(f"*/{spec.name}/{DRAWS}"))
    if len(found) > 1:
        raise UserError(f"{spec.path}: {', '.join(map(str, found))} have runs of it: say which with --from")
    return found[0] if found else own


def _everything(source: str | None) -> "list[RunRecord]":
    """The runs in the source; by default all that ended on this machine."""
    from reglab.settings import settings
    from reglab.tracking.store import run_folders

    if source is None and not run_folders(settings().runs):
        return []
    return _fetched(source or str(settings().runs))


def _fetched(source: str) -> "list[RunRecord]":
    from reglab.tracking.fetch import fetch

    with counting("reading runs") as progress:
        records = fetch(source, history=False, progress=progress)
    say_recognized(record.run_id for record in records if record.formerly)
    return records


def _sample(spec: "SweepSpec") -> "list[RunConfig]":
    """As many configurations as a search will draw."""
    from reglab.config import RunConfig

    return [RunConfig.parse(values) for values in spec.search().rest()]


def _matrix(reckoned: "Ledger") -> Table:
    """An arm in each row, a seed in each column."""
    seeds = sorted({cell.seed for cell in reckoned.cells})
    states: dict[str, dict[int, list[str]]] = {}
    for cell in reckoned.cells:
        states.setdefault(cell.label, {}).setdefault(cell.seed, []).append(cell.state)
    program = reckoned.spec.program
    names = ("runs",) if program and not program.seed else (f"seed {seed}" for seed in seeds)
    columns = [Column(name, overflow="fold") for name in ("arm", *names)]
    view = Table(*columns, box=None, pad_edge=False)
    for label, by_seed in states.items():
        view.add_row(label, *(_together(by_seed.get(seed, [])) for seed in seeds))
    return view


def _together(states: list[str]) -> Text:
    """Of one cell its state; of several (a search draws an arm more than once) how many are in which."""
    parts = [f"{states.count(state)} {state}" if len(states) > 1 else state for state in dict.fromkeys(states)]
    style = STYLES[State(states[0])] if len(set(states)) == 1 and states[0] in set(State) else ""
    return styled(", ".join(parts), style or "dim")


def _plain(reckoned: "Ledger") -> dict[str, Any]:
    cells = [
        {
            "label": cell.label,
            "seed": cell.seed,
            "state": cell.state,
            "runs": [record.run_id for record in cell.records],
            "reason": cell.records[0].reason if cell.records else None,
        }
        for cell in reckoned.cells
    ]
    others = [record.run_id for record in reckoned.others]
    return {"complete": reckoned.complete, "counts": dict(reckoned.counts), "cells": cells, "undrawn": reckoned.undrawn, "others": others}


def _probed(config: "RunConfig") -> float:
    from reglab.running.probe import seconds_an_image

    say(f"measuring {config.label} for some seconds")
    return seconds_an_image(config)
