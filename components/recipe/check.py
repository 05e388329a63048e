"""A resolved tree -> a Recipe, or every fault of it in words: keys, types, ranges."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from components.recipe.faults import Fault, mask
from components.recipe.model import Recipe
from components.recipe.resolve import Keys, Resolved, dotted
from components.recipe.shape import expectation, keys_of, nearest, section_of, short
from components.recipe.source import MAX_FAULTS

__all__ = ["check_model"]


_BRANCH = re.compile(r"(literal|list|dict|tuple|set|nullable|constrained-\w+|function-\w+)\[")


def check_model(resolved: Resolved) -> tuple[Recipe | None, list[Fault]]:
    """The recipe, or None and what is wrong with its keys and values. Broken values are not told a second time."""
    try:
        return Recipe.model_validate(resolved.plain), []
    except ValidationError as error:
        told = error.errors(include_url=False, include_input=False, include_context=False)
        told = _of_one_branch([{**item, "loc": tuple(map(_unlabelled, item["loc"]))} for item in told[:MAX_FAULTS]])
        faults = [_fault(resolved, str(item["type"]), item["loc"], str(item["msg"])) for item in told]
        return None, [fault for fault in faults if fault is not None]


def _unlabelled(key: Any) -> Any:
    """None for what is no key but pydantic's name for one of several types that a value may have."""
    return None if isinstance(key, str) and _BRANCH.match(key) else key


def _of_one_branch(told: list[Any]) -> list[Any]:
    """Of a value that may be of several types each is told to be wrong; kept is who looked deepest, once."""
    found: list[Any] = []
    for item in told:
        loc = tuple(key for key in item["loc"] if key is not None)
        item = {**item, "loc": loc, "branch": len(loc) < len(item["loc"])}
        rivals = [other for other in found if other["branch"] and item["branch"]]
        if any(other["loc"][: len(loc)] == loc for other in rivals):
            for other in rivals:
                if other["loc"] == loc and item["type"] == other["type"] == "literal_error":
                    other["msg"] += ", " + str(item["msg"]).removeprefix("Input should be ")
            continue
        found = [other for other in found if not (other in rivals and loc[: len(other["loc"])] == other["loc"])]
        found.append(item)
    return found


def _fault(resolved: Resolved, kind: str, loc: Keys, said: str) -> Fault | None:
    keys = tuple(key for key in loc if key != "[key]")
    if any(keys[: length + 1] in resolved.broken for length in range(len(keys))):
        return None
    if kind == "missing":
        return _missing(resolved, keys)
    if kind == "extra_forbidden" or len(keys) < len(loc):
        return _unknown(resolved, keys)
    if kind == "value_error":  # a rule of the section's own model, in its own words
        return Fault(resolved.place(keys)[0], dotted(keys), mask(said.removeprefix("Value error, ")))
    if kind == "literal_error" and short(_texts(keys)) == "something else":  # within a list or a map of names
        place, _ = resolved.place(keys)
        return Fault(place, dotted(keys), f"is none of {said.removeprefix('Input should be ')}")
    return _value(resolved, kind, keys)


def _texts(keys: Keys) -> list[str]:
    return [str(key) for key in keys]


def _missing(resolved: Resolved, keys: Keys) -> Fault:
    place, _ = resolved.place(keys)
    return Fault(place, dotted(keys), "is missing", expectation(_texts(keys)))


def _unknown(resolved: Resolved, keys: Keys) -> Fault:
    node = resolved.nodes[keys]
    place = node.key_at or node.at
    known = keys_of(_texts(keys[:-1]))
    expected = "one of " + ", ".join(known) if known else None
    return Fault(place, dotted(keys), "unknown key", expected, _meant(keys, known))


def _meant(keys: Keys, known: list[str]) -> str | None:
    name = str(keys[-1])
    if re.fullmatch(r"(?i)(api_?)?(key|token|secret|password)", name) and "api_key_env" in known:
        return "a recipe holds no key: write api_key_env: NAME, the environment variable that holds it"
    near = nearest(name, known)
    if near:
        return f"did you mean '{near}'?"
    sections = section_of(name)
    if not sections:
        return None
    return f"'{name}' belongs under {' or '.join(sections[:4])}"


_FOUND = {str: "text", bool: "true or false", int: "a whole number", float: "a number with a fraction", list: "a list"}


def _value(resolved: Resolved, kind: str, keys: Keys) -> Fault:
    place, exact = resolved.place(keys)
    node = resolved.nodes.get(keys)
    if node is not None and node.value is None:
        place = node.key_at or place  # nothing is written: the key is what can be seen
    value = _at(resolved.plain, keys)
    names = _texts(keys)
    expected, suggestion = expectation(names) or None, None
    if keys == ("version",) and isinstance(value, int) and not isinstance(value, bool):
        message, suggestion = f"version {value} of the recipe language is not known", "write version: 1"
    elif kind == "literal_error" and isinstance(value, str):
        message = "is not one of the known names"
        near = nearest(value, [word.strip() for word in short(names).removeprefix("one of ").split(",")])
        suggestion = f"did you mean '{near}'?" if near else None
    elif kind.startswith(("greater_than", "less_than")):
        message = f"{value} is too {'small' if kind.startswith('greater') else 'large'}"
    elif kind == "string_pattern_mismatch":
        message = "is not written as expected"
    elif kind in ("string_too_short", "string_too_long"):
        message = "is too short" if kind.endswith("short") else "is too long"
    else:
        wanted = short(names)
        found = "nothing" if value is None else _FOUND.get(type(value), "a section")
        message = f"{found}, where {wanted} is expected" if exact else f"{wanted} is expected"
        suggestion = _mend(value, wanted)
    return Fault(place, dotted(keys), message, expected, suggestion)


def _mend(value: Any, wanted: str) -> str | None:
    if isinstance(value, str):
        if wanted.startswith("a list"):
            return "write it in brackets: ['...']"
        if wanted.startswith(("true or false",)) and value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return "write true or false: yes, no, on and off are text"
        if wanted.startswith("true or false") and value.lower() in ("true", "false"):
            return "write it without quotes"
        if "number" in wanted and re.fullmatch(r"[0-9]+(:[0-9]+)+", value):
            return "write one number: 1:30 is text"
        if "number" in wanted and re.fullmatch(r"[-+]?[0-9_.]+([eE][-+]?[0-9]+)?", value):
            return f"write {value.replace('_', '')} without quotes or _" if "_" in value else "write it without quotes"
    if wanted == "text" and isinstance(value, (bool, int, float)):
        return "write it in quotes"
    return None


def _at(plain: Any, keys: Keys) -> Any:
    for key in keys:
        try:
            plain = plain[key]
        except (KeyError, IndexError, TypeError):
            return None
    return plain
