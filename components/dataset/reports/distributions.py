"""What a dataset looks like as a whole: conversations by their tokens, turns, languages and stages."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.dataset.report import RowFacts

__all__ = ["UNKNOWN", "distributions", "quantiles"]

TOKENS = (0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
TURNS = (0, 1, 2, 3, 4, 5, 7, 9, 13, 21)
"""Lower edges of the bins. They are fixed, so that a distribution can be compared with one of another day."""
UNKNOWN = "unknown"


def distributions(rows: Iterable[RowFacts]) -> dict[str, Any]:
    """Histograms of conversations, a bin without any included, and quantiles of their tokens; JSON values only."""
    rows = list(rows)
    tokens = [row.tokens for row in rows if row.tokens is not None]
    return {
        "tokens": _histogram(tokens, edges=TOKENS),
        "turns": _histogram([row.turns for row in rows], edges=TURNS),
        "languages": _counted(row.language for row in rows),
        "stages": _counted(row.stage for row in rows),
        "token_quantiles": quantiles(tokens),
        "tokens_total": sum(tokens),
        "trainable_total": sum(row.trainable or 0 for row in rows),
    }


def quantiles(values: Sequence[int]) -> dict[str, int]:
    """The median, 90th, 95th and 99th percentile (nearest rank: a value that was seen) and the largest."""
    if not values:
        return {}
    ranked = sorted(values)
    found = {f"p{part}": ranked[max(0, -(-part * len(ranked) // 100) - 1)] for part in (50, 90, 95, 99)}
    return {**found, "max": ranked[-1]}


def _histogram(values: Iterable[int], *, edges: Sequence[int]) -> dict[str, int]:
    counts = Counter(bisect_right(edges, value) - 1 for value in values)
    return {_label(edges, position): counts[position] for position in range(len(edges))}


def _label(edges: Sequence[int], position: int) -> str:
    low = edges[position]
    if position == len(edges) - 1:
        return f"{low}+"
    high = edges[position + 1] - 1
    return str(low) if low == high else f"{low}-{high}"


def _counted(values: Iterable[str | None]) -> dict[str, int]:
    counts = Counter(UNKNOWN if value is None else value for value in values)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
