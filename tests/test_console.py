"""What reaches a terminal: text, whatever others have written into it."""

import io
from pathlib import Path

import pytest
from rich.live import Live
from rich.table import Column, Table

from reglab import console
from reglab.cli import agent
from reglab.sweep.slots import Slot
from tests.unprinted import UNPRINTED

MARKUP = ["[bold]z.yaml", "a[/b].yaml", "[link=http://x]y[/link]", "[red]", "[/]", ":smile:", "[@click=x]y", r"\[b]"]
TEXTS = [*((text, text) for text in MARKUP), *UNPRINTED.items()]
EACH = pytest.mark.parametrize(("text", "written"), TEXTS, ids=lambda text: ascii(text)[1:12])


@EACH
def test_a_line_of_a_command_is_a_line(capsys, text, written):
    console.say(f"x {text} y")
    console.tell(f"x {text} y")
    console.complain(f"x {text} y")
    out, err = capsys.readouterr()
    assert out == f"x {written} y\n"
    assert err == f"x {written} y\nreglab: x {written} y\n"


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
