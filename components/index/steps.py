"""The steps of the index: `index.chunk` (pure) and `index.build`, which publishes the table and seals the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import HeldBackError, InputError, TerminalError
from components.index.chunk import Chunk
from components.index.cut import cut_chunks, cut_documents
from components.index.index import Index
from components.index.params import IndexParams
from components.index.place import check_place, index_uri, mirror_of
from components.index.probe import Probe, Probed
from components.index.published import Publication, read_published, readable, seal_of
from components.index.rollback import choose, held_back
from components.index.table import NO_EMBEDDER
from components.index.terms import SyncReport, Terms
from components.index.wanted import CHUNKS, Wanted
from components.llm import load_embedder
from components.llm.counting import embedder_id
from components.llm.lookup import embedded_before
from components.llm.spread.lending import workers_of
from components.sncp.steps import read_documents
from components.store import (
    Artefact,
    Run,
    Step,
    StepSpec,
    Store,
    canonical_json,
    progress_of,
    recorded_step,
    seldom_collecting,
    sha256_hex,
)
from components.store.parts import Parts, former

if TYPE_CHECKING:
    from components.llm import Budget, CachedEmbedder
    from components.llm.spread import Workers
    from components.sncp import Document

__all__ = [
    "build_index",
    "build_spec",
    "chunk_notes",
    "chunk_spec",
    "count_words",
    "history_artefacts",
    "index_uri",
    "is_published",
    "open_embedder",
    "open_index",
    "published_digest",
    "read_chunks",
    "read_wanted",
    "roll_back",
    "settings_digest",
    "why_another_embedder",
    "write_chunks",
    "write_index",
]


def open_embedder(
    params: IndexParams, *, workspace: Path, budget: Budget | None = None, trusted_hosts: Sequence[str] = (),
    workers: Workers | None = None, keep_questions: bool = True,
) -> CachedEmbedder | None:  # fmt: skip
    """The recipe's embedder, with the workspace's cache of vectors; none for `none`. `keep_questions`: in the cache."""
    return load_embedder(
        **params.embedding.model_dump(), cache=_cache(workspace), budget=budget, trusted_hosts=trusted_hosts,
        workers=workers, keep_questions=keep_questions,
    )  # fmt: skip


def _cache(workspace: Path) -> Path:
    """The workspace's cache of vectors."""
    return workspace / "cache" / "embeddings.sqlite"


def chunk_spec(params: IndexParams, *, notes: str, leave_out_local: bool = False) -> StepSpec:
    """Identity of the chunks; `notes` is the digest of `sncp.collect`. The embedder's tokenizer measures them."""
    values = params.chunk.model_dump(mode="json") | {"tokenizer": params.embedding.model}
    values["leave_out_local"] = leave_out_local
    return StepSpec("index.chunk", 6, values, {"notes": notes})


def build_spec(params: IndexParams, *, chunks: str) -> StepSpec:
    """Identity of the index; `chunks` is the digest of `index.chunk`."""
    values = params.embedding.model_dump(mode="json", include={"model", "dimensions", "api_base"})
    return StepSpec("index.build", 3, values, {"chunks": chunks})


@seldom_collecting()
def chunk_notes(run: Run, params: IndexParams, *, notes: Artefact, leave_out_local: bool = False) -> Artefact:
    """Cut the notes; seals `chunks` and `rows` (in parts). `leave_out_local`: without what must not leave this machine.

    The chunks of documents that did not change are those of the last cutting with the same settings.
    """
    spec = chunk_spec(params, notes=notes.digest, leave_out_local=leave_out_local)
    with recorded_step(run, spec) as step:
        if not step.sealed:
            embedder = open_embedder(params, workspace=run.workspace)
            write_chunks(
                step, params, read_documents(notes), workspace=run.workspace,
                count_tokens=embedder.count_tokens if embedder else count_words, leave_out_local=leave_out_local,
            )  # fmt: skip
    return step.artefact


@seldom_collecting()
def write_chunks(
    step: Step,
    params: IndexParams,
    documents: Sequence[Document],
    *,
    count_tokens: Callable[[str], int],
    leave_out_local: bool = False,
    workspace: Path | None = None,
    ahead: Callable[[], Mapping[str, list[Chunk]]] = dict,
) -> Iterator[Chunk]:
    """Cut the documents and write `chunks` and `rows`; a plan does it too, into a step that keeps nothing.

    Returns the chunks, read from what was written as they are asked for.
    With `workspace`, what its last cutting made of the same documents is not made again: the result is the same.
    `ahead`: where nothing was made before, chunks of some documents (by id) that somebody cuts more quickly.
    """
    before = former(Store(workspace), step.spec, CHUNKS, same=step.spec.params.keys()) if workspace else None
    written, left_out = cut_documents(
        step,
        documents,
        max_tokens=params.chunk.max_tokens,
        breadcrumbs=params.chunk.breadcrumbs,
        count_tokens=count_tokens,
        leave_out_local=leave_out_local,
        before=before,
        ready=None if before else ahead(),
        progress=progress_of("index.chunk"),
    )
    step.note(chunks=written)
    if left_out:
        step.note(local_chunks_left_out=left_out)
    return cut_chunks(step)


def count_words(text: str) -> int:
    """Tokens of a text where there is no embedder: four for three words, as in Italian prose."""
    return len(text.split()) * 4 // 3


def read_chunks(chunks: Artefact) -> list[Chunk]:
    """The chunks of a sealed `index.chunk`."""
    return [Chunk.from_dict(value) for value in Parts(chunks, CHUNKS).all_values()]


def read_wanted(chunks: Artefact) -> Wanted:
    """The rows that a sealed `index.chunk` asks for. Raises TerminalError when an older version of the code made it."""
    return Wanted.stored(chunks)


def settings_digest(params: IndexParams) -> str:
    """Digest of what the recipe says about cutting and embedding: two publications of one digest differ by notes."""
    values = {**params.chunk.model_dump(mode="json"), **build_spec(params, chunks="").params}
    return sha256_hex(canonical_json(values))


@seldom_collecting()
def build_index(
    run: Run,
    params: IndexParams,
    *,
    chunks: Artefact,
    root: Path | None = None,
    budget: Budget | None = None,
    probe: Probe | None = None,
    settings_are_judged: bool = False,
    trusted_hosts: Sequence[str] = (),
) -> Artefact:
    """Make the published table equal to the chunks; seals `index.json`.

    The table is mutable: a sealed step is only skipped while what is published is what the step said, so a table that
    was deleted, rolled back or moved on by another run is brought back, mostly without a single embedding. It is not
    skipped either where the recipe's model has become another embedder, by an upgrade or on another processor.

    Args:
        run: the run that this is a step of; forced with `--force index.build`, it publishes what was rolled back.
        params: section `index`.
        chunks: sealed `index.chunk`.
        root: the folder that the notes are from. A run that a schedule began does not replace those of another.
        budget: what embedding may cost.
        probe: golden questions that are asked before publishing.
        settings_are_judged: see `Terms`.
        trusted_hosts: of an `api_base` that counts as this machine.
    """
    check_place(params)
    uri = index_uri(params, workspace=run.workspace)
    spec = build_spec(params, chunks=chunks.digest)
    # Only what is sealed can be stale; what another run is building at this moment is waited for, not built twice.
    sealed = Store(run.workspace).find(spec)
    stale = sealed is not None and (not is_published(sealed, uri=uri) or why_another_embedder(sealed, params) != "")
    with recorded_step(run, spec, force=stale) as step:
        if not step.sealed:
            wanted = read_wanted(chunks)
            embedder = open_embedder(
                params, workspace=run.workspace, budget=budget, trusted_hosts=trusted_hosts, workers=workers_of(run)
            )
            embedder_id = embedder.id if embedder else NO_EMBEDDER
            told = run.read()
            forced = spec.name in told.get("force", [])
            if not forced:
                held = held_back(readable(uri), wanted, embedder=embedder_id, read=_reader(run.workspace))
                if held:
                    raise HeldBackError(held)
            if probe is not None and not probe.prepare(wanted.paths):
                probe = None
            queries = 0

            def asked(index: Index) -> Probed:
                nonlocal queries
                before = embedder.texts_embedded if embedder else 0
                found = probe(index)  # type: ignore[misc]
                queries += embedder.texts_embedded - before if embedder else 0
                return found

            report = Index.open(uri, embedder).sync(
                wanted,
                terms=Terms(
                    root=str(root) if root else None, keep_root=told.get("by_schedule", False) and not forced,
                    max_removed_share=params.max_removed_share,
                    max_recall_drop=params.max_recall_drop, settings_are_judged=settings_are_judged,
                    settings=settings_digest(params), chunks_id=chunks.id, verify=forced,
                ),
                probe=asked if probe is not None else None,
                progress=progress_of("index.build"),
            )  # fmt: skip
            write_index(step, wanted, embedder_id=embedder_id)
            step.note(
                chunks=len(wanted), added=report.added, updated=report.updated, removed=report.removed,
                embedded=embedder.texts_embedded - queries if embedder else 0, version=report.version,
                **({} if report.recall is None else {"recall": report.recall, "questions": report.questions}),
                **({"speed": {"characters": embedder.characters, "seconds": round(embedder.seconds, 4)}}
                   if embedder else {}),
            )  # fmt: skip
    return step.artefact


def is_published(built: Artefact, *, uri: Path) -> bool:
    """Whether what a sealed `index.build` tells of is published and untouched, told without opening the table."""
    told, published = built.read_json("index.json"), readable(uri)
    if published is None or (published.now.digest, published.now.embedder) != (told["digest"], told["embedder"]):
        return False
    return published.seal == seal_of(uri, published.now.table)


def why_another_embedder(built: Artefact, params: IndexParams, *, guess: bool = False) -> str:
    """How the embedder is another than that of a sealed `index.build`, as after an upgrade; empty: it is the same.

    `guess`: see `embedder_id`.
    """
    there = str(built.read_json("index.json")["embedder"])
    values = params.embedding.model_dump(include={"model", "dimensions", "api_base"})
    here = embedder_id(**values, guess=guess) or NO_EMBEDDER
    return "" if there == here else f"the embedder is another: {there} → {here}"


def _reader(workspace: Path) -> Callable[[str], Wanted | None]:
    """Reads the rows of an artefact, none when it is gone."""

    def read(artefact_id: str) -> Wanted | None:
        try:
            return read_wanted(Store(workspace).open(artefact_id))
        except TerminalError:
            return None

    return read


def roll_back(
    params: IndexParams, *, workspace: Path, number: int | None = None, embed: bool = False
) -> tuple[Publication, SyncReport]:
    """Publish an older state again; that state, and what it took.

    Args:
        params: section `index`, with the embedder of that state.
        workspace: of the recipe.
        number: of the publication; none: the one before what is published now.
        embed: whether texts may be embedded again whose vectors are not in the cache any more.

    Raises:
        InputError: there is no such publication, it was made with another embedder, or the index is only read.
        TerminalError: nothing is published, its chunks are gone, or texts would have to be embedded.
    """
    check_place(params)
    uri = index_uri(params, workspace=workspace)
    published = read_published(uri)
    if published is None:
        raise TerminalError("nothing is published yet; first: cervella reindex RECIPE (or cervella run RECIPE)")
    target = choose(published, number)
    embedder = open_embedder(params, workspace=workspace)
    if target.embedder != (embedder.id if embedder else NO_EMBEDDER):
        raise InputError(
            f"publication {target.number} was made with the embedder {target.embedder}, this recipe has "
            f"{embedder.id if embedder else NO_EMBEDDER}: name that one with -o index.embedding.model=NAME"
        )
    wanted = _reader(workspace)(target.chunks_id) if target.chunks_id else None
    if wanted is None or wanted.digest(target.embedder) != target.digest:
        raise TerminalError(
            f"the chunks of publication {target.number} are not in the store any more ({target.chunks_id}): it cannot "
            "be made again. `cervella index rollback RECIPE --list` shows which can"
        )
    terms = Terms(root=published.root, how="rollback", state=target.state, chunks_id=target.chunks_id,
                  settings=target.settings)  # fmt: skip

    def refuse(texts: Sequence[str]) -> None:
        cache = _cache(workspace)
        held = embedded_before(cache, embedder=target.embedder, texts=texts, role="passage")
        if len(held) < len(texts) and not embed:
            raise TerminalError(
                f"publication {target.number} needs {len(texts) - len(held)} texts embedded again: their vectors are "
                "neither in the table nor in the cache. Nothing was changed; --embed allows it"
            )

    report = Index.open(uri, embedder).sync(wanted, terms=terms, before_embedding=refuse)
    return target, report


def _index_facts(wanted: Wanted, embedder_id: str) -> dict[str, Any]:
    """What `index.json` says."""
    return {
        "digest": wanted.digest(embedder_id), "chunks": len(wanted), "notes": wanted.notes, "embedder": embedder_id,
        "degraded": embedder_id == NO_EMBEDDER,
    }  # fmt: skip


def write_index(step: Step, wanted: Wanted, *, embedder_id: str) -> None:
    """Write `index.json`: the evidence of an index of exactly these rows. A plan does it too, as with chunks."""
    step.write_json("index.json", _index_facts(wanted, embedder_id))


def published_digest(params: IndexParams, *, workspace: Path) -> str | None:
    """Digest of the published chunks, without opening the table; none when nothing is published."""
    published = read_published(index_uri(params, workspace=workspace))
    return None if published is None else published.now.digest


def history_artefacts(params: IndexParams, *, workspace: Path) -> set[str]:
    """Ids of the sealed chunks that a rollback may need: those of the publications in the history.

    Raises TerminalError where nobody can tell; see `read_published`.
    """
    published = read_published(index_uri(params, workspace=workspace))
    return {entry.chunks_id for entry in published.history if entry.chunks_id} if published else set()


def open_index(
    params: IndexParams, *, workspace: Path, built: Artefact | None = None, keep_questions: bool = True
) -> Index:
    """The published index, for searching.

    Args:
        params: section `index`.
        workspace: of the recipe.
        built: the `index.build` that it must be, so that a score is never of another index.
        keep_questions: keep their vectors, for questions that are asked again and again. Those of people are ever new:
            they would fill the disk, and stay there.

    Raises:
        TerminalError: nothing is published yet, or something else is.
    """
    embedder = open_embedder(params, workspace=workspace, keep_questions=keep_questions)
    if params.read_from:  # what is newest in the bucket, now and at each question
        newest = mirror_of(params.read_from, workspace=workspace).newest
        index = Index.open(newest(), embedder, newest=newest)
        index.published_rows()  # else it tells which embedder it takes
    else:
        index = Index.open(index_uri(params, workspace=workspace), embedder)
        if built is not None and is_published(built, uri=index.uri):  # told without importing LanceDB
            return index
    live = index.live_digest()
    if live is None:
        raise TerminalError("nothing is published yet; first: cervella reindex RECIPE (or cervella run RECIPE)")
    if built is not None and live != built.read_json("index.json")["digest"]:
        raise TerminalError("the published index was changed by another run meanwhile; run this one again")
    return index
