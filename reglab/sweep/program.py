"""A sweep of another program than `reglab train`: how its runs are started, and how they are told apart.

Its command is filled in as W&B's agent does it (wandb 0.31), so that a sweep starts the same words here and there. Its parameters are
free. What only `reglab train` can do, such programs cannot: `LACKS` says what.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from reglab.config import RunConfig
from reglab.errors import UserError, excerpt
from reglab.sweep.definition import Fault, Parameter, parameters_of, value_at

COMMAND = ["reglab", "train"]

LACKS = (
    "its runs are known by command and parameters, whatever the program holds: none is shared with other sweeps, none goes on at the very "
    "step unless the program sees to it, and no key is checked (`reglab train` has all three)"
)

_BY_DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
_VARIABLE = re.compile(r"\$\{envvar\:([A-Z0-9_]*)\}")

_WORDS = 10
"""Of a command, as far as it is shown."""

_LONGEST_LABEL = 200


def faults(config: Mapping[str, Any]) -> Iterator[Fault]:
    """What keeps the command of a sweep from being started, or from being what it seems."""
    asked = config.get("command")
    if not isinstance(asked, list | None) or not all(isinstance(word, str | int | float) for word in asked or ()):
        given = f" = {excerpt(asked)}" if isinstance(asked, str) else ""  # a list of lists may have no end that anybody waits for
        yield Fault(("command",), f"command{given}: must be a list of words")
        return
    if not isinstance(name := config.get("program"), str | None):
        yield Fault(("program",), f"program = {excerpt(name)}: must be text")
        return
    command = _command(config) or ()
    if any(PurePath(word).name == "reglab" and after == "train" for word, after in pairwise(command)):
        said = "for `reglab train` have `command: [reglab, train]`, those words alone, in its file"
        yield Fault(("command",), f"command: its runs start `{_shown(command)}`; {said}")
    elif "${program}" in command and not name:
        yield Fault(("command",), "command: has ${program}, and nothing says which: add `program: train.py`")


def _command(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    asked = config.get("command")
    if asked == COMMAND or (asked is None and config.get("program") is None):
        return None
    return tuple(map(str, asked)) if asked else _BY_DEFAULT


@dataclass(frozen=True)
class Program:
    """What a sweep starts, and on which parameters. `seed` leads to that of them which repeats a run, where the sweep says so."""

    command: tuple[str, ...]
    name: str | None
    parameters: tuple[Parameter, ...]
    seed: tuple[str, ...] | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any], seed: tuple[str, ...] | None = None) -> "Program | None":
        """That of a sweep which is known to be good; None where it is `reglab train`, as it is where the sweep says nothing."""
        command = _command(config)
        return None if command is None else cls(command, config.get("program"), tuple(parameters_of(config)), seed)

    @property
    def shown(self) -> str:
        """As people read it, `python train.py ${args}`."""
        words = {"${env}": "", "${interpreter}": "python", "${program}": self.name or ""}
        return _shown([word for each in self.command if (word := words.get(each, each))])

    def asked(self, values: Mapping[str, Any]) -> "AskedRun":
        """What values of the sweep ask for; others than of its parameters do not matter."""
        mine = [(parameter, value_at(values, parameter.names)) for parameter in self.parameters]
        seed = next((value for parameter, value in mine if parameter.names == self.seed), 0)
        others = [(parameter, value) for parameter, value in mine if parameter.names != self.seed]
        text = json.dumps([self.command, self.name, [[parameter.names, _plain(value)] for parameter, value in others]], sort_keys=True)
        searched = [f"{parameter.path} {_word(value)}" for parameter, value in others if parameter.distribution.is_searched]
        label = ", ".join(searched) or self.shown
        label = label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}…"
        return AskedRun(hashlib.sha256(text.encode()).hexdigest()[:12], seed, label)

    def words(self, values: Mapping[str, Any], file: Path, environment: Mapping[str, str]) -> list[str]:
        """The command of a run with these values, as W&B's agent fills it in. `file` gets the values, where the command names it."""
        texts = {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [self.name or ""], "args_json_file": [str(file)]}
        texts |= dict(_arguments(values))
        words: list[str] = []
        for word in self.command:
            filled = _VARIABLE.sub(lambda match: environment.get(match[1], match[1]), word)
            if filled == "${args_json_file}":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(texts["args_json"][0], encoding="utf-8")
            words += texts.get(filled[2:-1], []) if filled.startswith("${") and filled.endswith("}") else [filled]
        return words

    def check_is_here(self) -> None:
        """Raises UserError where the program's file is not in this folder, from which its command is started."""
        if self.name and "${program}" in self.command and not Path(self.name).exists():
            raise UserError(f"program = {excerpt(self.name)}: not in {Path.cwd()}: start this where it is, as W&B's agent is started")


@dataclass(frozen=True)
class AskedRun:
    """What values of a sweep ask for: of one identity and seed, one run is enough."""

    identity: str
    seed: int
    label: str
    config: RunConfig | None = None
    """Of a run of `reglab train`."""

    @property
    def run_id(self) -> str:
        """What its run is called here."""
        return f"{self.identity}-s{self.seed}"


def _arguments(values: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """What stands for a sweep's values in a command: a macro's name, and the words in its place."""
    pairs = [f"{name}={value}" for name, value in values.items()]
    yield "args", [f"--{pair}" for pair in pairs]
    yield "args_no_equals", [word for name, value in values.items() for word in (f"--{name}", str(value))]
    yield "args_no_hyphens", pairs
    flags = [(name, value, pair) for (name, value), pair in zip(values.items(), pairs, strict=True)]
    yield (
        "args_no_boolean_flags",
        [f"--{name}" if value is True else f"--{pair}" for name, value, pair in flags if value is not False],
    )
    yield "args_dict", list(values)
    yield "args_json", [json.dumps(dict(values))]
    yield "args_append_hydra", [f"+{pair}" for pair in pairs]
    yield "args_override_hydra", [f"++{pair}" for pair in pairs]


def _plain(value: Any) -> Any:
    """As W&B gives it back: a whole number is one, whatever it was."""
    if isinstance(value, Mapping):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(command: Sequence[str]) -> str:
    return " ".join(command[:_WORDS]) + (" …" if len(command) > _WORDS else "")
