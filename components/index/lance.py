"""Imports LanceDB without the client of a server's API that it would bring along, which costs most of its import."""

from __future__ import annotations

import sys
from typing import Any

from components.store import imported, leave_unrun

__all__ = ["lancedb"]

_CLIENT = "lance_namespace_urllib3_client"


def lancedb() -> Any:
    """The module `lancedb`.

    It needs only the models of a REST client, whose package imports every endpoint of that API: 400 functions that
    pydantic wraps one by one, half of the time.
    """
    if "lancedb" not in sys.modules:
        leave_unrun(_CLIENT)
    return imported("lancedb")
