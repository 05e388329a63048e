"""What differs between a file and a server: new, changed (key: old -> new), gone. For people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Change", "Kind", "compared", "flat"]

Kind = Literal["work pool", "deployment", "schedule", "automation"]
_SIGNS = {"new": "+", "changed": "~", "gone": "-"}
_SHOWN = 160  # characters of a value


@dataclass(frozen=True)
class Change:
    """One thing that differs. `keys`: key -> (value on the server, value of the file), of a thing that is changed."""

    kind: Kind
    name: str
    what: Literal["new", "changed", "gone"]
    keys: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        keys = {key: {"old": old, "new": new} for key, (old, new) in self.keys.items()}
        return {"kind": self.kind, "name": self.name, "what": self.what, "keys": keys}

    def __str__(self) -> str:
        """A line, and one for each key."""
        keys = [f"    {key}: {_told(old, new)}" for key, (old, new) in self.keys.items()]
        return "\n".join([f"{_SIGNS[self.what]} {self.kind} {self.name} ({self.what})", *keys])


def compared(
    kind: Kind, name: str, *, found: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None
) -> list[Change]:
    """The change from what was found to what is wanted: one, or none. None stands for what is not there."""
    if found is None or wanted is None:
        return [] if found is wanted else [Change(kind, name, "new" if found is None else "gone")]
    old, new = flat(found), flat(wanted)
    keys = {key: (old.get(key), new.get(key)) for key in [*new, *(key for key in old if key not in new)]}
    differing = {key: pair for key, pair in keys.items() if pair[0] != pair[1]}
    return [Change(kind, name, "changed", differing)] if differing else []


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, with dotted keys. What is None or an empty mapping is left out: it says nothing."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found.update({f"{key}.{below}": one for below, one in flat(value).items()})
        elif value is not None:
            found[key] = value
    return found


def _told(old: Any, new: Any) -> str:
    if isinstance(old, list) and isinstance(new, list):
        steps = [f"+ {_short(one)}" for one in new if one not in old] + [
            f"- {_short(one)}" for one in old if one not in new
        ]
        return ", ".join(steps) or "in another order"
    return f"{_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} ..."
