"""How hard a question is: by rules that anybody can read, the same each time, with the reason in words.

A point for each sign of work: a word such as "confronta", more than one question, a long text, an order to write a
list, a plan or code, a list or code that comes along. No point: simple; one: medium; two or more: complex.

**Not covered**: what a question means. A short one may be hard; a long story with one simple question at its end counts
as hard; "valuta" counts where it is money. Who wants other rules changes `complex_words` and `long_question_chars` in
the recipe.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from components.serve.params import Tier

__all__ = ["Classified", "classify", "folded"]

# The one of an address is followed by its parameters. A row of them is looked at once, not from each of its signs.
_QUESTIONS = re.compile(r"(?<![?？])[?？]++(?=[\s\"'»”’)\]*]|\Z)")
_CODE = re.compile(
    r"```|^[ \t]{4,}\S[^\n]*[;{}()=]|\bdef \w+\(|\bclass \w+[:({]|\bfunction \w*\(|\bSELECT [^\n]{1,200}? FROM\b"
    r"|^(?:from [\w.]+ )?import [\w.]+|^Traceback \(",
    re.MULTILINE,
)
_LIST = re.compile(r"^[ \t]*(?:[-*•]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
_ORDER = (
    r"\b(?:scriv(?:i|imi|ere|iamo)|fa(?:i|mmi|cci)|dammi|crea(?:mi)?|prepara(?:mi)?|genera(?:mi)?|mostrami|stendi|"
    r"vorrei|voglio|mi serve|write|give me|make|create|prepare|generate|draft|show me|build|i need|i want)\b"
    r"\W+(?:\w+\W+){0,3}?"
)
_ORDERS = {
    kind: re.compile(rf"{_ORDER}(?:{nouns})\b|\b(?:{alone})\b")
    for kind, nouns, alone in (
        ("a list", "elenco|lista|tabella|checklist|list|table", "elenca(?:mi)?|enumera|list (?:all|every|the)"),
        (
            "a plan",
            "piano|scaletta|tabella di marcia|calendario|plan|schedule|outline|roadmap",
            "passo (?:per )?passo|step by step",
        ),
        (
            "code",
            "script|codice|funzione|query|regex|programma|code|function|snippet|program|unit tests?",
            "implementa|implement|refactor|debugga|debug this",
        ),
    )
}


@dataclass(frozen=True)
class Classified:
    """A tier, and why in words; `points`: see the module."""

    tier: Tier
    because: str
    points: int


def folded(text: str) -> str:
    """Without accents and case, with plain apostrophes: "Perché", "perchè" and "PERCHE" are one word."""
    split = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in split if not unicodedata.combining(char)).replace("’", "'")


def classify(question: str, *, complex_words: Sequence[str], long_question_chars: int) -> Classified:
    """How hard a question is.

    Args:
        question: the newest turn, as it was asked.
        complex_words: words, or groups of words, that count a point (whole words, any case, with or without accents);
            several of them count two.
        long_question_chars: more characters count a point, three times as many two.

    Returns:
        The tier and the reasons for it, the strongest first.
    """
    plain = " ".join(folded(question).split())
    reasons: list[tuple[int, str]] = []
    for times, points in ((3, 2), (1, 1)):
        if len(question) > times * long_question_chars:
            reasons.append((points, f"it is long (more than {times * long_question_chars} characters)"))
            break
    if said := [word for word in dict.fromkeys(complex_words) if _has(plain, folded(word))]:
        reasons.append((min(len(said), 2), "it says " + " and ".join(f"'{word}'" for word in said[:3])))
    if len(_QUESTIONS.findall(question)) > 1:
        reasons.append((1, "it asks more than one thing"))
    reasons += [(1, f"it wants {kind}") for kind, order in _ORDERS.items() if order.search(plain)]
    if len(_LIST.findall(question)) > 1:
        reasons.append((1, "it holds a list"))
    if _CODE.search(question):
        reasons.append((1, "it holds code"))
    reasons.sort(key=lambda reason: -reason[0])
    points = sum(point for point, _ in reasons)
    tier: Tier = "simple" if points == 0 else "medium" if points == 1 else "complex"
    return Classified(tier, "; ".join(text for _, text in reasons) or "it is short and asks one thing", points)


def _has(text: str, word: str) -> bool:
    """Whether it stands in the text as whole words."""
    word = " ".join(word.split())
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
