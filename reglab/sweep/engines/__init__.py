"""Search engines: what a sweep runs next, and what it stops. `engines.of` picks the one that a sweep's file asks for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reglab.errors import UserError
from reglab.sweep.engines.engine import Engine


def of(config: Mapping[str, Any], drawn: Iterable[dict[str, Any]] = (), replicates: Sequence[str] | None = None) -> Engine:
    """The engine of a sweep that is known to be good, which has drawn these values before.

    `replicates` names the parameter of seeds with which each configuration is repeated, of which the search hears the mean; a grid has
    them as any other parameter. Raises UserError where its search runs with W&B's server only.
    """
    if replicates and config["method"] != "grid":
        from reglab.sweep.engines.replicated import Replicated

        return Replicated(config, drawn, replicates, of)
    scheduler, method = (config.get("scheduler") or {}).get("engine"), config["method"]
    if method == "grid":
        from reglab.sweep.engines.grid import Grid

        return Grid(config, drawn)
    if scheduler == "wandb":
        from reglab.sweep.engines.wandb import Wandb

        return Wandb(config, drawn)
    if method == "random":
        from reglab.sweep.engines.random import Random

        return Random(config, drawn)
    if method == "bayes":
        from reglab.sweep.engines.bayes import Bayes

        return Bayes(config, drawn)
    if scheduler == "optuna":
        from reglab.sweep.engines.optuna import Optuna

        return Optuna(config, drawn)
    asked = f"scheduler.engine = {scheduler}" if scheduler else f"method = {method}"
    offline = "offline there are method grid, random and bayes, and scheduler.engine optuna and wandb"
    raise UserError(f"{asked}: runs with W&B's server only; {offline}")


__all__ = ["Engine", "of"]
