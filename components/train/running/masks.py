"""The trainer's own loss masks, held token by token against the ones that the examples were audited with."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from components.dataset.checks.templates import TemplateName
from components.dataset.checks.tokens import Measurer
from components.dataset.conversation import Conversation
from components.dataset.steps import read_rows
from components.errors import TerminalError
from components.train.job import AUDITED

__all__ = ["MaskAudit", "RowMask", "audit_masks", "compare_masks", "read_masks"]


@dataclass(frozen=True)
class RowMask:
    """The mask of one example.

    Attributes:
        row: number of the example in our file, from 0.
        tokens: as the trainer has them.
        trained: how many of them carry loss.
        difference: where the trainer's tokens or mask differ from ours; None: they are the same, or ours are not known.
    """

    row: int
    tokens: int
    trained: int
    difference: str | None


@dataclass(frozen=True)
class MaskAudit:
    """The masks of a file.

    Attributes:
        rows: in the trainer's order.
        compared: whether they were held against ours; only counted where the base's template is not known here.
    """

    rows: tuple[RowMask, ...]
    compared: bool

    @property
    def differing(self) -> tuple[RowMask, ...]:
        """Rows whose tokens or mask are not as audited."""
        return tuple(row for row in self.rows if row.difference is not None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": len(self.rows),
            "tokens": sum(row.tokens for row in self.rows),
            "trained": sum(row.trained for row in self.rows),
            "compared": self.compared,
            "differing": [{"row": row.row, "difference": row.difference} for row in self.differing],
        }


def read_masks(path: Path) -> list[dict[str, Any]]:
    """The rows of masks-train.jsonl or masks-validation.jsonl."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def audit_masks(folder: Path, template: str) -> dict[str, MaskAudit]:
    """Hold the masks in the folder of a job against its audited rows; side -> audit.

    Raises:
        TerminalError: as `compare_masks`; or a row carries loss on other tokens than were audited.
    """
    audits = {}
    for side in ("train", "validation"):
        masks = read_masks(folder / f"masks-{side}.jsonl")
        audits[side] = compare_masks(list(read_rows(folder / AUDITED / f"{side}.jsonl")), masks, template)
    wrong = [(side, row) for side, audit in audits.items() for row in audit.differing]
    if wrong:
        side, row = wrong[0]
        raise TerminalError(
            f"the trainer would learn other tokens than were audited, in {len(wrong)} of "
            f"{sum(len(audit.rows) for audit in audits.values())} examples that were looked at; first in row "
            f"{row.row + 1} of the {side} examples: {row.difference}. Mend or leave out that example; the trainer's "
            f"tokens are in {folder / f'masks-{side}.jsonl'}"
        )
    return audits


def compare_masks(rows: Sequence[Conversation], masks: Sequence[dict[str, Any]], template: str) -> MaskAudit:
    """Hold the masks that the trainer told against ours.

    Args:
        rows: the examples, as they were audited; there may be more of them than masks.
        masks: what the trainer told: {"ids", "trained"} of each of its rows, in any order.
        template: of the base.

    Raises:
        TerminalError: a row has no token that carries loss, so nothing can be learnt from it.
    """
    silent = [number for number, mask in enumerate(masks) if not mask["trained"]]
    if silent:
        raise TerminalError(
            f"no token of {len(silent)} of {len(masks)} examples carries loss in the trainer, as of its row "
            f"{silent[0] + 1}: nothing can be learnt from them. `cervella data check` shows what is trained of each"
        )
    if template not in get_args(TemplateName):
        return MaskAudit(tuple(_counted(number, mask) for number, mask in enumerate(masks)), compared=False)
    measurer = Measurer(template=cast(TemplateName, template))
    ours = [measurer.mask(row) for row in rows]
    by_ids: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, mine in enumerate(ours):
        if mine is not None:
            by_ids[tuple(mine[0])].append(number)
    places = [_taken(by_ids[key]) if (key := tuple(mask["ids"])) in by_ids else None for mask in masks]
    left = iter(sorted(set(range(len(ours))) - {place for place in places if place is not None}))
    found = []
    for place, mask in zip(places, masks, strict=True):
        row = place if place is not None else next(left, len(ours))
        mine = ours[row] if row < len(ours) else None
        told = "is none of our examples" if mine is None else _difference(mine, mask)
        found.append(RowMask(row, len(mask["ids"]), len(mask["trained"]), told))
    return MaskAudit(tuple(found), compared=True)


def _taken(places: list[int]) -> int | None:
    """Examples may be equal: each is taken once."""
    return places.pop(0) if places else None


def _counted(number: int, mask: dict[str, Any]) -> RowMask:
    return RowMask(number, len(mask["ids"]), len(mask["trained"]), None)


def _difference(ours: tuple[list[int], list[int]], mask: dict[str, Any]) -> str | None:
    ids, trained = ours
    place = _first_difference(ids, mask["ids"])
    if place is not None:
        return f"token {place + 1} is {_at(mask['ids'], place)}, audited as {_at(ids, place)}"
    more, less = set(mask["trained"]) - set(trained), set(trained) - set(mask["trained"])
    if not more and not less:
        return None
    parts = []
    if more:
        parts.append(f"{len(more)} tokens carry loss that should not, from token {min(more) + 1} on")
    if less:
        parts.append(f"{len(less)} tokens carry none that should, from token {min(less) + 1} on")
    return " and ".join(parts)


def _first_difference(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    for place, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        if mine != other:
            return place
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def _at(ids: Sequence[int], place: int) -> str:
    return str(ids[place]) if place < len(ids) else "nothing"
