"""The configuration of a run: its keys, how they are written, and which runs are the same experiment."""

from reglab.config.arms import ARMS, FINAL_ARMS
from reglab.config.fields import FIELDS, OPTIONS, SPEED_KEYS, allowed, choices_of, current, nearest, unknown_key
from reglab.config.identities import (
    IDENTITY_VERSION,
    absent,
    as_given,
    at_default_speed,
    code_of,
    code_of_techniques,
    effective,
    foreign,
    identity,
    identity_here,
    names_functions,
    revisions,
    run_id,
    unrevised_identity,
)
from reglab.config.networks import NETWORKS, called
from reglab.config.run import LABELLED, RunConfig, acting, grown, under_todays_names
from reglab.config.sections import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from reglab.config.words import flat, laid_over, nested, nested_by_names, parse_overrides, with_overrides

__all__ = [
    "ARMS",
    "FIELDS",
    "FINAL_ARMS",
    "IDENTITY_VERSION",
    "LABELLED",
    "NETWORKS",
    "OPTIONS",
    "SPEED_KEYS",
    "DataConfig",
    "ModelConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainConfig",
    "absent",
    "acting",
    "allowed",
    "as_given",
    "at_default_speed",
    "called",
    "choices_of",
    "code_of",
    "code_of_techniques",
    "current",
    "effective",
    "flat",
    "foreign",
    "grown",
    "identity",
    "identity_here",
    "laid_over",
    "names_functions",
    "nearest",
    "nested",
    "nested_by_names",
    "parse_overrides",
    "revisions",
    "run_id",
    "under_todays_names",
    "unknown_key",
    "unrevised_identity",
    "with_overrides",
]
