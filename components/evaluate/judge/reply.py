"""A judge's reply -> its verdict and its reason, or nothing: what is no clear verdict is never taken for one.

Read: a JSON object `{"rationale": "...", "verdict": "..."}`, alone, in a code fence or within prose; also one that is
no valid JSON (single quotes, a broken or cut rationale) as long as its verdict stands whole, and `Verdict: yes` as the
last line. Thoughts (`<think>`) are left out. Not read: a verdict without its name; one among other words ("yes or no",
as in the request); one that stands within the reason (an answer that is quoted may hold one); a reply that was cut
before its verdict; two verdicts that contradict each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar

from components.answer.guard import one_line
from components.evaluate.judged import Verdict

__all__ = ["MAX_RATIONALE", "Choice", "read_choice", "read_verdict"]

MAX_RATIONALE = 400
"""Characters of a reason that are kept."""

_MAX_REPLY = 20_000  # characters that are looked at: no reason of one sentence is longer

Choice = Literal["A", "B", "tie"]
Word = TypeVar("Word")

_VERDICTS: Mapping[str, Verdict] = {
    "yes": "yes", "sì": "yes", "si": "yes", "sí": "yes", "true": "yes", "vero": "yes",
    "no": "no", "false": "no", "falso": "no",
}  # fmt: skip
_CHOICES: Mapping[str, Choice] = {
    "a": "A", "b": "B", "tie": "tie", "pari": "tie", "pareggio": "tie",
    "answer a": "A", "answer b": "B", "risposta a": "A", "risposta b": "B",
}  # fmt: skip
_NAMES = ("verdict", "verdetto")
_THOUGHTS = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_NAMED = re.compile(
    r"\bverd(?:ict|etto)[\"'”’`*]{0,3}\s{0,9}[:=]\s{0,9}(?:\*\*\s?)?"
    r"(?:[\"'“‘](?P<quoted>[^\"'“”‘’\n]{1,20})[\"'”’](?P<closed>\s{0,9}\})?"
    r"|(?P<bare>[^\W\d_]{1,20}(?: [ABab])?)\.?\*{0,2}[ \t]{0,9}(?=(?P<brace>\})|\n|,\s{0,9}[\"'}]|```|\Z))",
    re.IGNORECASE,
)
_REASON = re.compile(r"\b(?:rationale|ragione|motivo)[\"'”’`*]{0,3}\s{0,9}[:=]", re.IGNORECASE)
_WORD = re.compile(r"\w")
_DECODER = json.JSONDecoder(object_pairs_hook=lambda pairs: pairs, strict=False)


def read_verdict(reply: str) -> tuple[Verdict | None, str]:
    """`yes`, `no` or None, and the reason on one line. Takes any text and never raises."""
    return _read(reply, _VERDICTS)


def read_choice(reply: str) -> tuple[Choice | None, str]:
    """`A`, `B`, `tie` or None, and the reason on one line. Takes any text and never raises."""
    return _read(reply, _CHOICES)


def _read(reply: str, words: Mapping[str, Word]) -> tuple[Word | None, str]:
    text = _THOUGHTS.sub("", reply[:_MAX_REPLY])
    whole, rest = _objects(text)
    found = [(said, str(dict(pairs).get("rationale", ""))) for pairs in whole for said in _values(pairs, words)]
    matches = [(match, said) for match in _NAMED.finditer(rest) if (said := _word(match, words))]
    if len({said for said, _ in found} | {said for _, said in matches}) != 1:
        return None, ""
    if not found:
        match, said = matches[-1]
        if not _ends(rest, match):
            return None, ""
        found = [(said, _reason(rest[: match.start()]))]
    said, reason = found[-1]
    return said, one_line(reason, max_chars=MAX_RATIONALE)


def _objects(text: str) -> tuple[list[list[tuple[str, Any]]], str]:
    """JSON objects with a verdict that stand before any broken one, and the text without them.

    What follows a brace that opens no valid object may stand within the reason of a broken one.
    """
    whole, rest, at = [], [], 0
    while (start := text.find("{", at)) >= 0:
        try:
            pairs, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            break
        if any(name.lower() in _NAMES for name, _ in pairs):
            whole.append(pairs)
            rest.append(text[at:start])
        else:
            rest.append(text[at:end])
        at = end
    return whole, "".join([*rest, text[at:]])


def _values(pairs: list[tuple[str, Any]], words: Mapping[str, Word]) -> Iterator[Word]:
    for name, value in pairs:
        if name.lower() in _NAMES and isinstance(value, str | bool) and (said := words.get(_plain(str(value)))):
            yield said


def _word(match: re.Match[str], words: Mapping[str, Word]) -> Word | None:
    return words.get(_plain(match["quoted"] or match["bare"]).replace("\\u00ec", "ì"))


def _plain(word: str) -> str:
    return word.strip(" .!*\t").lower()


def _ends(text: str, match: re.Match[str]) -> bool:
    """Whether a reply ends with this verdict: it closes the only object, or no word follows it."""
    if (match["closed"] or match["brace"]) and text.count("{", 0, match.start()) == 1:
        return True
    return _WORD.search(text, match.end()) is None


def _reason(text: str) -> str:
    """What stands before the verdict, from the name of the reason on."""
    match = _REASON.search(text)
    return text[match.end() if match else 0 :].strip("\"'“”‘’`*,{ \t\n")
