"""What reaches a terminal: text, whatever others have written into it; and how a command ends."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from rich.live import Live
from rich.table import Column, Table

from reglab.cli import agent, console
from reglab.errors import ReglabError
from reglab.exits import FAILED, PREEMPTED
from reglab.processes import streams
from reglab.sweep.agent import Slot
from tests.unprinted import UNPRINTED
from tests.waiting import PATIENCE

MARKUP = ["[bold]z.yaml", "a[/b].yaml", "[link=http://x]y[/link]", "[red]", "[/]", ":smile:", "[@click=x]y", r"\[b]"]
TEXTS = [*((text, text) for text in MARKUP), *UNPRINTED.items()]
EACH = pytest.mark.parametrize(("text", "written"), TEXTS, ids=lambda text: ascii(text)[1:12])


@EACH
def test_a_line_of_a_command_is_a_line(capsys, text, written):
    console.say(f"x {text} y")
    console.tell(f"x {text} y")
    console.complain(f"x {text} y")
    streams.say(f"x {text} y")
    out, err = capsys.readouterr()
    assert out == f"x {written} y\n"
    assert err == f"x {written} y\nreglab: x {written} y\nx {written} y\n"


@EACH
def test_a_cell_of_a_table_is_its_text_however_it_is_shown(capsys, text, written):
    view = Table(Column(f"head {text}", overflow="fold"), title=f"title {text}", box=None)
    view.add_row(f"cell {text}")
    view.add_row(console.styled(f"styled {text}", "red"))
    console.show(view)
    shown = capsys.readouterr().out
    assert "".join(filter(str.isprintable, shown)) == shown.replace("\n", "")
    for kind in ("title", "head", "cell", "styled"):
        assert f"{kind} {written}" in shown


@EACH
def test_a_live_view_on_a_terminal_obeys_rich_alone(text, written):
    stream = io.StringIO()
    terminal = console._Plain(file=stream, force_terminal=True, width=200, color_system=None)
    with Live(console=terminal, refresh_per_second=4) as live:
        view = Table("a", box=None, title=text)
        view.add_row(text)
        live.update(view, refresh=True)
    assert written in stream.getvalue()
    assert written == text or text not in stream.getvalue()


@EACH
def test_the_table_of_an_agent_is_text(capsys, text, written):
    slot = Slot(0, None, ())
    slot.close(text)
    crew = type("Crew", (), {"slots": [slot], "sweep": type("Sweep", (), {"path": text})})
    console.show(agent.table(crew))
    assert capsys.readouterr().out.count(written) == 2


@EACH
def test_what_a_module_logs_is_a_line_too(capsys, monkeypatch, text, written):
    monkeypatch.setattr(logging.lastResort, "formatter", None)
    with pytest.raises(SystemExit):
        console.run_to_exit(lambda: 0)
    logging.lastResort.emit(logging.LogRecord("x", logging.WARNING, "", 0, "run %s is left out", (text,), None))
    assert capsys.readouterr().err == f"run {written} is left out\n"


@pytest.mark.parametrize("kind", [ReglabError, ValueError])
@pytest.mark.parametrize("debug", [False, True])
def test_an_error_is_one_line_of_text_whatever_it_quotes(capsys, kind, debug):
    def fails():
        raise kind("\x1b]0;t\x07" + "x" * 10**6 + "\nreglab: done")

    with pytest.raises(SystemExit):
        console.run_to_exit(fails, debug)
    *traceback, line = capsys.readouterr().err.splitlines()
    assert bool(traceback) == debug
    assert all(each.isprintable() for each in (*traceback, line))
    assert len(line) < 1100
    assert line.startswith("reglab: ") and line.endswith(("reglab: done", "to see where)"))


@pytest.mark.parametrize("name", ["[bold]z.yaml", "a[/b].yaml", "=1.yaml", ":smile:.yaml"])
def test_a_file_s_name_is_shown_as_it_is(reglab, monkeypatch, tmp_path, capsys, name):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("method: grid\ncommand: [reglab, train]\nparameters: {data: {parameters: {source: {value: digits}}}}\n")
    assert reglab("sweep", "check", name) == 0
    assert f"\n{name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", UNPRINTED, ids=lambda text: ascii(text)[1:12])
def test_one_that_a_terminal_would_obey_is_refused_and_written_out(reglab, monkeypatch, tmp_path, capsys, name):
    monkeypatch.chdir(tmp_path)
    assert reglab("sweep", "check", f"{name}.yaml") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reglab: ") and line.isprintable()


HANGS = """
import atexit, threading
from reglab.cli import console
console.EXIT_SECONDS = console.PREEMPTED_EXIT_SECONDS = 1e6
console.{limit} = 0.1
atexit.register(threading.Event().wait)
console.run_to_exit(lambda: {code})
"""


@pytest.mark.parametrize(("code", "limit"), [(PREEMPTED, "PREEMPTED_EXIT_SECONDS"), (FAILED, "EXIT_SECONDS")])
def test_a_library_that_does_not_end_at_the_exit_is_not_waited_for(code, limit):
    """Least of all where the machine is about to be taken away."""
    ended = subprocess.run([sys.executable, "-c", HANGS.format(limit=limit, code=code)], check=False, timeout=PATIENCE)
    assert ended.returncode == code
