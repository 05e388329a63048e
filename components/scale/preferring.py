"""Whose answer the judge prefers, the candidate's or that of the release in service, and whether its word counts.

Texts go to the judge and nowhere else; only the outcome stays. **Not covered**: what
`components.evaluate.judge.pairs` says of itself; a question whose texts a killed run has lost has no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.answer.language import detect_language
from components.errors import TerminalError
from components.evaluate.judge.ask import LocalNotes, Tally
from components.evaluate.judge.opening import Judge, judge_chat
from components.evaluate.judge.pairs import Duel, judge_pairs
from components.evaluate.judge.words import PROMPT_VERSION
from components.evaluate.judged import Outcome
from components.evaluate.said import Item
from components.evaluate.verdicts import untrusted
from components.llm.params import LlmParams
from components.scale.answers import SIDES, Side
from components.scale.questions import Question
from components.store import Run, Store

if TYPE_CHECKING:
    from components.answer.partner import Asked, Partner

__all__ = ["Prefer", "distrust_of", "preference"]

Prefer = Callable[[Question, Mapping[Side, "Asked"]], Outcome | None]
"""Of a question and both answers, whose is better; None: the judge came to no verdict."""


def preference(judge: Judge, *, sides: Mapping[Side, Partner]) -> Prefer:
    """Asks the judge twice of each question, in both orders; it is shown the candidate's persona.

    A judge that is elsewhere is given no answer that may quote a note which must not leave this machine.
    """
    tally = Tally()  # an error that meets every question is told once

    def prefer(question: Question, asked: Mapping[Side, Asked]) -> Outcome | None:
        item = Item("personality", question.id, question.text, detect_language(question.text), "scale")
        told = {side: asked[side].answer for side in SIDES}
        local: LocalNotes = {
            (side, item.key): [
                *sides[side].prompt.local_notes, *_session_of(sides[side]),
                *(one.path for one in told[side].sources if one.local),
            ]
            for side in SIDES
        }  # fmt: skip
        (pair,) = judge_pairs(
            [Duel(item, told["candidate"].text, told["champion"].text)], judge=judge, log=_Nothing(), at_once=1,
            persona=sides["candidate"].prompt.text, progress=lambda done, total: None, local_notes=local,
            tally=tally,
        )  # fmt: skip
        return pair.outcome

    return prefer


def distrust_of(workspace: Path, *, run: str, llm: LlmParams) -> str | None:
    """Why the judge's word does not count, in words; None: in the candidate's own run people have checked this judge.

    Args:
        workspace: where the run is.
        run: that the candidate came from.
        llm: of the recipe whose judge is asked.
    """
    steps = Run(workspace / "runs" / run).read()["steps"]
    made = next((one.get("artefact") for one in steps if one["name"] == "evaluate.agreement"), None)
    if not made:
        return untrusted(None, "sounds")
    try:
        sealed = Store(workspace).open(made)
    except TerminalError as error:
        return f"the judge's word does not count: what people said of it cannot be read: {error}"
    then = sealed.manifest["params"]
    if (then["judge"], then["prompt_version"]) != (judge_chat(llm).sampled(), PROMPT_VERSION):
        return f"the judge's word does not count: in run {run} people have checked another judge (llm.judge)"
    return untrusted(sealed.read_json("agreement.json")["groups"], "sounds")


def _session_of(partner: Partner) -> list[str]:
    return [partner.session.path] if partner.session and partner.session.local else []


class _Nothing:
    """Keeps no reply."""

    def get(self, key: str) -> dict[str, Any] | None:
        return None

    def put(self, key: str, value: dict[str, Any]) -> None:
        pass
