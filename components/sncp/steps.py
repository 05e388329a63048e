"""The step that reads the notes: `sncp.collect`. Its identity comes from the bytes that were read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.sncp.collect import collect
from components.sncp.document import Collection, Document
from components.sncp.params import SncpParams
from components.store import Artefact, Run, Step, StepSpec, canonical_json, progress_of, recorded_step, sha256_hex

__all__ = ["collect_notes", "collect_spec", "read_documents", "read_notes", "write_notes"]


def read_notes(params: SncpParams, *, persona_files: Sequence[Path]) -> Collection:
    """Read the notes that the parameters name; nothing is written."""
    return collect(
        root=params.root,
        sources=params.sources,
        include=params.include,
        exclude=params.exclude,
        max_bytes=params.max_bytes,
        redact=params.redact.mode,
        persona_files=persona_files,
        progress=progress_of("sncp.collect"),
    )


def collect_spec(params: SncpParams, collection: Collection) -> StepSpec:
    """Identity of the step for the notes as they were read."""
    persona = [document.path for document in collection.documents if document.kind == "persona"]
    sources = [[kind, list(globs)] for kind, globs in params.sources.items()]  # a list: the order matters
    return StepSpec(
        "sncp.collect",
        1,
        {
            "sources": sources,
            "include": params.include,
            "exclude": params.exclude,
            "redact": params.redact.mode,
            "persona": persona,  # a file that the recipe names as persona is read as another kind of note
        },
        {"notes": sha256_hex(canonical_json(collection.fingerprint_inputs()))},
    )


def collect_notes(run: Run, params: SncpParams, *, persona_files: Sequence[Path]) -> Artefact:
    """Read the notes and seal them: `documents.jsonl` and `report.json` (skipped, masked secrets, duplicates)."""
    collection = read_notes(params, persona_files=persona_files)
    with recorded_step(run, collect_spec(params, collection)) as step:
        if not step.sealed:
            write_notes(step, collection)
    return step.artefact


def write_notes(step: Step, collection: Collection) -> None:
    """Write what `collect_notes` seals; a plan does it too, into a step that keeps nothing."""
    step.write_jsonl("documents.jsonl", (document.to_dict() for document in collection.documents))
    step.write_json("report.json", collection.report())
    step.note(
        notes=len(collection.documents),
        skipped=len(collection.skipped),
        secrets_masked=len(collection.findings),
        duplicates=len(collection.duplicates),
    )


def read_documents(notes: Artefact) -> list[Document]:
    """The documents of a sealed `sncp.collect`."""
    return [Document.from_dict(value) for value in notes.read_jsonl("documents.jsonl")]
