"""Runs of a project on W&B's server, read with one request for many."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import wandb

from reglab.errors import ReglabError

_PAGE = 500

_RUNS = """
query RunsOfSweep($entity: String!, $project: String!, $filters: JSONString!, $after: String, $first: Int!) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $after, first: $first, order: "+created_at") {
      edges { node { name state heartbeatAt config } }
      pageInfo { endCursor hasNextPage }
    }
  }
}
"""


@dataclass(frozen=True)
class ListedRun:
    """A run as a listing has it: `state` is W&B's own, `config` nested, with what `WandbRun` logs beside it."""

    name: str
    state: str
    heartbeat: datetime
    config: dict[str, Any]


def runs_of_sweep(entity: str, project: str, sweep: str) -> list[ListedRun]:
    """The runs of a sweep. Raises ReglabError where the server does not answer."""
    found: list[ListedRun] = []
    after = None
    try:
        ask = wandb.Api()._service_api.execute_graphql
        while True:
            variables = {"entity": entity, "project": project, "filters": json.dumps({"sweep": sweep}), "after": after, "first": _PAGE}
            page: dict[str, Any] = ask(_RUNS, variables)["project"]["runs"]
            for edge in page["edges"]:
                node = edge["node"]
                config = {key: entry["value"] for key, entry in json.loads(node["config"]).items() if key != "_wandb"}
                found.append(ListedRun(node["name"], node["state"], datetime.fromisoformat(node["heartbeatAt"]), config))
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]
    except (wandb.Error, ValueError, TypeError, KeyError) as error:
        raise ReglabError(f"{entity}/{project}: {error}") from None
