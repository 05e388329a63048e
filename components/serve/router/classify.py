"""How hard a question is: by rules that anybody can read, the same each time, with the reason in words.

A point for each sign of work: more than one question, a word such as "confronta", a list of things to do, code, a long
text. No point: simple; one: medium; two or more: complex. Not covered: what a question means. "Perché?" alone is hard
and short; a long story with one simple question at its end counts as hard. Who wants another rule changes
`complex_words` and `long_question_chars` in the recipe.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from components.serve.params import Tier

__all__ = ["Classified", "classify", "folded"]

_SENTENCE_END = re.compile(r"\?+")
_CODE = re.compile(r"```|^\s{4,}\S.*[;{}()=]|\b(?:def|class|function|SELECT|import)\s+\w+", re.MULTILINE)
_LIST = re.compile(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+\S", re.MULTILINE)


@dataclass(frozen=True)
class Classified:
    """A tier, and why; `points`: see the module."""

    tier: Tier
    because: str
    points: int


def folded(text: str) -> str:
    """Without accents and case, so that "perche'" with an accent or without is one word."""
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in split if not unicodedata.combining(char)).replace("’", "'")


def classify(question: str, *, complex_words: Sequence[str], long_question_chars: int) -> Classified:
    """How hard a question is.

    Args:
        question: the newest turn, as it was asked.
        complex_words: words, or groups of words, that count a point (any case, with or without accents); several of
            them count two.
        long_question_chars: more characters count a point, three times as many two.

    Returns:
        The tier and the reasons for it, the strongest first.
    """
    plain = folded(question)
    reasons: list[tuple[int, str]] = []
    if len(question) > 3 * long_question_chars:
        reasons.append((2, f"more than {3 * long_question_chars} characters"))
    elif len(question) > long_question_chars:
        reasons.append((1, f"more than {long_question_chars} characters"))
    asked = [word for word in dict.fromkeys(complex_words) if _has(plain, folded(word))]
    if asked:
        reasons.append((min(len(asked), 2), "the words " + ", ".join(f"'{word}'" for word in asked[:3])))
    if len(_SENTENCE_END.findall(question)) > 1:
        reasons.append((1, "several questions"))
    if len(_LIST.findall(question)) > 1:
        reasons.append((1, "a list"))
    if _CODE.search(question):
        reasons.append((1, "code"))
    points = sum(point for point, _ in reasons)
    tier: Tier = "simple" if points == 0 else "medium" if points == 1 else "complex"
    reasons.sort(key=lambda reason: -reason[0])
    return Classified(tier, "; ".join(text for _, text in reasons) or "short and plain", points)


def _has(text: str, word: str) -> bool:
    """Whether it stands in the text as whole words."""
    return bool(word.strip()) and re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text) is not None
