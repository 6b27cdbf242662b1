"""What every technique declares, and what follows from it."""

import itertools
import math
import statistics
import typing
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from reglab.config import LABELLED, RunConfig, acting, effective, identity
from reglab.errors import UserError
from reglab.processes.signals import Signals
from reglab.section import NO_EFFECT, Section, types_of
from reglab.techniques import FORMERLY, TECHNIQUES, Probe, Technique
from reglab.techniques.applied import IN_NETWORK, Applied, apply, overrides
from reglab.tracking.results import METRICS
from tests.conftest import EACH

each = pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda technique: technique.name)


def example(*techniques):
    return RunConfig.parse({technique.name: dict(technique.example) for technique in techniques})


@each
def test_by_default_a_technique_does_nothing(technique):
    config = RunConfig.parse({})
    assert not technique.acts(config)
    assert identity(RunConfig.parse({technique.name: {}})) == identity(config)


@each
def test_under_its_example_it_acts_and_is_another_arm(technique):
    config = example(technique)
    assert acting(config) == [technique]
    assert identity(config) != identity(RunConfig.parse({}))
    assert config.label == (technique.label(technique.of(config)) if technique.label else "baseline")


def others(field):
    """Values that a key may take beside its own, by its type."""
    choices = [choice for option in types_of(field.annotation)[0] for choice in typing.get_args(option)]
    return [*choices, True, False, 0.15, 0.25, 1, 2, 3]


KEYS = [(technique, key) for technique in TECHNIQUES for key, field in technique.section.model_fields.items() if field.default is not None]
"""All but those that stand in place of others."""


@pytest.mark.parametrize(("technique", "key"), KEYS, ids=lambda value: getattr(value, "name", value))
def test_each_of_its_keys_makes_another_arm_or_says_why_not(technique, key):
    """Some value of it does, where the technique acts; or it has no effect in any run."""
    field, here = technique.section.model_fields[key], example(technique)
    arms = set()
    for value in others(field):
        with suppress(UserError):
            arms.add(identity(RunConfig.parse({technique.name: technique.example | {key: value}})))
    assert len(arms - {identity(here)}) > (0 if NO_EFFECT not in field.metadata else -1)


@each
def test_what_does_it_touches_training(technique):
    (config, kind) = example(technique), technique.load()
    made = kind(technique.of(config), config, torch.device("cpu"))
    points = ("draw", "mix", "loss", "penalty", "on_gradients", "decay")
    is_in_network = any(overrides(made, point) for point in IN_NETWORK)
    assert issubclass(kind, Applied) and (is_in_network or any(overrides(made, point) for point in points))
    assert technique.in_network == is_in_network
    assert (made.sums is None) == (not technique.probes)


@each
def test_its_probes_are_logged(technique):
    assert {probe.name for probe in technique.probes} <= set(METRICS)


def test_labels_tell_of_techniques_that_have_words():
    assert {prefix.removesuffix(".") for prefix in LABELLED} == {technique.name for technique in TECHNIQUES if technique.label}


@pytest.mark.parametrize("former", FORMERLY.values())
def test_a_key_is_read_under_the_path_that_it_had(former):
    section, key = former.split(".")
    now = next(path for path, before in FORMERLY.items() if before == former)
    assert effective(RunConfig.parse({section: {key: 0.25}}))[now] == 0.25


class Loud(Section):
    """Makes noise (Nobody 2026)."""

    volume: int = 0


LOUD = {
    "name": "loud",
    "section": Loud,
    "paper": "arXiv:0000.00000",
    "active": lambda own, run: own.volume > 0,
    "example": {"volume": 1},
    "applied_by": "somewhere:Loud",
}


class Undocumented(Section):
    volume: int = 0


class Needing(Section):
    """Needs to be told (Nobody 2026)."""

    volume: int


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Loud noise"}, "its name must be"),
        ({"section": dict}, "section must be"),
        ({"section": Undocumented}, "no docstring"),
        ({"section": Needing}, "needs a default"),
        ({"paper": " "}, "paper is empty"),
        ({"applied_by": "somewhere"}, "applied_by must name"),
        ({"example": {"loudness": 1}}, "no key of its section: loudness"),
        ({"layers": lambda own: 3}, "declare in_network=True"),
        ({"probes": (Probe("noise/level", "how loud"),)}, "must be called loud/"),
    ],
)
def test_a_declaration_that_misses_a_part_is_refused_by_name(change, said):
    Technique(**LOUD)
    with pytest.raises(TypeError, match=f"technique {change.get('name', 'loud')}: .*{said}"):
        Technique(**LOUD | change)


def test_a_technique_of_another_package_counts_by_its_code(monkeypatch):
    """The same keys, and other code: another arm."""
    here = example(TECHNIQUES[0])
    foreign = (replace(TECHNIQUES[0], source="abc"), *TECHNIQUES[1:])
    for module in ("reglab.config.run", "reglab.config.identities"):
        monkeypatch.setattr(f"{module}.TECHNIQUES", foreign)
    assert identity(here) != identity(RunConfig.parse({}))
    one = identity(here)
    monkeypatch.setattr("reglab.config.run.TECHNIQUES", (replace(TECHNIQUES[0], source="def"), *TECHNIQUES[1:]))
    assert identity(here) != one
    assert identity(RunConfig.parse({})) == "7674a781fc38"


def test_one_that_is_in_the_network_and_does_not_say_so_is_refused_where_it_would_act(monkeypatch):
    """On a network of another package it would train nothing."""
    hidden = tuple(replace(technique, in_network=False, layers=None) for technique in TECHNIQUES)
    monkeypatch.setattr("reglab.config.run.TECHNIQUES", hidden)
    with pytest.raises(UserError, match="technique dropout: it overrides after_unit, and does not declare in_network=True"):
        apply(RunConfig.parse({"dropout": {"layers": 1, "p": 0.1}}), torch.device("cpu"))


def one_epoch(run):
    run.train_until(math.inf, Signals())
    return run.end_epoch(run.sums.read())


PAIRS = [{**one, **other} for one, other in itertools.combinations(EACH.values(), 2)]


@pytest.mark.slow
@pytest.mark.parametrize("sections", PAIRS, ids=" and ".join)
def test_every_pair_trains(make_run, sections):
    row = one_epoch(run := make_run(**sections, data={"train_limit": 32, "test_limit": 32}))
    assert math.isfinite(row.train_loss) and 0 <= row.train_accuracy <= 1
    logged = row.metrics()
    for technique in acting(run.config):
        for probe in technique.probes:
            assert 0 <= logged[probe.name] <= 1


PROVEN = [technique for technique in TECHNIQUES if any(probe.expected for probe in technique.probes)]


@pytest.mark.parametrize("technique", PROVEN, ids=lambda technique: technique.name)
def test_a_probe_shows_what_the_keys_ask_for(make_run, technique):
    run = make_run(**EACH[technique.name])
    found = [one_epoch(run).metrics() for _ in range(6)]
    for probe in technique.probes:
        if probe.expected and (expected := probe.expected(technique.of(run.config))) is not None:
            assert statistics.fmean(row[probe.name] for row in found) == pytest.approx(expected, rel=0.25), probe.name
