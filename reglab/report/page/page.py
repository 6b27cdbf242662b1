"""The page of a study: one HTML file with everything in it. It opens without a network, and reads without a script.

The template writes all text and tables; its scripts draw the figures, filter and sort the tables, and show an arm's runs.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.resources import files
from numbers import Integral, Real
from typing import Any

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from reglab.report.charts import Drawing
from reglab.report.charts.font import FAMILY, faces
from reglab.report.claims.findings import Finding, Verdict
from reglab.report.comparisons.parts import UNITS, Part, percent
from reglab.report.stats import CONFIDENCE
from reglab.report.studies.registration import Registered
from reglab.report.writing.numbers import MINUS, NONE, counted

PAGE = "index.html"
RUNS = "runs.csv"
"""The files of a report that its page counts on."""

_SHORT = 12
"""Characters of a name that stands in a narrow column."""

GENERATOR = '<meta name="generator" content="reglab">'
"""Tells a page of ours from another."""

ROWS_AT_ONCE = 200
"""Rows of the table of runs that the page shows at first, and adds when asked for more."""

_UNITS = {unit: said.strip() for unit, said in UNITS.items()} | {"share": "of the cases"}
_SCRIPTS = ("common", "figures", "claims", "contents", "tables", "rows", "arms")
"""Of the page, in the order in which they run."""

_DIGITS = r"\d[\d,.]*(e[-+−]\d+)?"
_NUMBER = rf"([<>] )?[-+−×]?{_DIGITS}"
_ONE = rf"({_NUMBER}( ± {_DIGITS})?( ?%| s)?( \(({_NUMBER} to {_NUMBER}|all equal|\d+ of \d+|p (< )?[\d.]+)\))*|not reached|mixed|–)"
_QUANTITY = re.compile(rf"{_ONE}( / {_ONE})*")
_LONG, _NAME = 40, 24  # characters of a cell, and of what a row is called, that may break into lines
_WORD = 30  # characters of a part of either that stands on one line
_BETWEEN = re.compile(r"(?<= [/·]) | (?=\(p )")
"""Where a cell may break into lines: behind each part of a name, behind each machine of several, and before a p-value."""

_UNIT = re.compile(r" (?=%)| (?=\S{1,2}$)")
"""Before the unit of a column, which stays on the line of what it is of."""


@dataclass(frozen=True)
class Figure:
    """A figure: `stem` names its files beside the page; `drawing` is None where it has no run yet.

    A title is `Figure 2: what it shows`; what stands before the colon is its name in links.
    """

    stem: str
    title: str
    description: str
    drawing: Drawing | None

    @property
    def name(self) -> str:
        """What links call it: what stands before the colon of its title."""
        return self.title.partition(":")[0]

    @property
    def link(self) -> str:
        """What leads to it where there is room for a word or two: its name, if that is as short as `Figure 2`."""
        return self.name if len(self.name) <= _SHORT else "figure"


@dataclass(frozen=True)
class PageSection:
    """A question of the study. `table` has its files `<stem>.md`, `.csv` and `.tex` beside the page; `runs` are their labels or ids.

    `arms`: the identity of the arm of each row of the table, where a row is one; `below`: what must be known to read the table;
    `texts`: the table as text, by what the page calls its kind.
    """

    stem: str
    title: str
    asks: str
    figures: Sequence[Figure]
    table: pd.DataFrame | None
    runs: Sequence[str]
    notes: Sequence[str]
    arms: Sequence[str] = ()
    below: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_table(self) -> bool:
        """Whether its table has a row."""
        return self.table is not None and not self.table.empty

    @property
    def is_answered(self) -> bool:
        """Whether there is anything to show."""
        return self.has_table or bool(self.runs) or any(figure.drawing for figure in self.figures)


@dataclass(frozen=True)
class Heading:
    """A column of a table. Numbers stand to the right."""

    name: str
    is_number: bool


@dataclass(frozen=True)
class PageGrid:
    """A table as text, row by row; the first column names the row."""

    columns: Sequence[Heading]
    rows: Sequence[Sequence[str]]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "PageGrid":
        """Return the table as text; a column all of whose values are numbers is known as one."""
        values = [[_plain(value) for value in table.iloc[:, place]] for place in range(table.shape[1])]
        columns = [Heading(str(name), _are_numbers(column)) for name, column in zip(table.columns, values, strict=True)]
        texts = [
            [_text(value, is_of_tenths) for value in column] for column, is_of_tenths in zip(values, map(_are_tenths, values), strict=True)
        ]
        return cls(columns, list(zip(*texts, strict=True)))


@dataclass(frozen=True)
class RunsTable:
    """The table of all runs.

    Of its columns, four mean something to the page: `run` (the id), `state`, `question` (the stem of a section, or a list of
    them) and `url` (the run's page at W&B, shown as a link on its id; only http and https).
    """

    table: pd.DataFrame
    arms: Mapping[str, str] = field(default_factory=dict)
    """The identity of each run's arm, by its id."""

    @cached_property
    def grid(self) -> PageGrid:
        """The first rows as text: the page draws no more at once."""
        return PageGrid.of(self._shown.head(ROWS_AT_ONCE))

    @property
    def links(self) -> list[str | None]:
        """An address a row, or None."""
        return [_address(url) for url in self.table["url"]] if "url" in self.table else [None] * len(self.table)

    def among(self, column: str) -> list[str]:
        """The different values of a column, in order of appearance; none where there is no such column."""
        values = (_plain(value) for value in self.table.get(column, ()))
        each = (one for value in values if value is not None for one in (value if isinstance(value, list) else [value]))
        return list(dict.fromkeys(map(str, each)))

    def json(self) -> Markup:
        """For the page's script: columns, rows in their order, and a link a row."""
        columns = [list(map(_plain, self._shown.iloc[:, place])) for place in range(self._shown.shape[1])]
        names = list(map(str, self._shown.columns))
        found = {"columns": names, "rows": list(zip(*columns, strict=True)), "links": self.links, "atOnce": ROWS_AT_ONCE}
        found["arms"] = [self.arms.get(str(run)) for run in self.table["run"]] if "run" in self.table else []
        return _in_script(json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False))

    @property
    def _shown(self) -> pd.DataFrame:
        return self.table.drop(columns="url", errors="ignore")


@dataclass(frozen=True)
class Page:
    """What a page says, in the order in which it is read. `label` says what the study is not, where a reader might take it for more.

    `effects` is the figure that stands first; `details` (`reglab/report/page/details.py`) is what is told of an arm when it is asked for.
    """

    title: str
    what: str
    headline: Sequence[str]
    findings: Sequence[Finding]
    sections: Sequence[PageSection]
    table_1: pd.DataFrame
    runs: pd.DataFrame
    machines: Sequence[str]
    notes: Sequence[str]
    label: str | None
    target: str = "running training accuracy"
    effects: Figure | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: {"common": {}, "arms": {}})
    registered: Registered | None = None
    plan: str = ""  # by which claims are decided
    reading: str | None = None  # how the tables are read, where it is not as of reglab's own runs

    def render(self) -> str:
        """The page as HTML."""
        figures = {figure.stem: figure for section in self.sections for figure in section.figures if figure.drawing}
        groups = [(verdict, [finding for finding in self.findings if finding.verdict == verdict]) for verdict in Verdict]
        return _template().render(
            page=self,
            rows=RunsTable(self.runs, {run["run"]: arm for arm, told in self.details["arms"].items() for run in told["runs"]}),
            answered=[section for section in self.sections if section.is_answered],
            unanswered=[section for section in self.sections if not section.is_answered],
            groups=groups,
            figures=figures,
            titles={section.stem: section.title for section in self.sections},
            shown_by=_by_figure(self.findings, figures),
            generator=Markup(GENERATOR),
            bundle=_bundle(),
            font=FAMILY,
            faces=Markup(faces()),
            css=_style(),
            js=_script(),
            texts=_in_script(json.dumps({each.stem: dict(each.texts) for each in self.sections if each.texts}, ensure_ascii=False)),
            details=_in_script(json.dumps(self.details, ensure_ascii=False, separators=(",", ":"), allow_nan=False)),
        )


def _by_figure(findings: Iterable[Finding], figures: Mapping[str, Figure]) -> dict[str, list[Finding]]:
    """The claims that each figure shows."""
    found: dict[str, list[Finding]] = {stem: [] for stem in figures}
    for finding in findings:
        found.get(finding.figure, []).append(finding)
    return found


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("reglab.report.page", "web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"grid": PageGrid.of, "in_script": _in_script, "unbroken": _unbroken, "compact": _compact}
    environment.filters |= {"counted": counted, "estimate": estimate, "interval": interval, "unit": _UNITS.__getitem__}
    environment.filters |= {"parts": _BETWEEN.split, "heading": partial(_UNIT.sub, "\N{NO-BREAK SPACE}")}
    environment.tests |= {
        "long": lambda text: len(text) > _LONG,
        "name": lambda text: len(text) > _NAME,
        "word": lambda text: len(text) <= _WORD,
    }
    return environment.get_template("page.html.j2")


@cache
def _bundle() -> Markup:
    """Vega, Vega-Lite and vega-embed as one script, with no `<` in its texts that could end its element."""
    return Markup(re.sub("<(?=/script|!--)", r"\\x3c", vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"), flags=re.IGNORECASE))


@cache
def _style() -> Markup:
    return Markup((files("reglab.report.page") / "web" / "page.css").read_text(encoding="utf-8"))


@cache
def _script() -> Markup:
    """All scripts of the page as one."""
    return Markup("\n".join((files("reglab.report.page") / "web" / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS))


def _in_script(text: str) -> Markup:
    """JSON that cannot end the <script> element it stands in."""
    return Markup(text.replace("<", r"\u003c"))


def _compact(spec: str) -> str:
    """A chart's JSON without what only people need: spaces, and digits that no eye tells apart."""
    return json.dumps(json.loads(spec, parse_float=lambda digits: float(f"{float(digits):.7g}")), ensure_ascii=False, separators=(",", ":"))


def _unbroken(text: str) -> str:
    """A text whose numbers stay on one line with their per-cent signs and what is behind ±."""
    return re.sub(r" (?=%)| (?=±)|(?<=±) ", "\N{NO-BREAK SPACE}", text)


def estimate(part: Part) -> str:
    """A part's estimate in its unit: `+1.2`, `75 %`, `×1.30`."""
    return f"×{part.amount()}" if part.unit == "ratio" and part.estimate is not None else part.amount()


def interval(part: Part) -> str:
    """A part's interval in its unit: `+0.4 to +2.0`; its confidence, where that is not 95 %."""
    if part.low is None and part.high is None:
        return NONE
    return part.range_in_words() + ("" if part.confidence == CONFIDENCE else f" (at {percent(part.confidence)})")


def _plain(value: Any) -> str | int | float | list[str] | None:
    """A value as JSON has it: numbers to six digits, None for what is missing."""
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return int(value)
    return _rounded(float(value)) if isinstance(value, Real) else str(value)


def _rounded(value: float) -> str | int | float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return int(value) if value.is_integer() else float(f"{value:.6g}")


def _text(value: str | float | list[str] | None, is_of_tenths: bool = False) -> str:
    """A value as it is read; the page's script has the same rule."""
    if value is None or value in ("", []):
        return NONE
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_whole = isinstance(value, int)
        said = f"{value:.1f}" if is_of_tenths else str(value) if is_whole else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return MINUS + said[1:] if said.startswith("-") else said
    return ", ".join(value) if isinstance(value, list) else str(value)


def _are_tenths(values: Sequence[Any]) -> bool:
    """Whether all numbers of a column are told to a tenth: so that a whole one among them is, too."""
    there = [value for value in values if isinstance(value, int | float)]
    return any(value % 1 for value in there) and all(abs(value) < 1000 and round(value, 1) == value for value in there)


def _are_numbers(values: Sequence[Any]) -> bool:
    """Whether half of a column's values are numbers, with an interval or without, or more; as in LaTeX."""
    there = [value for value in values if value not in (None, "", NONE)]
    numbers = sum(isinstance(value, int | float) or (isinstance(value, str) and bool(_QUANTITY.fullmatch(value))) for value in there)
    return 0 < numbers >= len(there) / 2


def _address(url: Any) -> str | None:
    return url if isinstance(url, str) and re.match("https?://", url) else None
