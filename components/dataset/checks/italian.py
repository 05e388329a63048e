"""Rules C4, C10 and C15: broken accents, and answers in which somebody else speaks than the partner.

NOT caught: mojibake that lost characters on its way and no longer looks like any; accents that are missing in
words that are others without them ("e" for "è", "pero", "eta"); refusals in other words; what voice.py does
not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.dataset.checks.glance import ACCENT, MASCULINE, MOJIBAKE, VOICE, Look, glance, marks_at
from components.dataset.checks.language import language_of
from components.dataset.checks.voice import MASCULINE_SELF, OTHER_ASSISTANTS, QUOTED, REFUSALS
from components.dataset.conversation import Conversation
from components.dataset.findings import Hit

__all__ = ["italian_hits"]

_BEFORE, _AFTER, _NEAR = 9, 12, 4
"""Words around the one that gives a phrase away."""
_FIRST_PERSON = frozenset("sono ero sarò sarei fui sia sento sentivo ritengo rimango resto io".split())
_SPOKEN = frozenset({"system", "human", "gpt"})
# `Ã` inside or behind small letters is in no language; `â€™` and its like neither.
_SURELY_BROKEN = re.compile("[a-zà-öø-ÿ][ÃÂ](?![A-ZÀ-ÞĀ-Ž])|Ã[\u0080-\u00bf\u0152-\u0178\u2013-\u203a\u20ac\u2122]|â€")
_WORD_BEFORE = re.compile(r"\S*$")

_ACCENTED = re.compile(
    r"(?<![\w'’`´])(?:[^\W\d_]{1,8}['’`´])?(?:[^\W\d_]{3,30}[aeiou]|e|si|piu|puo|giu|gia|cio|li|la)['’`´](?![\w'’`´])",
    re.IGNORECASE,
)
"""In Italian only words of up to three letters are cut at their end (po', di', va'); li' and la' are doubtful."""
_DOUBTFUL = frozenset({"li", "la"})
_OPENED = re.compile(r"(?<![\w'’`´])['‘’`´](?=\w)")
_UNACCENTED = re.compile(
    r"(?<![\w'’/.@_-])(?:perche|poiche|finche|affinche|benche|piu|cioe|puo|citta|cosi|gia)(?![\w'’`´/@_-]|\.\w)",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)


def italian_hits(conversation: Conversation, *, feminine: bool = True) -> Iterator[Hit]:
    """C4 of every spoken turn and the system prompt; C10 and C15 of the answers.

    Args:
        conversation: any.
        feminine: the partner speaks of herself in the feminine (C15).
    """
    for look in glance(conversation):
        if look.role not in _SPOKEN or not look.marks & (ACCENT | MOJIBAKE | VOICE | MASCULINE):
            continue
        if look.marks & MOJIBAKE and (seen := _mojibake(look.text)):
            yield Hit("C4", f"broken letters: {seen}", look.turn, "save the text as UTF-8 and read it as UTF-8")
        if look.marks & ACCENT and (seen := _ascii_accents(look)) and language_of(look.text) in {"it", None}:
            yield Hit("C4", f"accents in ASCII: {seen}", look.turn)
        if look.role == "gpt" and look.marks & (VOICE | MASCULINE):
            yield from _voice(look, feminine=feminine)


def _voice(look: Look, *, feminine: bool) -> Iterator[Hit]:
    """C10 and C15. Phrases are looked for around the words that they need, because their patterns take their time."""
    text = look.text
    words = QUOTED.sub(" ", text).split() if any(mark in text for mark in '`«“">') else look.words
    if look.marks & VOICE:
        done = -_NEAR
        for at in marks_at(words, VOICE):
            if at - done < _NEAR:
                continue  # it was in the words around the last one
            done = at
            around = " ".join(words[max(0, at - _BEFORE) : at + _AFTER])
            if match := OTHER_ASSISTANTS.search(around):
                yield Hit("C10", f"not in the partner's voice: {_short(match[0])}", look.turn)
                break
            if match := REFUSALS.search(around):
                yield Hit("C10", f"a refusal in set phrases: {_short(match[0])}", look.turn)
                break
    if feminine and look.marks & MASCULINE:
        for at in marks_at(words, MASCULINE):
            before = words[max(0, at - _BEFORE) : at + 1]
            if _FIRST_PERSON.isdisjoint(map(str.lower, before)):
                continue
            if (match := MASCULINE_SELF.search(" ".join(before))) and language_of(text) in {"it", None}:
                yield Hit("C15", f"masculine: {_short(match[0])}", look.turn)
                break


def _mojibake(text: str) -> str | None:
    """The first word with letters that were read in the wrong encoding."""
    if match := _SURELY_BROKEN.search(text):
        start = max(0, match.start() - 24)
        before = _WORD_BEFORE.search(text[start : match.start()])
        return _short((before[0] if before else "") + text[match.start() :].split(" ", 1)[0][:40])
    import ftfy
    from ftfy.badness import is_bad

    for line in text.splitlines():
        if not line.isascii() and is_bad(line[:2_000]):
            for word in line[:2_000].split():
                if not word.isascii() and ftfy.fix_encoding(word) != word:
                    return _short(word)
    return None


def _ascii_accents(look: Look) -> str | None:
    """The words, three at most, that have an apostrophe or nothing where Italian has an accent."""
    text = _CODE.sub(" ", look.text) if "`" in look.text else look.text
    found: list[str] = []
    for line in text.splitlines():
        if not line or line.isspace():
            continue
        opened: int | None = None
        for match in _ACCENTED.finditer(line):
            if opened is None:
                first = _OPENED.search(line)
                opened = first.start() if first else len(line)
            if opened < match.end() - 1 or match[0][:-1].lower() in _DOUBTFUL:
                continue  # a quotation may end here
            found.append(match[0])
        if look.role != "human":
            found.extend(match[0] for match in _UNACCENTED.finditer(line))
    return ", ".join(list(dict.fromkeys(found))[:3]) if found else None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else f"{line[:59]}…")
