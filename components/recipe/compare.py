"""Two runs, or a run and a recipe, side by side: values, steps, scores with their intervals, ranks of questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from components.errors import CervellaError
from components.recipe.frozen import load_frozen
from components.recipe.load import LoadedRecipe
from components.recipe.plan_reasons import flat, shown
from components.store import Run

__all__ = ["Difference", "Side", "compare", "render", "side_of_recipe", "side_of_run"]


@dataclass(frozen=True)
class Side:
    """What is compared: its name, the recipe's values, and of a run its steps, scores, verdict and ranks."""

    name: str
    values: Mapping[str, Any]
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verdict: str | None = None
    ranks: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """What differs, old and new.

    Attributes:
        values: key of the recipe -> (old, new).
        steps: step -> what of it differs: `same` (the very same artefact), `other`, or where it was done at all.
        scores: score -> {old, new (each value, low, high), apart}: `apart`: whether the intervals do not meet, None
            where there are none.
        verdict: (old, new); None: the same.
        ranks: id of a golden question -> (old, new) rank of its note; None: not among the first 50.
    """

    old: str
    new: str
    values: dict[str, tuple[Any, Any]]
    steps: dict[str, str]
    scores: dict[str, dict[str, Any]]
    verdict: tuple[str | None, str | None] | None
    ranks: dict[str, tuple[int | None, int | None]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def side_of_recipe(loaded: LoadedRecipe) -> Side:
    """A recipe as it would run now."""
    return Side(str(loaded.path), flat(loaded.dump()))


def side_of_run(run: Run) -> Side:
    """A run, with what it still has. Raises InputError when its record is not there, or damaged."""
    state = run.read()
    try:
        values = flat(load_frozen(run.folder).model_dump(mode="json", exclude={"extends"}))
    except CervellaError:  # a recipe of another version of the language: steps and scores can still be compared
        values = {}
    card = state.get("scorecard") or {}
    return Side(
        run.id,
        values,
        steps={step["name"]: step for step in state["steps"]},
        metrics=card.get("metrics", {}),
        verdict=(state.get("gate") or {}).get("verdict"),
        ranks={row["id"]: row["rank"] for row in card.get("questions", [])},
    )


def compare(old: Side, new: Side) -> Difference:
    """What differs between two sides. Steps, scores and ranks are only told where both have them."""
    keys = sorted(old.values.keys() | new.values.keys()) if old.values and new.values else []
    values = {key: (old.values.get(key), new.values.get(key)) for key in keys}
    ranks = {key: (old.ranks[key], new.ranks[key]) for key in old.ranks.keys() & new.ranks.keys()}
    both = bool(old.steps and new.steps)
    return Difference(
        old.name,
        new.name,
        {key: pair for key, pair in values.items() if pair[0] != pair[1]},
        {name: _step(old.steps.get(name), new.steps.get(name)) for name in {**old.steps, **new.steps}} if both else {},
        dict(_scores(old, new)),
        (old.verdict, new.verdict) if both and old.verdict != new.verdict else None,
        {key: ranks[key] for key in sorted(ranks) if ranks[key][0] != ranks[key][1]},
    )


def _step(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if old is None or new is None:
        return "only in the first" if new is None else "only in the second"
    if old.get("artefact") and old.get("artefact") == new.get("artefact"):
        return "same"
    return "other" if old.get("artefact") and new.get("artefact") else "failed in one"


def _scores(old: Side, new: Side) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, before in old.metrics.items():
        after = new.metrics.get(name)
        if after is not None and before.get("value") != after.get("value"):
            yield name, {"old": before, "new": after, "apart": _apart(before, after)}


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool | None:
    """Whether two intervals do not meet; None where there are none."""
    bounds = [metric.get(end) for metric in (one, other) for end in ("low", "high")]
    if any(bound is None for bound in bounds):
        return None
    low, high, other_low, other_high = (float(bound) for bound in bounds if bound is not None)
    return low > other_high or other_low > high


def render(difference: Difference) -> str:
    """For a terminal."""
    lines = [f"{difference.old}  →  {difference.new}"]
    lines += _block("recipe", [f"{key}: {shown(a)} → {shown(b)}" for key, (a, b) in difference.values.items()])
    other = {name: what for name, what in difference.steps.items() if what != "same"}
    same = len(difference.steps) - len(other)
    told = [f"{name}: {what}" for name, what in other.items()]
    lines += _block("steps", [*told, *([f"{same} the same"] if same else [])])
    lines += _block("scores", [_score(name, score) for name, score in difference.scores.items()])
    if difference.verdict:
        lines += _block("gate", [f"{difference.verdict[0]} → {difference.verdict[1]}"])
    lines += _block("ranks", [f"{key}: {_rank(a)} → {_rank(b)}" for key, (a, b) in difference.ranks.items()])
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]}\n\nnothing differs"


def _block(name: str, told: list[str]) -> list[str]:
    return ["", name, *(f"  {text}" for text in told)] if told else []


def _score(name: str, score: Mapping[str, Any]) -> str:
    told = {True: "  the intervals are apart", False: "  the intervals meet", None: ""}[score["apart"]]
    return f"{name}: {_number(score['old'])} → {_number(score['new'])}{told}"


def _number(metric: Mapping[str, Any]) -> str:
    value, low, high = metric.get("value"), metric.get("low"), metric.get("high")
    if value is None:
        return "unknown"
    return f"{value:.3f}" + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")


def _rank(rank: int | None) -> str:
    return "not found" if rank is None else str(rank)
