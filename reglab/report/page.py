"""The page of a report: one HTML file with everything in it, which opens without a network."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

GENERATOR = '<meta name="generator" content="reglab">'
"""Tells a page of ours from another."""


@dataclass(frozen=True)
class Figure:
    """A drawn figure: `stem` names its files beside the page, `spec` is its Vega-Lite JSON."""

    stem: str
    title: str
    description: str
    spec: str


@dataclass(frozen=True)
class Page:
    """What a page says, in the order in which it is read."""

    title: str
    what: str
    headline: str
    notes: Sequence[str]
    figures: Sequence[Figure]
    stem: str
    table: pd.DataFrame
    runs: pd.DataFrame
    machines: Sequence[str]

    def render(self) -> str:
        template = Environment(loader=PackageLoader("reglab.report", "."), autoescape=True).get_template("page.html.j2")
        return template.render(
            vars(self)
            | {
                "figures": [vars(figure) | {"spec": _script(figure.spec)} for figure in self.figures],
                "table": Markup(self.table.to_html(index=False, border=0)),
                "runs": Markup(self.runs.to_html(index=False, border=0, na_rep="–", float_format="{:.4g}".format)),
                "generator": Markup(GENERATOR),
                "bundle": _script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")),
            }
        )


def _script(text: str) -> Markup:
    """JavaScript or JSON that cannot end the <script> element it stands in."""
    return Markup(re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE))
