"""Figures, each one Vega-Lite chart from one tidy table of the arms of a question."""

import pandas as pd

from reglab.report.charts import arrays, effects, epochs, lines, rows
from reglab.report.charts.style import Drawing, Drawn, save
from reglab.report.studies.design import FigureData
from reglab.report.studies.study import Study

__all__ = ["Drawing", "draw", "effects", "epochs", "save"]


def draw(table: pd.DataFrame, figure: FigureData, study: Study, subtitle: str) -> Drawn:
    """A figure of a question, as the study file has it."""
    kind = lines if figure.x else arrays if figure.arrays else rows
    drawn: Drawn = kind.draw(table, figure, study, subtitle)
    return drawn
