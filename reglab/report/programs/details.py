"""What a page tells of an arm of another program when it is asked for: the settings of its runs and their curves."""

from typing import Any

from reglab.report.page.details import MOST_RUNS, as_read
from reglab.report.programs.arms import Programs
from reglab.report.programs.roles import setting
from reglab.report.studies.columns import in_order, written


def details(programs: Programs) -> dict[str, Any]:
    """As JSON has it, in the form of `page/details.py`: their settings that differ, and the curve of what they are told by."""
    metric, seed = programs.roles.metric, programs.roles.seed
    each_run = len(programs.counted) <= MOST_RUNS
    arms: dict[str, Any] = {}
    for arm in programs.arms:
        runs = []
        for run in sorted(arm.runs, key=lambda run: (in_order(setting(run, seed)) if seed else (), run.id)):
            at = setting(run, seed) if seed else None
            name = run.name or run.id if at is None else f"seed {written(at)}"
            found: dict[str, Any] = {"run": run.id, "seed": run.name or run.id if at is None else written(at), "name": name}
            found |= {"state": run.state.value, "clean": programs.roles.value(run)}
            if each_run and (curve := run.curves.get(metric)):
                found["curve"] = {"at": [step for step, _ in curve], "value": [value for _, value in curve]}
            runs.append(found)
        own = {key: as_read(level) for key, level in arm.levels.items()}
        arms[arm.identity] = {"label": arm.label, "own": own, "runs": runs}
    shown = {"first": "seed" if seed else "name", "x": "step", "y": metric, "lines": [["value", metric]], "columns": [], "note": ""}
    return {"common": {}, "arms": arms, "shown": shown | {"clean": metric, "places": None}}
