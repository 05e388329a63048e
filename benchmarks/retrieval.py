"""How well the right note is found: full text, vectors, RRF and ours, on any set of questions.

    python -m benchmarks.retrieval --notes DIR --golden FILE      # notes and questions (JSONL)
    python -m benchmarks.retrieval --squad-it FILE                # SQuAD-it test set as a retrieval test
    python -m benchmarks.retrieval --notes DIR --golden FILE --compare   # and without headings, without time
    python -m benchmarks.retrieval --notes DIR --overhead         # index time against embedding alone

The code that runs is the project's own: collect, chunk, sync, search. "Full text" and "vectors" are the two legs of the
same searches, each in the order of its own score. Vectors are cached, so a second run is quick.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured import Report
from components.errors import CervellaError
from components.evaluate import Question, RankedFile, load_golden, rank_files, score_retrieval
from components.index import Chunk, Hit, Index, chunk_documents
from components.index.params import ChunkParams, SearchParams
from components.llm import load_embedder
from components.sncp import Document, collect
from components.sncp.params import DEFAULT_SOURCES

SQUAD_SEED, SQUAD_QUESTIONS = 13, 1500
SYSTEMS = ("full text", "vectors", "RRF", "ours")
METRICS = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10")


def read_notes(root: Path) -> list[Document]:
    """All Markdown notes under a folder, as the default recipe reads them and more."""
    found = collect(
        root=root, sources=DEFAULT_SOURCES, include=["**/*.md"], exclude=[], max_bytes=2_000_000, redact="redact"
    )
    return list(found.documents)


def read_squad(path: Path) -> tuple[list[Document], list[Question]]:
    """Distinct contexts as one note each, in file order, and the sampled questions."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        data = json.load(file)["data"]
    number: dict[str, int] = {}
    questions = []
    for paragraph in (paragraph for article in data for paragraph in article["paragraphs"]):
        at = number.setdefault(paragraph["context"], len(number))
        questions += [(item["question"], f"{at:05d}") for item in paragraph["qas"]]
    documents = [
        Document(
            doc_id=hashlib.sha256(text.encode()).hexdigest(), path=f"{at:05d}", paths=(f"{at:05d}",), kind="note",
            project=None, title="", date=None, date_source=None, status="current", supersedes=(), superseded_by=(),
            content_hash=hashlib.sha256(text.encode()).hexdigest(), text=text,
        )
        for text, at in number.items()
    ]  # fmt: skip
    chosen = random.Random(SQUAD_SEED).sample(questions, min(SQUAD_QUESTIONS, len(questions)))  # noqa: S311
    return documents, [
        Question(id=f"q{at:04d}", question=text, lang="it", kind="squad", gold=(gold,))
        for at, (text, gold) in enumerate(chosen)
    ]


def search_all(
    index: Index, questions: Sequence[Question], search: SearchParams
) -> dict[str, dict[str, list[RankedFile]]]:
    """System -> question id -> files, best first."""
    found: dict[str, dict[str, list[RankedFile]]] = {system: {} for system in SYSTEMS}
    tell = progress("searched")
    for number, question in enumerate(questions, start=1):
        text, depth = question.question, search.candidates
        ours = index.search(text, k=2 * depth, candidates=depth, fusion=search.fusion, dense_weight=search.dense_weight)
        found["ours"][question.id] = files(ours)
        found["RRF"][question.id] = files(index.search(text, k=2 * depth, candidates=depth, fusion="rrf"))
        found["full text"][question.id] = files(by_leg(ours, lambda hit: hit.fts))
        found["vectors"][question.id] = files(by_leg(ours, lambda hit: hit.cosine))
        tell(number, len(questions))
    return found


def by_leg(hits: Sequence[Hit], value: Callable[[Hit], float | None]) -> list[Hit]:
    """Hits that one leg found, in the order of its own score."""
    return sorted((hit for hit in hits if value(hit) is not None), key=lambda hit: -(value(hit) or 0.0))


def files(hits: Sequence[Hit]) -> list[RankedFile]:
    """Distinct files of hits."""
    return rank_files((hit.path, hit.paths, hit.score, hit.cosine) for hit in hits)


def table(found: dict[str, dict[str, list[RankedFile]]], questions: Sequence[Question]) -> dict[str, Any]:
    """Print the scores of all systems, over all questions and per language; returns them as JSON values."""
    report: dict[str, Any] = {}
    print(f"{'':24}" + "".join(f"{name:>24}" for name in METRICS))
    for system in SYSTEMS:
        score = score_retrieval(questions, found[system])
        report[system] = score.to_dict()
        groups = {name: value for name, value in score.groups.items() if name.startswith("lang:")}
        rows = {system: score.metrics} | (
            {f"  {system} {name[5:]}": value for name, value in groups.items()} if len(groups) > 1 else {}
        )
        for name, measures in rows.items():
            cells = [measures[metric] for metric in METRICS]
            print(f"{name:24}" + "".join(f"{cell.value:>9.3f} [{cell.low:.3f}, {cell.high:.3f}]" for cell in cells))
    answerable = sum(question.answerable for question in questions)
    print(f"\n{answerable} answerable questions, {len(questions) - answerable} apart; 95 % intervals in brackets")
    return report


def measure_overhead(documents: Sequence[Document], *, model: str, chunk: ChunkParams, texts: int) -> dict[str, Any]:
    """Seconds of a whole index from nothing against those of embedding the same texts, without any cache."""
    embedder = load_embedder(model=model)
    if embedder is None:
        raise SystemExit("--overhead needs an embedder")
    embedder.embed_passages(["warm up", "twice"], local_notes=())
    some, count = [], 0
    for document in documents:
        some.append(document)
        count += len(cut([document], embedder.count_tokens, chunk))
        if count >= texts:
            break
    started = time.perf_counter()
    chunks = cut(some, embedder.count_tokens, chunk)
    with tempfile.TemporaryDirectory() as folder:
        report = Index.open(Path(folder) / "index", embedder).sync(chunks, max_removed_share=1.0)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    fresh = load_embedder(model=model)
    assert fresh is not None  # noqa: S101
    fresh.embed_passages(list(dict.fromkeys(chunk.embed_text for chunk in chunks)), local_notes=())
    alone = time.perf_counter() - started
    result = {"chunks": len(chunks), "index_seconds": whole, "embed_seconds": alone, "ratio": whole / alone}
    print(f"{len(chunks)} chunks: index {whole:.1f} s, embedding alone {alone:.1f} s, ratio {whole / alone:.3f}")
    return result | {"stages": report.seconds}


def cut(documents: Sequence[Document], count_tokens: Callable[[str], int], chunk: ChunkParams) -> list[Chunk]:
    """Chunks of documents, as the recipe's parameters say."""
    return chunk_documents(
        documents, max_tokens=chunk.max_tokens, breadcrumbs=chunk.breadcrumbs, count_tokens=count_tokens
    )


def progress(what: str) -> Callable[[int, int], None]:
    """Says on stderr how far it is, at most twice a second."""
    last = [0.0]

    def tell(done: int, of: int) -> None:
        now = time.monotonic()
        if now - last[0] > 0.5 or done == of:
            last[0] = now
            print(f"\r{what} {done}/{of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return tell


def cache_folder() -> Path:
    """Where vectors and tables stay between runs (XDG)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cervella" / "bench-retrieval"


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Exit codes: 0 done; that of the error otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--notes", type=Path, help="folder with Markdown notes")
    parser.add_argument("--golden", type=Path, help="questions on them: JSONL with id, question, lang, kind, gold")
    parser.add_argument("--squad-it", type=Path, help="SQuAD_it-test.json.gz")
    parser.add_argument("--compare", action="store_true", help="also without breadcrumbs, and without dates and states")
    parser.add_argument(
        "--model", "--embedder", default="local/multilingual-e5-small", help="embedder (default: %(default)s)"
    )
    parser.add_argument("--max-tokens", type=int, help="of a chunk (default: the recipe's)")
    parser.add_argument("--dense-weight", type=float, help="share of the vectors (default: the embedder's)")
    parser.add_argument("--candidates", type=int, default=SearchParams().candidates)
    parser.add_argument("--overhead", action="store_true", help="measure index time against embedding alone")
    parser.add_argument("--overhead-chunks", type=int, default=600, help="about how many (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="folder kept between runs (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    options = parser.parse_args(argv)
    if (options.notes is None) == (options.squad_it is None):
        parser.error("give --notes or --squad-it")
    if options.notes and not options.golden and not options.overhead:
        parser.error("--notes needs --golden (or --overhead)")
    kept = Report("retrieval")
    try:
        report = run(options)
    except CervellaError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    if options.compare:
        kept.values = _without_names(report)
        print(f"kept in {kept.keep(options.json)}")
    elif options.json:
        options.json.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """What the options ask for; everything that was measured, as JSON values."""
    chunk = ChunkParams(max_tokens=options.max_tokens) if options.max_tokens else ChunkParams()
    search = SearchParams(dense_weight=options.dense_weight, candidates=options.candidates)
    questions: list[Question] = []
    if options.squad_it:
        documents, questions = read_squad(options.squad_it)
    else:
        documents = read_notes(options.notes)
    if options.overhead:
        return {
            "overhead": measure_overhead(documents, model=options.model, chunk=chunk, texts=options.overhead_chunks)
        }
    if options.golden:
        questions = load_golden(options.golden, known_paths={path for document in documents for path in document.paths})
    options.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    embedder = load_embedder(model=options.model, cache=options.cache / "embeddings.sqlite")
    if embedder is None:
        raise SystemExit("--model none has one leg alone: there is nothing to compare")

    def systems(documents: Sequence[Document], chunk: ChunkParams, name: str) -> dict[str, Any]:
        chunks = cut(documents, embedder.count_tokens, chunk)
        source = f"{(options.squad_it or options.notes).resolve()}{name}"
        folder = options.cache / f"index-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
        index = Index.open(folder, embedder)
        synced = index.sync(chunks, max_removed_share=1.0, progress=progress("embedded"))
        print(f"{len(documents)} notes, {len(chunks)} chunks, {embedder.id}, {synced.embedded} new: {synced.seconds}")
        return {"chunks": len(chunks), "systems": table(search_all(index, questions, search), questions)}

    found = {"notes": len(documents), "embedder": embedder.id, **systems(documents, chunk, "")}
    if not options.compare:
        return found
    print("\nwithout breadcrumbs")
    bare = systems(documents, chunk.model_copy(update={"breadcrumbs": False}), "#without breadcrumbs")
    print("\nwithout dates, states and successors")
    timeless = systems([without_time(document) for document in documents], chunk, "#without time")
    return found | {"variants": {"without breadcrumbs": bare, "without dates, states and successors": timeless}}


def _without_names(report: dict[str, Any]) -> dict[str, Any]:
    """The same without single questions and the notes that they found: what is kept in the project names no one's."""
    if isinstance(report, dict):
        return {key: _without_names(value) for key, value in report.items() if key not in ("questions", "unanswerable")}
    return report


def without_time(document: Document) -> Document:
    """The note as if nothing were known of when it was written, and of what replaced it."""
    return document.but(date=None, date_source=None, status="current", supersedes=(), superseded_by=())


if __name__ == "__main__":
    sys.exit(main())
