"""What a workspace holds already, told by the manifests of its artefacts. Nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.recipe.plan_reasons import changes_of
from components.store import Artefact, StepSpec, Store

__all__ = ["Past"]

_NEAR = 50  # manifests of a step, the newest, that a plan compares with


class Past:
    """The sealed artefacts of a workspace."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self._store = Store(workspace)
        self._manifests: dict[str, list[dict[str, Any]]] = {}
        self._looked: dict[str, tuple[Artefact | None, str]] = {}

    def look(self, spec: StepSpec) -> tuple[Artefact | None, str]:
        """The step's artefact, verified, or None and why there is none."""
        if spec.fingerprint not in self._looked:
            self._looked[spec.fingerprint] = self._store.look(spec)
        return self._looked[spec.fingerprint]

    def manifests(self, step: str) -> list[dict[str, Any]]:
        """Manifests of a step's artefacts, newest first. What they say of files is not verified."""
        if step not in self._manifests:
            folder = self.workspace / "store" / step
            files = [path / "manifest.json" for path in folder.glob("[!.]*")] if folder.is_dir() else []
            found = [manifest for manifest in map(_manifest, files) if manifest is not None]
            self._manifests[step] = sorted(found, key=lambda manifest: str(manifest["made"]), reverse=True)
        return self._manifests[step]

    def nearest(self, spec: StepSpec) -> dict[str, Any] | None:
        """The manifest, among the newest of the step, whose identity differs least: what a reason compares with."""
        return min(self.manifests(spec.name)[:_NEAR], key=lambda old: len(changes_of(old, spec)), default=None)

    def with_digest(self, step: str, digest: str) -> Artefact | None:
        """The step's artefact with that content digest, verified; None when it is not there."""
        for manifest in self.manifests(step):
            if manifest["digest"] == digest:
                return self.open(step, str(manifest["fingerprint"]))
        return None

    def open(self, step: str, fingerprint: str) -> Artefact | None:
        """An artefact, verified; None when it is not there."""
        try:
            return self._store.open(f"{step}/{fingerprint}")
        except TerminalError:
            return None


def _manifest(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    keys = {"step", "version", "params", "inputs", "fingerprint", "digest", "made"}
    return found if isinstance(found, dict) and keys <= set(found) else None
