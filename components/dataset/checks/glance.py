"""One quick look at every word of a conversation: what its turns may hold, so that rules look closer only there.

Words come again and again, so what a word may be a part of is worked out once and remembered. A mark is a suspicion and
no finding; a rule that reads a mark must have it set by every word that the rule could catch.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from components.dataset.checks.voice import ASSISTANTS, MAKERS, is_masculine_word
from components.dataset.conversation import Conversation

__all__ = [
    "ACCENT", "AMPERSAND", "ANGLE", "AT", "BRACE", "BRACKET", "BUTTON", "CODE", "DIGITS", "FENCE", "FILL", "IBAN",
    "KEY", "LONG", "MASCULINE", "MOJIBAKE", "SECRET_WORD", "SQUARE", "VALUE", "VOICE", "Look", "glance", "look_at",
    "marks_at", "marks_in", "marks_of",
]  # fmt: skip

ANGLE: Final = 1 << 0
"""`<`, in any width."""
BRACKET: Final = 1 << 1
"""`[` before a letter."""
BRACE: Final = 1 << 2
"""`{{`, `{%`, `${`."""
FILL: Final = 1 << 3
"""TODO, TBD, lorem."""
FENCE: Final = 1 << 4
"""Three backticks or tildes."""
BUTTON: Final = 1 << 5
"""A word of the buttons and notices of a chat page, or of its counter `2 / 2`."""
ACCENT: Final = 1 << 6
"""A vowel and an apostrophe at the end, or an Italian word that lost its accent."""
MOJIBAKE: Final = 1 << 7
"""A letter that UTF-8 read as Latin-1 begins with."""
VOICE: Final = 1 << 8
"""A word of the phrases of other assistants."""
MASCULINE: Final = 1 << 9
"""A word that a woman does not say of herself."""
VALUE: Final = 1 << 10
"""Six characters or more that are no plain word: what could be a password."""
SECRET_WORD: Final = 1 << 11
"""A word that gives away a secret near it."""
KEY: Final = 1 << 12
"""What could be (part of) a key of its own."""
AT: Final = 1 << 13
DIGITS: Final = 1 << 14
CODE: Final = 1 << 15
"""Letters and digits as in a codice fiscale."""
LONG: Final = 1 << 16
"""Forty characters or more without a space, or a letter ten times."""
AMPERSAND: Final = 1 << 17
"""An HTML entity."""
IBAN: Final = 1 << 19
"""Two letters and two digits, as an IBAN begins."""
SQUARE: Final = 1 << 18
"""A bracket as control tokens have it, in any width."""

_MOST_WORDS = 200_000
_LONG_WORD = 40
_KEPT = 120
"""Words of fewer characters are remembered: with the most of them 40 MB at worst."""
_EDGES = ".,;:!?()[]{}*_\"'’«»“”"
_MOST_OF_A_PIECE = 300

_BUTTON_WORDS = frozenset(
    "copy copied copied! copia copiato copiato! regenerate regenerated rigenera share condividi generating aloud edit "
    "drafts response thumbs like dislike chat clipboard plus hour hour. network persists / good bad new nuova".split()
)
_BUTTON_PARTS = (
    "copy",
    "!error",
    "unusual",
    "mistakes",
    "errori",
    "generating",
    "chars",
    "sharegpt",
    "chatgpt",
    "openai.com",
)
_COUNTER = re.compile(r"\d{1,3}/\d{1,3}")
_BRACKETS = re.compile(r"\[[^\W\d]")
_SQUARES = re.compile(r"[\[［](?:/?[A-Z]|[|｜])|\]~|b\[|e~")
_VOICES = re.compile(
    r"(?i)\W*(?:un|l|d|dall|dell)?\W?(?:ai|ia|intelligenza|intelligence|model|modello|chatbot|assistant|assistente|sentimenti"
    r"|emozioni|opinioni|coscienza|training|cut-?off|meta|hugging|sorry|apologi[sz]e|unable|able|cannot|can['’]t|dispiace"
    rf"|spiacente|scuso|scusa|posso|grado|possibile|{ASSISTANTS}|{MAKERS})\b"
)
"""Each phrase of voice.py holds one of these words."""
_FILLS = ("todo", "tbd", "fixme", "lorem", "ipsum")
_SECRET_WORDS = (
    "pass", "pwd", "psw", "parola", "secret", "segret", "token", "key", "chiav", "credenzial", "credential", "api",
    "login", "log-in", "access", "wifi", "wi-fi", "utente", "user", "account", "admin", "bearer", "basic", "pw", "pin",
    "cf_", "aws", "akia", "asia", "twilio", "cloudflare", "vercel", "netlify", "heroku", "paypal", "mailgun", "datadog",
    "dd_a", "akc", "artifactory", "jfrog", "cloudant", "ibm", "cos_", "softlayer", "private",
)  # fmt: skip
_ACCENTS = re.compile(r"(?i)[aeiou]['’`´](?:\W|$)")
_UNACCENTED = frozenset("perche poiche finche affinche benche piu cioe puo citta cosi gia".split())
_BROKEN = re.compile("[ÃÂÄÅâÐÑØÎÏðã\u00c5\ufffd\u251c\u0393]")
_CODES = re.compile(r"(?i)[0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{2}")
_IBANS = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_FOREIGN = re.compile(r"[\"'`|<>\u0080-\U0010ffff]+")
_QUOTES = re.compile(r"[\"'`|<>]+")
_SIGNS = re.compile(r"[=:(,/]+")
_ASSIGNMENT = re.compile(r"[-*.\w]+[:=(]")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_KEY_LIKE = re.compile(r"[A-Za-z0-9+/_=.%$~:@-]{10,}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_MIXED = re.compile(r"[A-Za-z0-9]{24}|[A-Za-z0-9_-]{40}|[A-Za-z0-9+/]{40}|[0-9a-f-]{24}")
_BEGINNINGS = (
    "sk-ant-",
    "sk-proj-",
    "ghp_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "AIza",
    "xox",
    "sk_live_",
    "hf_",
    "eyJ",
    "gsk_",
)
"""Of keys that may go on in the next line."""
_REPEATED = re.compile(r"(.)\1{9}")


class Look(NamedTuple):
    """One text of a conversation: a turn's, or the system prompt's (`turn` None)."""

    turn: int | None
    role: str
    """As it is written; empty where it is no text."""
    text: str
    words: list[str]
    marks: int


class _Marks(dict[str, int]):
    """Word -> its marks, worked out when it comes the first time."""

    def __missing__(self, word: str) -> int:
        marks = marks_of(word)
        if len(word) < _KEPT:
            self[word] = marks
        return marks


_KNOWN = _Marks()
_last: tuple[Conversation, tuple[Look, ...]] | None = None


def glance(conversation: Conversation) -> tuple[Look, ...]:
    """The system prompt of the column and every turn that has a text, in order. The last one's is remembered."""
    global _last
    if _last is not None and _last[0] is conversation:
        return _last[1]
    if len(_KNOWN) > _MOST_WORDS:
        _KNOWN.clear()
    looks = []
    if isinstance(conversation.system, str):
        looks.append(look_at(None, "system", conversation.system))
    for number, turn in enumerate(conversation.turns or ()):
        if isinstance(turn.value, str):
            looks.append(look_at(number, turn.role if isinstance(turn.role, str) else "", turn.value))
    found = tuple(looks)
    _last = (conversation, found)
    return found


def marks_at(words: Sequence[str], mark: int) -> Iterator[int]:
    """The positions of the words that have the mark."""
    for at, word in enumerate(words):
        if _KNOWN[word] & mark:
            yield at


def look_at(turn: int | None, role: str, text: str) -> Look:
    """What one text may hold."""
    words = text.split()
    return Look(turn, role, text, words, marks_in(words))


def marks_in(words: Sequence[str]) -> int:
    """All marks of these words together."""
    marks = 0
    for mark in set(map(_KNOWN.__getitem__, words)):
        marks |= mark
    return marks


def marks_of(word: str) -> int:
    """All marks of one word, as `str.split` gives it."""
    if len(word) >= _LONG_WORD:
        return _of_long(word)
    marks = _of_letters(word)
    if word.isascii() and word.isalpha():
        return marks
    return marks | _of_signs(word) | _of_values(word)


def _of_long(word: str) -> int:
    """Of text without spaces (Chinese, JSON, addresses) the marks of its parts."""
    marks = LONG | _of_signs(word)
    for piece in _FOREIGN.split(word):
        if not piece:
            continue
        if len(piece) < _LONG_WORD:
            marks |= _KNOWN[piece]
        elif len(piece) < _MOST_OF_A_PIECE:
            marks |= _of_letters(piece) | _of_signs(piece) | _of_values(piece)
        elif piece.isdigit():
            marks |= DIGITS
        else:  # looking closer costs less than finding out whether to
            marks |= DIGITS | CODE | IBAN | VALUE | KEY | SECRET_WORD | BUTTON | (AT if "@" in piece else 0)
    return marks


def _of_letters(word: str) -> int:
    marks = 0
    low = word.lower()
    for mark in _SECRET_WORDS:
        if mark in low:
            marks |= SECRET_WORD
            break
    if _VOICES.match(word):
        marks |= VOICE
    if low in _BUTTON_WORDS or any(part in low for part in _BUTTON_PARTS) or _COUNTER.fullmatch(low):
        marks |= BUTTON
    if _ACCENTS.search(word) or low.strip(_EDGES) in _UNACCENTED:
        marks |= ACCENT
    if any(fill in low for fill in _FILLS):
        marks |= FILL
    if is_masculine_word(word):
        marks |= MASCULINE
    if len(word) >= 10 and _REPEATED.search(word):
        marks |= LONG
    bare = word.strip(".,;:!?()")
    if (len(bare) == 16 and bare.isalpha()) or (len(bare) == 6 and bare.isupper() and bare.isalpha()):
        marks |= CODE  # codice fiscale in one word, or its first group
    return marks


def _of_signs(word: str) -> int:
    marks = 0
    if "<" in word or "＜" in word or "﹤" in word:
        marks |= ANGLE
    if _BRACKETS.search(word):
        marks |= BRACKET
    if _SQUARES.search(word):
        marks |= SQUARE
    if "{{" in word or "{%" in word or "${" in word:
        marks |= BRACE
    if "```" in word or "~~~" in word:
        marks |= FENCE
    if "&" in word and ";" in word:
        marks |= AMPERSAND
    if not word.isascii() and _BROKEN.search(word):
        marks |= MOJIBAKE
    return marks


def _of_values(word: str) -> int:
    """Marks of secrets and personal data."""
    marks = AT if "@" in word else 0
    if any(map(str.isdigit, word)):
        marks |= DIGITS
        if _CODES.search(word):
            marks |= CODE
        if _IBANS.search(word):
            marks |= IBAN
    if len(word) >= 6 and any(map(_may_be_password, _candidates(word))):
        marks |= VALUE
    if len(word) >= 10 and _may_hold_key(word):
        marks |= KEY
    return marks


def _candidates(word: str) -> Iterator[str]:
    """What of a word could be a value: all between quotes, and what stands behind a sign in it."""
    for piece in _QUOTES.split(word):
        if len(piece) < 6:
            continue
        if not _ASSIGNMENT.match(piece):
            yield piece
        signs = [match.end() for match in _SIGNS.finditer(piece)]
        if signs:
            yield piece[signs[0] :]
        if len(signs) > 1:
            yield piece[signs[-1] :]


def _may_be_password(value: str) -> bool:
    from components.sncp.placeholders import is_placeholder, is_word_like

    bare = value.rstrip(".,;:)]}*_").lstrip("=:/*_")
    if "://" in value:
        return False  # its password, if it has one, is looked for as a key
    return len(bare) >= 6 and not is_word_like(bare) and not _MAIL.fullmatch(bare) and not is_placeholder(bare)


def _may_hold_key(word: str) -> bool:
    """Whether it holds the mark of a maker's keys and enough behind it, or may be one in another encoding."""
    from components.sncp.secret_prefixes import RULES

    if ("://" in word and "@" in word) or (len(word) >= 16 and "%" in word and _ESCAPE.search(word)):
        return True
    for run in _KEY_LIKE.findall(word):
        digit = any(map(str.isdigit, run))
        if not digit and (run.islower() or run.isupper() or run.istitle()):
            continue
        if len(run) >= 16 and any(rule.may_be_in(run) and rule.pattern.search(word) for rule in RULES):
            return True
        if run.startswith(_BEGINNINGS) or (len(run) >= 16 and _is_encoded(run)):
            return True
        if digit and len(run) >= 24 and _MIXED.search(run):  # a key that only its maker's name near it tells
            return True
    return False


def _is_encoded(run: str) -> bool:
    """Whether it is base64 of ASCII text."""
    bare = run.strip("=.:~@%$").replace("-", "+").replace("_", "/")[:4_000]
    try:
        data = base64.b64decode(bare[: len(bare) // 4 * 4], validate=True)
    except (binascii.Error, ValueError):
        return False
    return data.isascii()
