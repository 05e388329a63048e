"""Why a step has to be done: what is other than in the nearest run before, old and new value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from components.store import StepSpec

__all__ = ["Change", "changes_of", "flat", "in_words", "shown"]

_LONGEST = 48


@dataclass(frozen=True)
class Change:
    """Something that differs. `kind`: the step's code, one of its parameters, or one of its inputs (digests)."""

    kind: Literal["code", "parameter", "input"]
    key: str
    old: Any
    new: Any

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def changes_of(old: Mapping[str, Any], spec: StepSpec) -> tuple[Change, ...]:
    """What differs between a manifest and the identity of a step, values inside parameters by their dotted keys."""
    new = spec.to_dict()
    found: list[Change] = []
    if old["version"] != new["version"]:
        found.append(Change("code", "version", old["version"], new["version"]))
    for kind, field in (("parameter", "params"), ("input", "inputs")):
        before, after = flat(old[field]), flat(new[field])
        found += [
            Change(kind, key, before.get(key), after.get(key))  # type: ignore[arg-type]
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    return tuple(found)


def in_words(changes: Sequence[Change], words: Mapping[str, str]) -> str:
    """The reason for people; `words`: what is other about an input, by its name."""
    told = []
    for change in changes:
        if change.kind == "code":
            told.append(f"the step's code: version {change.old} → {change.new}")
        elif change.kind == "parameter":
            told.append(f"{change.key}: {shown(change.old)} → {shown(change.new)}")
        elif change.old is None:
            told.append(f"{change.key}: none before")
        elif change.new is None:
            told.append(f"{change.key}: none any more")
        else:
            told.append(f"other {change.key}" + (f" ({words[change.key]})" if words.get(change.key) else ""))
    return ", ".join(told) or "it was made for other inputs"


def shown(value: Any) -> str:
    """A value in one line, cut when it is long."""
    text = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{before}{key}.") if isinstance(value, Mapping) and value else {f"{before}{key}": value}
    return found
