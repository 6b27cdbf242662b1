import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading

import pytest
from typer.main import get_command

from reglab.cli import app as cli
from reglab.running import one_run
from tests.waiting import PATIENCE

COMMANDS = {
    "agent": ["--count", "--entity", "--gpus", "--per-gpu", "--project", "--quick", "--study"],
    "bench": ["--json", "--list", "--rounds"],
    "dashboard push": ["--entity", "--project", "--study"],
    "demo": ["--out", "--workers"],
    "doctor": ["--measure"],
    "evaluate": [],
    "init": [],
    "judge": ["--chance", "--family", "--from", "--group-by", "--json", "--ledger", "--level", "--most-seeds", "--seed-key", "--unit"],
    "report build": ["--baseline", "--from", "--goal", "--group-by", "--metric", "--out", "--seed-key", "--study", "--time-key"],
    "report check": ["--from"],
    "report figure": ["--from", "--letters", "--out", "--width"],
    "report table": ["--baseline", "--for", "--from", "--out", "--study"],
    "study plan": ["--effect", "--name", "--price", "--probe", "--quick", "--until-settled"],
    "study report": ["--from", "--name", "--out", "--quick"],
    "study run": [
        "--budget",
        "--from",
        "--most-seeds",
        "--name",
        "--only",
        "--price",
        "--quick",
        "--retry-failed",
        "--stop-after",
        "--until-settled",
        "--workers",
    ],
    "study time": ["--images", "--name", "--only", "--quick", "--rounds"],
    "sweep check": ["--quick"],
    "sweep create": ["--again", "--entity", "--project", "--quick"],
    "sweep makeup": ["--from", "--out", "--quick", "--seeds"],
    "sweep plan": ["--from", "--gpu", "--gpus", "--price", "--probe", "--quick"],
    "sweep schedule": ["--batch-size", "--poll-interval"],
    "sweep status": ["--from", "--json", "--quick", "--seeds"],
    "sweep run": [
        "--budget",
        "--from",
        "--most-seeds",
        "--name",
        "--price",
        "--quick",
        "--retry-failed",
        "--seeds",
        "--stop-after",
        "--until-settled",
        "--workers",
    ],
    "sync": ["--as-new", "--entity", "--project"],
    "train": ["--again", "--as-new", "--print-config"],
}


SLOW = {"torch", "wandb", "pandas", "sklearn", "scipy", "numpy", "sweeps", "jsonschema", "pydantic"}
"""Libraries that take longer to import than a page of help may."""


def surface(command, path=()):
    for name, child in sorted(command.commands.items()):
        if hasattr(child, "commands"):
            yield from surface(child, (*path, name))
        else:
            yield " ".join((*path, name)), sorted(option for item in child.params for option in item.opts if option.startswith("--"))


def test_the_commands_and_their_options_are_these():
    assert dict(surface(get_command(cli.app))) == COMMANDS


def pages(command, path=()):
    """Every command and group, by its words."""
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from pages(child, (*path, name))


PAGES = dict(pages(get_command(cli.app)))


class Terminal:
    """A pseudo-terminal of so many columns; what is written to `stream` is in `shown()`."""

    def __init__(self, columns):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.stream, self._read = os.fdopen(slave, "w"), []
        self._reader = threading.Thread(target=self._keep, daemon=True)
        self._reader.start()

    def _keep(self):
        try:
            while some := os.read(self._master, 1 << 12):
                self._read.append(some)
        except OSError:  # closed at the other end
            os.close(self._master)

    def shown(self):
        self.stream.close()
        self._reader.join(30)
        return b"".join(self._read).decode()


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize("columns", [60, 200])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("words", PAGES, ids=lambda words: "-".join(words) or "reglab")
def test_help_says_all_of_what_is_written_however_wide_it_is_shown(monkeypatch, capsys, words, terminal, columns):
    """Brackets are no markup: in `[/sweep]` they ended the page with an error, in `[b]` they would have vanished."""
    if terminal:
        there = Terminal(columns)
        monkeypatch.delenv("COLUMNS", raising=False)
        monkeypatch.setattr(sys, "stdout", there.stream)
        monkeypatch.setattr(sys, "__stdout__", there.stream)
    else:
        monkeypatch.setenv("COLUMNS", str(columns))
    assert run(monkeypatch, *words, "--help") == 0
    shown = there.shown() if terminal else capsys.readouterr().out
    command = PAGES[words]
    texts = [
        command.help,
        *(item.help for item in command.params),
        *(each.help.split("\n\n")[0] for each in getattr(command, "commands", {}).values()),
    ]
    for text in filter(None, texts):
        assert squeezed(text) in squeezed(shown)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= columns


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["reglab", *words])
    try:
        cli.main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "train.epocs=3"], "unknown key train.epocs; did you mean train.epochs?"),
        (["train", "dropout.layers=4"], "dropout.layers = 4: must be a whole number at least 0 and at most 3"),
        (["train", "dropout.layers=1", "dropout.p=0.2", "dropout.p1=0.1"], "dropout.p = 0.2 stands beside dropout.p1 = 0.1"),
        (["train", "data.source=folder", "data.folder=/nowhere"], "there is no folder /nowhere/train"),
        (["sweep", "run", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["sweep", "check", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["study", "run", "--stop-after", "soon"], "--stop-after soon: not a duration; write 90s, 9m, 1h30m, or plain seconds"),
        (["study", "run", "--stop-after", "3"], "--stop-after 3: too short for a run to start and leave a checkpoint; give at least 10s"),
        (["study", "run", "--from", "nowhere"], "--from nowhere: no such folder"),
        (["report", "build", "--from", "nowhere", "--out", "out"], "no such folder"),
    ],
)
def test_a_bad_input_is_answered_in_one_line_and_leaves_nothing_behind(monkeypatch, tmp_path, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REGLAB_RUNS", str(tmp_path / "runs"))
    assert run(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reglab: ")
    assert said in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?; see `reglab --help`"),
        (["sweep", "run"], "Missing argument 'file'; see `reglab sweep run --help`"),
        (["demo", "--workers", "0"], "'--workers'"),
        (["demo", "--out", "a", "--workers", "1", "--out", "a"], "--out is given 2 times, and takes one value; see `reglab demo --help`"),
        (["sweep", "run", "x.yaml", "--seeds=1", "--seeds=2"], "--seeds is given 2 times"),
    ],
)
def test_words_that_fit_no_command_are_answered_in_one_line(monkeypatch, capsys, words, said):
    assert run(monkeypatch, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said.lower() in line.lower()  # versions of typer write an argument's name in one case or the other


def test_without_its_working_folder_a_command_says_so(monkeypatch, reglab, tmp_path, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert reglab("train", "--print-config") == 2
    assert capsys.readouterr().err.splitlines() == ["reglab: the working folder is gone: cd to one that is there"]


def test_debug_shows_the_traceback_too(monkeypatch, capsys):
    assert run(monkeypatch, "--debug", "train", "nonsense=1") == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_error_of_ours_has_exit_code_1_and_one_line(monkeypatch, capsys):
    monkeypatch.setattr(one_run, "with_overrides", lambda *words: 1 / 0)
    assert run(monkeypatch, "train") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "unexpected ZeroDivisionError" in line


def test_an_exit_that_hangs_is_cut_short_and_keeps_its_code():
    """As that of W&B's client does when its own process does not end."""
    code = "import atexit, time; from reglab.processes import ending; ending.EXIT_SECONDS = 0.2; atexit.register(time.sleep, 60)\n"
    code += "ending.run_to_exit(lambda: 3)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=PATIENCE).returncode == 3


def test_the_module_is_the_command_and_help_imports_nothing_that_takes_long():
    code = "import sys, runpy; sys.argv = ['reglab', '--help']\n"
    code += "try: runpy.run_module('reglab', run_name='__main__')\nexcept SystemExit: pass\n"
    code += f"print({SLOW} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "Regularization studies" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("words", "found"), [("reglab stu", "study"), ("reglab report bu", "build"), ("reglab report build --bas", "--baseline")]
)
def test_tab_completes_commands_and_options(reglab, monkeypatch, capsys, words, found):
    """As the line that `reglab --install-completion` adds to the shell's start asks for it."""
    for name, value in {"_REGLAB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}.items():
        monkeypatch.setenv(name, value)
    reglab()
    assert capsys.readouterr().out.split() == [found]


@pytest.mark.parametrize(
    "words", ["study run", "study report", "sweep check", "sweep run", "report build --out x --from", "report table x --from"]
)
def test_a_name_that_no_file_can_have_is_refused_in_a_line(reglab, capsys, words):
    assert reglab(*words.split(), "y" * 5000) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and len(said) < 1000 and "no file can have so long a name: give another" in said


def test_help_waits_for_no_library_but_those_that_write_it():
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "reglab", "--help"], capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "typer" in loaded
    assert not loaded & {"yaml", "pydantic", "pydantic_core", "numpy", "torch", "pandas", "wandb"}
