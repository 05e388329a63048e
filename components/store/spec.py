"""The identity of a step: what it is called, which code, which parameters, which inputs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.errors import TerminalError

__all__ = ["StepSpec", "canonical_json", "sha256_hex"]


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TerminalError(f"{where} is {value}: only finite numbers identify a step")
        return value
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TerminalError(f"{where} has a key that is no text: it cannot identify a step")
        return {key: _plain(value[key], f"{where}.{key}") for key in value}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(item, f"{where}[{number}]") for number, item in enumerate(value)]
    # A fallback to str() would let two different values share a fingerprint, or one value have two.
    raise TerminalError(f"{where} is a {type(value).__name__}: it has no stable form that could identify a step")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces, UTF-8: equal values give equal bytes in every process.

    Raises:
        TerminalError: for anything but None, bool, int, finite float, str, and lists and mappings of these.
    """
    plain = _plain(value, "value")
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class StepSpec:
    """Identity of a step of a run.

    Attributes:
        name: room and verb, such as `index.chunk`.
        version: of the code; raise it when the same input must give another output.
        params: JSON values that change the output, and no others.
        inputs: name of an input -> its content digest.
    """

    name: str
    version: int
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON of the four fields."""
        return sha256_hex(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The four fields as JSON values."""
        return {
            "step": self.name,
            "version": self.version,
            "params": dict(self.params),
            "inputs": dict(self.inputs),
        }
