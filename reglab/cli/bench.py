"""`reglab bench`: the measured ratios against named peers, from the folder benchmarks/ of a checkout."""

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

import reglab
from reglab.atomic import write_whole
from reglab.console import is_terminal, progress, say, tell
from reglab.errors import UserError
from reglab.extras import how, need_training

ROOT = Path(reglab.__file__).parents[1]


def bench(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…] [KEY=VALUE…]", help="Benchmarks, the quick ones if none; and what to change in their runs."),
    ] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Of both sides; else each benchmark's own number.")] = None,
    out: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all results there.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Say what each benchmark measures, and end.")] = False,
) -> None:
    """Measure reglab against its peers on this machine: clipping, batches, an epoch, the device's own bounds."""
    folder = _folder()
    overrides = [word for word in words or [] if "=" in word]
    names = [word for word in words or [] if "=" not in word]
    for name in names:
        if name not in folder.NAMES:
            raise UserError(f"there is no benchmark {name}: choose among {', '.join(folder.NAMES)}")
    if listing:
        for name in folder.NAMES:
            tell(f"{name:14}{_about(name)}")
        return
    need_training()
    if out and not _is_replaceable(out):
        raise UserError(f"--json {out} is there, and holds no results of `reglab bench`: give another name")
    results: list[dict[str, Any]] = []
    for name in names or folder.QUICK:
        for result in _results(name, overrides, rounds):
            results.append(result)
            if out:  # after each, so that what took long is not lost to a later one's failure
                _write(out, results)


def _write(file: Path, results: list[dict[str, Any]]) -> None:
    text = json.dumps(results, indent=1) + "\n"
    write_whole(file, lambda stream: stream.write(text.encode()))


def _is_replaceable(file: Path) -> bool:
    """Whether nothing is there, or earlier results."""
    try:
        results = json.loads(file.read_bytes())
        return isinstance(results, list) and all("benchmark" in result for result in results)
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError):
        return False


def _folder() -> ModuleType:
    """The package benchmarks. Raises UserError outside a checkout."""
    if not (ROOT / "benchmarks" / "__init__.py").is_file():
        raise UserError("the benchmarks are not in the installed package: clone the repository and run `reglab bench` from its own .venv")
    sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]
    return importlib.import_module("benchmarks")


def _about(name: str) -> str:
    """The first line of a benchmark's docstring, without importing it."""
    return (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8").partition("\n")[0].strip('"')


def _results(name: str, overrides: list[str], rounds: int | None) -> Iterator[dict[str, Any]]:
    """Measure one, case by case, and print its table at the end."""
    from benchmarks import measure

    say(f"{name}: {_about(name)}")
    outcomes = []
    try:
        with progress.status("measuring") if is_terminal() else nullcontext() as status:
            for outcome in importlib.import_module(f"benchmarks.{name}").measure(overrides, rounds):
                outcomes.append(outcome)
                yield from measure.as_json([outcome])
                if status:
                    status.update(f"measuring; done: {', '.join(each.cells()['case'] for each in outcomes)}")
    except ModuleNotFoundError as error:
        raise UserError(f"the benchmark {name} needs {error.name}: {how('dev')}") from None
    measure.show(outcomes)
