"""Asking W&B's server for the runs of a project: one request serves many runs, and an answer is checked before it is read."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from reglab import reading
from reglab.errors import MachineError, ReglabError, UserError, in_one_line
from reglab.tracking import client
from reglab.tracking.wandb_library import WandbApiFailedError, server_api, wandb

SCHEME = "wandb://"
LISTED_AT_ONCE = 1000

MOST_PAGES = 1000
"""Of a listing."""

_PAUSES = (0.5, 2.0)
"""Seconds before a request is tried again."""


def page(name: str, fields: str, variables: str = "") -> str:
    """A query for runs, page by page: what it is called, the fields that it asks for, and the variables of these."""
    return f"""
query {name}($entity: String!, $project: String!, $filters: JSONString!, $after: String, $first: Int!{variables}) {{
  project(name: $project, entityName: $entity) {{
    runs(filters: $filters, after: $after, first: $first, order: "+created_at") {{
      edges {{ node {{ {fields} }} }}
      pageInfo {{ endCursor hasNextPage }}
    }}
  }}
}}
"""


CONFIGURATIONS = page("ListConfigurations", "name state heartbeatAt config")


@dataclass(frozen=True)
class Project:
    """A project on W&B's server, or the runs of one sweep or group in it."""

    entity: str
    name: str
    sweep: str | None = None

    @classmethod
    def parse(cls, address: str) -> "Project":
        """`wandb://entity/project` or `wandb://entity/project/sweep`. Raises UserError for anything else."""
        parts = address.removeprefix(SCHEME).strip("/").split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise UserError(f"{address}: give wandb://entity/project, or wandb://entity/project/sweep")
        return cls(*parts)

    @property
    def filters(self) -> dict[str, Any]:
        """As W&B asks for the runs."""
        return {"$or": [{"sweep": self.sweep}, {"group": self.sweep}]} if self.sweep else {}

    def __str__(self) -> str:
        return f"{SCHEME}{self.entity}/{self.name}" + (f"/{self.sweep}" if self.sweep else "")


def default_entity() -> str | None:
    """Whose key this is. Raises UserError without a good key, and ReglabError where the server does not answer."""
    api = connect()
    with answering("the account"):
        entity: str | None = api.default_entity
    return entity


def destination(entity: str | None, project: str | None) -> Project:
    """The project that is meant, as for any run of this machine. Raises UserError without a good key, and where it is nobody's."""
    entity, project = client.destination(entity, project)
    return Project(entity or owner(connect()), project)


def owner(api: wandb.Api) -> str:
    """Whose projects are meant where nobody says it. Raises UserError where it is nobody's, and as `answering`."""
    with answering("the account"):
        entity = api.default_entity
    if not entity:
        raise UserError("no W&B entity: give --entity, or set WANDB_ENTITY")
    return str(entity)


def connect() -> wandb.Api:
    """The client's view of the server. Raises UserError without a good key, and ReglabError where the server does not answer."""
    try:
        with answering("the account"):
            return server_api()
    except (wandb.Error, ValueError) as error:
        if does_not_answer(error):
            raise ReglabError(f"W&B does not answer ({error})") from None
        raise UserError(f"W&B cannot be asked ({in_one_line(error)}); `wandb login` sets the key") from None


def does_not_answer(error: Exception) -> bool:
    """Whether the client's error means that W&B has not answered it. It calls that, too, a fault of the key."""
    cause = error.__cause__
    return isinstance(error, wandb.errors.AuthenticationError) and cause is not None and not _status(cause)


def _status(error: BaseException) -> int:
    """The HTTP status by which W&B refused what its client asked for; 0 where it has not answered."""
    return getattr(getattr(error, "response", None), "http_status", 0)


UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading an answer raises that is not as W&B's are."""


@contextmanager
def answering(where: object) -> Iterator[None]:
    """Raises MachineError for an answer that is not as W&B gives it: of a proxy, another server. ValueErrors are the client's own.

    Raises UserError where W&B refuses, and ReglabError where it does not answer.
    """
    try:
        yield
    except ValueError:
        raise
    except WandbApiFailedError as error:
        if error.response and not _status(error):  # its client cannot read it
            raise _no_answer(where, str(error)) from None
        if HTTPStatus.BAD_REQUEST <= _status(error) < HTTPStatus.INTERNAL_SERVER_ERROR and _status(error) != HTTPStatus.TOO_MANY_REQUESTS:
            raise UserError(f"{where}: W&B refuses ({in_one_line(error)}); `wandb login` sets the key") from None
        raise ReglabError(f"{where}: W&B does not answer ({in_one_line(error)})") from None
    except UNREADABLE as error:
        raise _no_answer(where, f"{type(error).__name__}: {error}") from None


def _no_answer(where: object, fault: str) -> MachineError:
    return MachineError(
        f"{where}: what answers is not W&B, or not as W&B does ({' '.join(fault.split())}): see that WANDB_BASE_URL and the proxy are "
        "right; the same command goes on then"
    )


def nodes(
    api: wandb.Api, project: Project, query: str, filters: dict[str, Any], at_once: int, **variables: Any
) -> Iterator[dict[str, Any]]:
    """What the server says of each run that passes the filters, page by page; `variables` are those of the query's fields.

    Raises MachineError for a listing without end.
    """
    after: str | None = None
    for _ in range(MOST_PAGES):
        found = ask(api, project, query, filters=json.dumps(filters), after=after, first=at_once, **variables)
        with answering(project):
            found_nodes = [checked(edge["node"]) for edge in found["runs"]["edges"]]
            goes_on, before, after = found["runs"]["pageInfo"]["hasNextPage"], after, found["runs"]["pageInfo"]["endCursor"]
        yield from found_nodes
        if not goes_on:
            return
        if not found_nodes or after == before:
            raise _no_answer(project, "a page of runs that leads to none")
    raise _no_answer(project, f"more than {MOST_PAGES:,} pages of runs")


_TEXTS = ("state", "heartbeatAt", "sweepName", "group", "config", "summaryMetrics")


def checked(node: Any) -> dict[str, Any]:
    """What W&B says of a run, each field of its kind. Raises TypeError."""
    history, count = node.get("history") or [], node.get("historyLineCount")
    texts = [node["name"], *(node[name] for name in _TEXTS if node.get(name) is not None), *history]
    if not all(isinstance(text, str) for text in texts) or not isinstance(count, int | None) or not isinstance(history, list):
        raise TypeError("a run whose fields are of other kinds")
    return dict(node)


def mapping_in(text: str | None) -> dict[str, Any]:
    """What stands in a field of JSON. Raises ValueError for what is no mapping."""
    if not isinstance(found := reading.parsed(text or "{}", numbers_only=False), dict):
        raise ValueError(f"{type(found).__name__} in place of a mapping")
    return found


def ask(api: wandb.Api, project: Project, query: str, **variables: Any) -> dict[str, Any]:
    """What the server answers of a project. Raises as `ask_if_there`, and UserError where there is no such project."""
    if (found := ask_if_there(api, project, query, **variables)) is None:
        raise UserError(f"{project}: there is no such project, or this key may not read it")
    return found


def ask_if_there(api: wandb.Api, project: Project, query: str, **variables: Any) -> dict[str, Any] | None:
    """What the server answers of a project; None where there is none.

    Raises UserError for a key that is not good, ReglabError where the server does not answer, MachineError for what is no answer of W&B.
    """
    variables |= {"entity": project.entity, "project": project.name}
    for pause in (*_PAUSES, None):
        try:
            answer: dict[str, Any] = api._service_api.execute_graphql(query, variables)
            with answering(project):
                if isinstance(found := answer["project"], dict | None):
                    return found
                raise TypeError(f"{type(found).__name__} in place of a project")
        except Exception as error:  # the client tries again by itself, but not when an answer is cut short
            if pause is None and isinstance(error, MachineError):
                raise
            if _status(error) == HTTPStatus.UNAUTHORIZED:
                raise UserError(f"{project}: W&B does not take the key ({in_one_line(error)}); `wandb login` sets it") from None
            if pause is None:
                raise ReglabError(f"{project}: W&B does not answer ({in_one_line(error)})") from None
            time.sleep(pause)
    raise AssertionError("the last pause is none")


def config_of(node: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a run, nested, without what W&B's client adds. Raises as `UNREADABLE` has it."""
    return {key: entry["value"] for key, entry in mapping_in(node["config"]).items() if key != "_wandb"}


def address_of_runs(project: Project) -> str:
    """The address of the pages of a project's runs."""
    return f"{wandb.setup().settings.app_url}/{project.entity}/{project.name}/runs"
