"""Tables in LaTeX that compile as they stand and fit an article's text: lines break and letters get smaller before anything runs over."""

import re
from collections.abc import Sequence

import pandas as pd

from reglab.report.writing.numbers import NONE

PACKAGES = ("array", "booktabs", "longtable")
"""What tables need beside `graphicx`, which one of very many columns does; the first line of each says which."""

TEXT_WIDTH = 345.0
"""Of an article of 10 points on letter paper, in points."""

_SIZES = {"normalsize": 10.0, "small": 9.25, "footnotesize": 8.5, "scriptsize": 7.97, "tiny": 6.81}
"""The em of each size in points: small letters are made wider."""

_EMS = dict.fromkeys("fijlrt.,:;!|'()[]/ ", 0.39) | dict.fromkeys("mMwW%@", 1.0) | dict.fromkeys("±−×≥≤≈→<>+=", 0.78)
_CAPITAL, _SMALL = 0.76, 0.54
"""How wide letters are, in ems of Computer Modern: those of note, capitals, and all others."""

_SEPARATIONS = (4.0, 2.5)
"""Points to each side of a column, and where lines must break."""

_TALL = 40
"""Rows that fit a page; longer tables go over pages."""

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%_&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}"}
    | {"±": r"$\pm$", "–": "--", "—": "---", "·": r"$\cdot$", "×": r"$\times$", "−": "$-$", "<": "$<$", ">": "$>$", "≤": r"$\leq$"}
    | {"≥": r"$\geq$", "≈": r"$\approx$", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "→": r"$\rightarrow$", "\n": " ", "\xa0": "~"}
)
_TOGETHER = re.compile(r"(?<=±) |(?<=\d) (?=%|s\b|points?\b|times\b)")
"""Spaces at which no line breaks: behind the sign of `± 15`, and between a number and its unit."""

_NUMBER = re.compile(r"[-−+<>×]?\s?\d")
"""What the text of a number begins with, its spread and unit behind it."""

_LATIN = 0x17F
"""The last letter that LaTeX sets without further packages."""


def escaped(text: str) -> str:
    """A text that LaTeX sets as it reads; a long name may break behind its parts."""
    bound = _TOGETHER.sub("\N{NO-BREAK SPACE}", str(text)).translate(_LATEX)
    found = "".join(character if ord(character) <= _LATIN and character.isprintable() else "?" for character in bound)
    return re.sub(r"(\\_|/)(?=\w)", r"\1\\allowbreak{}", found)


def table(texts: pd.DataFrame, body: pd.DataFrame, caption: str, label: str) -> str:
    """A booktabs table. `texts` are its cells as they read, of which widths are reckoned; `body` has them for LaTeX."""
    names = [str(name) for name in texts.columns]
    natural = [max(map(_ems, [name, *texts.iloc[:, place]])) for place, name in enumerate(names)]
    least = [max(map(_longest_word, [name, *texts.iloc[:, place]])) for place, name in enumerate(names)]
    apart, tight = _SEPARATIONS
    size = next((size for size, em in _SIZES.items() if em * sum(natural) <= TEXT_WIDTH - 2 * apart * len(names)), "")
    are_numbers = [False, *(_are_numbers(list(texts.iloc[:, place])) for place in range(1, len(names)))]
    columns = "".join("r" if each else "l" for each in are_numbers)
    if not size:  # lines must break: in letters that leave most columns some room
        apart, room = tight, TEXT_WIDTH - 2 * tight * len(names)
        size = next((size for size, em in _SIZES.items() if em * sum(least) <= 0.8 * room), "tiny")
        if (widths := _widths(natural, least, room / _SIZES[size])) is None:
            return _scaled(body, caption, label, columns)
        sides = ["raggedleft" if each else "raggedright" for each in are_numbers]
        columns = "".join(
            f">{{\\{side}\\arraybackslash}}p{{{_SIZES[size] * width:.1f}pt}}" for side, width in zip(sides, widths, strict=True)
        )
    head = " & ".join(map(escaped, names)) + r" \\"
    rows = [" & ".join(row) + r" \\" for row in body.itertuples(index=False)]
    said = rf"\caption{{{escaped(caption)}}}" + (rf"\label{{tab:{label}}}" if label else "")
    used = {"array": "arraybackslash" in columns, "booktabs": True, "longtable": len(rows) > _TALL}
    needs = "% needs " + " ".join(rf"\usepackage{{{package}}}" for package in PACKAGES if used[package])
    inside = [r"\toprule", head, r"\midrule"]
    setting = rf"\{size}\setlength{{\tabcolsep}}{{{apart:g}pt}}"
    if len(rows) > _TALL:
        more = [r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        lines = [f"{{{setting}", rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}", rf"{said} \\", *inside, *more, *rows, r"\end{longtable}}"]
    else:
        lines = [r"\begin{table}", r"\centering", said, setting, rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", *inside, *rows]
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join([needs, *lines]) + "\n"


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether most of a column's cells are read as numbers, and stand to the right; what is missing is neither."""
    there = [cell for cell in cells if cell not in ("", NONE)]
    return sum(bool(_NUMBER.match(cell)) for cell in there) >= len(there) / 2


def _ems(text: str) -> float:
    return sum(_EMS.get(letter, _CAPITAL if letter.isupper() else _SMALL) for letter in text)


def _longest_word(text: str) -> float:
    """Of what no line breaks, in ems."""
    return max(map(_ems, re.split(r"[ \t\n]|(?<=[_/-])(?=\w)", _TOGETHER.sub("\N{NO-BREAK SPACE}", text))), default=0.0)


def _widths(natural: Sequence[float], least: Sequence[float], room: float) -> list[float] | None:
    """Ems of each column: what its longest word takes, and a share of the rest by how much it would like; None where words do not fit."""
    left, wanted = room - sum(least), [most - word for most, word in zip(natural, least, strict=True)]
    if left < 0:
        return None
    share = min(1.0, left / (sum(wanted) or 1))
    return [word + share * more for word, more in zip(least, wanted, strict=True)]


def _scaled(body: pd.DataFrame, caption: str, label: str, columns: str) -> str:
    """A table of so many columns that their words do not stand beside each other: as a whole made smaller."""
    rows = [" & ".join(map(escaped, map(str, body.columns))), *(" & ".join(row) for row in body.itertuples(index=False))]
    lines = [r"% needs \usepackage{booktabs} \usepackage{graphicx}", r"\begin{table}", r"\centering"]
    lines.append(rf"\caption{{{escaped(caption)}}}" + (rf"\label{{tab:{label}}}" if label else ""))
    lines += [r"\resizebox{\textwidth}{!}{%", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", rf"{rows[0]} \\", r"\midrule"]
    return "\n".join([*lines, *(rf"{row} \\" for row in rows[1:]), r"\bottomrule", r"\end{tabular}}", r"\end{table}"]) + "\n"
