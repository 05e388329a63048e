"""Imports LanceDB without the client of a server's API that it would bring along, which costs most of its import."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

__all__ = ["lancedb"]

_CLIENT = "lance_namespace_urllib3_client"


def lancedb() -> Any:
    """The module `lancedb`.

    It needs only the models of a REST client, whose package imports every endpoint of that API: 400 functions that
    pydantic wraps one by one, half of the time. The package is registered without having been run; whoever asks it
    for anything but its models runs it then.
    """
    if "lancedb" not in sys.modules and _CLIENT not in sys.modules:
        _register_unrun(_CLIENT)
    import lancedb

    return lancedb


def _register_unrun(name: str) -> None:
    spec = find_spec(name)
    if spec is None or spec.loader is None:  # another version that does without it
        return
    module, loader = module_from_spec(spec), spec.loader

    def load(wanted: str) -> Any:
        if wanted.startswith("__"):  # only asked whether it is there
            raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
        _forget_hook(module)
        loader.exec_module(module)
        return getattr(module, wanted)

    vars(module)["__getattr__"] = load
    sys.modules[name] = module


def _forget_hook(module: ModuleType) -> None:
    vars(module).pop("__getattr__", None)
