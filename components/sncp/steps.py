"""The step that reads the notes: `sncp.collect`. Its identity comes from the bytes that were read.

What the last sealed collecting of the workspace made of the same bytes is taken from it: there is no other memory of
notes, so what is purged there is gone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from components.sncp.collect import collect
from components.sncp.document import Collection, Document
from components.sncp.memory import FILES, Memory, notes_json, stored_text
from components.sncp.near_duplicates import Sketch, near_duplicates
from components.sncp.params import SncpParams
from components.sncp.report import findings_text
from components.store import (
    Artefact,
    Run,
    Step,
    StepSpec,
    Store,
    canonical_json,
    logger,
    progress_of,
    recorded_step,
    seldom_collecting,
    sha256_hex,
)
from components.store.parts import Parts, former, write_parts

__all__ = ["collect_notes", "collect_spec", "read_documents", "read_notes", "stored_documents", "write_notes"]

_STEP = "sncp.collect"
_VERSION = 8
_DOCUMENTS = "documents"
_SKETCHES = "sketches"


@seldom_collecting()
def read_notes(
    params: SncpParams, *, persona_files: Sequence[Path], local: Sequence[str] = (), workspace: Path | None = None,
    may_be_none: bool = False,
) -> Collection:  # fmt: skip
    """Read the notes that the parameters name; nothing is written. `local`: globs of notes that stay on this machine.

    With `workspace`, nothing in that folder is a note, and what its last collecting made of the same bytes is not
    made again: the result is the same. `may_be_none`: see `collect`.
    """
    before = _former(params, workspace) if workspace else None
    collection = collect(
        root=params.root,
        sources=params.sources,
        include=params.include,
        exclude=params.exclude,
        max_bytes=params.max_bytes,
        redact=params.redact.mode,
        personal_data=params.redact.personal_data,
        allow=params.redact.allow,
        persona_files=persona_files,
        local=local,
        workspace=workspace,
        memory=Memory.of(before) if before else None,
        progress=progress_of(_STEP),
        may_be_none=may_be_none,
    )
    return replace(collection, before=before)


def _settings(params: SncpParams) -> dict[str, Any]:
    """Parameters that change what is made of a file's bytes (and not only which files are read, or as what)."""
    redact = params.redact
    return {
        "redact": redact.mode, "personal_data": sorted(redact.personal_data), "allow": sorted(redact.allow)
    }  # fmt: skip


def _former(params: SncpParams, workspace: Path) -> Parts | None:
    """The documents of the last collecting with the same settings, if its seal holds."""
    settings = _settings(params)
    return former(Store(workspace), StepSpec(_STEP, _VERSION, settings), _DOCUMENTS, same=settings.keys())


def collect_spec(params: SncpParams, collection: Collection, *, local: Sequence[str] = ()) -> StepSpec:
    """Identity of the step for the notes as they were read."""
    persona = [document.path for document in collection.documents if document.kind == "persona"]
    sources = [[kind, list(globs)] for kind, globs in params.sources.items()]  # a list: the order matters
    return StepSpec(
        _STEP,
        _VERSION,
        {
            "sources": sources,
            "include": params.include,
            "exclude": params.exclude,
            **_settings(params),
            "local": list(local),
            "persona": persona,  # a file that the recipe names as persona is read as another kind of note
        },
        {"notes": sha256_hex(canonical_json(collection.fingerprint_inputs()))},
    )


def collect_notes(
    run: Run, params: SncpParams, *, persona_files: Sequence[Path], local: Sequence[str] = ()
) -> Artefact:
    """Read the notes and seal them.

    Outputs: `documents` (in parts), `files.json` (what each file says by itself), `report.json` (skipped, masked
    secrets, duplicates, near-duplicates), `sketches` (of the texts, for the next comparison, in parts).
    """
    collection = read_notes(params, persona_files=persona_files, local=local, workspace=run.workspace)
    with recorded_step(run, collect_spec(params, collection, local=local)) as step:
        if not step.sealed:
            write_notes(step, collection)
    if told := findings_text(collection.report(), where=str(step.artefact.path / "report.json")):
        logger.warning("%s", told)
    return step.artefact


@seldom_collecting()
def write_notes(step: Step, collection: Collection) -> None:
    """Write what `collect_notes` seals; a plan does it too, into a step that keeps nothing."""
    documents = {document.doc_id: document for document in collection.documents}
    facts = {doc_id: document.facts() for doc_id, document in documents.items()}
    before = collection.before
    held = before.entries if before else {}

    def make(doc_id: str) -> tuple[bytes, dict[str, Any]]:
        line = json.dumps(documents[doc_id].to_dict(), ensure_ascii=False, allow_nan=False)
        return f"{line}\n".encode(), facts[doc_id]

    kept = {doc_id for doc_id, known in facts.items() if doc_id in held and held[doc_id].about == known}
    write_parts(step, _DOCUMENTS, list(documents), make, kept=kept, before=before)
    step.write_text(FILES, notes_json(collection.notes))
    compared = Parts(before.artefact, _SKETCHES) if before else None
    known = _sketches(compared) if compared else {}
    alike, sketches = near_duplicates(collection.documents, known=known)

    def sketched(text: str) -> tuple[bytes, Any]:
        return f"{json.dumps([text, [sketch.to_json() for sketch in sketches[text]]])}\n".encode(), None

    write_parts(step, _SKETCHES, sorted(sketches), sketched, kept=known.keys() & sketches.keys(), before=compared)
    step.write_json("report.json", collection.report() | {"near_duplicates": [pair.to_dict() for pair in alike]})
    step.note(
        notes=len(collection.documents),
        skipped=len(collection.skipped),
        secrets_masked=len(collection.findings),
        duplicates=len(collection.duplicates),
        near_duplicates=len(alike),
    )


def _sketches(compared: Parts) -> dict[str, Sequence[Sketch]]:
    """Those of the last collecting, so that a note is compared again only where something is like it."""
    return {text: Sketch.all_from_json(values) for text, values in compared.all_values()}


def stored_documents(notes: Artefact) -> Parts:
    """The documents of a sealed `sncp.collect`, item by item: id, facts, line."""
    return Parts(notes, _DOCUMENTS)


def read_documents(notes: Artefact) -> list[Document]:
    """The documents of a sealed `sncp.collect`, in order of their paths; a text is read when it is asked for."""
    stored = stored_documents(notes)
    found = [Document.stored(entry.about, partial(stored_text, stored, key)) for key, entry in stored.entries.items()]
    return sorted(found, key=lambda document: document.path)
