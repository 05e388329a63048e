"""The notes of the comparison, and what is done to them before each step."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.reading import files
from benchmarks.reindex import SEED, note

TWINS = 8
_FEWEST = 60  # notes: fewer leave too few to change after those that were deleted and renamed


def gather(source: Path, folder: Path, count: int) -> dict[str, int]:
    """`count` notes in `folder`: those of `source`, generated ones for the rest, and TWINS of them twice, byte by byte.

    Returns how many are real, generated, twins. Notes of `source` beyond `count` are left out, the last ones first.
    """
    if count < _FEWEST:
        raise ValueError(f"at least {_FEWEST} notes, not {count}")
    real = files(source)[: count - TWINS]
    for path in real:
        place = folder / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    rng = random.Random(SEED)  # noqa: S311
    made = count - TWINS - len(real)
    for number in range(made):
        place = folder / "progetti" / f"p{number % 23:02}" / "note" / f"NOTA_{number:05}.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(note(rng, number), encoding="utf-8")
    for number, path in enumerate(_chosen(folder).twins):
        place = twin(folder, path, number)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return {"real": len(real), "generated": made, "twins": TWINS}


def twin(folder: Path, path: Path, number: int) -> Path:
    """Where the copy of a note lies."""
    return folder / "copie" / f"{number}_{path.name}"


@dataclass(frozen=True)
class _Chosen:
    """Notes that something is done to, no note twice."""

    twins: list[Path]
    edited: list[Path]
    deleted: list[Path]
    renamed: list[Path]
    broken: list[Path]


def _chosen(folder: Path) -> _Chosen:
    """The same notes for every contestant and every repeat: drawn from those that are long enough to say something."""
    rng = random.Random(SEED + 1)  # noqa: S311
    long = [path for path in files(folder) if path.stat().st_size > 600 and path.parent.name != "copie"]
    drawn = rng.sample(long, TWINS + 10 + 5 + 5 + 1)
    return _Chosen(drawn[:8], drawn[8:18], drawn[18:23], drawn[23:28], drawn[28:])


@dataclass(frozen=True)
class Step:
    """One run over the notes: what is done to them before, and how it is run."""

    name: str
    about: str
    touched: int
    """Files that it is about."""
    prepare: Callable[[], object] = lambda: None
    size: str = "usual"
    fail: bool = False
    sentences: dict[str, str] = field(default_factory=dict)
    """Path -> sentence that is added to it."""


def steps(folder: Path) -> list[Step]:
    """S0 to S8, on the notes of this folder; `prepare` is called once, before the contestants take their turns."""
    chosen, count = _chosen(folder), len(files(folder))

    def sentences(paths: list[Path], about: str) -> dict[str, str]:
        return {
            path.relative_to(folder).as_posix(): f"Aggiunta {about}{number:02}: la caparra si rende entro nove giorni."
            for number, path in enumerate(paths)
        }

    def add(told: dict[str, str]) -> Callable[[], object]:
        def prepare() -> None:
            for path, sentence in told.items():
                with (folder / path).open("a", encoding="utf-8") as opened:
                    opened.write(f"\n\n{sentence}\n")

        return prepare

    def delete(paths: list[Path]) -> Callable[[], object]:
        def prepare() -> None:
            for path in paths:
                path.unlink()

        return prepare

    def rename(paths: list[Path]) -> Callable[[], object]:
        return lambda: [path.rename(path.with_name(f"RINOMINATA_{path.name}")) for path in paths]

    edited, broken = sentences(chosen.edited, "uno"), sentences(chosen.broken, "due")
    return [
        Step("S0", "first index of all notes", count),
        Step("S1", "nothing changed", 0),
        Step("S2", "a sentence added to 10 files", 10, add(edited), sentences=edited),
        Step("S3", "5 files deleted", 5, delete(chosen.deleted)),
        Step("S4", f"{TWINS} files deleted whose identical twin stays", TWINS, delete(chosen.twins)),
        Step("S5", "5 files renamed", 5, rename(chosen.renamed)),
        Step("S6", "the embedder fails once, 1 file edited", 1, add(broken), fail=True),
        Step("S6+", "the same again, the embedder works", 1, sentences=broken),
        Step("S7", "chunks half as long in the configuration", count, size="half"),
        Step("S8", "nothing changed after that", 0, size="half"),
    ]
