"""Header of a GGUF file: the tokenizer of a local model is in there, in a form of its own, and what its matrices are.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from components.errors import TerminalError

__all__ = ["FLOAT32", "UINT32", "Header", "Tensor", "read_header", "read_metadata"]

UINT32, FLOAT32 = 4, 6
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", UINT32: "I", 5: "i", FLOAT32: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class Tensor(NamedTuple):
    """A tensor, as the header tells of it.

    Attributes:
        shape: how many numbers, of the dimension first that lies together in memory.
        kind: of the numbers, as ggml counts its types.
        offset: of its first byte, from the end of the header.
    """

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Header:
    """What stands before the numbers.

    Attributes:
        metadata: str, int, float, bool and lists of them.
        kinds: of their values, as GGUF counts its types.
        tensors: by name.
        size: of the header (bytes), without what fills it up.
    """

    metadata: dict[str, Any]
    kinds: dict[str, int]
    tensors: dict[str, Tensor]
    size: int


def read_metadata(path: Path) -> dict[str, Any]:
    """Key-value pairs before the tensors: str, int, float, bool and lists of them.

    Raises:
        TerminalError: not a GGUF file of version 2 or 3, or cut short.
    """
    return _read(path, tensors=False).metadata


def read_header(path: Path) -> Header:
    """The same, and which tensors there are. Raises as `read_metadata`."""
    return _read(path, tensors=True)


def _read(path: Path, *, tensors: bool) -> Header:
    try:
        with path.open("rb") as file:
            reader = _Reader(file)
            if file.read(4) != b"GGUF" or reader.number("I") not in (2, 3):
                raise TerminalError(f"{path} is no GGUF file of version 2 or 3; get it anew")
            count, pairs = reader.number("Q"), reader.number("Q")
            metadata, kinds = dict[str, Any](), dict[str, int]()
            for _ in range(pairs):
                key, kind = reader.string(), reader.number("I")
                kinds[key], metadata[key] = kind, reader.value(kind)
            found = {reader.string(): reader.tensor() for _ in range(count)} if tensors else {}
            return Header(metadata, kinds, found, file.tell())
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise TerminalError(f"{path}: broken GGUF metadata ({error}); get it anew") from error


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def _take(self, count: int) -> bytes:
        taken = self._file.read(min(count, self._size))  # a broken length may be more than any memory
        if len(taken) != count:
            raise struct.error(f"{count} bytes wanted, {len(taken)} are there")
        return taken

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self._take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        return self._take(self.number("Q")).decode()

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            item, count = self.number("I"), self.number("Q")
            if item in _NUMBERS:
                code = f"<{count}{_NUMBERS[item]}"
                return list(struct.unpack(code, self._take(struct.calcsize(code))))
            return [self.value(item) for _ in range(count)]
        return self.number(_NUMBERS[kind])

    def tensor(self) -> Tensor:
        shape = tuple(self.number("Q") for _ in range(self.number("I")))
        return Tensor(shape, self.number("I"), self.number("Q"))
