"""Which configurations are the same experiment."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from reglab.config.fields import FIELDS, OPTIONS, SPEED_KEYS
from reglab.config.run import RunConfig, acting
from reglab.config.words import flat, nested
from reglab.foreign import is_reference, source
from reglab.section import OneOf, Section, keys
from reglab.techniques import FORMERLY, TECHNIQUES

IDENTITY_VERSION = 1
"""What identities mean: raised whenever a default, or what a value does, is changed; not for a new key whose default does nothing."""

_TAKE_FUNCTIONS = [path for path, field in FIELDS.items() if any(isinstance(mark, OneOf) for mark in field.metadata)]

_BY_NAME = {technique.name: technique for technique in TECHNIQUES}


def effective(config: RunConfig) -> dict[str, Any]:
    """The keys that have an effect in this run (`dropout.p1`), with their values. What has none declares so where it stands."""
    found = config.effective(config)
    for name, section in config:
        if isinstance(section, Section):
            own = _BY_NAME[name].effective(config) if name in _BY_NAME else section.effective(config)
            found |= {f"{name}.{key}": value for key, value in own.items()}
    for technique in TECHNIQUES:
        if technique.without and not technique.acts(config):
            found |= technique.without(technique.of(config), config)
    return found


def as_given(config: RunConfig) -> dict[str, Any]:
    """The keys that have an effect in this run as they were given: `dropout.p` for the same in every layer, AdamW without decay."""
    found: dict[str, Any] = {}
    for name, section in config:
        if isinstance(section, Section):
            given = _BY_NAME[name].given(config) if name in _BY_NAME else section.given(config)
            found |= {f"{name}.{key}": value for key, value in given.items()}
    return found


def identity(config: RunConfig) -> str:
    """Hash of what a run does, whatever its seed: 12 hexadecimal digits.

    Two configurations with one identity are the same arm and run once a seed. It is the hash of `IDENTITY_VERSION` and of the
    effective values that depart from the defaults, so that a key which is added later changes no identity where it does nothing.
    A departure is from the constant that a key has as its default, whatever other keys are. Numbers of one value are one (1, 1.0).
    A key counts under the first path that it had. Of what came with another package its code counts, too, and what is revised.
    """
    return _hashed(config, code_of(config), revisions(config))


def identity_here(config: RunConfig) -> str:
    """By what runs of this configuration are known on this machine: its identity.

    Where a function of the user's is not here, nobody can tell of what code a run should be, and it is the hash without any.
    """
    return _hashed(config, {} if absent(config) else code_of(config), revisions(config))


def unrevised_identity(config: RunConfig) -> str:
    """The identity of runs of this configuration before what it does was revised; that of today's where it never was."""
    return _hashed(config, code_of(config), {})


def revisions(config: RunConfig) -> dict[str, str]:
    """What runs of this configuration do otherwise than those of earlier versions did, by the technique that does it."""
    techniques = acting(config)
    said = {each.name: each.revised(each.of(config), techniques) for each in techniques if each.revised}
    return {name: what for name, what in said.items() if what}


def _hashed(config: RunConfig, codes: Mapping[str, str], revised: Mapping[str, str]) -> str:
    defaults, values = _defaults(type(config)), effective(config)
    departures = {FORMERLY.get(path, path): text for path, value in values.items() if (text := _canonical(value)) != defaults.get(path)}
    departures |= code_of_techniques(config)
    departures |= {f"code of {path}": code for path, code in codes.items()}
    departures |= {f"revision of {name}": what for name, what in revised.items()}
    return hashlib.sha256(json.dumps([IDENTITY_VERSION, departures], sort_keys=True).encode()).hexdigest()[:12]


def foreign(config: RunConfig) -> dict[str, str]:
    """What a run takes that is a function of the user's (`package.module:function`), by the keys that name it."""
    return _foreign(effective(config))


def names_functions(values: Mapping[str, Any]) -> bool:
    """Whether nested values, such as those of a record, name one of these."""
    return bool(_foreign(flat(values)))


def code_of(config: RunConfig) -> dict[str, str]:
    """The hashes of the files that these functions are in, as far as they are on this machine; none of them is imported."""
    return {path: code for path, reference in foreign(config).items() if (code := source(reference))}


def code_of_techniques(config: RunConfig) -> dict[str, str]:
    """The hashes of the code of techniques that came with other packages, by the names of those that act."""
    return {technique.name: technique.source for technique in acting(config) if technique.source}


def absent(config: RunConfig) -> list[str]:
    """Those of these functions whose modules are not on this machine, as `key = package.module:function`."""
    return [f"{path} = {reference}" for path, reference in foreign(config).items() if source(reference) is None]


def _foreign(values: Mapping[str, Any]) -> dict[str, str]:
    return {path: values[path] for path in _TAKE_FUNCTIONS if is_reference(str(values.get(path)))}


@cache
def _defaults(model: type[RunConfig]) -> dict[str, str]:
    return {path: _canonical(field.default) for path, field in keys(model) if path not in OPTIONS}


@lru_cache(maxsize=10_000, typed=True)
def _canonical(value: Any) -> str:
    """As JSON, whole numbers without a fraction: a whole float comes back from W&B as an integer, and -0.0 is 0."""
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def run_id(config: RunConfig) -> str:
    """The identity with its seed: the name of the one run that answers this configuration, such as `4f0c…-s0`."""
    return f"{identity(config)}-s{config.train.seed}"


def at_default_speed(config: RunConfig) -> RunConfig:
    """The same run without what changes its speed only."""
    defaults: dict[str, dict[str, Any]] = nested({path: FIELDS[path].default for path in SPEED_KEYS})
    return config.model_copy(update={name: getattr(config, name).model_copy(update=keys) for name, keys in defaults.items()})
