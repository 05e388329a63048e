"""What the double `fake/chat?mode=judge` says to whoever asks it to judge: a judge whose error rates are known.

The truth stands in the judged answer itself: `[[bad]]` for one that deserves a no; every other answer deserves a yes
(`[[good]]` says so aloud). The double finds an answer by its fence (`<<<ANSWER code`, `<<<RISPOSTA code`, also with
`_A` and `_B` of a pair). Each reply hangs on the whole request and the seeds alone, so errors are independent between
answers and between questions, and the same request has the same reply. Of pairs the better answer is named, or a tie
where both deserve the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

__all__ = ["judge_reply"]

_ANSWER = re.compile(
    r"<<<(?:ANSWER|RISPOSTA)(?P<side>_[AB])? (?P<code>\w+)\n(?P<text>.*?)\n(?P=code) \w+>>>", re.DOTALL
)


def judge_reply(
    contents: Sequence[str], *, tpr: float, tnr: float, unparsable: float, favours: str, favour_prob: float, seed: str
) -> str:
    """A verdict as JSON, rationale first; with chance `unparsable` prose instead.

    Args:
        contents: of the messages, in their order.
        tpr: chance that a good answer gets its yes, and that the better of two is named.
        tnr: chance that a bad answer gets its no.
        unparsable: chance (0..1) of a reply that is no verdict.
        favours: `first` or `second`, of a pair; empty: neither.
        favour_prob: chance that this decides a pair, whatever the answers are worth.
        seed: another one makes other errors.
    """
    request = "\0".join([seed, *contents])
    if _dice("form", request) < unparsable:
        return "Dipende da come la si guarda: ci sono ragioni per un verso e per l'altro."
    answers = {match["side"]: "[[bad]]" not in match["text"] for text in contents for match in _ANSWER.finditer(text)}
    if "_A" in answers and "_B" in answers:
        verdict = _better(answers["_A"], answers["_B"])
        if _dice("error", request) >= tpr:
            others = [word for word in ("A", "B", "tie") if word != verdict]
            verdict = others[int(_dice("which", request) * len(others))]
        if favours and _dice("favour", request) < favour_prob:
            verdict = "A" if favours == "first" else "B"
    else:
        good = all(answers.values())
        right = _dice("error", request) < (tpr if good else tnr)
        verdict = "yes" if good == right else "no"
    return json.dumps({"rationale": "It says so itself.", "verdict": verdict})


def _better(first: bool, second: bool) -> str:
    return "tie" if first == second else "A" if first else "B"


def _dice(name: str, request: str) -> float:
    """From 0 to below 1, the same for the same request."""
    digest = hashlib.sha256(f"{name}\0{request}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
