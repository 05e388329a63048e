"""What is wrong with a recipe, and where: all faults at once, in words for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import InputError

__all__ = ["Fault", "Place", "RecipeError", "mask"]

SHOWN = 50
"""More faults than this are counted, not printed."""

_WIDTH = 120
_LONGEST = 400

_SECRETS = (
    re.compile(r"(?<![A-Za-z0-9])(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"),
    re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]|github_pat|hf|pnu|glpat|npm|xox[abeprs])[_-][A-Za-z0-9_-]{10,}"),
    re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[0-9A-Z]{12,}"),
    re.compile(r"(?<![A-Za-z0-9])AIza[\w-]{20,}"),
    re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?"),
    re.compile(r"(?<=://)[^/\s@]{0,100}:[^/\s]{1,200}(?=@)"),
    re.compile(r"(?<![\w+=-])(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])(?=[\w+=-]*[0-9])[\w+=-]{24,}"),
)
_NAMED = re.compile(
    r"(?i)(?<![a-z])(?<!max_)(?<!context_)(?:api_?key(?:_env)?|access_?key|key|token|secret|password|passwd|credential)s?"
    r"[\"']?\s*[:=]\s*[\"']?(?P<value>[^\s\"',}#]{6,})"
)
# Addresses that are secrets, and names of variables in whose place somebody wrote what is in them: to the end.
_WHOLE = re.compile(
    r"(?i)(?<![a-z])(?:webhook(?:_env)?|(?:user|password)_env)[\"']?\s*[:=]\s*"
    r"(?:\"(?P<double>[^\"]*)|'(?P<single>[^']*)|(?P<plain>[^\s\"',}](?:(?!\s+#)[^,}]|,(?=\S))*))"
)
_HARMLESS = re.compile(r"[A-Z_][A-Z0-9_]*|[0-9.]+|\$\{[\w.]*\}?")


def mask(text: str) -> str:
    """`text` of the same length, with what looks like a secret written as `*`.

    Covered: prefixed keys of known providers, passwords in URLs, values of keys named like a secret, opaque mixed-case
    runs of 24 characters and more, addresses of webhooks. Not covered: passwords in plain words under an innocent key,
    secrets shorter than that, secrets split over lines.
    """
    text = _mask_shapes(text)
    for pattern in (_NAMED, _WHOLE):
        start = 0
        while found := pattern.search(text, start):
            first, start = found.span(found.lastgroup or 0)
            if not _HARMLESS.fullmatch(text, first, start):
                text = text[:first] + "*" * (start - first) + text[start:]
    return text


def _mask_shapes(text: str) -> str:
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: "*" * len(found[0]), text)
    return text


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written. `file` is what a person is shown; `folder` is what relative paths start from."""

    file: str
    folder: Path
    line: int | None = None
    col: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (line and column count from 1), what, what was expected, how to mend it."""

    place: Place
    key: str
    message: str
    expected: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        """`file:line:col: key: message`, the line with a caret, what was expected, a suggestion."""
        place = self.place
        where = place.file if place.line is None else f"{place.file}:{place.line}:{place.col}"
        rows = [": ".join(_crop(part) for part in (where, self.key, self.message) if part)]
        if place.source is not None and place.line is not None and place.source.strip():
            rows += _snippet(place.source, line=place.line, col=place.col or 1)
        if self.expected:
            rows.append(f"  expected: {self.expected}")
        if self.suggestion:
            rows.append(f"  {self.suggestion}")
        return _mask_shapes("\n".join(rows))


def _crop(text: str) -> str:
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _snippet(source: str, *, line: int, col: int) -> list[str]:
    start = max(0, col - 1 - _LONGEST)
    source, col = mask(source[start : col + _LONGEST]), col - start
    source = "".join(char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in source)
    first = max(0, col - 1 - _WIDTH // 2) if len(source) > _WIDTH else 0
    shown = source[first : first + _WIDTH]
    indent = "".join("\t" if char == "\t" else " " for char in shown[: col - 1 - first])
    gutter = f"  {line} | "
    return [gutter + shown.rstrip(), " " * (len(gutter) - 2) + "| " + indent + "^"]


class RecipeError(InputError):
    """A recipe that cannot be used. `faults` are all of them, in the order of the files and lines."""

    def __init__(self, recipe: str, faults: Iterable[Fault]) -> None:
        """`recipe`: the file as a person named it."""
        self.recipe = recipe
        self.faults: Sequence[Fault] = _in_order(faults)
        count = len(self.faults)
        texts = [str(fault) for fault in self.faults[:SHOWN]]
        if count > SHOWN:
            texts.append(f"... and {count - SHOWN} more")
        texts.append(f"{count} {'fault' if count == 1 else 'faults'} in {recipe}")
        super().__init__("\n\n".join(texts))

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders: rebuilt from the same arguments."""
        return (RecipeError, (self.recipe, list(self.faults)))


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    unique = list(dict.fromkeys(faults))
    files = {file: number for number, file in enumerate(dict.fromkeys(fault.place.file for fault in unique))}
    return sorted(unique, key=lambda fault: (files[fault.place.file], fault.place.line or 0, fault.place.col or 0))
