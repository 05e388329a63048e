"""What code decides about an answer: exact, free, the same each time.

Kinds of rules:

- check: a persona check by its name (`components.evaluate.checks`), as it was made when the answer came
- never, all_of, any_of: texts that stand nowhere in the answer, all of them, at least one
- starts_with: the answer begins with one of the texts
- matches, never_matches: a regular expression (`components.evaluate.suite.patterns`) that is found somewhere, nowhere
- language: the answer is in Italian, in English, or in the language of the prompt; by function words
- max_words, min_words: words between blanks
- lines: at least and at most so many lines; empty ones and the marks of a code block do not count
- json: the answer, or the one code block in it, is JSON: an object or a list; with keys: an object that has them all

Texts are compared without regard to capitals, to accents composed or not, to curly or straight apostrophes and to line
breaks. A text may stand within a longer word ("scont" finds "sconti"), but a number never within a longer number.

Not covered: the same said in other words, a text that is only quoted or denied ("non ho fatto sconti" holds "sconti"),
languages other than Italian and English.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

from components.dataset.checks.voice import QUOTED
from components.evaluate.checks import guess_language
from components.evaluate.said import Said
from components.evaluate.suite.model import CodeRule
from components.evaluate.suite.patterns import found_at

__all__ = ["decide_by_code"]

_FENCED = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u02bc": "'"})
_SHOWN = 3

Decision = tuple[bool | None, str]


def decide_by_code(code: CodeRule, said: Said) -> Decision:
    """Whether an answer keeps the rule, and what was seen, in words. None: the rule does not apply to it.

    `said` is an answer, not an error. A rule does not apply where its check was not made or did not apply, and where
    the language cannot be told.
    """
    match code.kind:
        case "check":
            return _check(code.value, said)
        case "never" | "all_of" | "any_of" | "starts_with":
            return _texts(code.kind, code.value, said.text)
        case "matches" | "never_matches":
            return _pattern(code.value, said.text, wanted=code.kind == "matches")
        case "language":
            return _language(said.item.lang if code.value == "prompt" else code.value, said.text)
        case "max_words" | "min_words":
            words = len(said.text.split())
            most = code.kind == "max_words"
            holds = words <= code.value if most else words >= code.value
            return holds, f"{words} words; at {'most' if most else 'least'} {code.value}"
        case "lines":
            least, most_lines = code.value
            lines = sum(bool(line.strip()) and not line.strip().startswith("```") for line in said.text.splitlines())
            return least <= lines <= most_lines, f"{lines} lines; expected {least} to {most_lines}"
        case "json":
            return _json(code.value, said.text)


def _check(name: str, said: Said) -> Decision:
    check = next((check for check in said.checks if check.name == name), None)
    if check is None or check.passed is None:
        return None, f"the check {name} {'was not made' if check is None else 'does not apply'}"
    return check.passed, check.why or f"the check {name} passed"


def _texts(kind: str, texts: Sequence[str], answer: str) -> Decision:
    folded = _folded(answer)
    if kind == "starts_with":
        start = " ".join(answer.split())[:40]
        return folded.startswith(tuple(_folded(text) for text in texts)), f"starts with {start!r}"
    held = [text for text in texts if _holds(folded, _folded(text))]
    missing = [text for text in texts if text not in held]
    if kind == "never":
        return not held, f"says {_list(held)}" if held else "says none of them"
    if kind == "any_of":
        return bool(held), f"says {_list(held)}" if held else f"says none of {_list(texts)}"
    return not missing, f"does not say {_list(missing)}" if missing else "says all of them"


def _pattern(pattern: str, answer: str, *, wanted: bool) -> Decision:
    found = found_at(pattern, answer)
    return (found is not None) == wanted, "matches nowhere" if found is None else f"matches at {found!r}"


def _language(expected: str, answer: str) -> Decision:
    spoken = guess_language(QUOTED.sub(" ", answer)) or guess_language(answer)
    if expected not in {"it", "en"} or spoken is None:
        return (
            None,
            "the language cannot be told" if spoken is None else f"expected {expected!r}, which code cannot tell",
        )
    return spoken == expected, f"the answer is {spoken}; expected {expected}"


def _json(keys: bool | Sequence[str], answer: str) -> Decision:
    blocks = _FENCED.findall(answer)
    try:
        value = json.loads(blocks[0] if len(blocks) == 1 else answer)
    except (ValueError, RecursionError) as error:
        return False, f"not JSON: {error}"
    if not isinstance(value, dict | list):
        return False, "JSON, but neither an object nor a list"
    wanted = () if isinstance(keys, bool) else keys
    if wanted and not isinstance(value, dict):
        return False, "a list; expected an object"
    missing = [key for key in wanted if key not in value]
    return not missing, f"JSON without {_list(missing)}" if missing else "JSON"


def _folded(text: str) -> str:
    composed = unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())
    return " ".join(composed.translate(_APOSTROPHES).split())


def _holds(answer: str, text: str) -> bool:
    """Whether `text` stands in `answer`; a digit at either end of it may have no other digit beside it."""
    position = answer.find(text)
    while position >= 0:
        end = position + len(text)
        before, after = answer[max(position - 1, 0) : position], answer[end : end + 1]
        if not (text[0].isdigit() and before.isdigit()) and not (text[-1].isdigit() and after.isdigit()):
            return True
        position = answer.find(text, position + 1)
    return False


def _list(texts: Sequence[str]) -> str:
    shown = ", ".join(repr(text) for text in texts[:_SHOWN])
    return shown + (f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
