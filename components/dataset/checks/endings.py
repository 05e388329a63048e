"""Rule C11: whether an answer ends in the middle of a sentence."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["cut_off"]

_NEVER_LAST = frozenset(
    # Italian
    "e ed od ma che di con per tra fra il lo la gli le un uno una del dello della dei degli delle al allo alla ai agli "
    "alle dal dalla nel nella nei sul sulla se perché quando quindi mentre oppure "
    # English
    "the an and or but of because than your our their its into my "
    # Spanish, French, German, Portuguese
    "el los las y que una des du et dans avec der das und oder mit von zu ein eine os em com".split()
)
"""No sentence ends with one of these, in any of the languages."""
_SENTENCE_END = re.compile(r"[.!?…][\"»”’')\]]*\s+[^\W\d_a-zà-ÿ]")
_LIST = re.compile(r"\s*(?:[-*+•·–—▪◦|>#]|\(?\w{1,3}[.)]\s|\d+[.:)]|[^\w\s]{1,3}\s|\*\*|__)")
_FIELD = re.compile(r"\s*[^\s:][^:\n]{0,40}:\s*\S")
_ADDRESS = re.compile(r"\S*[@/\\]\S*|[\w-]+(?:\.[\w-]+)*\.\w{1,5}")
_WORDS_OF_A_SENTENCE = 14
_TAIL = 2_000


def cut_off(text: str, *, fenced: bool = False) -> str | None:
    """Why the text of an answer looks cut; None where it ends as answers do.

    Careful: lists, tables, titles, verses, code, addresses, signatures, short answers and scripts that have no full
    stop of their own are taken for whole.
    """
    tail = text[-_TAIL:].rstrip()
    last = tail[-1:]
    if not last:
        return None
    if not (last.isalnum() or last in ",;-–—(«“‘/&，、؛،:"):
        return None  # any other sign may end a text: a full stop of any script, a bracket, a quotation mark, an emoji
    start = tail.rfind("\n") + 1
    line = tail[start:]
    words = line.split()
    if last in ",，、،;؛" and not _LIST.match(line):
        return f"it ends with {last!r}" if len(words) > 3 or not last.isascii() else None
    if not last.isalnum():
        if last in "(«“" and len(words) > 3:
            return f"it ends with {last!r}"
        return None
    if (
        not _has_full_stops(last)
        or len(words) < 4
        or _LIST.match(line)
        or _FIELD.match(line)
        or _ADDRESS.fullmatch(words[-1])
    ):
        return None
    if fenced and "```" in tail[-200:]:
        return None
    shown = " ".join(words[-3:])
    if words[-1].lower() in _NEVER_LAST and words[-1].islower():
        return f"it ends in the middle of a sentence: …{_short(shown)}"
    before = tail[:start].rstrip()
    if before and before[-1:].isalnum() and before.rfind("\n") >= 0 and len(words) < _WORDS_OF_A_SENTENCE:
        return None  # verses, and lists without marks
    ends = next(reversed(list(_SENTENCE_END.finditer(line))), None)
    if ends is None and len(words) < _WORDS_OF_A_SENTENCE:
        return None
    if ends is not None and len(line[ends.end() - 1 :].split()) < 3:
        return None
    return f"it ends without a full stop: …{_short(shown)}"


def _has_full_stops(letter: str) -> bool:
    if letter.isascii():
        return True
    return unicodedata.name(letter, "").startswith(("LATIN", "CYRILLIC", "GREEK"))


def _short(words: str) -> str:
    return repr(words if len(words) <= 60 else f"…{words[-60:]}")
