"""The pages in `docs/` say what is so. `python -m tests.test_docs` writes the table of keys anew."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from reglab.cli.app import app
from reglab.config import FIELDS, SPEED_KEYS, RunConfig, allowed, with_overrides

ROOT = Path(__file__).parents[1]
KEYS = ROOT / "docs" / "keys.md"
PAGES = sorted((ROOT / "docs").glob("*.md"))

HEAD = """\
# Keys of a run

Every key of a `RunConfig`, made from the code: what it means, what it takes, and its default. On the command line and under `parameters:`
of a sweep file they are written as here. `reglab train --print-config` shows the values of one run.

| key | default | takes | meaning |
|---|---|---|---|
"""


def keys():
    """The table of all keys, as Markdown."""
    rows = []
    for key, field in FIELDS.items():
        default = "null" if field.default is None else str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        means = (field.description or "").replace("<", "&lt;") + (" (changes speed only)" if key in SPEED_KEYS else "")
        rows.append(f"| `{key}` | {default} | {allowed(key)} | {means} |".replace("|  |", "| |"))
    return HEAD + "\n".join(rows) + "\n"


def test_the_table_of_keys_is_that_of_the_code():
    """Else: `python -m tests.test_docs`."""
    assert KEYS.read_text(encoding="utf-8") == keys()


def commands(text):
    return [line.strip() for line in text.splitlines() if line.startswith("    reglab ")]


@pytest.mark.parametrize("line", [line for page in PAGES for line in commands(page.read_text(encoding="utf-8"))])
def test_every_command_shown_is_one_that_is_there(line):
    words = line.split("#")[0].split()[1:]
    command = get_command(app)
    while hasattr(command, "commands") and not words[0].startswith("--"):
        command = command.commands[words.pop(0)]
    options = {option for item in command.params for option in item.opts}
    assert {word for word in words if word.startswith("--")} <= options
    overrides = [word for word in words if "=" in word and not word.startswith("'") and "KEY=" not in word]
    if command.name in ("train", "run") and "plain.yaml" not in words:  # whose program is another, with keys of its own
        RunConfig.parse(with_overrides({}, overrides))


def test_every_page_is_linked_from_the_readme_or_from_another_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8") + "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in (path for path in (ROOT / "docs").iterdir() if path.is_file()):
        assert f"docs/{page.name}" in text or f"({page.name})" in text, page.name


def test_every_link_leads_somewhere():
    for page in [ROOT / "README.md", *PAGES]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


if __name__ == "__main__":
    KEYS.write_text(keys(), encoding="utf-8")
