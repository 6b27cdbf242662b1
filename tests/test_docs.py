"""The pages in `docs/` say what is so. `python -m tests.test_docs` writes the table of keys anew."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

import reglab
from reglab.cli.app import app
from reglab.config import FIELDS, OPTIONS, SPEED_KEYS, RunConfig, allowed, with_overrides

ROOT = Path(__file__).parents[1]
KEYS = ROOT / "docs" / "keys.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")), *ROOT.glob("[a-z]*/README.md")]
"""All that the site is built of, but the log and the tables of reports."""

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
        default = (
            "{}"
            if key in OPTIONS
            else "null"
            if field.default is None
            else str(field.default).lower()
            if isinstance(field.default, bool)
            else str(field.default)
        )
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
    words = shlex.split(line, comments=True)[1:]
    command = get_command(app)
    while hasattr(command, "commands") and not words[0].startswith("--"):
        command = command.commands[words.pop(0)]
    options = {option for item in command.params for option in item.opts}
    assert {word for word in words if word.startswith("--")} <= options
    overrides = [word for word in words if "=" in word and " " not in word and "KEY=" not in word]
    if command.name in ("train", "run") and "plain.yaml" not in words:  # whose program is another, with keys of its own
        RunConfig.parse(with_overrides({}, overrides))


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_every_file_of_the_project_that_is_named_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:benchmarks|cloud|docs|reglab|sweeps|tests)/[\w/.-]+\.\w+)", text)
    given = [word for line in commands(text) for word in shlex.split(line, comments=True) if "/" in word and word.endswith(".yaml")]
    assert [name for name in (*named, *given) if not any(ROOT.glob(name))] == []


def test_the_technique_that_is_shown_is_the_one_that_is_there():
    page = (ROOT / "docs" / "adding_a_technique.md").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    code = (ROOT / "reglab" / "techniques" / "stochastic_depth" / "declared.py").read_text(encoding="utf-8")
    assert re.sub(r"  # .*", "", shown).strip() == code.partition("\n\n")[2].strip()


def test_every_page_is_linked_from_the_readme_or_from_another_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8") + "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in (path for folder in ("docs", "docs/decisions") for path in (ROOT / folder).iterdir() if path.is_file()):
        assert f"{page.relative_to(ROOT)}" in text or f"({page.name})" in text, page.name


def anchors(page):
    """The names of a page's headings in links to it, as forges and the site make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_site_has_every_page_and_no_other():
    def leaves(entries):
        for entry in entries:
            for target in entry.values():
                yield from leaves(target) if isinstance(target, list) else [target]

    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(leaves(site["nav"])) == sorted(str(path.relative_to(ROOT)) for path in [*TEXTS, ROOT / "reports" / "LOG.md"])


def test_the_page_of_the_api_names_what_there_is():
    for name in re.findall(r"^::: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE):
        module, _, item = name.rpartition(".")
        assert hasattr(importlib.import_module(module), item), name


def test_the_page_of_the_api_has_all_that_the_package_offers():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [name for name in reglab.__all__ if name != "__version__" and f".{name}\n" not in text] == []


if __name__ == "__main__":
    KEYS.write_text(keys(), encoding="utf-8")
