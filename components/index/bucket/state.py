"""What a bucket holds: `published.json` names one state of the index, file by file, and is replaced whole.

Under an address lie `published.json` and `objects/SHA256`. An object is never changed: its name is the digest of its
bytes. A state is a list of files (name, digest, bytes), those of the published table and `live.json`; whoever has read
`published.json` can therefore tell whether what came is what was published, whatever happened meanwhile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from components.errors import TerminalError
from components.index.published import LIVE_FILE
from components.store import canonical_json, sha256_hex

__all__ = ["POINTER", "State", "StoredFile", "object_name"]

POINTER = "published.json"
_FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(rf"({re.escape(LIVE_FILE)}|chunks-[0-9a-f]{{16}}\.lance/.+)")


def object_name(sha256: str) -> str:
    """Name of the object with these bytes."""
    return f"objects/{sha256}"


@dataclass(frozen=True)
class StoredFile:
    """A file of a state: digest (SHA-256, hex) and bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class State:
    """One published state.

    Attributes:
        files: relative name -> file.
        writer: host and folder of the index that it is a copy of.
        at: when it was copied, ISO, UTC.
        publication: the last entry of the history of `live.json`, for people.
        unneeded: digest -> since when (ISO, UTC) the object is of no published state.
    """

    files: Mapping[str, StoredFile]
    writer: str
    at: str
    publication: Mapping[str, Any]
    unneeded: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """SHA-256 over names, digests and sizes: equal states have equal files."""
        return sha256_hex(canonical_json([[name, one.sha256, one.size] for name, one in sorted(self.files.items())]))

    @property
    def live(self) -> str:
        """Digest of its `live.json`, which tells names and sizes of all other files."""
        return self.files[LIVE_FILE].sha256

    @property
    def digests(self) -> dict[str, int]:
        """Digest -> bytes of the objects that it needs."""
        return {one.sha256: one.size for one in self.files.values()}

    def to_bytes(self) -> bytes:
        """As `published.json`."""
        told = {
            "format": _FORMAT, "state": self.id, "at": self.at, "writer": self.writer,
            "publication": dict(self.publication),
            "files": {name: [one.sha256, one.size] for name, one in sorted(self.files.items())},
            "unneeded": dict(sorted(self.unneeded.items())),
        }  # fmt: skip
        return json.dumps(told, indent=1).encode()

    @classmethod
    def parse(cls, data: bytes, *, where: str) -> State:
        """What `to_bytes` wrote.

        Raises:
            TerminalError: it is damaged, not ours, or of a newer version. A name that leads out of the state's folder
                counts as damage.
        """
        try:
            told = json.loads(data)
            if told["format"] != _FORMAT:
                raise ValueError(f"it has format {told['format']!r}, this version reads {_FORMAT}")
            files = {str(name): StoredFile(str(sha), int(size)) for name, (sha, size) in told["files"].items()}
            state = cls(
                files, str(told["writer"]), str(told["at"]), dict(told["publication"]),
                {str(sha): str(since) for sha, since in told["unneeded"].items()},
            )  # fmt: skip
            bad = [name for name, one in files.items() if not _is_good(name, one)]
            if bad or LIVE_FILE not in files or state.id != told["state"]:
                raise ValueError(f"the file {bad[0]!r} cannot be one of an index" if bad else "its parts do not match")
            return state
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TerminalError(
                f"{where}/{POINTER} does not say what is published ({type(error).__name__}: {error}). On the machine "
                "that writes it: `cervella index copy RECIPE --anew`, or name another address"
            ) from error


def _is_good(name: str, one: StoredFile) -> bool:
    parts = PurePosixPath(name).parts
    return (
        bool(_NAME.fullmatch(name) and _DIGEST.fullmatch(one.sha256))
        and one.size >= 0
        and not {"..", "."}.intersection(name.split("/"))
        and "/".join(parts) == name
        and "\0" not in name
        and "\\" not in name
    )
