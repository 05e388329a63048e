"""Rules F1 to F3: secrets and personal data in a conversation, found by the same finders that mask notes.

What is caught and what is not stands in components/sncp/redact.py and personal_data.py. The texts of a conversation are
looked at as one, so that a name in the question and its secret in the answer are near each other. Before that every
word is asked whether it can be part of a finding at all.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from typing import get_args

from components.dataset.conversation import Conversation
from components.dataset.findings import Hit, Severity
from components.dataset.glance import AT, CODE, DIGITS, KEY, SECRET_WORD, VALUE, Look, glance, look_at
from components.sncp.params import PersonalData
from components.sncp.redact import find_private

__all__ = ["ALL_PERSONAL_DATA", "private_hits"]

ALL_PERSONAL_DATA: tuple[PersonalData, ...] = get_args(PersonalData)

_TOLD = frozenset({"password", "assigned-secret"})
"""Found by a word before them, not by a shape: in calls of tools they are mostly made up."""
_NUMBERS = re.compile(r"[0-9](?:[ ./()-]{0,3}[0-9]){7}")
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
    seen: set[tuple[int, str, str]] = set()
    found = find_private(text, allow=allow) if secrets else []
    secret = [(span.start, span.end) for span in found]
    for span in find_private(text, secrets=False, personal_data=kinds, allow=allow) if kinds else ():
        if not any(
            start < span.end and span.start < end for start, end in secret
        ):  # the password of a URL is no e-mail
            found.append(span)
    for span in sorted(found, key=lambda span: span.start):
        look = looks[bisect_right(starts, span.start) - 1]
        value = text[span.start : span.end]
        if (id(look), span.rule, value) in seen:
            continue
        seen.add((id(look), span.rule, value))
        where = " in `tools`" if look.role == "tools" else ""
        if span.rule in _SAID:
            yield Hit("F2", f"{_SAID[span.rule]}{where}: {_masked(value, shown=2)}", look.turn)
        else:
            severity: Severity | None = "warning" if span.rule in _TOLD and _calls_tools(conversation) else None
            yield Hit(
                "F1", f"{span.rule}{where}: {_masked(value, shown=4 if span.shown else 0)}", look.turn, None, severity
            )


def _may_hold_secrets(looks: Sequence[Look]) -> bool:
    """Whether any word is a key, or one that could be a secret stands in a turn with a word that tells of one.

    A word and its value may be in two turns: the last lines of one and the first of the next.
    """
    before = 0
    for look in looks:
        if look.marks & KEY or ((before | look.marks) & SECRET_WORD and look.marks & VALUE):
            return True
        before = look.marks
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
        kinds += ["codice_fiscale", "iban"]
    if marks & DIGITS and any(look.marks & DIGITS and _NUMBERS.search(look.text) for look in looks):
        kinds += ["partita_iva", "card", "phone"] if marks & CODE else ["partita_iva", "card", "phone", "iban"]
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
