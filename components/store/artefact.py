"""A sealed artefact: a folder whose manifest says what is in it and what it was made from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store.digests import file_digest
from components.store.files import sync_folder
from components.store.spec import StepSpec, canonical_json, sha256_hex

__all__ = ["Artefact", "content_digest", "file_digest", "write_manifest"]

MANIFEST = "manifest.json"
FORMAT = 2


def content_digest(fingerprint: str, outputs: dict[str, str]) -> str:
    """SHA-256 of a step's fingerprint and of the sorted (name, SHA-256) of its outputs.

    Seconds, versions and hosts are in the manifest but not in here, so a repeat elsewhere gives the same digest.
    """
    return sha256_hex(canonical_json([fingerprint, sorted(outputs.items())]))


@dataclass(frozen=True)
class Artefact:
    """A sealed result of a step. `id` is what tasks hand each other, `digest` is what identifies the content."""

    step: str
    fingerprint: str
    digest: str
    path: Path
    manifest: dict[str, Any]

    @property
    def id(self) -> str:
        """`<step>/<fingerprint>`: where it lies in the store."""
        return f"{self.step}/{self.fingerprint}"

    @property
    def facts(self) -> dict[str, Any]:
        """What the step noted about itself (counts, seconds); not part of its identity."""
        return dict(self.manifest.get("facts", {}))

    @property
    def outputs_digest(self) -> str:
        """Of the outputs alone: the same of all artefacts with the same files, whatever these were made from.

        As the input of a step it keeps what took hours when only the way to its files has changed.
        """
        outputs = {name: entry["sha256"] for name, entry in self.manifest["outputs"].items()}
        return sha256_hex(canonical_json(sorted(outputs.items())))

    def file(self, name: str) -> Path:
        """Path of an output.

        Raises:
            TerminalError: when the artefact has no output of that name.
        """
        if name not in self.manifest["outputs"]:
            raise TerminalError(
                f"{self.id} has no output {name!r}; it has {', '.join(sorted(self.manifest['outputs']))}"
            )
        return self.path / name

    def read_json(self, name: str) -> Any:
        """Value of a JSON output."""
        return json.loads(self.file(name).read_text(encoding="utf-8"))

    def read_text(self, name: str) -> str:
        """Text of an output."""
        return self.file(name).read_bytes().decode("utf-8")

    def read_jsonl(self, name: str) -> Iterator[Any]:
        """Values of a JSONL output, one a line."""
        with self.file(name).open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield json.loads(line)


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of `folder`, on disk when this returns, with a checksum (`sum`) over everything in it.

    Not atomic: for a folder that nobody reads yet.
    """
    values = {name: value for name, value in manifest.items() if name != "sum"}
    text = json.dumps(values | {"sum": _sum(values)}, indent=1, ensure_ascii=False, allow_nan=False)
    with (folder / MANIFEST).open("wb") as file:
        file.write(text.encode("utf-8", "surrogatepass"))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def _sum(manifest: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json({name: value for name, value in manifest.items() if name != "sum"}))


def load(path: Path) -> tuple[Artefact | None, str]:
    """Read and verify the artefact in folder `path`: its manifest, and the bytes of all its outputs.

    Returns:
        The artefact and "", or None and the reason why the folder is not one.
    """
    found, reason = load_manifest(path)
    if found is None or found.fingerprint == path.name:
        return found, reason
    return None, "its manifest does not belong to this folder"


def load_manifest(path: Path) -> tuple[Artefact | None, str]:
    """As `load`, for a folder whatever its name is."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None, "not made yet" if not path.exists() else "its manifest is missing"
    except (OSError, ValueError, RecursionError) as error:
        return None, f"its manifest cannot be read ({error})"
    try:
        if manifest["format"] != FORMAT:
            return None, f"its manifest has format {manifest['format']!r}, this version reads {FORMAT}"
        outputs: dict[str, str] = {name: entry["sha256"] for name, entry in manifest["outputs"].items()}
        spec = StepSpec(*(manifest[name] for name in ("step", "version", "params", "inputs")))
        artefact = Artefact(spec.name, str(manifest["fingerprint"]), str(manifest["digest"]), path, manifest)
        if manifest["sum"] != _sum(manifest) or artefact.fingerprint != spec.fingerprint:
            return None, "its manifest was changed"
        if artefact.digest != content_digest(artefact.fingerprint, outputs):
            return None, "its manifest was changed"
    except (KeyError, TypeError, ValueError, AttributeError, TerminalError):
        return None, "its manifest is not one of ours"
    for name, sha256 in outputs.items():
        if Path(name).name != name:
            return None, f"its manifest names an output outside the folder: {name!r}"
        try:
            if file_digest(path / name) != sha256:
                return None, f"its output {name} was changed"
        except FileNotFoundError:
            return None, f"its output {name} is gone"
        except OSError as error:
            return None, f"its output {name} cannot be read ({error.strerror})"
    return artefact, ""
