"""All examples of a dataset in one form: files, exports of chats and generated rows, reviewed; and where each is from.

Nothing is left out in silence: rows that cannot be read are findings, rows that wait for a review or were rejected are
counted.
"""

from __future__ import annotations

import glob
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from components.dataset.checks.provenance import STAGES
from components.dataset.curation.reviews import ReviewLog, apply_reviews
from components.dataset.files.formats import to_sharegpt
from components.dataset.files.rows import Rows
from components.dataset.findings import Finding, Hit
from components.dataset.rules import placed
from components.errors import InputError

__all__ = ["Gathered", "Origin", "expand", "gather"]

_FOREIGN = "file"


class Origin(NamedTuple):
    """Where a row is from: its line, None where it is no line of a file of the user's; its position, from 0."""

    file: str
    line: int | None
    place: int


@dataclass
class Gathered:
    """Rows in canonical ShareGPT, and what became of the others."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    """Of each row."""
    findings: list[Finding] = field(default_factory=list)
    """Of reading the files: rules A1 to A6."""
    taken: Counter[str] = field(default_factory=Counter)
    """Origin (hand, log, generated; file: the row does not say) -> rows that are in."""
    waiting: list[dict[str, Any]] = field(default_factory=list)
    """Rows that are held back until somebody has reviewed them."""
    reviewed: Counter[str] = field(default_factory=Counter)
    """accepted, edited, rejected, undecided -> rows."""

    exports: list[dict[str, Any]] = field(default_factory=list)
    """Of each export of chats: what was taken, what was left out and why."""

    def report(self) -> dict[str, Any]:
        """Counts as JSON values."""
        stages = Counter(str(row.get("stage")) for row in self.rows)
        return {
            "examples": len(self.rows),
            "taken": dict(sorted(self.taken.items())),
            "waiting": dict(sorted(Counter(map(_kind, self.waiting)).items())),
            "reviewed": dict(sorted(self.reviewed.items())),
            "stages": {stage: stages[stage] for stage in STAGES},
            "without_stage": len(self.rows) - sum(stages[stage] for stage in STAGES),
            "exports": self.exports,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def expand(patterns: Sequence[Path], *, key: str) -> list[Path]:
    """The files that paths and globs name, sorted, each once.

    Raises:
        InputError: one of them names no file; `key` says where it stands.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        names = sorted(glob.glob(str(pattern), recursive=True)) if glob.has_magic(str(pattern)) else [str(pattern)]
        files = [Path(name) for name in names if Path(name).is_file()]
        if not files:
            raise InputError(f"{key}: no such file: {pattern}")
        found.update(dict.fromkeys(files))
    return list(found)


def gather(
    files: Iterable[Path],
    *,
    rows: Iterable[tuple[str, int, Mapping[str, Any]]] = (),
    reviews: Path | None = None,
    needs_review: Collection[str] = ("log", "generated"),
) -> Gathered:
    """Read, review and bring into one form.

    Args:
        files: of conversations, in any format that can be converted.
        rows: (where from, position, row) of rows that are no file of the user's: from exports of chats, from a model.
        reviews: log of decisions; None: nothing was reviewed.
        needs_review: origins whose rows are held back until somebody accepted or edited them.
    """
    done = Gathered()
    log = ReviewLog(reviews) if reviews is not None else None

    def take(row: dict[str, Any], origin: Origin) -> None:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            if not any((one.rule, one.file, one.line) == ("A2", origin.file, origin.line) for one in done.findings):
                half = Hit("A2", "half a character, which no file can hold: the row is not taken")
                done.findings.append(placed(half, file=origin.file, line=origin.line, conversation=origin.place))
            return
        if log is not None:
            outcome = apply_reviews([row], log)
            done.reviewed.update(outcome.counts)
            if not outcome.rows:
                return
            [row] = outcome.rows
        kind = _kind(row)
        if kind in needs_review and _status(row) not in ("accepted", "edited"):
            done.waiting.append(row)
            return
        done.taken[kind] += 1
        done.rows.append(row)
        done.origins.append(origin)

    for path in files:
        read = Rows(path)
        for row, conversation, hits in read:
            done.findings += [placed(hit, file=str(path), line=row.line, conversation=row.index) for hit in hits]
            if conversation is not None:
                take(to_sharegpt(conversation), Origin(str(path), row.line, row.index))
        done.findings += [placed(hit, file=str(path), line=line) for hit, line in read.hits]
    for file, index, given in rows:
        take(dict(given), Origin(file, None, index))
    return done


def _kind(row: Mapping[str, Any]) -> str:
    provenance = row.get("provenance")
    kind = provenance.get("kind") if isinstance(provenance, Mapping) else None
    return kind if isinstance(kind, str) else _FOREIGN


def _status(row: Mapping[str, Any]) -> Any:
    review = row.get("review")
    return review.get("status") if isinstance(review, Mapping) else None
