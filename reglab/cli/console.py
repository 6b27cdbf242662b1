"""The two streams of the command line: results on standard output, everything said along the way on standard error."""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

from reglab import exits
from reglab.errors import LONGEST, ReglabError, machine_fault, shortened, shown
from reglab.processes.signals import Interrupted

_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
"""What the parser raises for words that fit no command; typer does not name it."""


class Group(TyperGroup):
    """A group whose help is plain text, and says of each command what it does; the parser's own list cuts that to a line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, each with all that its help says first."""
        rows = [(name, " ".join((self.commands[name].help or "").split("\n\n")[0].split())) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Command(TyperCommand):
    """A command that refuses an option given twice where one value counts: the parser would take the last without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words. Raises a usage error where an option that takes one value is given twice."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        once = [each for each in given if isinstance(each, TyperOption) and not each.multiple and not each.is_flag]
        for option in once:
            if once.count(option) > 1:
                raise _USAGE_ERROR(f"{option.opts[0]} is given {once.count(option)} times, and takes one value", ctx)
        return super().parse_args(ctx, args)


class Commands(typer.Typer):
    """A group of such commands."""

    def __init__(self, **options: Any):
        super().__init__(cls=Group, no_args_is_help=True, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register the function under it as a `Command`."""
        return super().command(name, cls=Command, **options)


Entity = Annotated[str | None, typer.Option("--entity", help="W&B account or team; else WANDB_ENTITY, the sweep's file, W&B's settings.")]
Project = Annotated[str | None, typer.Option("--project", help="W&B project; else WANDB_PROJECT, the file, W&B's settings, `reglab`.")]

MOST_AT_ONCE = 1024
"""Runs at a time on a machine, whatever is asked for: each is a process."""

EXIT_SECONDS = 10.0
"""How long what the libraries do at the exit may take: with the wait for W&B before it, less than a worker is given to leave."""

PREEMPTED_EXIT_SECONDS = 3.0
"""As long for a process that is asked to end: its machine has half a minute in all, and what W&B has to know it was told before."""

_RECOGNIZED = ".recognized"
"""The file below REGLAB_RUNS with the runs of which that was said."""


class _Plain(Console):
    """A terminal to which a text is a text: none of its brackets is a style, none of its words an icon, nothing in it moves the cursor."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(shown(text), **options)


progress = _Plain(stderr=True)


def say(line: str) -> None:
    """A plain line about the work, on standard error."""
    progress.print(line, soft_wrap=True)


def tell(line: object) -> None:
    """A plain line of a result, on standard output."""
    print(shown(str(line)))  # noqa: T201


def styled(text: str, style: str) -> Text:
    """A cell of a table, in a style."""
    return Text(shown(text), style)


def show(table: Table) -> None:
    """A table on standard output: as wide as the terminal, and into a pipe as wide as it is, so that nothing is cut."""
    console = _Plain()
    if not console.is_terminal:
        console.width = max(console.width, console.measure(table, options=console.options.update(max_width=10**6)).maximum)
    console.print(table)


def complain(line: str) -> None:
    """Why the command ends: one line, on standard error."""
    print(f"reglab: {shortened(shown(line), LONGEST)}", file=sys.stderr)  # noqa: T201


def is_terminal() -> bool:
    """Say whether a person watches: bars are drawn there, and lines written elsewhere."""
    return progress.is_terminal


def say_recognized(run_ids: Iterable[str]) -> None:
    """A note, the first time that these runs, which began under an earlier version of identities, are met on this machine."""
    from reglab.settings import settings

    told = settings().runs / _RECOGNIZED
    known = frozenset(told.read_text(encoding="utf-8").split()) if told.exists() else frozenset()
    if new := sorted(frozenset(run_ids) - known):
        say(f"note: runs of an earlier version of reglab, recognized by their configurations: {len(new)}; they keep their names")
        with suppress(OSError):  # then it is said again
            told.parent.mkdir(parents=True, exist_ok=True)
            with told.open("a", encoding="utf-8") as stream:
                stream.write("".join(f"{name}\n" for name in new))


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how many are done, of how many, as it is told while it is open."""
    if not is_terminal():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=progress, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something goes on that takes more than a moment, while it is open."""
    if not is_terminal():
        yield
        return
    with progress.status(what):
        yield


def run_to_exit(command: Callable[[], object], debug: bool = False) -> None:
    """Run a command to the end of this process's work: an error becomes one line and its exit code."""
    if logging.lastResort:
        logging.lastResort.setFormatter(_Line())
    code = _exit_code(command, debug)
    threading.Thread(target=_end_in_time, args=(code,), name="exit", daemon=True).start()
    sys.exit(code)


def _exit_code(command: Callable[[], object], debug: bool) -> int:
    try:
        code = command()
        return code if isinstance(code, int) else 0  # a number is what typer.Exit carried
    except typer.Exit as ended:
        return ended.exit_code
    except Interrupted:
        complain("interrupted before anything more was begun; the same command goes on")
        return exits.PREEMPTED
    except _USAGE_ERROR as error:
        _explain_usage(error)
        return exits.BAD_INPUT
    except Exception as error:
        if debug:
            _show_traceback()
        if known := error if isinstance(error, ReglabError) else machine_fault(error):
            complain(str(known))
            return known.exit_code
        complain(f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (run it again with `reglab --debug …` to see where)")
        return exits.FAILED


class _Line(logging.Formatter):
    """What a module logs may quote what others wrote, as any line may."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(record.getMessage())


def _show_traceback() -> None:
    for line in traceback.format_exc().splitlines():
        print(shown(line), file=sys.stderr)  # noqa: T201


def _end_in_time(code: int) -> None:
    """W&B's client waits at the exit for a process of its own, without a limit, and that one was once seen not to end."""
    threading.main_thread().join()
    time.sleep(PREEMPTED_EXIT_SECONDS if code == exits.PREEMPTED else EXIT_SECONDS)
    os._exit(code)


def _explain_usage(error: Any) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if error.ctx else "reglab"
        complain(f"{error.format_message().rstrip('.')}; see `{command} --help`")
