"""Just enough GraphQL: a document is parsed, and what it selects is read off a tree of nodes.

A node is a dictionary from a field's name to its value, or to a function of its arguments; only what is selected is computed.
A field that the node has not is refused, as W&B refuses it, so that a query with a wrong name cannot pass a test.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(r'#[^\n]*|("(?:\\.|[^"\\])*"|\.\.\.|[A-Za-z_]\w*|-?\d+(?:\.\d+)?|[{}()\[\]:=!@$])')
_LITERALS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """The schema has no such field."""


@dataclass(frozen=True)
class _Variable:
    name: str


@dataclass
class _Field:
    """A selected field, answered under `key`. One with the name `...` is a fragment: that of the name `key`, or inline."""

    name: str
    key: str
    arguments: dict[str, Any] = field(default_factory=dict)
    fields: list["_Field"] = field(default_factory=list)


class Document:
    """One operation and its fragments. Raises IndexError where the text breaks off."""

    def __init__(self, text: str):
        self._tokens: list[str] = [token for token in _TOKEN.findall(text) if token]
        self._at = 0
        self._defaults: dict[str, Any] = {}
        self._fields: list[_Field] = []
        self._fragments: dict[str, list[_Field]] = {}
        while self._at < len(self._tokens):
            if self._taken("fragment"):
                name = self._next()
                self._at += 2  # on Type
                self._fragments[name] = self._selection()
            else:
                while self._tokens[self._at] not in ("(", "{"):
                    self._next()
                self._variables()
                self._fields = self._selection()

    def answer(self, root: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """What the operation selects of the tree at `root`."""
        given = self._defaults | {name: value for name, value in variables.items() if value is not None}
        answer: dict[str, Any] = self._select(root, self._fields, given)
        return answer

    # Reading the text.

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _taken(self, token: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at] == token
        self._at += taken
        return taken

    def _variables(self) -> None:
        name = ""
        if self._taken("("):
            while not self._taken(")"):
                if self._taken("$"):
                    name = self._next()
                elif self._taken("="):
                    self._defaults[name] = self._value()
                else:  # of the type, which is not looked at
                    self._next()

    def _selection(self) -> list[_Field]:
        fields = []
        if self._taken("{"):
            while not self._taken("}"):
                fields.append(self._field())
        return fields

    def _field(self) -> _Field:
        if self._taken("..."):
            inline = self._taken("on")
            name = self._next()
            return _Field("...", name, fields=self._selection() if inline else [])
        key = name = self._next()
        if self._taken(":"):
            name = self._next()
        arguments = self._pairs(")") if self._taken("(") else {}
        return _Field(name, key, arguments, self._selection())

    def _pairs(self, end: str) -> dict[str, Any]:
        pairs = {}
        while not self._taken(end):
            name = self._next()
            self._taken(":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Any:
        token = self._next()
        if token == "$":
            return _Variable(self._next())
        if token == "{":
            return self._pairs("}")
        if token == "[":
            values = []
            while not self._taken("]"):
                values.append(self._value())
            return values
        if re.fullmatch(r"-?\d+(\.\d+)?", token):
            return float(token) if "." in token else int(token)
        return _LITERALS.get(token, token.strip('"'))

    # Reading the tree.

    def _select(self, node: Any, fields: list[_Field], variables: Mapping[str, Any]) -> Any:
        if node is None or not fields:
            return node
        if isinstance(node, list):
            return [self._select(item, fields, variables) for item in node]
        answer = {}
        for selected in self._spread(fields):
            if selected.name not in node:
                raise QueryError(f"Cannot query field {selected.name!r}; there are {', '.join(node)}")
            value = node[selected.name]
            if callable(value):
                value = value(**_filled(selected.arguments, variables))
            answer[selected.key] = self._select(value, selected.fields, variables)
        return answer

    def _spread(self, fields: list[_Field]) -> Iterator[_Field]:
        for selected in fields:
            if selected.name == "...":
                yield from self._spread(selected.fields or self._fragments[selected.key])
            elif selected.name != "__typename":
                yield selected


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """Arguments with their variables' values; those that have none are left out."""
    if isinstance(value, _Variable):
        return variables.get(value.name)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        filled = {name: _filled(item, variables) for name, item in value.items()}
        return {name: item for name, item in filled.items() if item is not None}
    return value
