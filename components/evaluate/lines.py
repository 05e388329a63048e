"""Files of questions and prompts: how they are read, a JSON object a line, and how some of them are chosen."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from components.errors import InputError

__all__ = ["ARRAY", "parsed_line", "read_lines", "spread"]

ARRAY = frozenset({"[", "[{", "{"})
"""How the first line of a JSON array, or of one object over many lines, looks."""


class Asked(Protocol):
    """What is chosen by its kind and language."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def lang(self) -> str: ...  # noqa: D102


One = TypeVar("One", bound=Asked)


def read_lines(path: Path, *, what: str, setting: str) -> list[str]:
    """The lines of a file, without byte order mark and whatever their ends. `what`: it holds; `setting`: that names it.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(
            f"{path}: the {what} cannot be read ({reason}); expected a JSONL file. Set {setting} to it."
        ) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8."
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parsed_line(line: str) -> tuple[Any, list[str], str | None]:
    """What a line says, the keys that it gives twice, and why it cannot be read: `at column 3: ...` or in words."""
    repeated: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(key for key, count in Counter(key for key, _ in items).items() if count > 1)
        return dict(items)

    try:
        return json.loads(line, object_pairs_hook=pairs), repeated, None
    except json.JSONDecodeError as error:
        return None, [], f"at column {error.colno}: {error.msg}"
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        return None, [], "too deep or too large"


def spread(
    ordered: Sequence[One], n: int, *, seed: int,
    among: Callable[[Sequence[One], Sequence[One]], Sequence[One]] = lambda left, chosen: left,
) -> list[One]:  # fmt: skip
    """`n` of `ordered`, drawn: every kind is covered before any is taken twice, then every language.

    `ordered`: in an order of their own, which is not that of the file; same seed same choice. `among`: of those left
    and those chosen, which may be chosen next (at least one).
    """
    left = list(ordered)
    random.Random(seed).shuffle(left)  # noqa: S311 - a reproducible choice, no secret
    kinds: Counter[str] = Counter()
    langs: Counter[str] = Counter()
    chosen: list[One] = []
    while len(chosen) < n:
        best = min(among(left, chosen), key=lambda one: (kinds[one.kind], langs[one.lang]))  # of equals the first
        left.remove(best)
        chosen.append(best)
        kinds[best.kind] += 1
        langs[best.lang] += 1
    return chosen
