"""Tables: the same rows as Markdown, CSV and LaTeX for people, and as tidy numbers for programs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from reglab.errors import shown
from reglab.report import comparisons, stats
from reglab.report.cells import Cell, Times
from reglab.report.claims import Finding
from reglab.report.columns import Treatment, brief, in_order, meets
from reglab.report.design import Design, Parameter
from reglab.report.measures import Target, test_accuracy
from reglab.report.stats import Difference, Estimate, TimeToTarget
from reglab.report.study import Study
from reglab.tracking.record import Environment, RunRecord, Summary

NONE = "–"

# Arms.


def arms(cells: Sequence[Cell], target: Target, baseline: Cell | None = None) -> pd.DataFrame:
    """One row an arm, formatted: accuracies in per cent with 95 % intervals, times in seconds. Training accuracy is the clean one.

    An arm that was timed on several machines has a row for each, and where there are several machines, a column says which.
    With a baseline: the difference in test accuracy to it, paired by seed, with Holm's p over the table's arms; and how many
    more seeds would bring that difference's interval down to one point to each side.
    """
    short = short_machines(times.machine for cell in cells for times in cell.times)
    against = _against(cells, baseline) if baseline else {}
    is_searched = any(cell.is_searched for cell in cells)
    rows = [
        {"model": cell.label}
        | ({"machine": short[times.machine] if times else NONE} if len(short) > 1 else {})
        | {
            "runs": _counted(cell, times if len(short) > 1 else None),
        }
        | ({"validation, %": _percent(cell.validation_accuracy)} if is_searched else {})
        | {
            "test, %": _percent(cell.test_accuracy),
            "train (clean), %": _percent(cell.train_accuracy),
            "overfitting": _percent(cell.gap),
            "training, s": _seconds(times.train_seconds if times else None),
            f"to {target.short}, s": _to_target(times.to_target if times else None),
        }
        | against.get(cell.identity, {})
        for cell, times in _timed(cells)
    ]
    return pd.DataFrame(rows)


def _counted(cell: Cell, times: Times | None) -> str:
    """The runs that count for the accuracies; of an arm on several machines, how many were timed on this one, too."""
    counted = str(cell.counted) if cell.counted == len(cell.records) else f"{cell.counted} of {len(cell.records)}"
    return f"{counted} ({times.to_target.n} here)" if times and times.to_target and len(cell.times) > 1 else counted


def _timed(cells: Iterable[Cell]) -> list[tuple[Cell, Times | None]]:
    """Each arm with its times on each machine, or with none."""
    return [(cell, times) for cell in cells for times in (cell.times or (None,))]


def short_machines(names: Iterable[str]) -> dict[str, str]:
    """Machines by the shortest words that tell them apart: the device, and of precision, versions and threads what differs."""
    parts = {name: name.split(", ") for name in dict.fromkeys(names)}
    everywhere = set.intersection(*map(set, parts.values())) if parts else set()
    short = {name: [device, *(word for word in rest if word not in everywhere)] for name, (device, *rest) in parts.items()}
    return {name: ", ".join(words).replace("NVIDIA ", "").replace("(R)", "").replace("(TM)", "") for name, words in short.items()}


def _against(cells: Sequence[Cell], baseline: Cell) -> dict[str, dict[str, str]]:
    """The two columns of the comparison, by the arm's identity."""
    # What held images out saw fewer of them than the baseline: nothing to compare with.
    alike = [cell for cell in cells if cell.held_out == baseline.held_out]
    differences = {cell.identity: _difference(cell, baseline) for cell in alike if cell.identity != baseline.identity}
    p_values = stats.holm([difference.p if difference else None for difference in differences.values()])
    columns = {
        identity: {"difference, points": _points(difference, p), "seeds more": _further(difference)}
        for (identity, difference), p in zip(differences.items(), p_values, strict=True)
    }
    nothing = {cell.identity: {"difference, points": NONE, "seeds more": NONE} for cell in cells}
    return nothing | columns | {baseline.identity: {"difference, points": "baseline", "seeds more": NONE}}


def _difference(cell: Cell, baseline: Cell) -> Difference | None:
    mine, others = ({record.seed: record for record in each.records if stats.counts(record)} for each in (cell, baseline))
    blocks: comparisons.Blocks = {
        (cell.identity, seed): {"arm": mine[seed], "baseline": others[seed]} for seed in mine.keys() & others.keys()
    }
    return comparisons.difference(blocks, "arm", "baseline", test_accuracy)


def tidy(cells: Sequence[Cell], design: Design) -> pd.DataFrame:
    """One row an arm and machine, as numbers, with the columns of the study: what figures are drawn from.

    Accuracies in per cent, times in seconds of training; each with `_low` and `_high` of its interval. `n` runs count for the
    accuracies, `timed` for the times; of these `reached` came to the target.
    """
    return pd.DataFrame([_tidy(cell, times, design) for cell, times in _timed(cells)])


def _tidy(cell: Cell, times: Times | None, design: Design) -> dict[str, Any]:
    row: dict[str, Any] = {"model": cell.label, "identity": cell.identity, "machine": times.machine if times else None, "n": cell.counted}
    row["searched"] = cell.is_searched
    for name in ("validation_accuracy", "test_accuracy", "train_accuracy", "gap"):
        row |= _numbers(name, getattr(cell, name), 100)
    row |= _numbers("train_seconds", times.train_seconds if times else None, 1)
    reaching = times.to_target if times else None
    has_interval = reaching is not None and reaching.n > 1
    row |= {
        "time_to_target_seconds": reaching.median_seconds if reaching else None,
        "time_to_target_seconds_low": reaching.low if reaching and has_interval else None,
        "time_to_target_seconds_high": reaching.high if reaching and has_interval else None,
        "reached": reaching.reached if reaching else None,
        "timed": reaching.n if reaching else 0,
    }
    return row | dict(cell.treatment or dict.fromkeys(design.by_name))


# Runs.


def runs(records: Sequence[RunRecord], study: Study) -> pd.DataFrame:
    """One row a run: its levels, everything that its summary holds, where it ran, and its page at W&B where it has one."""
    return pd.DataFrame([_run(record, study) for record in records])


def rows(records: Sequence[RunRecord], questions: Mapping[str, Sequence[str]], study: Study) -> pd.DataFrame:
    """One row a run, for a person: accuracies in per cent, times in seconds, and the questions that each run (by its id) answers."""
    return pd.DataFrame([_row(record, study.labels[record.run_id], list(questions.get(record.run_id, ()))) for record in records])


def _row(record: RunRecord, label: str, questions: list[str]) -> dict[str, Any]:
    results = record.summary.model_dump() if record.summary else {}
    row: dict[str, Any] = {"run": record.run_id, "model": label, "seed": record.seed, "state": record.state.value}
    row |= {
        "test, %": _rounded(results.get("test_accuracy"), 100),
        "train (clean), %": _rounded(results.get("train_clean_accuracy"), 100),
        "overfitting": _rounded(results.get("gap"), 100),
        "training, s": _rounded(results.get("time_train_seconds"), 1),
        "to target, s": _rounded(results.get("time_to_target_seconds"), 1),
        "images/s": _rounded(results.get("throughput_images_per_second"), 1),
        "epochs": results.get("epochs"),
        "device": _device(record),
        "commit": record.environment.commit if record.environment else None,
        "question": questions,
        "reason": record.reason,
    }
    return row | ({"url": record.url} if record.url else {})


def _device(record: RunRecord) -> str | None:
    if record.environment is None:
        return None
    return record.environment.device + (", shared cores" if record.summary and record.summary.shared_its_cores else "")


def _rounded(value: float | None, scale: float) -> float | None:
    """To a tenth."""
    return None if value is None else round(scale * value, 1)


def _run(record: RunRecord, study: Study) -> dict[str, Any]:
    """A column of the study whose name is one of the run's own is what was planned."""
    row: dict[str, Any] = {"run": record.run_id, "model": study.labels[record.run_id], "seed": record.seed, "state": record.state.value}
    row |= {"reason": record.reason, "sweep": record.sweep, "identity": record.identity}
    row |= {"url": record.url} if record.url else {}
    results = (record.summary.metrics() if record.summary else {}) | (record.environment.metrics() if record.environment else {})
    levels = study.treated[record.run_id] or dict.fromkeys(study.design.by_name)
    own = {*row, *RUN_COLUMNS}
    return row | {f"planned_{name}" if name in own else name: level for name, level in levels.items()} | results


RUN_COLUMNS = frozenset(str(field.alias) for field in Summary.model_fields.values()) | frozenset(Environment.model_fields)
"""What the table of runs has of every run that came to its end."""


# What was varied.


def parameters(study: Study) -> pd.DataFrame:
    """What a study varies, as it was run: each parameter's candidates, the values that have a finished run, and how many there are."""
    finished: dict[Treatment, int] = {}
    for treated, _ in study.ended(None, {}):
        finished[treated] = finished.get(treated, 0) + 1
    rows = []
    for parameter in study.design.table_1:
        arms = [arm for arm in finished if meets(arm, parameter.among, study.base)]
        rows.append(
            {
                "technique": parameter.technique,
                "parameter": parameter.parameter,
                "candidates": ", ".join(parameter.candidates),
                "ran": _ran(parameter, arms, study.design),
                "arms": len(arms),
                "runs": sum(finished[arm] for arm in arms),
            }
        )
    return pd.DataFrame(rows)


def _ran(parameter: Parameter, arms: Sequence[Treatment], design: Design) -> str:
    levels = sorted({level for arm in arms if (level := arm[parameter.of]) is not None}, key=in_order)
    if design.by_name[parameter.of].kind == "keys" and len(levels) > 1:
        values = [float(part) for level in levels for part in str(level).split("/")]
        return f"{len(levels)} arrays from {min(values):.2g} to {max(values):.2g}"
    return ", ".join(map(brief, levels)) or NONE


# Claims.


def claims(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a claim: what came out, and by which rule."""
    rows = [
        {
            "no.": finding.number,
            "claim": finding.claim,
            "verdict": finding.verdict.value,
            "effect": " ".join(filter(None, (finding.effect, finding.note))),
            "rule": finding.rule,
            "runs": len(finding.runs),
        }
        for finding in findings
    ]
    return pd.DataFrame(rows)


# As text.


_FORMULA = tuple("=+-@＝＋－＠")
"""What a text begins with that a spreadsheet takes for a formula; the wide ones in East Asian settings."""

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)


def to_csv(table: pd.DataFrame) -> str:
    """With the values as they are: of a tidy table, numbers in full. A text that a spreadsheet would run has an apostrophe before it."""
    texts = [name for name in table.columns if not is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(_inert) for name in texts}).rename(columns=_inert).to_csv(index=False)


def _inert(value: Any) -> Any:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    text = shown(value)  # a tab or a return at its beginning would hide the rest from what follows, and one in it break the row
    return f"'{text}" if text.startswith(_FORMULA) else text


def to_markdown(table: pd.DataFrame) -> str:
    """A table whose first column stands to the left, and all others to the right."""
    if table.empty:
        return "none\n"
    texts = table.map(lambda value: _in_markdown(_text(value))).rename(columns=_in_markdown)
    return texts.to_markdown(index=False, disable_numparse=True, colalign=["left"] + ["right"] * (len(table.columns) - 1)) + "\n"


_MARKDOWN = {r"\\": r"\\\\", r"\|": r"\\|", r"<(?=[A-Za-z/!?])": "&lt;", r"\]\(": r"]\\("}
"""What would break a row, or be a tag, a link or an image, and what it is then."""


def _in_markdown(text: str) -> str:
    text = shown(text)
    for pattern, inert in _MARKDOWN.items():
        text = re.sub(pattern, inert, text)
    return text


LATEX_PACKAGES = ("booktabs", "graphicx", "longtable")

_LONG_CELL = 40
"""Characters of a cell from which its column breaks lines."""

_WIDE_ROW = 95
"""Characters of a row that fit a page's text; wider tables are scaled down."""

_TALL = 40
"""Rows that fit a page; longer tables go over pages."""


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A booktabs table that compiles as it stands, given `LATEX_PACKAGES`; one too wide for the page is scaled down to it."""
    if table.empty:
        return "none\n"
    texts = table.map(_text)
    widths = [max(len(str(name)), *map(len, texts[name])) for name in texts.columns]
    long = [width > _LONG_CELL for width in widths]
    columns = "l" + "r" * (len(widths) - 1)
    if any(long):
        share = f"p{{{0.62 / sum(long):.2f}\\textwidth}}"
        columns = "".join(share if is_long else "l" for is_long in long)
    wide = sum(min(width, _LONG_CELL) + 2 for width in widths) > _WIDE_ROW
    tall = len(texts) > _TALL
    latex = (
        texts.map(_escape)
        .rename(columns=_escape)
        .style.hide(axis="index")
        .to_latex(
            hrules=True,
            column_format=columns,
            caption=_escape(caption),
            environment="longtable" if tall else None,
            position_float=None if tall else "centering",
        )
    )
    if tall:
        return f"{{\\scriptsize\n{latex}}}\n" if wide else latex
    if wide:
        latex = latex.replace("\\begin{tabular}", "\\resizebox{\\textwidth}{!}{%\n\\begin{tabular}")
        return latex.replace("\\end{tabular}", "\\end{tabular}}")
    return latex


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%_&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}"}
    | {"±": r"$\pm$", "–": "--", "—": "---", "·": r"$\cdot$", "×": r"$\times$", "−": "$-$", "<": "$<$", ">": "$>$", "≤": r"$\leq$"}
    | {"≥": r"$\geq$", "≈": r"$\approx$", "’": "'", "“": "``", "”": "''", "…": r"\ldots{}", "→": r"$\rightarrow$", "\n": " ", "\xa0": "~"}
)
_LATIN = 0x17F
"""The last letter that LaTeX sets without further packages."""


def _escape(text: str) -> str:
    return "".join(character if ord(character) <= _LATIN and character.isprintable() else "?" for character in str(text).translate(_LATEX))


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers that has gaps
    return NONE if pd.isna(value) else str(value)


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    return f"{100 * estimate.mean:z.1f}" + (f" ± {100 * estimate.half_width:.1f}" if estimate.half_width is not None else "")


def _points(difference: Difference | None, p: float | None) -> str:
    """`+3.2 ± 1.1 (p 0.004)`."""
    if difference is None:
        return NONE
    said = f"{round(100 * difference.mean, 1) + 0.0:+.1f}"  # no -0.0
    said += f" ± {100 * difference.half_width:.1f}" if difference.half_width is not None else ""
    return said if p is None else f"{said} (p {p_text(p)})"


_SMALL = 0.0005


def p_text(p: float) -> str:
    return "< 0.001" if p < _SMALL else f"{p:.3f}"


def _further(difference: Difference | None) -> str:
    if difference is None or difference.deviation is None:
        return NONE
    further = stats.further_seeds(difference)
    return f"> {stats.MOST_SEEDS}" if further is None else str(further)


def _seconds(estimate: Estimate | None) -> str:
    if estimate is None:
        return NONE
    return f"{estimate.mean:.1f}" + (f" ± {estimate.half_width:.1f}" if estimate.half_width is not None else "")


def _to_target(time: TimeToTarget | None) -> str:
    if time is None:
        return NONE
    shown = "not reached" if time.median_seconds is None else f"{time.median_seconds:.1f}"
    return shown if time.reached in (0, time.n) else f"{shown} ({time.reached} of {time.n})"


def _numbers(name: str, estimate: Estimate | None, scale: float) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = (None if bound is None else bound * scale for bound in (estimate.low, estimate.high))
    return {name: estimate.mean * scale, f"{name}_low": low, f"{name}_high": high}
