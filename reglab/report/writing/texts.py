"""Tables as text: CSV for programs, Markdown and HTML for pages, LaTeX for papers."""

import html
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from reglab.errors import shown
from reglab.report.writing import latex
from reglab.report.writing.numbers import NONE

Bold = Collection[tuple[int, str]]
"""Cells that stand out: the number of the row, from 0, and the name of the column."""

_FORMULA = tuple("=+-@＝＋－＠")
"""What a text begins with that a spreadsheet takes for a formula; the wide ones in East Asian settings."""

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Told:
    """A table of a report, by the name of its files: as people read it, and `numbers` for programs, where it is text."""

    stem: str
    table: pd.DataFrame
    caption: str
    numbers: pd.DataFrame | None = None
    bold: Bold = ()

    @property
    def csv(self) -> str:
        """The table for programs, as CSV."""
        return to_csv(self.table if self.numbers is None else self.numbers, _DIGITS)

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        return to_markdown(self.table, self.bold)

    @property
    def latex(self) -> str:
        """The table as LaTeX, with its caption and label."""
        return to_latex(self.table, self.caption, self.stem, self.bold)

    @property
    def html(self) -> str:
        """The table as HTML, with its caption."""
        return to_html(self.table, self.caption, self.bold)

    @property
    def copies(self) -> dict[str, str]:
        """For the page to copy: into papers and pages, and `numbers` into a spreadsheet, which takes no `95.9 ± 1.2` for one."""
        numbers = {} if self.numbers is None else {"numbers": to_csv(self.numbers, _DIGITS, "\t")}
        return {"LaTeX": self.latex, "Markdown": self.markdown} | numbers


_DIGITS = 7
"""Of what is worked out: beyond them it is the library's version that tells."""


def to_csv(table: pd.DataFrame, digits: int | None = None, between: str = ",") -> str:
    """Numbers with so many digits, or in full; `between` stands between cells. A text that a spreadsheet would run has an apostrophe
    before it."""
    texts = [name for name in table.columns if not is_numeric_dtype(table[name])]
    return (
        table.assign(**{name: table[name].map(_inert) for name in texts})
        .rename(columns=_inert)
        .to_csv(index=False, sep=between, float_format=f"%.{digits}g" if digits else None)
    )


def _inert(value: Any) -> Any:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    text = shown(value)  # a tab or a return at its beginning would hide the rest from what follows, and one in it break the row
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_markdown(table: pd.DataFrame, bold: Bold = ()) -> str:
    """A table whose first column stands to the left, and all others to the right."""
    if table.empty:
        return "none\n"
    texts = _marked(table.map(lambda value: _in_markdown(_text(value))), bold, "**{}**").rename(columns=_in_markdown)
    return texts.to_markdown(index=False, disable_numparse=True, colalign=["left"] + ["right"] * (len(table.columns) - 1)) + "\n"


_MARKDOWN = {r"\\": r"\\\\", r"\|": r"\\|", r"<(?=[A-Za-z/!?])": "&lt;", r"\]\(": r"]\\("}
"""What would break a row, or be a tag, a link or an image, and what it is then."""


def _in_markdown(text: str) -> str:
    text = shown(text)
    for pattern, inert in _MARKDOWN.items():
        text = re.sub(pattern, inert, text)
    return text


def to_html(table: pd.DataFrame, caption: str, bold: Bold = ()) -> str:
    """A `<table>` for any page, with nothing in it that a page would run."""
    head = "".join(f'<th scope="col">{html.escape(shown(str(name)))}</th>' for name in table.columns)
    cells = _marked(table.map(lambda value: html.escape(shown(_text(value)))), bold, "<strong>{}</strong>")
    rows = [
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>"
        for first, *rest in cells.itertuples(index=False)
    ]
    said = html.escape(shown(caption))
    return f"<table>\n<caption>{said}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>\n"


def to_latex(table: pd.DataFrame, caption: str, label: str = "", bold: Bold = ()) -> str:
    """Return the table as `latex.table` writes it."""
    if table.empty:
        return "none\n"
    texts = table.map(_text)
    body = _marked(texts.map(latex.escaped), bold, r"\textbf{{{}}}")
    return latex.table(texts, body, caption, label)


def _marked(texts: pd.DataFrame, bold: Bold, form: str) -> pd.DataFrame:
    texts = texts.astype(object)
    for row, column in bold:
        place = list(texts.columns).index(column)
        texts.iat[row, place] = form.format(texts.iat[row, place])
    return texts


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers that has gaps
    return NONE if pd.isna(value) else str(value)
