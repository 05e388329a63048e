"""Documents -> the output `chunks` of `index.chunk`, in parts: the chunks of a document that did not change are kept.

What is to be known about a document's chunks, besides their lines: {document: its key, texts: a digest of each
chunk's text, local: those of them that are marked local, chunks: how many were kept}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from components.index.chunk import Chunk, Cutter
from components.store.parts import Parts, write_parts

if TYPE_CHECKING:
    from components.sncp import Document
    from components.store import Step

__all__ = ["CHUNKS", "chunk_lines", "cut_chunks", "cut_documents"]

CHUNKS = "chunks"


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
    """Write the output `chunks` of `step`.

    A text is local everywhere when it is so in one note: which texts are is settled first, from the local notes alone.

    Args:
        step: at work.
        documents: the notes; the text is read of those alone that have to be cut.
        max_tokens: as for `chunk_documents`.
        breadcrumbs: as for `chunk_documents`.
        count_tokens: as for `chunk_documents`.
        leave_out_local: write no chunk that is marked local.
        before: the same output of an older artefact, made with the same settings; its chunks are kept where they hold.
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

    def make(key: str) -> tuple[bytes, dict[str, Any]]:
        nonlocal done
        if progress:
            progress(done, to_cut)
        done += 1
        chunks = cut.get(key) or ready.get(key) or cutter(by_id[key])
        texts = list(map(_digest, chunks))
        marked = [chunk.marked(local=digest in local) for chunk, digest in zip(chunks, texts, strict=True)]
        lines = [_line(chunk) for chunk in marked if not (leave_out_local and chunk.local)]
        totals[0] += len(lines)
        totals[1] += len(chunks)
        found = sorted(local.intersection(texts))
        return b"".join(lines), {"document": keys[key], "texts": texts, "local": found, "chunks": len(lines)}

    write_parts(step, CHUNKS, list(keys), make, kept=kept, before=before)
    return totals[0], totals[1] - totals[0]


def cut_chunks(step: Step) -> Iterator[Chunk]:
    """The chunks that `cut_documents` wrote into a step in work, read when they are asked for."""
    for path in sorted(step.path(CHUNKS).parent.glob(f"{CHUNKS}.*jsonl")):
        with path.open("rb") as file:
            for line in file:
                yield Chunk.from_dict(json.loads(line))


def chunk_lines(stored: Parts) -> Iterator[bytes]:
    """The lines of an output `chunks`, one chunk each, without their ends."""
    for part in stored.parts:
        yield from stored.artefact.file(f"{part}.jsonl").read_bytes().split(b"\n")[:-1]


def _digest(chunk: Chunk) -> str:
    return sha256(chunk.text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _line(chunk: Chunk) -> bytes:
    line = json.dumps(chunk.to_dict(), ensure_ascii=False, allow_nan=False)
    return line.encode("utf-8", "surrogatepass") + b"\n"
