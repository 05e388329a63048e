"""Base and adapter as one model (safetensors), for vLLM and others: merged by peft in a trainer's environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.train.ask_inside import ask_inside

__all__ = ["merge_adapter"]


def merge_adapter(
    *, python: Path, model: str, adapter: Path, tokenizer: Path | str, out: Path, folder: Path,
    revision: str | None = None, tell: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:  # fmt: skip
    """Write the merged model into the folder `out`: weights in the precision of the base's files, tokenizer, template.

    The adapter goes onto the base's own weights, unquantized, however it was trained.

    Args:
        python: of a trainer's environment.
        model: the base: folder or name on the hub.
        adapter: folder of the adapter.
        tokenizer: folder of tokenizer and chat template, or a name on the hub.
        out: folder to write.
        folder: for the work.
        revision: of a model on the hub.
        tell: called with how much is done, and of how much.

    Returns:
        `dtype` of the weights and `config` of the model.

    Raises:
        TerminalError: it could not be done, or merged weights are not finite.
    """
    request = {
        "model": model, "revision": revision, "dtype": "auto", "adapter": str(adapter.absolute()),
        "tokenizer": str(tokenizer.absolute()) if isinstance(tokenizer, Path) else tokenizer,
        "out": str(out.absolute()),
    }  # fmt: skip
    found = ask_inside("merge.py", request, python=python, folder=folder, tell=tell)
    return {"dtype": found["dtype"], "config": found["config"]}
