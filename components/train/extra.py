"""`train.extra` checked against what the trainer really knows, before anything runs.

Not covered: whether values fit together, and ranges; the trainer's own validation says that when it starts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from components.train.extra_keys import ATTENTION, FORBIDDEN_ANYWHERE, RECIPE_KEYS, allowed_keys, refusal_of
from components.train.params import TrainerName, TrainParams

__all__ = ["ExtraFault", "cannot", "check_extra", "trainer_schema"]

_TITLES: dict[TrainerName, str] = {"axolotl": "Axolotl", "llamafactory": "LLaMA-Factory", "unsloth": "Unsloth"}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "null": "null"}
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ExtraFault:
    """One key of `train.extra` that cannot be given to the trainer. Values are never quoted: they may be secrets."""

    key: str
    """Below `train.extra`, dotted."""
    message: str
    expected: str

    def __str__(self) -> str:
        return f"train.extra.{self.key}: {self.message}; expected {self.expected}"


def check_extra(trainer: TrainerName, params: TrainParams) -> list[ExtraFault]:
    """What is wrong with `train.extra`: keys that the trainer does not know, or may not be given; wrong values."""
    if not params.extra:
        return []
    from components.train.trainers import trainer as module_of

    return list(_Check(trainer, module_of(trainer).set_by_us(params)).of_map(params.extra, _keys(trainer), ()))


def cannot(trainer: TrainerName, params: TrainParams) -> list[tuple[str, str, str]]:
    """What of the section itself the trainer cannot do: key below `train`, what is wrong, what is expected instead."""
    from components.train.trainers import trainer as module_of

    ask = getattr(module_of(trainer), "cannot", None)
    found: list[tuple[str, str, str]] = ask(params) if ask else []
    return found


@cache
def trainer_schema(trainer: TrainerName) -> dict[str, Any]:
    """What tests/train/record_trainer_schemas.py wrote: package, version, keys and models with their types."""
    text = files("components.train").joinpath("schemas", f"{trainer}.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _keys(trainer: TrainerName) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = trainer_schema(trainer)["keys"]
    return found


class _Check:
    def __init__(self, trainer: TrainerName, set_by_us: frozenset[str]) -> None:
        self._trainer = trainer
        self._set = set_by_us
        schema = trainer_schema(trainer)
        self._models: dict[str, dict[str, list[Any]]] = schema["models"]
        self._title = f"{_TITLES[trainer]} {schema['version']}"

    def of_map(self, values: Mapping[Any, Any], keys: Mapping[str, list[Any]], path: tuple[str, ...]
               ) -> Iterator[ExtraFault]:  # fmt: skip
        """The faults of a map whose keys the trainer names."""
        for name, value in values.items():
            dotted = ".".join((*path, str(name)))
            if wrong := self._taken(dotted):
                yield ExtraFault(dotted, *wrong)
            elif isinstance(name, str) and (name in keys or "*" in keys):
                yield from self._of_value(value, keys.get(name, ["any"]), (*path, name))
            else:
                meant = self._meant(str(name), keys, path)
                yield ExtraFault(dotted, f"{self._title} has no such key{meant}", self._examples(path))

    def _taken(self, dotted: str) -> tuple[str, str] | None:
        """Why a key that the trainer knows may not be given, and what to do instead."""
        if dotted in self._set:
            recipe_key = RECIPE_KEYS[self._trainer].get(dotted)
            if recipe_key:
                return f"is train.{recipe_key}", f"train.{recipe_key} instead"
            why = refusal_of(self._trainer, dotted)
            return f"is set by section train{f': {why}' if why else ''}", "no such key in train.extra"
        why = refusal_of(self._trainer, dotted)
        if why is None:
            return None
        instead = why if why.startswith("write ") else "no such key in train.extra"
        return ("has another name now" if instead is why else f"is refused: {why}"), instead

    def _meant(self, name: str, keys: Mapping[str, list[Any]], path: tuple[str, ...]) -> str:
        """The key that was probably meant, and what becomes of that."""
        known = {key.lower(): ".".join((*path, key)) for key in keys}
        if self._trainer == "unsloth" and not path:  # its groups are ours: people write what Unsloth's own pages say
            known |= {key.lower(): f"{group}.{key}" for group in keys for key in self._models[group]}
        near = get_close_matches(name.lower()[:100], list(known), n=1, cutoff=0.6)
        if not near:
            return ""
        taken = self._taken(known[near[0]])
        return f"; did you mean '{known[near[0]]}'?" + (f" It {taken[0]}" if taken else "")

    def _examples(self, path: tuple[str, ...]) -> str:
        if path:
            return f"a key of its {'.'.join(path)}"
        return "one of its keys, such as " + ", ".join(
            [key for key in allowed_keys(self._trainer) if "*" not in key][:3]
        )

    def _of_value(self, value: Any, kinds: list[Any], path: tuple[str, ...]) -> Iterator[ExtraFault]:
        dotted = ".".join(path)
        if path[-1] == "attn_implementation":
            kinds = [{"enum": list(ATTENTION)}]
        if not any(self._fits(value, kind) for kind in kinds):
            yield ExtraFault(
                dotted, f"is {_kind_of(value)}", " or ".join(map(self._words, kinds)) + _hint(value, kinds)
            )
            return
        if isinstance(value, Mapping):
            models = [self._models[kind["model"]] for kind in kinds if isinstance(kind, dict) and "model" in kind]
            if models:
                best = min(models, key=lambda keys: len(value.keys() - keys.keys()))
                yield from self.of_map(value, best, path)
                return
        yield from self._inside(value, kinds, path)

    def _inside(self, value: Any, kinds: list[Any], path: tuple[str, ...]) -> Iterator[ExtraFault]:
        """Elements of lists and of maps whose keys are free."""
        inner = {
            name: [one for kind in kinds if isinstance(kind, dict) and name in kind for one in kind[name]] or ["any"]
            for name in ("list", "map")
        }
        if isinstance(value, list):
            for number, one in enumerate(value):
                yield from self._of_value(one, inner["list"], (*path, str(number)))
        elif isinstance(value, Mapping):
            for name, one in value.items():
                dotted = ".".join((*path, str(name)))
                if name in FORBIDDEN_ANYWHERE:
                    yield ExtraFault(dotted, f"is refused: {FORBIDDEN_ANYWHERE[name]}", "no such key in train.extra")
                elif not isinstance(name, str):
                    yield ExtraFault(dotted, "is no text", "keys that are text")
                else:
                    yield from self._of_value(one, inner["map"], (*path, name))

    def _fits(self, value: Any, kind: Any) -> bool:
        """Whether the outermost form of a value is of a kind; what is inside is looked at afterwards."""
        if isinstance(kind, dict):
            if "enum" in kind:
                return any(value == one and type(value) is type(one) for one in kind["enum"])
            return isinstance(value, list) if "list" in kind else isinstance(value, Mapping)
        if kind == "any":
            return value is None or isinstance(value, str | int | list | Mapping) or _is_number(value)
        if kind == "float":
            return _is_number(value)
        return type(value) is {"int": int, "bool": bool, "str": str, "null": type(None)}[kind]

    def _words(self, kind: Any) -> str:
        if not isinstance(kind, dict):
            return _KINDS.get(kind, "a plain value")
        if "enum" in kind:
            values = [json.dumps(one) if not isinstance(one, str) else one for one in kind["enum"]]
            return "one of " + ", ".join(values[:_SHOWN]) + (" ..." if len(values) > _SHOWN else "")
        if "list" in kind:
            return "a list"
        return "a map" if "map" in kind else f"a map with {', '.join(list(self._models[kind['model']])[:_SHOWN])}"


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _kind_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a map"
    if type(value) is float and not math.isfinite(value):
        return "no finite number"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list"}
    return "null" if value is None else names.get(type(value), "a value that JSON has not")


def _hint(value: Any, kinds: list[Any]) -> str:
    """What was probably meant by a text."""
    if not isinstance(value, str):
        return ""
    enums = [one for kind in kinds if isinstance(kind, dict) for one in kind.get("enum", ()) if isinstance(one, str)]
    if near := get_close_matches(value.lower()[:100], enums, n=1, cutoff=0.6):
        return f"; did you mean '{near[0]}'?"
    if {"int", "float"} & {kind for kind in kinds if isinstance(kind, str)}:
        try:
            float(value)
        except ValueError:
            return ""
        return " (YAML reads it as text: write it without quotes, and 1e-4 as 1.0e-4)"
    return ""
