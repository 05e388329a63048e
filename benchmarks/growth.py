"""What ever more notes cost: first index, nothing changed, one changed, a search, disk. 100, 1,000, 10,000 notes.

    python -m benchmarks.growth                      # lengths as in real notes
    python -m benchmarks.growth --length 5450        # all of the median length of real ones
    python -m benchmarks.growth --counts 100 500     # fewer

Notes are generated (benchmarks/reindex.py) and embedded by `fake/embedding`, so that this is the work around the model.
The sizes take turns, so that whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured import Report, ran, summed_up
from benchmarks.reindex import MODEL, SEED, WORDS, change, child, generate, notes_of, written

COUNTS = (100, 1_000, 10_000)
_WARM = 5


def searched(workspace: Path, questions: int) -> dict[str, Any]:
    """Milliseconds of searches of a published index in this process: median, 95th percentile; `first` with opening."""
    from components.index.params import EmbeddingParams, IndexParams
    from components.index.steps import open_index

    rng = random.Random(SEED)  # noqa: S311
    began = time.perf_counter()
    index = open_index(IndexParams(embedding=EmbeddingParams(model=MODEL)), workspace=workspace)
    asked = [" ".join(rng.sample(WORDS, 6)) for _ in range(questions + _WARM)]
    index.search(asked[0])
    first = time.perf_counter() - began
    for question in asked[1:_WARM]:
        index.search(question)
    took = []
    for question in asked[_WARM:]:
        at = time.perf_counter()
        index.search(question)
        took.append((time.perf_counter() - at) * 1000)
    took.sort()
    return {
        "p50_ms": round(took[len(took) // 2], 2), "p95_ms": round(took[int(len(took) * 0.95)], 2),
        "first_ms": round(first * 1000, 1), "questions": questions,
    }  # fmt: skip


def measured(folder: Path, counts: Sequence[int], *, length: int | None, rounds: int, questions: int) -> dict[str, Any]:
    """A point for each count of notes; the turns are: all counts, nothing changed and one changed, then again."""
    place = {count: (folder / str(count) / "notes", folder / str(count) / "workspace") for count in counts}
    first = {}
    for count, (root, workspace) in place.items():
        generate(root, count, length)
        first[count] = child(root, workspace)
        print(f"{count:>6} notes  first index {first[count]['with imports']:.1f} s", flush=True)
    disk = {count: written(workspace) for count, (_, workspace) in place.items()}
    still: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    once: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    search: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for turn in range(rounds):
        for count, (root, workspace) in place.items():
            still[count].append(child(root, workspace))
            change(root, [notes_of(root)[turn * count // rounds]], turn)
            once[count].append(child(root, workspace))
            done = ran([sys.executable, "-m", "benchmarks.growth", "--search", workspace, str(questions)])
            if done.code:
                raise RuntimeError(done.stderr[-2000:])
            search[count].append(json.loads(done.stdout.splitlines()[-1]))
            print(
                f"{count:>6} notes  one changed {once[count][-1]['with imports']:.1f} s  {search[count][-1]}",
                flush=True,
            )
    points = [
        {
            "notes": count, "chunks": once[count][-1]["chunks"], "bytes": once[count][-1]["bytes of notes"],
            "first": _taken([first[count]]), "nothing changed": _taken(still[count]),
            "one changed": _taken(once[count]), "embedded": [one["embedded"] for one in once[count]],
            "p50_ms": summed_up(one["p50_ms"] for one in search[count]),
            "p95_ms": summed_up(one["p95_ms"] for one in search[count]), "disk": disk[count],
        }
        for count in counts
    ]  # fmt: skip
    return {"points": points, "length": length, "rounds": rounds, "questions": questions}


def _taken(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Wall and processor seconds, start of Python and imports included, and memory."""
    return {
        "wall": summed_up(one["with imports"] for one in runs),
        "processor": summed_up(one["processor seconds with imports"] for one in runs),
        "peak_mb": summed_up(one["peak MB"] for one in runs),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="of notes (default: %(default)s)")
    parser.add_argument("--length", type=int, help="characters of each note (default: as in real ones)")
    parser.add_argument("--rounds", type=int, default=5, help="of no change and one change (default: %(default)s)")
    parser.add_argument("--questions", type=int, default=200, help="searched each round (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="instead of benchmarks/results/growth.json")
    parser.add_argument("--search", nargs=2, metavar=("WORKSPACE", "QUESTIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.search:
        print(json.dumps(searched(Path(options.search[0]), int(options.search[1]))))
        return 0
    report = Report("growth")
    with tempfile.TemporaryDirectory() as folder:
        report.values = measured(
            Path(folder), sorted(options.counts), length=options.length, rounds=options.rounds,
            questions=options.questions,
        )  # fmt: skip
    print(f"kept in {report.keep(options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
