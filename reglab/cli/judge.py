"""`reglab judge`: whether one setting is better than another, as far as the runs tell."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from reglab.cli.commands import GroupBy, SeedKey
from reglab.console import counting, tell


def judge(
    question: Annotated[
        str,
        typer.Argument(
            metavar="'A > B in METRIC [by X]'",
            help="Such as 'arm=a > arm=b in test/accuracy by 0.5'; < for losses; `A = B in METRIC within X` for alike.",
        ),
    ],
    source: Annotated[
        str, typer.Option("--from", metavar="SOURCE", help="runs/<sweep>, wandb://entity/project[/sweep], a table (runs.csv), or a report.")
    ],
    ledger: Annotated[
        Path | None,
        typer.Option(
            "--ledger", metavar="FILE", help="Keeps every question, and has to be there at the next; a file beside the runs by default."
        ),
    ] = None,
    family: Annotated[
        str, typer.Option("--family", metavar="NAME", help="Of questions that share one probability of a wrong verdict.")
    ] = "all",
    level: Annotated[float, typer.Option("--level", help="That probability, over all questions of the family together.")] = 0.05,
    most_seeds: Annotated[
        int | None, typer.Option("--most-seeds", metavar="N", help="The plan of a question's looks ends at so many seeds; else at 12.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="UNIT", help="Of another program's metric: share (0 to 1), percent (0 to 100) or own.")
    ] = None,
    chance: Annotated[
        str | None,
        typer.Option("--chance", metavar="VALUE", help="What a run counts as that diverged, in the metric's own numbers; or none."),
    ] = None,
    seed_key: SeedKey = None,
    group_by: GroupBy = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Say whether one setting is better than another, or it is the seed: holds, fails, or about how many more seeds would tell.

    Exit code 0: it holds; 3: it fails; 4: undecided; 2: the input; 75: ask again. It may be asked again as seeds are added, and for one
    change after the other: the ledger sees to it that all answers together are wrong no more often than the level says.
    """
    from reglab.report.referee.judge import judge as answer

    with counting("reading runs") as progress:
        found = answer(
            source,
            question,
            ledger=ledger,
            family=family,
            level=level,
            most_seeds=most_seeds,
            unit=unit,
            chance=chance,
            seed_key=seed_key,
            group_by=None if group_by is None else [key.strip() for key in group_by.split(",")],
            progress=progress,
        )
    if as_json:
        json.dump(found.as_dict(), sys.stdout, indent=1, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        for line in str(found).splitlines():
            tell(line)
    raise typer.Exit(found.exit_code)
