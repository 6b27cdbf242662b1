"""A section of a report that no question of its study has."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reglab.report.studies.cells import Cell
from reglab.report.studies.columns import Column, Level

if TYPE_CHECKING:  # more than a second, that whoever asks a question does not wait for
    import pandas as pd

    from reglab.report.charts.style import Drawn


@dataclass(frozen=True)
class Extra:
    """A section that no question has: its table, as people read it and as `numbers` for programs, and its figures by name, title and
    description."""

    stem: str
    title: str
    asks: str
    table: "pd.DataFrame"
    cells: Sequence[Cell]
    drawn: Sequence[tuple[str, str, str, Callable[[str, str], "Drawn"]]]
    notes: Sequence[str] = ()
    arms: Sequence[str] = ()
    is_search: bool = False
    numbers: "pd.DataFrame | None" = None

    def figures(self, subtitle: str) -> "Iterator[tuple[str, str, str, Drawn]]":
        """Yield its figures as drawn: name, title, description, drawing."""
        for name, title, says, draw in self.drawn:
            yield name, title, says, draw(title, subtitle)


def levels_of(column: Column, cells: Sequence[Cell]) -> list[Level]:
    """The levels of a factor that these cells have, in order."""
    return sorted({cell.treatment[column.name] for cell in cells if cell.treatment}, key=column.place)
