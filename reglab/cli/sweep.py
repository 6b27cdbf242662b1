"""`reglab sweep`: check sweep files, and run them on this machine."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from reglab import names
from reglab.cli.commands import MOST_AT_ONCE, Commands, Entity, Project
from reglab.cli.local_sweep import Terms, fetched, limit_of, run_locally
from reglab.console import say, show, tell
from reglab.errors import UserError, excerpt
from reglab.extras import need_training
from reglab.processes.signals import Signals

app = Commands(help="Check sweep files, and run them.")

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help="Sweep YAML files.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Laid over the file's parameters.")]
Quick = Annotated[bool, typer.Option("--quick", help="Digits, width 8, a twentieth of the epochs, one seed: minutes on a CPU.")]

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=MOST_AT_ONCE,
        help="Runs at a time; by default one a GPU, or, without one, one a CPU core, of one thread each.",
    ),
]
StopAfter = Annotated[
    str | None,
    typer.Option(
        "--stop-after",
        metavar="DURATION",
        help="End within this time, such as 90s, 9m or 1h30m: only runs that fit are started, and one that does not end leaves a "
        "checkpoint. Exit code 75 where runs are left.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, metavar="N", help="So many seeds of each arm, where the file has `replicates`; by default its `start`."),
]
MostSeeds = Annotated[int | None, typer.Option("--most-seeds", min=2, help="Of an arm at most, with --until-settled.")]
Budget = Annotated[float | None, typer.Option("--budget", min=0, help="Money for all of its runs, with --until-settled.")]
PriceOfBudget = Annotated[float | None, typer.Option("--price", min=0, help="Of an hour of one worker, for --budget.")]
Given = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="SOURCE",
        help="Finished runs there are done: a folder, reports/<name>, wandb://entity/project. Images not here count by their name.",
    ),
]


@app.command()
def check(files: Files, quick: Quick = False) -> None:
    """Validate sweep files against W&B's schema and the configuration; count cells, arms and duplicates."""
    from reglab.sweep.spec import read

    table = Table(Column("file", overflow="fold"), "method", "cells", "arms", "runs", "shared*", box=None, pad_edge=False)
    seen: set[tuple[str, int, str | None]] = set()
    for spec in [read(path, quick=quick) for path in files]:
        spec.check_functions()
        if spec.method == "grid":
            runs = {(asked.identity, asked.seed, asked.config.data.place if asked.config else None) for _, asked in spec.cells}
            arms = len({arm for arm, _, _ in runs})
            table.add_row(str(spec.path), "grid", str(spec.size), str(arms), str(len(runs)), str(len(runs & seen)))
            seen |= runs
        else:
            cap = str(spec.run_cap or "no cap")
            table.add_row(str(spec.path), spec.engine, cap, "drawn", cap, "–")
        for warning in spec.warnings:
            say(f"{spec.path}: note: {warning}")
    show(table)
    tell("* runs that a file above has too: they are the same arm and seed, and run once")
    named = " ".join(shlex.quote(str(path)) for path in files)
    run = f"`reglab sweep run {named}` trains it here" if len(files) == 1 else "`reglab sweep run FILE` trains one of them here"
    say(f"next: {run}, `reglab sweep create {named}` registers {'it' if len(files) == 1 else 'them'} at W&B")


@app.command()
def create(
    files: Files,
    entity: Entity = None,
    project: Project = None,
    again: Annotated[bool, typer.Option("--again", help="Register a second one where the same sweep is there already.")] = False,
    quick: Quick = False,
) -> None:
    """Register sweeps on W&B and print the agent's command for each. The same sweep is registered once."""
    from reglab.sweep import remote
    from reglab.sweep.spec import read
    from reglab.tracking import client

    specs = [read(path, quick=quick) for path in files]
    for spec in specs:  # all are valid before any is registered
        remote.check_command(spec.config, spec.path)
        spec.check_functions()
    for spec in specs:
        sweep = remote.create(spec, *client.destination(entity, project, spec.config), again)
        before = f"registered before, and {sweep.state.lower()}"
        if sweep.state not in ("PENDING", "RUNNING"):
            before += " (--again registers a second one)"
        say(f"{spec.path}: {'registered' if sweep.is_new else before}; on each GPU machine, run this, or reglab agent instead")
        tell(f"wandb agent {shlex.quote(sweep.path)}")
        if sweep.scheduler:
            say(f"{spec.path}: and on one machine this, which chooses its runs, with {sweep.scheduler}")
            tell(f"reglab sweep schedule {shlex.quote(sweep.path)}")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A sweep YAML file.")],
    overrides: Overrides = None,
    workers: Workers = None,
    quick: Quick = False,
    name: Annotated[str | None, typer.Option("--name", help="Folder under runs/; the file's name by default.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells once more.")] = False,
    stop_after: StopAfter = None,
    source: Given = None,
    seeds: Seeds = None,
    claims: Annotated[
        list[str] | None,
        typer.Option(
            "--until-settled",
            metavar="CLAIM",
            help="Only what tells whether 'A > B in METRIC by X', seed by seed; may be given several times.",
        ),
    ] = None,
    most_seeds: MostSeeds = None,
    budget: Budget = None,
    price: PriceOfBudget = None,
) -> None:
    """Run a sweep here, without W&B's server: same file, same search engine. Run it again to finish what is missing."""
    from reglab.cli.settle import Bounds, settle_sweep
    from reglab.settings import settings
    from reglab.sweep.spec import read

    if name is not None:
        check_name(name)
    bounds = Bounds(most_seeds, budget, price)
    bounds.check(bool(claims))
    if claims and seeds is not None:
        raise UserError(f"--seeds {seeds}: with --until-settled the claims say how many")
    with Signals() as signals, signals.at_once():
        limit = limit_of(stop_after)
        spec = read(file, overrides or [], quick, seeds)  # before runs are fetched
        if spec.program is None:
            need_training()
        elif source is not None:
            raise UserError(f"--from {source}: takes runs of `reglab train` for done, and {file} starts `{spec.program.shown}`")
        terms = Terms(overrides or [], workers, quick, retry_failed, limit, given=fetched(source), signals=signals, seeds=seeds)
        if claims:
            settle_sweep(spec, claims, terms, bounds, settings().runs / (name or f"{spec.name}-settled"))
            return
        folder = run_locally(file, terms, settings().runs / name if name else None)
        say(f"next: reglab report build --from {folder} --out {Path('reports') / folder.name}")


def check_name(name: str) -> None:
    """Raises UserError where a folder of runs cannot be called so."""
    if fault := names.fault(name):
        raise UserError(f"--name {excerpt(name)}: {fault}: give another")
