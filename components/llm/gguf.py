"""Metadata of a GGUF file: the tokenizer of a local model is in there, in a form of its own.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from components.errors import TerminalError

__all__ = ["read_metadata"]

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def read_metadata(path: Path) -> dict[str, Any]:
    """Key-value pairs before the tensors: str, int, float, bool and lists of them.

    Raises:
        TerminalError: not a GGUF file of version 2 or 3, or cut short.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF" or _number(file, "I") not in (2, 3):
                raise TerminalError(f"{path} is no GGUF file of version 2 or 3; get it anew")
            _number(file, "Q")  # how many tensors
            return {_string(file): _value(file, _number(file, "I")) for _ in range(_number(file, "Q"))}
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise TerminalError(f"{path}: broken GGUF metadata ({error}); get it anew") from error


def _number(file: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]


def _string(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item, count = _number(file, "I"), _number(file, "Q")
        if item in _NUMBERS:
            code = f"<{count}{_NUMBERS[item]}"
            return list(struct.unpack(code, file.read(struct.calcsize(code))))
        return [_value(file, item) for _ in range(count)]
    return _number(file, _NUMBERS[kind])
