"""What the recipe language knows: keys, their meaning, what each expects. Read from the model, never kept by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from components.index.params import BUCKET_PATTERN
from components.recipe.model import Recipe

__all__ = [
    "default_of",
    "describe",
    "expectation",
    "is_path",
    "may_be_address",
    "keys_of",
    "nearest",
    "recipe_schema",
    "section_of",
    "short",
]

Schema = dict[str, Any]

_PATTERNS = {
    r"^[A-Z_][A-Z0-9_]*$": "the NAME of an environment variable (capitals, digits and _)",
    BUCKET_PATTERN: "s3://BUCKET/PREFIX",
    r"^[a-z0-9]+(-[a-z0-9]+)*$": "small letters and digits, joined by single dashes",
    r"^[a-z][a-z0-9-]*$": "small letters, digits and dashes, a letter first",
}


@cache
def _model_schema() -> Schema:
    return Recipe.model_json_schema()


def _options(schema: Schema) -> list[Schema]:
    """The alternatives of a schema without its `null`, references followed."""
    if "anyOf" in schema:
        return [option for part in schema["anyOf"] for option in _options(part) if option.get("type") != "null"]
    if "$ref" in schema:
        found: Schema = _model_schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        return [found]
    return [schema]


def _field(path: Sequence[str]) -> Schema | None:
    """The schema of the value at `path`, or None when the language has no such key."""
    here: Schema = _model_schema()
    for key in path:
        for option in _options(here):
            if key in option.get("properties", {}):
                here = option["properties"][key]
                break
            inner = option.get("additionalProperties") or option.get("items")
            if isinstance(inner, dict):
                here = {"description": _meaning(here), **inner}
                break
        else:
            return None
    return here


def keys_of(path: Sequence[str]) -> list[str]:
    """The keys that the section at `path` may have: [] when it is no section, or one with free keys."""
    here = _field(path)
    for option in _options(here) if here is not None else []:
        if "properties" in option:
            return list(option["properties"])
        if "propertyNames" in option:
            return list(option["propertyNames"].get("enum", []))
    return []


def is_path(path: Sequence[str]) -> bool:
    """Whether the value at `path` is a path of the file system."""
    here = _field(path)
    return here is not None and any(option.get("format") == "path" for option in _options(here))


def may_be_address(path: Sequence[str]) -> bool:
    """Whether the value at `path` may be an address (s3://...) in the place of a path."""
    here = _field(path)
    return here is not None and any(option.get("pattern", "").startswith("^s3://") for option in _options(here))


def describe(path: Sequence[str]) -> str:
    """What the value at `path` is for, with its unit."""
    here = _field(path)
    return "" if here is None else _meaning(here)


def _meaning(schema: Schema) -> str:
    return str(schema.get("description") or next((option.get("description", "") for option in _options(schema)), ""))


def default_of(path: Sequence[str]) -> Any:
    """The default of the value at `path` (JSON values); None when it has none."""
    here = _field(path)
    return None if here is None else here.get("default")


def section_of(name: str) -> list[str]:
    """The sections, dotted, that have a key `name`."""
    return [section for section, keys in _sections() if name in keys and section]


def _sections(path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    here = _field(path)
    for option in _options(here) if here is not None else []:
        if "properties" in option:
            yield ".".join(path), list(option["properties"])
            for key in option["properties"]:
                yield from _sections((*path, key))


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The one of `known` that `name` most likely means."""
    lower = {key.lower(): key for key in known}
    found = get_close_matches(name.lower()[:100], list(lower), n=1, cutoff=0.6)
    return lower[found[0]] if found else None


def short(path: Sequence[str]) -> str:
    """What kind of value `path` takes, in a few words: "a whole number"."""
    here = _field(path)
    kinds = [_kind(option) for option in _options(here)] if here is not None else []
    return " or ".join(dict.fromkeys(kinds)) or "something else"


def expectation(path: Sequence[str]) -> str:
    """What is expected at `path`: kind, range and meaning: "a whole number above 0; for one call (seconds)"."""
    here = _field(path)
    if here is None:
        return ""
    kinds = list(
        dict.fromkeys(
            _PATTERNS.get(option.get("pattern", "")) or _kind(option) + _range(option) for option in _options(here)
        )
    )
    if len(_options(here)) < len(here.get("anyOf", ())):
        kinds.append("null")
    words = " or ".join(kinds)
    meaning = describe(path)
    return f"{words}; {meaning}" if meaning else words


def _kind(schema: Schema) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if schema.get("format") == "path":
        return "a path"
    if schema.get("type") == "array":
        return "a list of " + {"string": "texts"}.get(schema["items"].get("type"), "values")
    if "properties" in schema:
        return "a section"
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
    return names.get(str(schema.get("type")), "a map of names to values")


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if "properties" in schema:
        return " with the keys " + ", ".join(schema["properties"])
    if "pattern" in schema:
        return f" matching {schema['pattern']}"
    if schema.get("minLength"):
        return ", not empty"
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    parts = [f" above {above:g}"] if above is not None else [f" of at least {low:g}"] if low is not None else []
    if high is not None:
        parts.append(f" of at most {high:g}")
    return " and".join(parts)


_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_.0-9]+\}",
    "description": "the value of another key: ${index.search.k}",
}


def recipe_schema() -> Schema:
    """JSON Schema (2020-12) of a recipe file, for editors.

    Nothing is `required`: a key may come from a file in `extends` or from an override; `validate` says what is missing.
    Numbers, switches and closed lists may also be a reference `${...}`.
    """
    schema: Schema = _for_editors(_model_schema())
    schema["$defs"]["Reference"] = _REFERENCE
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A recipe of Cervella"}


def _for_editors(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_for_editors(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: value for key, value in schema.items() if key not in ("required",)}
    for group in ("properties", "$defs"):
        if group in schema:
            schema[group] = {
                name: _value(part) if group == "properties" else _for_editors(part)
                for name, part in schema[group].items()
            }
    for key in ("anyOf", "items", "additionalProperties"):
        if key in schema:
            schema[key] = _for_editors(schema[key])
    if re.fullmatch(r"[A-Z]\w+(Params|)|[A-Z][\w ]*", schema.get("title", "")):
        del schema["title"]
    return schema


def _value(schema: Schema) -> Schema:
    """The schema of one key: as it is, or a reference to another key."""
    clean: Schema = _for_editors(schema)
    reference = {"$ref": "#/$defs/Reference"}
    if "anyOf" in clean:
        scalar = not any("$ref" in option or option.get("type") in ("array", "object") for option in clean["anyOf"])
        return {**clean, "anyOf": [*clean["anyOf"], reference]} if scalar else clean
    if clean.get("type") not in ("integer", "number", "boolean") and not {"enum", "const", "pattern"} & clean.keys():
        return clean
    about: Schema = {key: clean.pop(key) for key in ("description", "default") if key in clean}
    return {"anyOf": [clean, reference], **about}
