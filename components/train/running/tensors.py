"""Tensors of a .safetensors file, read without torch: eight bytes of length, a header in JSON, then the numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["read_tensors"]

_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "I8": "i1", "BOOL": "?"}
_HEADER = 100_000_000  # the format's own limit


def read_tensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Name -> numbers of each tensor; those in bfloat16 as float32.

    Raises:
        ValueError: the file is cut short, or no safetensors file.
    """
    import numpy

    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= min(_HEADER, len(data) - 8):
        raise ValueError(f"{path.name} is cut short, or no safetensors file ({len(data)} bytes)")
    try:
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        found = {}
        body = memoryview(data)[8 + size :]
        for name, one in header.items():
            begin, end = one["data_offsets"]
            if not 0 <= begin <= end <= len(body):
                raise ValueError(f"{path.name} is cut short: {name} ends at byte {end:,} of {len(body):,}")
            if one["dtype"] == "BF16":
                halves = numpy.frombuffer(body[begin:end], dtype="<u2")
                values = (halves.astype("<u4") << 16).view("<f4")
            else:
                values = numpy.frombuffer(body[begin:end], dtype=_KINDS[one["dtype"]])
            found[str(name)] = values.reshape(one["shape"])
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is no safetensors file ({error!r})") from None
    return found
