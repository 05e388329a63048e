"""How people call a score, how they write its numbers, and whether more of it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from components.registry.report.reading import Measured, number

__all__ = ["Kind", "Metric", "difference", "interval", "label", "metric_of", "told", "value"]

Kind = Literal["share", "score", "seconds", "ms", "usd", "plain", "count"]


@dataclass(frozen=True)
class Metric:
    """A score. `better`: up, down, or empty where neither is better."""

    label: str
    kind: Kind
    better: Literal["up", "down", ""]


_METRICS = {
    "recall_at_1": Metric("The right note comes first", "share", "up"),
    "recall_at_5": Metric("The right note is in the first 5", "share", "up"),
    "recall_at_10": Metric("The right note is in the first 10", "share", "up"),
    "all_gold_recall_at_10": Metric("Of all right notes, in the first 10", "share", "up"),
    "mrr": Metric("Mean reciprocal rank of the right note", "score", "up"),
    "ndcg_at_10": Metric("nDCG of the first 10", "score", "up"),
    "persona_checks": Metric("Answers that pass every check by code", "share", "up"),
    "sounds_like_her": Metric("Sounds like her", "share", "up"),
    "sounds_raw": Metric("Sounds like her, as the judge said it", "share", "up"),
    "constitution": Metric("COSTITUZIONE, its worst rule", "share", "up"),
    "tasks_passed": Metric("Tasks passed", "count", "up"),
    "refused_unanswerable": Metric("Says so when no note answers", "share", "up"),
    "wrongly_refused": Metric("Says that no note answers although one does", "share", "down"),
    "latency_p50_seconds": Metric("An answer takes, median", "seconds", "down"),
    "latency_p95_seconds": Metric("An answer takes, 95th percentile", "seconds", "down"),
    "search_p50_ms": Metric("A search takes, median", "ms", "down"),
    "search_p95_ms": Metric("A search takes, 95th percentile", "ms", "down"),
    "cost_per_query_usd": Metric("An answer costs, mean", "usd", "down"),
    "cost_max_usd": Metric("An answer costs, highest", "usd", "down"),
    "train_loss": Metric("Loss on the training examples", "plain", "down"),
    "held_out_perplexity": Metric("Perplexity on the held-out examples", "plain", "down"),
    "base_perplexity": Metric("The same of the base, without adapter", "plain", ""),
    "perplexity_against_base": Metric("Perplexity against the base", "plain", "down"),
    "loss_gap": Metric("Held-out loss less training loss", "plain", "down"),
    "copied_answers": Metric("Answers that repeat a training answer", "share", "down"),
}
_ENDINGS: dict[str, Kind] = {"_usd": "usd", "_seconds": "seconds", "_ms": "ms"}


def metric_of(name: str) -> Metric:
    """The score of this name, that of a group (`mrr of lang:en`) as that of all."""
    plain, _, group = name.partition(" of ")
    found = _METRICS.get(plain)
    if found is None:
        kinds = [kind for ending, kind in _ENDINGS.items() if name.endswith(ending)]
        return Metric(name, kinds[0] if kinds else "plain", "")
    return Metric(f"{found.label}, {group}", found.kind, found.better) if group else found


def label(name: str) -> str:
    """The score in words; a name that is not known is its own."""
    return metric_of(name).label


def told(found: float | None, kind: Kind) -> str:
    """A number as people write it; None: unknown."""
    if found is None:
        return "unknown"
    if kind == "share":
        return f"{100 * found:.1f}%" if found not in (0.0, 1.0) else f"{100 * found:.0f}%"
    if kind == "usd":
        return f"${found:.4f}"
    if kind == "ms":
        return f"{found:,.0f} ms"
    if kind == "count":
        return f"{found:,.0f}"
    digits = f"{found:,.3f}" if abs(found) < 10 else f"{found:,.1f}"
    return f"{found:,.2f} s" if kind == "seconds" else digits


def value(name: str, found: Any) -> str:
    """The value of a score, or a threshold of it."""
    return told(found.value if isinstance(found, Measured) else number(found), metric_of(name).kind)


def interval(name: str, found: Measured) -> str:
    """Its 95 % interval; empty where there is none."""
    if found.low is None and found.high is None:
        return ""
    kind = metric_of(name).kind
    if found.high is None:
        return f"{told(found.low, kind)} or more"
    if found.low is None:
        return f"{told(found.high, kind)} or less"
    return f"{told(found.low, kind)} to {told(found.high, kind)}"


def difference(name: str, old: float, new: float) -> str:
    """New less old, which differ, with the sign; shares in points of a hundred."""
    kind = metric_of(name).kind
    by = new - old
    sign = "+" if by > 0 else "−"
    if kind == "share":
        return f"{sign}{100 * abs(by):.1f} points"
    return f"{sign}{told(abs(by), kind)}"
