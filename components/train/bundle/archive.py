"""Reads `result-<job>.tar.gz` as bytes of strangers: what it may hold is a closed list, and every size has an end.

Python's tarfile is not used for it: it reads headers of any size into memory and knows links, devices and sparse files.
Here an archive is plain files with plain names, each named before in its manifest with size and SHA-256, in any order.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError

__all__ = ["MANIFEST", "Entry", "Manifest", "read_manifest", "unpack_files"]

MANIFEST = "manifest.json"
KIND, FORMAT = "cervella.train.result", 1
_BLOCK = 512
_MB = 1 << 20
_MANIFEST_BYTES = 4 * _MB
_FILES = 200
_ALLOWED: tuple[tuple[str, int], ...] = (
    (r"out/(checkpoint-\d{1,9}/)?adapter_model\.safetensors", 8000 * _MB),
    (r"out/adapter_config\.json", _MB),
    (r"out/(tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json", 64 * _MB),
    (r"out/(chat_template\.jinja|merges\.txt|tokenizer\.model)", 64 * _MB),
    (r"(effective|environment|started|losses)\.json", 64 * _MB),
    (r"progress\.jsonl|trainer\.log", 512 * _MB),
    (r"masks-(train|validation)\.jsonl", 2000 * _MB),
)
"""Names of files that are taken, and their most bytes. Nothing that is a pickle or a program is among them."""
_HEX = re.compile(r"[0-9a-f]{64}")
_HINT = "pack the training again and bring back the result that its train.py writes, or send it again if it was cut"


@dataclass(frozen=True)
class Entry:
    """A file of a result, as its manifest has it."""

    sha256: str
    bytes: int
    modified: float


@dataclass(frozen=True)
class Manifest:
    """What a result says of itself.

    Attributes:
        recipe: name of the recipe that was packed.
        cervella: version that packed it.
        fingerprint: of the step `train.run` that it is the result of.
        spec: that step: step, version, params, inputs.
        asked: section `train` of the recipe as it was then.
        job: file of the bundle's job folder -> SHA-256.
        files: of the result.
    """

    recipe: str
    cervella: str
    fingerprint: str
    spec: dict[str, Any]
    asked: dict[str, Any]
    job: dict[str, str]
    files: dict[str, Entry]


def read_manifest(file: Path) -> Manifest:
    """The manifest of a result; nothing is written.

    Raises:
        InputError: not there, not a result, damaged, or made to do harm.
    """
    with _opened(file) as stream:
        for name, size in _members(stream, file):
            return _manifest(stream, name, size, file)
    raise _bad(file, "it is empty")


def unpack_files(file: Path, folder: Path) -> Manifest:
    """Write the files of a result into `folder`, which is made; on an error the folder is removed again.

    Raises:
        InputError: as `read_manifest`; or a file in it is not the one that its manifest names.
    """
    folder.mkdir(parents=True)
    try:
        return _unpacked(file, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpacked(file: Path, folder: Path) -> Manifest:
    manifest: Manifest | None = None
    missing: set[str] = set()
    with _opened(file) as stream:
        for name, size in _members(stream, file):
            if manifest is None:
                manifest = _manifest(stream, name, size, file)
                missing = set(manifest.files)
                _check_space(manifest, folder, file)
                continue
            if name not in missing:
                again = "is in it twice" if name in manifest.files else "is not named by its manifest"
                raise _bad(file, f"{name[:80]!r} {again}")
            _write(stream, folder / name, manifest.files[name], size, name, file)
            missing.remove(name)
        if manifest is None:
            raise _bad(file, "it is empty")
        _check_end(stream, file)
    if missing:
        raise _bad(file, f"it is cut short: {', '.join(sorted(missing)[:3])} should be in it")
    return manifest


class _Stream:
    """The bytes of the archive, unzipped as they are asked for."""

    def __init__(self, file: gzip.GzipFile, path: Path) -> None:
        self._file, self._path = file, path

    def read(self, count: int) -> bytes:
        try:
            data = self._file.read(count)
        except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
            raise _bad(self._path, f"it is damaged or cut short ({error})") from None
        return data

    def exactly(self, count: int) -> bytes:
        data = self.read(count)
        if len(data) != count:
            raise _bad(self._path, "it is cut short")
        return data

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _opened(file: Path) -> _Stream:
    try:
        with file.open("rb") as raw:
            first = raw.read(4)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from None
    if first.startswith(b"PK"):
        raise InputError(
            f"{file} is a zip archive: perhaps the bundle itself. `cervella train unpack` takes what comes back, "
            "result-....tar.gz, which train.py writes beside itself"
        )
    if not first.startswith(b"\x1f\x8b"):
        raise _bad(file, "it is no .tar.gz")
    return _Stream(gzip.open(file, "rb"), file)


def _members(stream: _Stream, file: Path) -> Iterator[tuple[str, int]]:
    """Name and size of each file of a tar archive; the caller reads its bytes before it asks for the next."""
    for _ in range(_FILES):
        header = stream.exactly(_BLOCK)
        if header == bytes(_BLOCK):
            return
        told = sum(header[:148]) + 8 * 32 + sum(header[156:])
        if _octal(header[148:156], file) != told:
            raise _bad(file, "it is no tar archive, or damaged")
        prefix, name = (part.split(b"\0")[0].decode("ascii", "replace") for part in (header[345:500], header[:100]))
        whole = f"{prefix}/{name}" if prefix else name
        if header[156:157] not in (b"0", b"\0"):
            raise _bad(file, f"{whole[:80]!r} is no plain file (a link, a folder, a device): nothing else is taken")
        size = _octal(header[124:136], file)
        yield whole, size
        stream.exactly(-size % _BLOCK)
    raise _bad(file, f"it holds more than {_FILES} files")


def _octal(field: bytes, file: Path) -> int:
    digits = field.strip(b" \0") or b"0"
    if not re.fullmatch(rb"[0-7]+", digits):
        raise _bad(file, "it is no tar archive, or damaged")
    return int(digits, 8)


def _manifest(stream: _Stream, name: str, size: int, file: Path) -> Manifest:
    if name != MANIFEST or size > _MANIFEST_BYTES:
        raise _bad(file, "it does not begin with the manifest of a result")
    try:
        told = json.loads(stream.exactly(size))
        if told["kind"] != KIND or told["format"] != FORMAT:
            raise _bad(
                file, f"it is {told['kind']!r} of format {told['format']!r}; this version reads {KIND!r}, {FORMAT}"
            )
        files = {str(key): Entry(**_entry(value)) for key, value in told["files"].items()}
        manifest = Manifest(
            recipe=_text(told["recipe"]), cervella=_text(told["cervella"]), fingerprint=_text(told["fingerprint"]),
            spec=dict(told["spec"]), asked=dict(told["asked"]), files=files,
            job={_text(key): _text(value) for key, value in told["job"].items()},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _bad(file, f"its manifest cannot be understood ({type(error).__name__})") from None
    for key, entry in files.items():
        most = next((limit for pattern, limit in _ALLOWED if re.fullmatch(pattern, key)), None)
        if most is None:
            raise _bad(file, f"its manifest names {key[:80]!r}, which no result has")
        if entry.bytes > most:
            raise _bad(file, f"{key} has {entry.bytes} bytes; at most {most} are taken")
    return manifest


def _entry(value: dict[str, Any]) -> dict[str, Any]:
    sha256, count, modified = value["sha256"], value["bytes"], value["modified"]
    if not (_HEX.fullmatch(sha256) and type(count) is int and count >= 0 and 0 <= modified < 1e11):
        raise ValueError("no entry of a file")
    return {"sha256": sha256, "bytes": count, "modified": float(modified)}


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise TypeError("no text")
    return value


def _check_space(manifest: Manifest, folder: Path, file: Path) -> None:
    needed = sum(entry.bytes for entry in manifest.files.values())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _bad(file, f"it unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in {folder.parent}")


def _write(stream: _Stream, path: Path, entry: Entry, size: int, name: str, file: Path) -> None:
    if size != entry.bytes:
        raise _bad(file, f"{name} has {size} bytes, its manifest says {entry.bytes}")
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), size
    with path.open("xb") as out:
        while left:
            data = stream.exactly(min(left, _MB))
            digest.update(data)
            out.write(data)
            left -= len(data)
    if digest.hexdigest() != entry.sha256:
        raise _bad(file, f"{name} is not as it was packed (its SHA-256 differs)")
    os.utime(path, (entry.modified, entry.modified))


def _check_end(stream: _Stream, file: Path) -> None:
    """Nothing but padding is left, and the checksum of the archive is right: gzip tells when its end is read."""
    for _ in range(64):
        data = stream.read(_BLOCK)
        if not data:
            return
        if data.strip(b"\0"):
            break
    raise _bad(file, "something follows its end")


def _bad(file: Path, why: str) -> InputError:
    return InputError(f"{file} cannot be taken as the result of a training: {why}. Nothing was written; {_HINT}")
