"""Records the keys that a trainer knows, with their types, from its installed package. Run inside its environment:

    PYTHON tests/train/record_trainer_schemas.py axolotl|llamafactory|unsloth components/train/schemas/NAME.json

Axolotl: the fields of its pydantic model (its own `config-schema` falls back to names and texts, because one type has
no JSON schema). LLaMA-Factory: the dataclasses that its parser reads. Unsloth: what our runner hands on to, in
three groups. A type is a list of alternatives: "int", "float", "bool", "str", "null", "any",
{"enum": [...]}, {"list": type}, {"map": type} or {"model": name of one of `models`}.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import importlib.metadata
import inspect
import json
import os
import sys
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PLAIN = {int: "int", float: "float", bool: "bool", str: "str", type(None): "null", Path: "str"}


class Recorder:
    """Annotations -> types as plain data; nested models are kept by name."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}

    def type_of(self, annotation: Any) -> list[Any]:
        found: list[Any] = []
        for one in self._alternatives(annotation):
            if one not in found:
                found.append(one)
        return ["any"] if "any" in found else found

    def _alternatives(self, annotation: Any) -> list[Any]:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._alternatives(arguments[0])
        if origin in (typing.Union, types.UnionType):
            return [one for part in arguments for one in self._alternatives(part)]
        if origin is typing.Literal:
            return [_enum(arguments)]
        if annotation in _PLAIN:
            return [_PLAIN[annotation]]
        kind = origin or annotation
        if not isinstance(kind, type):
            return ["any"]
        if issubclass(kind, enum.Enum):
            return [_enum(sorted((one.value for one in kind), key=str))]
        if hasattr(kind, "model_fields"):
            return [{"model": self._model(kind)}]
        if issubclass(kind, collections.abc.Mapping):
            return [{"map": self.type_of(arguments[1]) if len(arguments) == 2 else ["any"]}]
        if issubclass(kind, (list, tuple, set, collections.abc.Sequence)) and kind is not str:
            return [{"list": self.type_of(arguments[0]) if arguments else ["any"]}]
        return ["any"]

    def _model(self, model: Any) -> str:
        name: str = model.__name__
        if name not in self.models:
            self.models[name] = {}  # it may contain itself
            self.models[name] = self.fields_of(model)
        return name

    def fields_of(self, model: Any) -> dict[str, Any]:
        """Names, aliases among them, and types of a pydantic model; "*" where it takes any other key as well."""
        found: dict[str, Any] = {}
        for name, field in sorted(model.model_fields.items()):
            for key in {name, field.alias or name}:
                found[key] = self.type_of(field.annotation)
        if model.model_config.get("extra") == "allow":
            found["*"] = ["any"]
        return found

    def fields_of_dataclass(self, kind: Any) -> dict[str, Any]:
        hints = typing.get_type_hints(kind)
        return {field.name: self.type_of(hints[field.name]) for field in dataclasses.fields(kind) if field.init}

    def parameters_of(self, function: Any) -> dict[str, Any]:
        """Keyword arguments of a function; of one without annotations, the types of the defaults."""
        found = {}
        for name, parameter in inspect.signature(function).parameters.items():
            if name in ("self", "model") or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            annotation, default = parameter.annotation, parameter.default
            if annotation is not parameter.empty and not isinstance(annotation, str):
                found[name] = self.type_of(annotation)
                if default is None and not {"null", "any"} & set(map(str, found[name])):
                    found[name].append("null")
            else:
                known = default is not None and type(default) in _PLAIN
                found[name] = [_PLAIN[type(default)]] if known else ["any"]
        return found


def _enum(values: Iterable[Any]) -> dict[str, Any]:
    """A recipe cannot write what is no plain value, such as torch.float16."""
    return {"enum": [one for one in values if isinstance(one, (str, int, float, type(None)))]}


def axolotl(recorder: Recorder) -> dict[str, Any]:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    return recorder.fields_of(AxolotlInputConfig)


def llamafactory(recorder: Recorder) -> dict[str, Any]:
    from llamafactory.hparams.parser import _TRAIN_ARGS

    return {key: kinds for kind in _TRAIN_ARGS for key, kinds in recorder.fields_of_dataclass(kind).items()}


def unsloth(recorder: Recorder) -> dict[str, Any]:
    os.environ["UNSLOTH_ALLOW_CPU"] = "1"  # for tests: the functions for GPUs, also where there is none
    from unsloth import FastLanguageModel  # first: it changes what is imported after it

    # isort: split
    from trl import SFTConfig

    groups = {
        "load": recorder.parameters_of(FastLanguageModel.from_pretrained),
        "lora": recorder.parameters_of(FastLanguageModel.get_peft_model),
        "sft": recorder.fields_of_dataclass(SFTConfig),
    }
    recorder.models.update(groups)
    return {name: [{"model": name}] for name in groups}


def main(name: str, out: Path) -> None:
    recorder = Recorder()
    keys = {"axolotl": axolotl, "llamafactory": llamafactory, "unsloth": unsloth}[name](recorder)
    lines = [f'{{"package": {json.dumps(name)}, "version": {json.dumps(importlib.metadata.version(name))}, "keys": {{']
    lines += [_lines(keys), '}, "models": {']
    lines += [",\n".join(f"{json.dumps(model)}: {{\n{_lines(found)}\n}}" for model, found in recorder.models.items())]
    out.write_text("\n".join([*lines, "}}"]) + "\n", "utf-8")


def _lines(keys: dict[str, Any]) -> str:
    return ",\n".join(f"{json.dumps(key)}: {json.dumps(kinds)}" for key, kinds in sorted(keys.items()))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
