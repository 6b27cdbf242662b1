"""Whether what a sweep asks for can be built: its keys, every cell of a grid, and of a search some hundred draws.

W&B takes a sweep whose every run fails. Here each searched key is looked at across its whole distribution, then all keys together,
and a fault names the key, how many draws have it, and what to write instead.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reglab import foreign, reading
from reglab.config import FIELDS, OPTIONS, DataConfig, RunConfig, allowed, choices_of, current, nearest, unknown_key
from reglab.errors import UserError, shown
from reglab.foreign import is_reference
from reglab.section import Functions
from reglab.sweep.definition import NO_METRIC, Definition, Fault, Parameter, Place, Replicates, Scheduler, assembled, parameters_of
from reglab.sweep.distributions import Distribution, Exponents, IntUniform, Quantized, same
from reglab.sweep.engines import grid
from reglab.sweep.engines.random import Random
from reglab.sweep.program import LACKS
from reglab.tracking.results import METRICS, is_of, own_name

_MOST_SOURCE_BYTES = 10**7

DRAWS = 200
"""Of each searched key, and of all keys together."""

MOST_CELLS = 20_000
"""Of a grid: more would be years of GPUs, and are a slip of the pen."""

SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?e[-+]?\d+", re.IGNORECASE)
"""What people mean as a number. To YAML 1.1, and so to W&B, it is one only with a point and a sign: `1.0e-3`."""

_STEPPED = {
    "normal": "q_normal with q: 1",
    "log_normal": "q_log_normal with q: 1",
    "log_uniform": "q_log_uniform_values with q: 1",
    "log_uniform_values": "q_log_uniform_values with q: 1",
    "inv_log_uniform": "q_log_uniform_values with q: 1",
    "inv_log_uniform_values": "q_log_uniform_values with q: 1",
}
"""What draws whole numbers in place of a distribution that does not; else `min` and `max` do, as whole numbers."""


METRICS_KEY = "train.metrics"
"""Names what is measured beside what every run logs."""

_IN_OPTUNA = ("constant", "categorical", "int_uniform", "uniform", "log_uniform_values", "q_uniform", "q_log_uniform_values")
"""The distributions that W&B's optimizer over an Optuna study has."""


def faults_of_form(config: Mapping[str, Any], is_ours: bool = True) -> Iterator[Fault]:
    """What keeps a sweep, good as it may be to W&B, from being run: that it has no end; of `reglab train`, its keys and metrics, too."""
    definition = Definition.model_validate(config)
    for parameter in parameters_of(config) if is_ours else ():
        if any("." in name for name in parameter.names):
            section, _, key = parameter.path.partition(".")
            nested_form = f"{section}: {{parameters: {{{key}: …}}}}"
            yield Fault(parameter.place, f"parameters: {parameter.path}: W&B does not split names at dots; write {nested_form}")
        elif parameter.path in OPTIONS:
            nested_form = f"{parameter.names[-1]}: {{parameters: {{NAME: {{value: …}}}}}}"
            yield Fault(parameter.place, f"parameters: {parameter.path}: each option is a parameter of its own; write {nested_form}")
        elif current(parameter.path) not in FIELDS:
            yield Fault(parameter.place, f"parameters: {unknown_key(parameter.path)}")
    scheduler = definition.scheduler
    if definition.method in ("random", "bayes") and definition.run_cap is None:
        yield Fault(("method",), f"method {definition.method} never ends by itself: add `run_cap:`, the number of runs")
    if definition.method == "custom" and definition.run_cap is None and not (scheduler and scheduler.optimizer):
        study = "or name an `optimizer` in `source`, whose study ends"
        yield Fault(("method",), f"method custom never ends by itself: add `run_cap:`, the number of runs, {study}")
    if scheduler and scheduler.engine == "optuna":
        yield from _faults_of_optuna(config, scheduler)
    if not definition.objectives and (definition.method in ("bayes", "custom") or definition.early_terminate):
        yield Fault(("early_terminate",) if definition.early_terminate else ("method",), NO_METRIC)
    if definition.replicates:
        yield from _of_replicates(definition.replicates, config.get("parameters", {}), is_ours)
    for number, metric in enumerate(definition.objectives if is_ours else ()):
        own = own_names(config)
        if metric.name not in METRICS and not any(is_of(metric.name, name) for name in own):
            place: Place = ("metrics", number, "name") if definition.metrics else ("metric", "name")
            yield Fault(place, f"{'.'.join(map(str, place))} = {metric.name}: no run logs that{nearest(metric.name, [*METRICS, *own])}")


def own_names(config: Mapping[str, Any]) -> list[str]:
    """What the runs of a sweep log of metrics of the user's, or begin its names with: `test/ece` of `train.metrics: calibration:ece`."""
    given = (value for each in parameters_of(config) if each.path == METRICS_KEY for value in each.distribution.choices or ())
    return [own_name(reference) for value in given if isinstance(value, str) for reference in Functions.of(value)]


def _of_replicates(replicates: Replicates, parameters: Mapping[str, Any], is_ours: bool) -> Iterator[Fault]:
    *groups, _ = replicates.names
    if is_ours and replicates.key != "train.seed":
        yield Fault(("replicates", "key"), f"replicates.key = {replicates.key}: what repeats a run of `reglab train` is train.seed")
    elif not is_ours and groups and groups[0] not in parameters:
        said = f"the file has no group {groups[0]} among its parameters: give a name without dots, or a key of one of its groups"
        yield Fault(("replicates", "key"), f"replicates.key = {replicates.key}: {said}")


def _faults_of_optuna(config: Mapping[str, Any], scheduler: Scheduler) -> Iterator[Fault]:
    """What W&B's optimizer over an Optuna study does not search, or would search without a word as if it said less."""
    if scheduler.search_space and config.get("parameters"):
        said = f"are not looked at beside scheduler.search_space = {scheduler.search_space}, which says every key of a run: leave them out"
        yield Fault(("parameters",), f"parameters: {said}")
        return
    for parameter in parameters_of(config):
        distribution = parameter.distribution
        if "probabilities" in distribution.model_fields_set:
            said = "the engine optuna draws without `probabilities`: leave them out"
        elif distribution.name not in _IN_OPTUNA:
            said = f"the engine optuna has no {distribution.name}: it has {', '.join(_IN_OPTUNA)}"
        elif isinstance(distribution, Quantized) and "log" in distribution.name and (distribution.q != 1 or distribution.limits[0] < 1):
            said = "the engine optuna takes no q but 1 on a logarithmic scale, from 1 up: write log_uniform_values, or `values`"
        else:
            continue
        yield Fault(parameter.place, f"{parameter.path}: {said}")


def faults_of_size(config: Mapping[str, Any]) -> Iterator[Fault]:
    """A grid's cells are counted before any is made."""
    if config["method"] == "grid" and (size := grid.size(config)) > MOST_CELLS:
        count = f"{size:,}" if size < 10**15 else f"more than {10**15:,}"
        said = f"{count} cells: a grid has at most {MOST_CELLS:,}; search over fewer values, or have `method: random` with a `run_cap`"
        yield Fault(("parameters",), f"parameters: {said}")


def faults_of_selection(config: Mapping[str, Any]) -> Iterator[Fault]:
    """A search on held-out images needs some, whatever it draws."""
    definition = Definition.model_validate(config)
    if definition.scheduler and definition.scheduler.search_space:
        return  # whose function is not run before the search
    held_out = next((p.distribution.ends for p in parameters_of(config) if p.path == "data.validation"), [0])
    for metric in definition.objectives:
        if metric.name.startswith("val/") and not all(held_out):
            said = "no run logs that without held-out images; set data.validation, for example to 5000"
            yield Fault(("metric", "name"), f"metric.name = {metric.name}: {said}")


def faults_of_draws(config: Mapping[str, Any]) -> Iterator[Fault]:
    """What a search draws and no run can be built from: key by key, then, where each is good by itself, of all together."""
    parameters = parameters_of(config)
    first = [parameter.distribution.ends[0] if parameter.distribution.ends else parameter.distribution.at(0.5) for parameter in parameters]
    found = {fault.said: fault for number in range(len(parameters)) for fault in _of_key(parameters, number, first)}
    yield from found.values()
    if found:
        return
    engine, said, drawn = Random(config), list[str](), list[RunConfig]()
    for number in range(DRAWS):
        try:
            drawn.append(RunConfig.parse(engine.draw(number)))
        except UserError as error:
            said.append(str(error))
    if said:
        yield Fault(place_of(said[0], parameters), f"{said[0]}; so it is with {len(said)} of {DRAWS} draws")
    yield from faults_of_images(drawn, parameters)


def faults_of_images(configs: Iterable[RunConfig], parameters: Sequence[Parameter]) -> Iterator[Fault]:
    """Two folders or files of one name, the path of which does not count: their runs would be one arm, and one run a seed."""
    first: dict[DataConfig, DataConfig] = {}
    for data in dict.fromkeys(config.data for config in configs if config.data.where):
        known = first.setdefault(data.on_any_machine(), data)
        if known.place != data.place:
            key = "data.folder" if data.source == "folder" else "data.file"
            one, other = sorted(shown(str(each.where)) for each in (known, data))
            fault = f"{one} and {other} are both called {data.own_name}, and images go by their name"
            said = f"{key}: {fault}: rename one, or give each a sweep file with a data.name of its own"
            yield Fault(place_of(said, parameters), said)
            return


def place_of(said: str, parameters: Sequence[Parameter]) -> Place:
    """Where the key that a fault is about, or speaks of first, is defined."""
    placed = {parameter.path: parameter.place for parameter in parameters}
    return next((placed[word] for word in re.findall(r"[a-z]\w*(?:\.\w+)?", said) if word in placed), ("parameters",))


def absent(config: Mapping[str, Any]) -> Iterator[str]:
    """Functions of the user's that arms are made of, and whose modules are not on this machine, as `key = package.module:function`."""
    return (f"{key} = {reference}" for key, reference in _made_of(config) if foreign.source(reference) is None)


def lacking(config: Mapping[str, Any], is_ours: bool = True) -> Iterator[str]:
    """Functions of the user's, of runs or of a scheduler, that the modules on this machine lack, each told in a line."""
    for key, reference in [*_made_of(config), *_measured_by(config)] if is_ours else ():
        if foreign.is_lacking(reference):
            module, _, name = reference.partition(":")
            yield f"{key} = {reference}: {module} has no {name}"
    scheduler = Definition.model_validate(config).scheduler
    if scheduler is None or scheduler.source is None:
        return
    with suppress(FileNotFoundError):  # the search is started in another folder, perhaps
        content = reading.whole(Path(scheduler.source), _MOST_SOURCE_BYTES, "give scheduler.source the file of its functions")
        for key in ("optimizer", "search_space"):
            if (name := getattr(scheduler, key)) and not foreign.may_have(content, name):
                yield f"scheduler.{key} = {name}: {scheduler.source} has no {name}"


def _made_of(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Functions of the user's that arms are made of: the key, and the name."""
    for parameter in parameters_of(config):
        for value in dict.fromkeys(each for each in parameter.distribution.choices or () if isinstance(each, str)):
            if choices_of(current(parameter.path)) and is_reference(value):
                yield parameter.path, value


def _measured_by(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same of functions that arms are measured by."""
    given = [parameter.distribution.choices or () for parameter in parameters_of(config) if parameter.path == METRICS_KEY]
    for reference in dict.fromkeys(each for choices in given for value in choices for each in Functions.of(value)):
        yield METRICS_KEY, reference


def notes(config: Mapping[str, Any], is_ours: bool = True) -> Iterator[str]:
    """What is as W&B has it, and likely not as it is meant; of another program, what it cannot do."""
    definition = Definition.model_validate(config)
    if not is_ours:
        yield LACKS
    if is_ours and (definition.method in ("bayes", "custom") or definition.early_terminate):
        for metric in definition.objectives:
            if metric.name.startswith("test/"):
                held_out = "set data.validation and select on val/accuracy, so that the test set stays unseen"
                yield f"it selects on {metric.name}: {held_out}"
    if is_ours:
        told = "there is no such module here, so its runs cannot be trained"
        yield from (f"{each}: {told}, and `sweep status` counts them whatever their code" for each in absent(config))
        missing = (reference for _, reference in _measured_by(config) if foreign.source(reference) is None)
        yield from (f"{METRICS_KEY} = {reference}: {told}" for reference in missing)
    for parameter in parameters_of(config):
        distribution, path = parameter.distribution, parameter.path
        if isinstance(distribution, Exponents):
            low, high = sorted(distribution.limits)
            meant = f"for values between {distribution.min:g} and {distribution.max:g}, write distribution: {distribution.replacement}"
            yield f"{path}: {distribution.name} takes min and max for exponents of e, and draws from {low:.4g} to {high:.4g}; {meant}"
        texts = [value for value in distribution.choices or () if isinstance(value, str) and SCIENTIFIC.fullmatch(value)]
        if not is_ours and texts:
            yield f"{path}: {texts[0]} is a text to YAML, and so to the program: a number has a point and a sign there, as 1.0e-3 has"
        if is_ours and (now := current(path)) != path:
            yield f"{path} is called {now} now; the former name goes on being read"
        is_float = is_ours and current(path) in FIELDS and allowed(current(path)).startswith("a number")
        if isinstance(distribution, IntUniform) and is_float and definition.method != "grid":
            drawn = " and ".join(map(str, distribution.cells)) if distribution.count < 4 else f"{distribution.min} to {distribution.max}"
            real = f"write max: {float(distribution.max)} for all numbers between"
            yield f"{path}: min and max are whole numbers, so it draws whole numbers only, {drawn}; {real}"
    if (source := definition.scheduler and definition.scheduler.source) and not Path(source).is_file():
        yield f"scheduler.source = {source}: is not in this folder; whoever starts the search starts it where the file is"
    if any(metric.target is not None for metric in definition.objectives):
        yield "metric.target: W&B's server ends the sweep there; a sweep on this machine goes on to its run_cap"


def notes_of_replicates(config: Mapping[str, Any], seeds: int) -> Iterator[str]:
    """What a search does with so many seeds of each draw, here and elsewhere."""
    definition = Definition.model_validate(config)
    if definition.method == "grid":
        return
    yield "replicates: here each draw is run with all of its seeds, and the search hears their mean; W&B's server draws a seed as any value"
    if definition.run_cap and definition.run_cap % seeds:
        left = definition.run_cap % seeds
        yield f"run_cap = {definition.run_cap}: counts runs, {seeds} a draw: the last draw has {left}, and the search does not hear of it"


def _of_key(parameters: Sequence[Parameter], number: int, first: Sequence[Any]) -> Iterator[Fault]:
    """Of one key, all others at their first values: at most one fault."""
    parameter = parameters[number]
    distribution = parameter.distribution
    drawn = distribution.ends if not distribution.is_numeric else [distribution.at((step + 0.5) / DRAWS) for step in range(DRAWS)]
    said: dict[str, str] = {}
    for value in [*drawn, *distribution.ends]:
        if same(value) not in said:
            said[same(value)] = _said(assembled(parameters, [*first[:number], value, *first[number + 1 :]]))
    bad = [same(value) for value in drawn if said[same(value)]]
    message = next((text for end in distribution.ends if (text := said[same(end)])), said[bad[0]] if bad else "")
    if not message:
        return
    is_of_this_key = message.startswith(f"{parameter.path} ")
    if distribution.is_numeric and is_of_this_key:
        share = (
            f"{math.ceil(100 * len(bad) / DRAWS)} % of the draws of {distribution.name} are like that"
            if bad
            else "it is an end of the range"
        )
        message = f"{message}; {share}: {_remedy(parameter)}"
    yield Fault(parameter.place if is_of_this_key else place_of(message, parameters), message)


def _said(values: Mapping[str, Any]) -> str:
    try:
        RunConfig.parse(values)
    except UserError as error:
        return str(error)
    return ""


def _remedy(parameter: Parameter) -> str:
    """What to write instead of a numeric distribution that draws what the key does not accept."""
    distribution: Distribution = parameter.distribution
    is_whole, has_ends = allowed(parameter.path).startswith("a whole number"), all(map(math.isfinite, distribution.limits))
    if is_whole and distribution.is_continuous:
        stepped = _STEPPED.get(distribution.name)
        return f"{stepped} draws whole numbers" if stepped else "whole numbers as min and max, without a point, draw whole numbers"
    if isinstance(distribution, Quantized) and is_whole and not float(distribution.q).is_integer():
        return "q must be a whole number"
    if not has_ends:
        return "it has no end there; uniform or log_uniform_values has"
    if isinstance(distribution, Quantized) and "q" not in distribution.model_fields_set:
        return "q is 1 where none is given: give a smaller one"
    if isinstance(distribution, Quantized):
        return f"min and max are rounded to multiples of q = {distribution.q:g}: choose such as the key accepts"
    return "choose min and max so that the key accepts all between"
