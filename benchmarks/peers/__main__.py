"""Keeping an index up to date beside LangChain, LlamaIndex and Haystack: wrong rows, embeddings, seconds.

    python -m benchmarks.peers                        # the example notes and generated ones, 866 in all, 5 repeats
    python -m benchmarks.peers --notes DIR            # one's own notes among them; they are copied, never changed
    python -m benchmarks.peers --only cervella        # without installing anything

Each contestant runs each step in a process of its own, in its own environment, with the same embedder on the same
files; the contestants take turns within a step, another one first in each repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import HAYSTACK, LANGCHAIN, LLAMAINDEX, present
from benchmarks.measured import Report, default_notes, ran, summed_up
from benchmarks.peers.notes import Step, gather, steps
from benchmarks.peers.score import score, wrong_rows

OURS = "cervella"
PEERS = (LANGCHAIN, LLAMAINDEX, HAYSTACK)


class Started:
    """How a contestant's processes are started."""

    def __init__(self, name: str, python: Path, variables: Mapping[str, str]) -> None:
        self.name = name
        self._python = python
        self._variables = variables

    def step(self, step: Step, *, notes: Path, state: Path) -> dict[str, Any]:
        """One run in a process of its own. Raises RuntimeError with its last words when it ends badly."""
        told = {"notes": str(notes), "state": str(state), "size": step.size, "fail": step.fail,
                "sentences": step.sentences}  # fmt: skip
        command: list[str | Path] = [
            self._python, "-m", "benchmarks.peers.child", f"with_{self.name}", json.dumps(told)
        ]  # fmt: skip
        done = ran(command, environment=self._variables)
        if done.code:
            raise RuntimeError(f"{self.name}, {step.name}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found | {"process": done.took()}


def compared(
    contestants: Sequence[Started], *, source: Path, count: int, repeats: int, only: Collection[str] = ()
) -> dict[str, Any]:
    """All steps, all contestants, so many times. `only`: names of steps, to leave out the others.

    Returns `notes` (how many of which kind), `steps` (name and what it is), `results` (contestant -> step -> figures),
    `broken` (contestants that ended badly, with their last words; of them nothing else is told).
    """
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {one.name: {} for one in contestants}
    told: list[Step] = []
    about: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            notes = Path(folder) / "notes"
            about = gather(source, notes, count)
            told = [step for step in steps(notes) if not only or step.name in only]
            wanted_before: dict[str, list[Any]] = {}
            for step in told:
                step.prepare()
                for turn in range(len(contestants)):
                    one = contestants[(turn + repeat) % len(contestants)]
                    if one.name in broken:
                        continue
                    try:
                        made = one.step(step, notes=notes, state=Path(folder) / one.name)
                    except RuntimeError as error:
                        if one.name == OURS:
                            raise
                        broken[one.name] = str(error)
                        print(error, file=sys.stderr)
                        continue
                    runs[one.name].setdefault(step.name, []).append(_judged(made, step, wanted_before.get(one.name)))
                    if not step.fail:
                        wanted_before[one.name] = made["wanted"]
                    _tell(one.name, step, runs[one.name][step.name][-1], repeat)
    return {
        "notes": about | {"all": count, "folder": source.name},
        "steps": [{"name": step.name, "about": step.about, "touched": step.touched} for step in told],
        "repeats": repeats,
        "results": {name: _summed(by_step) for name, by_step in runs.items() if name not in broken},
        "broken": broken,
    }


def _judged(made: dict[str, Any], step: Step, wanted_before: list[Any] | None) -> dict[str, Any]:
    """The figures of a run, and what is wrong after it. After a failed one, right is what was right before it."""
    rows = [(path, digest) for path, digest in made.pop("rows")]
    wanted = [(path, digest) for path, digest in (wanted_before if step.fail and wanted_before else made["wanted"])]
    findable = made.pop("findable")
    wrong = score(rows, wanted, sentences=() if step.fail else findable, found=made.pop("found"))
    return {
        **{key: value for key, value in made.items() if key != "wanted"},
        "wrong": wrong._asdict(), "wrong_files": sorted(wrong.files), "wrong_rows": wrong_rows(rows, wanted),
    }  # fmt: skip


def _summed(by_step: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Step -> what its repeats say together; what is wrong must be the same in all of them, else it is told."""
    summed: dict[str, Any] = {}
    before: set[str] = set()
    for name, repeats in by_step.items():
        worst = max(repeats, key=lambda one: one["wrong_rows"])
        files = set(worst["wrong_files"])
        summed[name] = {
            "wrong_files": len(files), "new_wrong_files": len(files - before), "wrong_rows": worst["wrong_rows"],
            # How many, no names: results are published, notes are private.
            "wrong": {what: len(paths) for what, paths in worst["wrong"].items() if paths},
            "same_each_time": len({(one["wrong_rows"], one["texts"]) for one in repeats}) == 1,
            "texts": worst["texts"], "calls": worst["calls"], "stored": worst["stored"], "failed": worst["failed"],
            "seconds": summed_up(one["seconds"]["index"] for one in repeats),
            "processor": summed_up(one["processor"]["index"] for one in repeats),
            "embedding": summed_up(one["embedding"] for one in repeats),
            "start": summed_up(one["seconds"]["start"] for one in repeats),
            "save": summed_up(one["seconds"]["save"] for one in repeats),
            "peak_mb": summed_up(one["process"]["peak_mb"] for one in repeats),
        }  # fmt: skip
        before = files
    return summed


def _tell(name: str, step: Step, one: dict[str, Any], repeat: int) -> None:
    print(
        f"{repeat + 1}  {step.name:<3} {name:<11} {len(one['wrong_files']):>4} wrong files "
        f"{one['wrong_rows']:>6} wrong rows {one['texts']:>6} embedded {one['seconds']['index']:>8.2f} s",
        flush=True,
    )


def started(only: Sequence[str]) -> tuple[list[Started], dict[str, str], dict[str, dict[str, str]]]:
    """(Those that can run, reasons of those that cannot, their packages), by name; `only`: no others."""
    there, absent = present([one for one in PEERS if not only or one.name in only])
    found = [Started(name, environment.python, environment.variables()) for name, environment in there.items()]
    packages = {name: environment.installed() for name, environment in there.items()}
    if not only or OURS in only:
        found.insert(0, Started(OURS, Path(sys.executable), os.environ))
    return found, absent, packages


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Exit code 0: done, whatever was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--notes", type=Path, default=default_notes(), help="folder with Markdown (default: %(default)s)"
    )
    parser.add_argument("--count", type=int, default=866, help="notes in all, generated ones fill up (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of everything; medians are shown (%(default)s)")
    parser.add_argument("--only", nargs="*", default=[], help="contestants, by name (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="instead of benchmarks/results/peers.json")
    options = parser.parse_args(arguments)
    contestants, absent, packages = started(options.only)
    report = Report("peers")
    report.values = {"absent": absent, "packages": packages} | compared(
        contestants, source=options.notes, count=options.count, repeats=options.repeats
    )
    print(f"kept in {report.keep(options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
