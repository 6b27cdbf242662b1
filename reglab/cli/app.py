"""The `reglab` command: its groups, its options, and how it ends."""

import sys
from typing import Annotated

import typer

import reglab
from reglab.cli import (
    agent,
    bench,
    dashboard,
    demo,
    doctor,
    evaluate,
    init,
    judge,
    ledger,
    paper,
    report,
    schedule,
    study,
    sweep,
    sync,
    train,
)
from reglab.cli.commands import Commands
from reglab.console import say, tell
from reglab.processes.ending import run_to_exit
from reglab.tracking.client import forget_other_runs

app = Commands(
    name="reglab",
    help="Regularization studies as Weights & Biases sweeps.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is plain text: `[/sweep]` is no closing tag, and `[b]` no style
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("doctor")(doctor.doctor)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("judge")(judge.judge)
app.command("agent")(agent.agent)
app.command("sync")(sync.sync)
app.command("bench")(bench.bench)
for command in (schedule.schedule, ledger.plan, ledger.status, ledger.makeup):
    sweep.app.command()(command)
app.add_typer(sweep.app, name="sweep")
app.add_typer(study.app, name="study")
paper.add_to(report.app)
app.add_typer(report.app, name="report")
app.add_typer(dashboard.app, name="dashboard")


def _print_version(wanted: bool) -> None:
    if wanted:
        tell(f"reglab {reglab.__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something goes wrong.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Take the options that stand before any command, and read `.env`. Raises UserError where no folder can be worked in."""
    from reglab import env_file
    from reglab.settings import require_home, require_working_folder

    require_working_folder()
    for note in env_file.load():
        say(note)
    require_home()
    forget_other_runs(handed_over=context.invoked_subcommand == "train")


def main() -> None:
    """Run the command line. Exit code 0: done; 1: our fault or a failed run; 2: the input; 75: preempted, run it again to go on."""
    run_to_exit(lambda: app.carry_out("reglab"), debug="--debug" in sys.argv[1:])
