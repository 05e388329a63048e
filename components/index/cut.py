"""Documents -> the outputs of `index.chunk`, in parts: the chunks of a document that did not change are kept.

What is to be known about a document's `chunks`, besides their lines: {document: its key, texts: a digest of each
chunk's text, local: those of them that are marked local, chunks: how many were kept}. Its `rows` are what the index
compares (see `rows.Row`), and about them its paths are known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from components.index.chunk import Chunk, Cutter
from components.index.rows import chunk_line, row_line, row_of
from components.index.wanted import CHUNKS, ROWS
from components.store.parts import Parts, write_parts

if TYPE_CHECKING:
    from components.sncp import Document
    from components.store import Step

__all__ = ["cut_chunks", "cut_documents"]


def cut_documents(
    step: Step,
    documents: Sequence[Document],
    *,
    max_tokens: int,
    breadcrumbs: bool,
    count_tokens: Callable[[str], int],
    leave_out_local: bool = False,
    before: Parts | None = None,
    ready: Mapping[str, list[Chunk]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Write the outputs `chunks` and `rows` of `step`.

    A text is local everywhere when it is so in one note: which texts are is settled first, from the local notes alone.

    Args:
        step: at work.
        documents: the notes; the text is read of those alone that have to be cut.
        max_tokens: as for `chunk_documents`.
        breadcrumbs: as for `chunk_documents`.
        count_tokens: as for `chunk_documents`.
        leave_out_local: write no chunk that is marked local.
        before: the output `chunks` of an older artefact with the same settings; its chunks are kept where they hold.
        ready: chunks of documents (by id) that somebody has cut already, with the same settings.
        progress: called with (documents done, documents to cut).

    Returns:
        Chunks written, and chunks left out.
    """
    by_id = {document.doc_id: document for document in documents}
    keys = {doc_id: document.key for doc_id, document in by_id.items()}
    held = before.entries if before else {}
    known = {key: held[key].about for key in keys if key in held and held[key].about["document"] == keys[key]}
    cutter = Cutter(max_tokens=max_tokens, breadcrumbs=breadcrumbs, count_tokens=count_tokens)
    ready = ready or {}
    cut = {key: ready.get(key) or cutter(by_id[key]) for key in keys if by_id[key].local and key not in known}
    local = {digest for chunks in cut.values() for digest in map(_digest, chunks)}
    local |= {digest for key, about in known.items() if by_id[key].local for digest in about["texts"]}
    kept = {key for key, about in known.items() if local.intersection(about["texts"]) == set(about["local"])}
    totals = [sum(known[key]["chunks"] for key in kept), sum(len(known[key]["texts"]) for key in kept)]
    done, to_cut = 0, len(keys) - len(kept)
    rows: dict[str, bytes] = {}

    def make(key: str) -> tuple[bytes, dict[str, Any]]:
        nonlocal done
        if progress:
            progress(done, to_cut)
        done += 1
        chunks = cut.get(key) or ready.get(key) or cutter(by_id[key])
        texts = list(map(_digest, chunks))
        marked = [chunk.marked(local=digest in local) for chunk, digest in zip(chunks, texts, strict=True)]
        lines = [(chunk, chunk_line(chunk)) for chunk in marked if not (leave_out_local and chunk.local)]
        rows[key] = b"".join(row_line(row_of(chunk, line)) for chunk, line in lines)
        totals[0] += len(lines)
        totals[1] += len(chunks)
        found = sorted(local.intersection(texts))
        about = {"document": keys[key], "texts": texts, "local": found, "chunks": len(lines)}
        return b"".join(line + b"\n" for _, line in lines), about

    write_parts(step, CHUNKS, list(keys), make, kept=kept, before=before)
    known_rows = Parts(before.artefact, ROWS) if before else None
    write_parts(
        step, ROWS, list(keys), lambda key: (rows[key], list(by_id[key].paths)), kept=kept, before=known_rows
    )  # fmt: skip
    return totals[0], totals[1] - totals[0]


def cut_chunks(step: Step) -> Iterator[Chunk]:
    """The chunks that `cut_documents` wrote into a step in work, read when they are asked for."""
    for path in sorted(step.path(CHUNKS).parent.glob(f"{CHUNKS}.*jsonl")):
        with path.open("rb") as file:
            for line in file:
                yield Chunk.from_dict(json.loads(line))


def _digest(chunk: Chunk) -> str:
    return sha256(chunk.text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
