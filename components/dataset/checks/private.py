"""Rules F1 to F3: secrets and personal data in a conversation, found by the same finders that mask notes.

What is caught and what is not stands in components/sncp/redact.py and personal_data.py. The texts of a conversation are
looked at as one, so that a name in the question and its secret in the answer are near each other. Before that every
word is asked whether it can be part of a finding at all.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import get_args

from components.dataset.checks.glance import (
    AT,
    CODE,
    DIGITS,
    IBAN,
    KEY,
    SECRET_WORD,
    VALUE,
    Look,
    glance,
    look_at,
    marks_in,
)
from components.dataset.conversation import Conversation
from components.dataset.findings import Hit, Severity
from components.sncp.params import PersonalData
from components.sncp.redact import find_private
from components.sncp.spans import Span, merged

__all__ = ["ALL_PERSONAL_DATA", "private_hits"]

ALL_PERSONAL_DATA: tuple[PersonalData, ...] = get_args(PersonalData)

_TOLD = frozenset({"password", "assigned-secret"})
"""Found by a word before them, not by a shape: in calls of tools they are mostly made up."""
_NUMBERS = re.compile(r"[0-9](?:[ ./()-]{0,3}[0-9]){5,}")
_NUMERIC = frozenset({"partita_iva", "card", "phone"})
_AROUND = 60
"""Characters around digits that say whether they are a number: `tel.`, `+39`, `€`."""
_BETWEEN = "\n\n"
_SAID = {
    "codice-fiscale": "a codice fiscale", "partita-iva": "a partita IVA", "iban": "an IBAN", "card": "a payment card",
    "phone": "a telephone number", "email": "an e-mail address",
}  # fmt: skip


def private_hits(
    conversation: Conversation,
    *,
    personal_data: Collection[PersonalData] = ALL_PERSONAL_DATA,
    allow: Sequence[str] = (),
) -> Iterator[Hit]:
    """F1 (secrets) and F2 (personal data) of every text, `tools` too; each value once a turn, masked.

    A password that only a word before it gives away is a warning where the conversation calls tools: there they are
    made up, in the data of many.

    Args:
        conversation: any.
        personal_data: kinds that F2 looks for.
        allow: exact values, or globs (`*@example.com`), that are left alone (F3); addresses in the domains that are
            kept for examples, test cards and placeholders always are.
    """
    looks = glance(conversation)
    if isinstance(conversation.tools, str):
        looks = (*looks, look_at(None, "tools", conversation.tools))
    secrets = _may_hold_secrets(looks)
    kinds = _kinds(looks, personal_data)
    if not secrets and not kinds:
        return
    text = _BETWEEN.join(look.text for look in looks)
    starts = [0]
    for look in looks:
        starts.append(starts[-1] + len(look.text) + len(_BETWEEN))
    found = find_private(text, allow=allow) if secrets else []
    found += _apart(_personal(text, kinds, allow), found)
    tools = _calls_tools(conversation)
    seen: set[tuple[int, str, str]] = set()
    for span in sorted(found, key=lambda span: span.start):
        at = bisect_right(starts, span.start) - 1
        value = text[span.start : span.end]
        if (at, span.rule, value) in seen:
            continue
        seen.add((at, span.rule, value))
        look = looks[at]
        where = " in `tools`" if look.role == "tools" else ""
        if said := _SAID.get(span.rule):
            yield Hit("F2", f"{said}{where}: {_masked(value, shown=2)}", look.turn)
        else:
            severity: Severity | None = "warning" if span.rule in _TOLD and tools else None
            message = f"{span.rule}{where}: {_masked(value, shown=4 if span.shown else 0)}"
            yield Hit("F1", message, look.turn, None, severity)


def _personal(text: str, kinds: Collection[PersonalData], allow: Sequence[str]) -> list[Span]:
    """Personal data of these kinds; what is digits alone is only looked for around digits, since that takes long."""
    numbers = [kind for kind in kinds if kind in _NUMERIC]
    others = [kind for kind in kinds if kind not in _NUMERIC]
    found = find_private(text, secrets=False, personal_data=others, allow=allow) if others else []
    for match in _NUMBERS.finditer(text) if numbers else ():
        start = max(0, match.start() - _AROUND)
        around = text[start : match.end() + _AROUND]
        for span in find_private(around, secrets=False, personal_data=numbers, allow=allow):
            if start + span.start < match.end() and match.start() < start + span.end:
                found.append(replace(span, start=start + span.start, end=start + span.end))
    return merged(found)


def _apart(spans: list[Span], secrets: list[Span]) -> list[Span]:
    """Those that overlap no secret: the password of a URL is no e-mail."""
    starts = [secret.start for secret in secrets]
    out = []
    for span in spans:
        after = bisect_right(starts, span.start)
        before = after and secrets[after - 1].end > span.start
        if not before and not (after < len(secrets) and secrets[after].start < span.end):
            out.append(span)
    return out


def _may_hold_secrets(looks: Sequence[Look]) -> bool:
    """Whether any word is a key, or one that could be a secret stands near a word that tells of one.

    What is told in one turn and said in the next is a key without a shape, and so of a length that is one by itself.
    """
    for look in looks:
        if look.marks & KEY:
            return True
        if look.marks & VALUE and look.marks & SECRET_WORD:
            if ("|" in look.text and "--" in look.text) or _is_near(look.text):
                return True
    return False


def _is_near(text: str) -> bool:
    """Whether a line, or the one above it, holds a word that tells of secrets, and the line what could be one."""
    told = False
    for line in text.split("\n"):
        marks = marks_in(line.split())
        tells = bool(marks & SECRET_WORD)
        if marks & VALUE and (tells or told):
            return True
        told = tells
    return False


def _kinds(looks: Sequence[Look], wanted: Collection[PersonalData]) -> list[PersonalData]:
    """Of these kinds those that the texts could hold."""
    if not wanted:
        return []
    kinds: list[PersonalData] = []
    marks = 0
    for look in looks:
        marks |= look.marks
    if marks & AT:
        kinds.append("email")
    if marks & CODE:
        kinds.append("codice_fiscale")
    if marks & IBAN:
        kinds.append("iban")
    if marks & DIGITS and any(look.marks & DIGITS and _NUMBERS.search(look.text) for look in looks):
        kinds += ["partita_iva", "card", "phone"]
    return [kind for kind in kinds if kind in wanted]


def _calls_tools(conversation: Conversation) -> bool:
    if conversation.tools and conversation.tools != "[]":
        return True
    for turn in conversation.turns or ():
        if turn.role in ("function_call", "observation") or "<tool_call>" in turn.text:
            return True
    return False


def _masked(value: str, *, shown: int) -> str:
    return f"{value[:shown]}…({len(value)} characters)"
