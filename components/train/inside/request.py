"""A request, progress, an answer: what the scripts here have in common that only measure or convert."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

__all__ = ["answer", "load_model", "read_request", "tell"]


def read_request() -> dict[str, Any]:
    """The request: a JSON file, named on the command line. From here on this process ends when its parent does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with open(sys.argv[1], encoding="utf-8") as file:
        request: dict[str, Any] = json.load(file)
    return request


def _end_with_parent() -> None:
    """The parent holds the other end of standard input: it closes when the parent ends, whatever ended it."""
    while os.read(0, 1024):
        pass
    os._exit(75)


def tell(done: int, total: int) -> None:
    """Say how far the work is."""
    print(f"@progress {done} {total}", flush=True)


def answer(request: dict[str, Any], value: dict[str, Any]) -> None:
    """Write the answer where the request wants it: whole or not at all."""
    with open(request["result"] + ".part", "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(request["result"] + ".part", request["result"])


def load_model(request: dict[str, Any]) -> tuple[Any, str, str]:
    """The model of a request (`model`, `revision`, `dtype`, `adapter`), its device and its dtype; ready to be asked.

    On a CPU it is float32 whatever is asked for, but for `auto`: as its files are. `merge` wants that.
    """
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() and request["dtype"] != "auto" else "cpu"
    dtype = "float32" if device == "cpu" and request["dtype"] != "auto" else request["dtype"]
    wanted = dtype if dtype == "auto" else getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(request["model"], revision=request.get("revision"), dtype=wanted)
    if request.get("adapter"):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, request["adapter"])
    return model.to(device).eval(), device, str(next(model.parameters()).dtype).removeprefix("torch.")
