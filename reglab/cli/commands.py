"""What all commands of the line have in common: their groups, the options that several take, and how what was typed is refused."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from reglab.console import complain
from reglab.exits import BAD_INPUT

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

    def carry_out(self, name: str) -> int:
        """Do what this process's command line says; returns the exit code that a command ended with, or that of a usage error."""
        try:
            code = self(prog_name=name, standalone_mode=False)
            return code if isinstance(code, int) else 0  # a number is what typer.Exit carried
        except typer.Exit as ended:
            return ended.exit_code
        except _USAGE_ERROR as error:
            _explain_usage(error)
            return BAD_INPUT


def _explain_usage(error: Any) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        command = error.ctx.command_path if error.ctx else "reglab"
        complain(f"{error.format_message().rstrip('.')}; see `{command} --help`")


Entity = Annotated[str | None, typer.Option("--entity", help="W&B account or team; else WANDB_ENTITY, the sweep's file, W&B's settings.")]
Project = Annotated[str | None, typer.Option("--project", help="W&B project; else WANDB_PROJECT, the file, W&B's settings, `reglab`.")]

SeedKey = Annotated[str | None, typer.Option("--seed-key", metavar="KEY", help="Of runs of another program: the seed; or none.")]
GroupBy = Annotated[
    str | None, typer.Option("--group-by", metavar="KEY,…", help="Of runs of another program: the settings that make an arm.")
]

MOST_AT_ONCE = 1024
"""Runs at a time on a machine, whatever is asked for: each is a process."""
