"""Copies an index to a bucket, or brings it, in a process of its own that may die at any of its requests or links.

Arguments of `main`: `copy URI ADDRESS` · `bring WORKSPACE ADDRESS [CALLS]`: it dies by its own hand at the CALLS-th
link or rename; else it prints how many there were.
"""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


def die_at(calls: int) -> list[int]:
    """Let this process die instead of the `calls`-th link or rename; what is left of them."""
    left = [calls]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    os.link, os.replace = counted(os.link), counted(os.replace)
    return left


def prepare() -> None:
    """Import what both need."""
    for name in ("components.index.bucket.copying", "components.index.bucket.mirror", "boto3", "botocore.config"):
        importlib.import_module(name)


def main(what: str, folder: str, address: str, calls: str = "0") -> None:
    """Do it."""
    left = die_at(int(calls))
    if what == "copy":
        from components.index.bucket.copying import copy_index

        copy_index(Path(folder), address)
    else:
        from components.index.bucket.mirror import Mirror

        Mirror(address, workspace=Path(folder)).newest()
        print(int(calls) - left[0])
