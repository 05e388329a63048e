"""JSON schemas of tools: whether a schema is one, and whether arguments fit it. The common case needs no library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["argument_faults", "schema_fault"]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
    "null": type(None),
}  # fmt: skip
_WORDS = frozenset({"type", "description", "title", "default", "examples", "example", "format", "enum"})
_MOST = 3
"""Faults of one call that are told."""
_MOST_REFERENCES = 12


def schema_fault(schema: Any) -> str | None:
    """Why this is no valid JSON schema; None: it is one, or none at all.

    Parameters that are only listed by name ({"city": {"type": "str", ...}}) are another convention and no fault.
    """
    if schema is None or not _claims_to_be_schema(schema):
        return None if schema is None or isinstance(schema, Mapping | bool) else "it is no object"
    try:
        return None if _is_simple(schema) else _library_fault(_dump(schema))
    except (RecursionError, ValueError):
        return "it is nested too deep, or holds a number too long"


def argument_faults(schema: Any, arguments: Any) -> Iterator[str]:
    """Where the arguments of a call do not fit the schema, in words; at most three."""
    if not isinstance(schema, Mapping) or not _claims_to_be_schema(schema):
        return
    try:
        simple = _is_simple(schema)
        if simple and _fits(schema, arguments):
            return
        text = _dump(schema)
        # Nobody can tell where the schema is none (told of the tool), leads elsewhere or into itself.
        if _cannot_be_asked(text) or (not simple and _library_fault(text) is not None):
            return
        errors = sorted(_validator(text).iter_errors(arguments), key=lambda error: str(error.json_path))
    except Exception:
        return
    for error in errors[:_MOST]:
        yield _words(error)


def _cannot_be_asked(text: str) -> bool:
    """Schemas whose check may take for ever: patterns of a stranger, references that double at each step."""
    return '"patternProperties"' in text or text.count('"$ref"') > _MOST_REFERENCES


def _claims_to_be_schema(schema: Any) -> bool:
    return isinstance(schema, Mapping) and ("properties" in schema or isinstance(schema.get("type"), str))


def _is_simple(schema: Any) -> bool:
    """Whether it is an object of plainly typed values: a valid schema that `_fits` understands."""
    if schema.get("type") != "object" or not isinstance(schema.get("properties", {}), dict):
        return False
    for key, value in schema.items():
        if key == "required":
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                return False
            if len(set(value)) != len(value):
                return False
        elif key not in ("type", "properties") and (key not in ("description", "title") or not isinstance(value, str)):
            return False
    return all(_is_simple_value(value) for value in schema.get("properties", {}).values())


def _is_simple_value(schema: Any) -> bool:
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str) or schema["type"] not in _TYPES:
        return False
    for key, value in schema.items():
        if key == "items":
            if not isinstance(value, dict) or (value and not _is_simple_value(value)):
                return False
        elif key in ("properties", "required"):
            return _is_simple(schema)
        elif key not in _WORDS:
            return False
        elif key in ("description", "title", "format") and not isinstance(value, str):
            return False
        elif key in ("enum", "examples") and not isinstance(value, list):
            return False
    return True


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value fits a simple schema; False may be wrong (1.0 is an integer too): the library is asked then."""
    kind = schema.get("type")
    if isinstance(value, bool) and kind != "boolean":
        return False
    if not isinstance(value, _TYPES[str(kind)]):
        return False
    if "enum" in schema and not any(type(item) is type(value) and item == value for item in schema["enum"]):
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        if any(name not in value for name in schema.get("required", ())):
            return False
        return all(_fits(properties[name], item) for name, item in value.items() if name in properties)
    if isinstance(value, list) and schema.get("items"):
        return all(_fits(schema["items"], item) for item in value)
    return True


def _dump(schema: Any) -> str:
    return json.dumps(schema, ensure_ascii=True, sort_keys=False, default=str)


@lru_cache(maxsize=2048)
def _library_fault(text: str) -> str | None:
    import jsonschema  # type: ignore[import-untyped]

    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    except jsonschema.SchemaError as error:
        return f"{error.json_path}: {error.message[:80]}"
    except Exception as error:  # nested too deep, a number too long: not to be told from outside
        return f"it cannot be read ({type(error).__name__})"
    return None


@lru_cache(maxsize=2048)
def _validator(text: str) -> Any:
    """One that fetches nothing from anywhere, and leaves out what may take for ever on a stranger's text."""
    import referencing

    return _validator_class()(json.loads(text), registry=referencing.Registry())


@lru_cache(maxsize=1)
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    def nothing(*_: Any) -> Iterator[Any]:
        return iter(())

    return validators.extend(Draft202012Validator, {"pattern": nothing, "uniqueItems": nothing})


def _words(error: Any) -> str:
    """Never the value itself: it may be a secret."""
    where = str(error.json_path).removeprefix("$").removeprefix(".")[:60] or "arguments"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"misses {', '.join(map(repr, missing[:_MOST]))}, which `tools` requires"
    if error.validator == "type":
        return f"{where} is no {error.validator_value}, as `tools` says"
    if error.validator == "additionalProperties":
        return f"{where} has a name that `tools` does not declare"
    return f"{where} does not fit `{error.validator}` of `tools`"
