"""A study file for a sweep of no study, and what somebody claims of its arms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from reglab.atomic import write_whole
from reglab.errors import UserError
from reglab.report.claims.evidence import Evidence
from reglab.report.claims.plan import LOOKS
from reglab.report.compare import conditions_in
from reglab.report.referee.question import JudgedQuestion
from reglab.report.studies import own
from reglab.report.studies.measures import MEASURES
from reglab.settling.arms import arms_of, study_of
from reglab.sweep.spec import SweepSpec


def write(spec: SweepSpec, claims: Sequence[str], folder: Path) -> Path:
    """Write the study of a sweep, and of these claims, beside the runs that settle them. Raises as `text_of`."""
    text = text_of(spec, claims, spec.path.resolve())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "study.yaml"
    write_whole(file, lambda stream: stream.write(text.encode()))
    return file


def text_of(spec: SweepSpec, claims: Sequence[str], sweep: Path) -> str:
    """A study of one sweep, with its factors and these claims, each said as `reglab judge` is asked. `sweep`: its file, from the study's.

    Raises UserError for a sweep whose arms are not known before they are drawn, or are another program's; for a claim that cannot be read,
    that names no arms of it, or several where it compares one, or whose metric is a time.
    """
    arms = arms_of([spec])
    if not arms:
        raise UserError(f"{spec.path}: --until-settled takes a grid of `reglab train`: of anything else the arms are not known beforehand")
    design = own.of_arms({arm.name: arm.config for arm in arms.values()}, spec.name)
    plan = study_of(design, arms)
    study: dict[str, Any] = {
        "title": spec.config.get("description") or spec.name,
        "sweeps": [str(sweep)],
        "looks": list(_looks(spec)),
        "factors": {name: {"key": data.key, "without": "none", "base": "most"} for name, data in design.factors.items()},
        "covers": sorted(design.covers),
        "questions": [{"name": "arms", "title": "What each arm came to", "order": "best"}],
        "claims": [],
    }
    for text in claims:
        asked = JudgedQuestion.read(text)
        if asked.metric in MEASURES and MEASURES[asked.metric].is_time:
            raise UserError(f"{text}: times are compared by their ratio, which a study file can claim, and this cannot")
        (_, one), (_, other) = conditions_in(plan, asked.one, asked.other)
        if several := Evidence(plan, None).cases({}, (one, other)).several:
            raise UserError(f"{text}: {several}")
        bound = {">": "at_least", "<": "at_most", "=": "within"}[asked.sign]
        margin = -asked.margin if asked.sign == "<" else asked.margin
        difference = {"of": asked.metric, "between": _plain(one), "and": _plain(other), bound: margin}
        study["claims"].append({"text": asked.text, "difference": difference})
    made = "# Made by `reglab sweep run --until-settled`: `reglab study run` and `reglab study report` take it.\n"
    return made + yaml.safe_dump(study, sort_keys=False, width=10**6, allow_unicode=True)


def _looks(spec: SweepSpec) -> Sequence[int]:
    """The looks of any study, as far as the sweep's `replicates` allow."""
    most = spec.replicates.most if spec.replicates else None
    if most is None or most >= LOOKS[-1]:
        return LOOKS
    return [*(look for look in LOOKS if look < most), most] if most > 1 else LOOKS


def _plain(levels: Any) -> dict[str, str]:
    return {name: level for name, (level,) in levels.items()}
