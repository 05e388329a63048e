"""YAML nodes -> plain values of parameters and job variables, and whether a flow takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.evaluate.suite.reading import Reader, near
from components.services.deployments.model import Form, choices_of

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["Values", "check_parameters", "plain", "table"]

_DEPTH = 10
Values = dict[str, tuple["Node", "Node", Any]]
"""Key -> the node of the key, the node of the value, and the value."""


def plain(reader: Reader, node: Node, what: str, *, depth: int = _DEPTH) -> Any:
    """The value of a node: text, number, true, false, null, and lists and mappings of these."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    if depth and isinstance(node, SequenceNode):
        return [plain(reader, item, what, depth=depth - 1) for item in node.value]
    if depth and isinstance(node, MappingNode):
        return {key: value for key, (_, _, value) in table(reader, node, what, depth=depth - 1).items()}
    if isinstance(node, ScalarNode):
        kind, text = str(node.tag).rpartition(":")[2], str(node.value)
        try:
            if kind in ("str", "null", "bool"):
                return {"str": text, "null": None, "bool": text.lower() == "true"}[kind]
            if kind in ("int", "float"):
                return int(text) if kind == "int" else float(text)
        except ValueError:
            pass
    reader.fault(node, f"{what}: expected text, a number, true, false, null, or a list or mapping of these")
    return None


def table(reader: Reader, node: Node, what: str, *, depth: int = _DEPTH) -> Values:
    """The keys of a mapping, whatever they are; each once."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    if not isinstance(node, MappingNode):
        reader.fault(node, f"{what}: expected keys and values")
        return {}
    found: Values = {}
    for key, value in node.value:
        name = str(key.value) if isinstance(key, ScalarNode) else ""
        if not name or name == "<<":
            reader.fault(key, f"{what}: expected a name as key" + ("; write the keys out, without '<<'" * (name != "")))
        elif name in found:
            line = found[name][0].start_mark.line + 1
            reader.fault(key, f"{what}: the key {name!r} is there twice (line {line}); keep one of them")
        else:
            found[name] = (key, value, plain(reader, value, f"{what}.{name}", depth=depth))
    return found


def check_parameters(reader: Reader, given: Values, form: Form, what: str) -> None:
    """Faults for parameters that the flow does not have, and for values that it does not take."""
    for name, (key, node, value) in given.items():
        field = form.properties.get(name)
        if field is None:
            reader.fault(
                key, f"{what}: the flow {form.flow!r} has no parameter {name!r}; {near(name, [*form.properties])}"
            )
        elif said := _fault(value, field, form.schema):
            reader.fault(node, f"{what}.{name}: {said}")


def _fault(value: Any, field: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    import jsonschema  # type: ignore[import-untyped]

    choices = choices_of(field)
    if choices:
        return None if value in choices else f"there is no {value!r}; {near(str(value), [str(one) for one in choices])}"
    whole = {"definitions": schema.get("definitions", {}), **field}
    errors = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=str)
    if not errors:
        return None
    kinds = sorted({str(one["type"]) for one in field.get("anyOf", [field]) if "type" in one})
    return f"{value!r} does not fit; expected {' or '.join(kinds)}" if kinds else errors[0].message
