"""A file of costs -> `Costs`, with every fault at its file:line:col."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from components.dataset.reports.suite import parsed
from components.errors import InputError
from components.roadmap.costs import CostPhase, CostRow, Costs, PhaseCost, Stated

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["OWNERS", "load_costs"]

OWNERS = Path(__file__).with_name("costs.yaml")
"""The owner's figures of January 2026."""

_DEEPEST = 6
_MODELS: Mapping[str, type[BaseModel]] = {"table": CostRow, "stated": Stated, "phases": PhaseCost}
_EXPECTED = {
    "string_type": "text; put a number in quotes", "float_type": "a number", "list_type": "a list",
    "model_type": "keys and values", "dict_type": "keys and values",
}  # fmt: skip
_Path = tuple[int | str, ...]


def load_costs(path: Path | None) -> Costs:
    """The costs of a file; None: the owner's.

    Raises:
        InputError: what is wrong with it, each fault at its file:line:col.
    """
    path = path or OWNERS
    reader = _Reader(str(path))
    root = parsed(path, what="costs")
    values = reader.value(root, ()) if root is not None else {}
    try:
        costs = Costs.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            if detail["loc"] not in reader.unread:
                reader.fault(detail["loc"], _in_words(detail))
        costs = None
    if reader.faults or costs is None:
        raise InputError("\n".join(text for _, text in sorted(set(reader.faults))))
    return costs


@dataclass
class _Reader:
    """Nodes -> values, with the places where they stand; what is wrong is added to `faults`."""

    file: str
    places: dict[_Path, tuple[int, int]] = field(default_factory=dict)
    faults: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    unread: set[_Path] = field(default_factory=set)

    def fault(self, at: _Path, message: str) -> None:
        """Say what is wrong, at the innermost thing on the way to `at` that is written."""
        self.unread.add(at)
        place = next((self.places[at[:end]] for end in range(len(at), -1, -1) if at[:end] in self.places), (1, 1))
        named = ".".join(str(part) for part in at if part != "[key]")
        where = f"{self.file}:{place[0]}:{place[1]}: "
        self.faults.append((place, where + (f"{named}: {message}" if named else message)))

    def value(self, node: Node, at: _Path) -> Any:
        """A plain value. What is an alias, or nested too deeply, is a fault and given as None."""
        from ruamel.yaml.nodes import MappingNode, ScalarNode

        self.places.setdefault(at, (node.start_mark.line + 1, node.start_mark.column + 1))
        if node.anchor is not None or len(at) > _DEEPEST:
            self.fault(at, "expected values that are written out: no anchors, and no deeper lists")
            return None
        if isinstance(node, ScalarNode):
            return self.scalar(node, at)
        if isinstance(node, MappingNode):
            return dict(self.entries(node, at))
        return [self.value(item, (*at, number)) for number, item in enumerate(node.value)]

    def entries(self, node: Node, at: _Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, item in node.value:
            name = str(key.value)
            self.places.setdefault((*at, name), (key.start_mark.line + 1, key.start_mark.column + 1))
            if name in seen:
                self.places[(*at, name)] = (key.start_mark.line + 1, key.start_mark.column + 1)
                self.fault((*at, name), "is there twice; keep one of them")
                continue
            seen.add(name)
            yield name, self.value(item, (*at, name))

    def scalar(self, node: Node, at: _Path) -> Any:
        kind, text = str(node.tag).rpartition(":")[2], str(node.value)
        try:
            if kind in ("int", "float"):
                return int(text) if kind == "int" else float(text)
        except ValueError:
            self.fault(at, f"{text!r} is no number that everybody reads alike")
            return None
        return None if kind == "null" else text


def _in_words(detail: ErrorDetails) -> str:
    kind, path = detail["type"], detail["loc"]
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "literal_error"):
        known = get_args(CostPhase) if "[key]" in path else _MODELS.get(str(path[0]), Costs).model_fields
        known = known if len(path) > 1 else Costs.model_fields
        name = str(path[-2] if path[-1] == "[key]" else path[-1])
        near = get_close_matches(name, known, n=1)
        return "unknown key; " + (f"did you mean {near[0]!r}?" if near else f"expected {', '.join(known)}")
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    return message[0].lower() + message[1:]
