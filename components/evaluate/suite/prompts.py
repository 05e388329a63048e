"""Prompts of personality: a JSONL file, read with every fault found at once, each at its file:line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from components.answer.messages import check_question
from components.errors import InputError
from components.evaluate.lines import ARRAY, parsed_line, read_lines, spread
from components.evaluate.said import Item
from components.evaluate.suite.reading import is_id
from components.sncp.redact import mask_secrets

__all__ = ["choose_items", "load_prompts"]

_REQUIRED = ("id", "prompt", "lang", "kind")
_KEYS = (*_REQUIRED, "project")
_SHOWN = 50  # faults printed in full; the rest is counted


def load_prompts(path: Path) -> list[Item]:
    """Read prompts, in the order of the file: `id, prompt, lang, kind`, and `project` where one fits.

    `lang`, `kind` and `project` are free words (scores are grouped by them). Empty lines and a byte order mark are
    allowed. Secrets are masked as they are in the notes.

    Raises:
        InputError: the file cannot be read, holds no prompt, or every fault in it, each at its file:line.
    """
    items: list[Item] = []
    faults: list[str] = []
    taken: dict[str, int] = {}
    asked: dict[str, int] = {}
    for number, line in enumerate(read_lines(path, what="prompts", setting="evaluate.personality.prompts"), start=1):
        if not line.strip():
            continue
        record, wrong = _parsed(line)
        for key, seen in (("id", taken), ("prompt", asked)):
            value = record.get(key)
            if isinstance(value, str) and value.strip():
                same = " ".join(value.casefold().split()) if key == "prompt" else value
                if seen.setdefault(same, number) != number:
                    wrong.append(f"{key} {value[:60]!r} is that of line {seen[same]}; expected each once")
        if not wrong:
            items.append(_item(record))
        faults += [f"{path}:{number}: {text}" for text in wrong]
    if faults:
        count = len(faults)
        more = [f"... and {count - _SHOWN} more"] if count > _SHOWN else []
        head = f"{path}: {count} {'fault' if count == 1 else 'faults'} in the prompts"
        raise InputError("\n".join([head, *map(mask_secrets, faults[:_SHOWN]), *more]))
    if not items:
        raise InputError(f"{path}: no prompts; expected one JSON object a line with {', '.join(_REQUIRED)}.")
    return items


def choose_items(items: Sequence[Item], n: int, seed: int) -> list[Item]:
    """`n` of the items (0, or no more than there are: all), in file order; same seed same choice.

    Every kind is covered before any is taken twice, then every language. The order of the file plays no part in the
    choice.
    """
    if n == 0 or n >= len(items):
        return list(items)
    chosen = {item.key for item in spread(sorted(items, key=lambda item: item.key), n, seed=seed)}
    return [item for item in items if item.key in chosen]


def _parsed(line: str) -> tuple[dict[str, Any], list[str]]:
    """The object of a line (empty: there is none) and its faults."""
    expected = f"expected a JSON object with {', '.join(_REQUIRED)}"
    record, repeated, unread = parsed_line(line)
    if unread is not None:
        if not unread.startswith("at "):
            return {}, [f"JSON that is {unread}; {expected}"]
        hint = " (a JSON array? one object a line, no brackets)" if line.strip() in ARRAY else ""
        return {}, [f"not JSON {unread}; {expected}{hint}"]
    if not isinstance(record, dict):
        return {}, [f"no object; {expected}"]
    return record, [f"key {key!r} is given twice" for key in repeated] + _faults(record)


def _faults(record: dict[str, Any]) -> list[str]:
    faults: list[str] = []
    unknown = [key for key in record if key not in _KEYS]
    for key in unknown:
        near = get_close_matches(key.casefold(), _KEYS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(_KEYS)}"
        faults.append(f"unknown key {key[:40]!r}; {hint}")
    for key in _KEYS:
        if key not in record:
            if key in _REQUIRED and not get_close_matches(key, [name.casefold() for name in unknown], n=1):
                faults.append(f"{key!r} is missing")
        elif not (isinstance(record[key], str) and record[key].strip()):
            if key in _REQUIRED or record[key] not in ("", None):
                faults.append(f"{key!r}: expected a text that is not empty")
        elif re.search("[\ud800-\udfff]", record[key]):
            faults.append(f"{key!r}: half a character (a lone \\ud800 to \\udfff): no file can hold it")
    if not faults and not is_id(record["id"]):
        faults.append(f"id {record['id'][:40]!r}: expected letters, digits, '_', '-' and '.', at most 100")
    if not faults:
        try:
            check_question(record["prompt"])
        except InputError as error:
            faults.append(f"prompt: {error}")
    return [fault.encode("utf-8", "replace").decode() for fault in faults]


def _item(record: dict[str, str]) -> Item:
    return Item(
        part="personality",
        id=record["id"],
        prompt=mask_secrets(record["prompt"]),
        lang=record["lang"],
        kind=record["kind"],
        project=record.get("project") or "",
    )
