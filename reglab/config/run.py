"""The configuration of one run.

`RunConfig` is the only description of a run in this project: the command line, a sweep's parameters, W&B's page and a stored record all
hold its nested form.
"""

import shlex
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError, create_model, model_validator

from reglab.config.arms import ARMS
from reglab.config.fields import allowed, explain, nearest
from reglab.config.networks import NETWORKS
from reglab.config.sections import AFTER, BEFORE, LONGEST_CELL, DataConfig, ModelConfig, OptimizerConfig, Presets, TrainConfig
from reglab.config.words import flat, nested, parse_overrides
from reglab.errors import UserError, excerpt
from reglab.section import Options, Section
from reglab.techniques import FORMERLY, TECHNIQUES, Technique

LABELLED = tuple(f"{technique.name}." for technique in TECHNIQUES if technique.label)
"""How the keys begin of which a run's label tells."""


def _with(base: type[Section], sections: Mapping[str, type[Section]]) -> type[Section]:
    fields: dict[str, Any] = {name: (section, section()) for name, section in sections.items()}
    return create_model(base.__name__, __base__=base, **fields)


if TYPE_CHECKING:

    class _Sections(Presets):
        """What a type checker knows of: the rest are techniques, which are typed in their rooms."""

        data: DataConfig
        model: ModelConfig
        optimizer: OptimizerConfig
        train: TrainConfig

else:
    _Sections = _with(Presets, BEFORE | {technique.name: technique.section for technique in TECHNIQUES} | AFTER)


class RunConfig(_Sections):
    """Everything that decides what one run does. Build it with `RunConfig.parse`."""

    @model_validator(mode="before")
    @classmethod
    def _expand_presets(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        values = under_todays_names(values)
        if isinstance(values.get("cell"), str) and len(values["cell"]) <= LONGEST_CELL:  # a longer one is refused where it stands
            values = _laid_under(values, _cell(values["cell"]))
        if values.get("arm") is None:
            return values
        name = values["arm"]
        if not isinstance(name, str) or name not in ARMS:
            raise ValueError(f"arm = {excerpt(name)}: must be {allowed('arm')}{nearest(str(name), ARMS)}")
        return _laid_under(values, ARMS[name])

    @model_validator(mode="after")
    def _presets_are_what_they_say(self) -> Self:
        for name, preset in (("cell", _cell(self.cell or "")), ("arm", ARMS.get(self.arm or "", {}))):
            for path, value in flat(preset).items():
                given = _at(self, path)
                if given != value and str(given) != str(value):
                    fault = f"{path} = {given} contradicts {name} = {getattr(self, name)}, which sets it to {value}"
                    raise ValueError(f"{fault}: drop one of the two")
        return self

    @model_validator(mode="after")
    def _warm_up_ends_within_the_run(self) -> Self:
        if self.optimizer.warmup_epochs > self.train.epochs:
            raise ValueError(
                f"optimizer.warmup_epochs = {self.optimizer.warmup_epochs:g} is longer than train.epochs = {self.train.epochs}: "
                "the learning rate would never reach optimizer.lr; shorten one or lengthen the other"
            )
        return self

    @model_validator(mode="after")
    def _the_network_has_places_for_all_layers(self) -> Self:
        network, own = self.model.built_in, self.model
        for technique in acting(self) if network is None else ():
            if technique.in_network:
                fault = f"{technique.name} puts layers into the network, and only those of reglab have places for them"
                raise ValueError(f"model.name = {own.name}: {fault} ({', '.join(NETWORKS)}): leave it out, or choose one of these")
        if network is None and own.standardize:
            fault = "model.standardize is of layers that only the networks of reglab have"
            raise ValueError(f"model.name = {own.name}: {fault} ({', '.join(NETWORKS)}): leave it out, or choose one of these")
        for technique in acting(self) if network else ():
            layers = technique.layers(technique.of(self)) if technique.layers else 0
            if own.placement == "unit" and network and layers > network.units:
                there = f"a block of {own.name} has {network.units} convolution units"
                remedy = f"give at most that, or model.placement=stage, of which it has {network.stages}"
                raise ValueError(f"{technique.name} of {layers} layers: {there}: {remedy}")
        return self

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Validate a nested mapping of keys. Raises UserError with one line that names the key, the value and what is allowed."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error)) from None

    @property
    def label(self) -> str:
        """What it regularizes with, for people: the arm's name where it is one, so one regularization has one label."""
        mine = _labelled(self)
        named = next((name for name, its in _of_arms().items() if its == mine), None)
        return named or " · ".join(technique.label(technique.of(self)) for technique in acting(self) if technique.label)


def _at(config: Section, path: str) -> Any:
    found: Any = config
    for name in path.split("."):
        found = found.given.get(name) if isinstance(found, Options) else getattr(found, name)
    return found


def acting(config: RunConfig) -> list[Technique[Any]]:
    """The techniques that do something in this run, in their order."""
    return [technique for technique in TECHNIQUES if technique.acts(config)]


def grown(config: RunConfig, originals: int) -> int:
    """Images in a batch of so many originals, with the copies that techniques append."""
    for technique in acting(config):
        if technique.copies:
            originals += technique.copies(technique.of(config), originals)
    return originals


def _labelled(config: RunConfig) -> dict[str, Any]:
    """What the techniques do of which labels tell."""
    return {technique.name: technique.effective(config) for technique in acting(config) if technique.label}


@cache
def _of_arms() -> dict[str, dict[str, Any]]:
    return {name: _labelled(RunConfig.model_validate({"arm": name})) for name in ARMS}


def under_todays_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The nested values, with keys that have moved where they are now. Raises ValueError where old and new say two things."""
    for path, former in FORMERLY.items():
        (section, key), (old_section, old_key) = path.split("."), former.split(".")
        before = values.get(old_section)
        if not isinstance(before, Mapping) or old_key not in before:
            continue
        now = values.get(section, {})
        if not isinstance(now, Mapping):
            continue  # which the section itself refuses
        value = before[old_key]
        if key in now and now[key] != value:
            raise ValueError(f"{former} = {excerpt(value)} is the former name of {path} = {excerpt(now[key])}: drop one of the two")
        rest = {name: each for name, each in before.items() if name != old_key}
        values = {**values, old_section: rest, section: {**now, key: value}}
    return values


def _laid_under(values: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values, with those of the preset where they have none."""
    expanded = dict(values)
    for name, value in preset.items():
        if not isinstance(value, Mapping):
            expanded[name] = value if values.get(name) is None else values[name]
        elif isinstance(given := values.get(name, {}), Mapping):  # what is not a mapping, the section itself refuses
            both = {key: {**each, **given[key]} for key, each in value.items() if isinstance(each, Mapping) and _is_mapping(given, key)}
            expanded[name] = {**value, **given, **both}
    return expanded


def _is_mapping(values: Mapping[str, Any], key: str) -> bool:
    return isinstance(values.get(key), Mapping)


def _cell(words: str) -> dict[str, Any]:
    return nested(parse_overrides(shlex.split(words), are_kept=True))
