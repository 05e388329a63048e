"""The step `registry.release`: everything that is put into service, in one sealed artefact.

`release.json` is the release itself. Beside it lie the persona files just as `persona.compile` sealed them, so that
`components.persona.steps.read_persona` reads them here too, and the adapter that llama.cpp answers with, where one was
exported (a hard link: no room is taken).

The session context is a note's text, and no part of the release: `release.json` says how it is chosen and cut.
`session.json` is the text that the release was scored with, kept so that the very same can be asked again beside
another candidate. A rollback brings back how it is chosen; the text comes from the notes as they are by then.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.registry.release import release_digest
from components.store import Artefact, Run, StepSpec, recorded_step
from components.store.digests import link_file

__all__ = ["ADAPTER", "PERSONA_FILES", "RELEASE", "release_adapter", "release_spec", "seal_release"]

RELEASE, ADAPTER = "release.json", "adapter.gguf"
PERSONA_FILES = ("prompt.md", "prompt.json", "session.json")


def release_spec(release: Mapping[str, Any], *, prompt: str, adapter: str | None = None) -> StepSpec:
    """Identity of the step.

    `release`: from `build_release`; `prompt`: digest of `persona.compile`; `adapter`: SHA-256 of the GGUF adapter, from
    `release_adapter`; None: there is none.
    """
    inputs = {"prompt": prompt} | ({"adapter": adapter} if adapter else {})
    return StepSpec("registry.release", 1, {"release": release_digest(release)}, inputs)


def release_adapter(export: Artefact | None) -> tuple[Path, str] | None:
    """File and SHA-256 of the one GGUF adapter of a sealed `train.export`; None: it holds none."""
    outputs = export.manifest["outputs"] if export else {}
    found = sorted(name for name in outputs if name.endswith(".gguf"))
    return (export.file(found[0]), str(outputs[found[0]]["sha256"])) if export and len(found) == 1 else None


def seal_release(
    run: Run, *, prompt: Artefact, release: Mapping[str, Any], export: Artefact | None = None
) -> Artefact:  # fmt: skip
    """Seal what `cervella promote` can put into service.

    Args:
        run: at work.
        prompt: the sealed `persona.compile`.
        release: from `components.registry.steps.release_of`.
        export: the sealed `train.export` of phase optimize.
    """
    adapter = release_adapter(export)
    spec = release_spec(release, prompt=prompt.digest, adapter=adapter[1] if adapter else None)
    with recorded_step(run, spec) as step:
        if not step.sealed:
            step.write_text(RELEASE, json.dumps(release, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            for name in PERSONA_FILES:
                step.path(name).write_bytes(prompt.file(name).read_bytes())
            if adapter:
                _link(adapter[0], step.path(ADAPTER))
            step.note(release=release_digest(release)[:12])
    return step.artefact


def _link(source: Path, target: Path) -> None:
    try:
        link_file(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
