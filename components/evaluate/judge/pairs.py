"""Candidate against champion on what both answered, in both orders: who wins in one order only has not won.

**Not covered**: a judge that likes long answers likes them in both orders; `Pair.words` shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from components.errors import CervellaError
from components.evaluate.judge.ask import Heard, LocalNotes, Tally, ask_judge
from components.evaluate.judge.opening import Judge
from components.evaluate.judge.reply import read_choice
from components.evaluate.judge.words import JudgeWords
from components.evaluate.judged import Outcome, Pair
from components.evaluate.said import Item, Said
from components.llm.at_once import ask_at_once, most_at_once

__all__ = ["Duel", "duels", "judge_pairs"]

_SAME = "the same answer, word for word"
_OUTCOMES: tuple[Mapping[str, Outcome], Mapping[str, Outcome]] = (
    {"A": "candidate", "B": "champion", "tie": "tie"},
    {"A": "champion", "B": "candidate", "tie": "tie"},
)
"""What a choice means when the candidate stands first, and when it stands second."""


@dataclass(frozen=True)
class Duel:
    """One item and the answers of both."""

    item: Item
    candidate: str
    champion: str


def duels(candidate: Iterable[Said], champion: Iterable[Said]) -> list[Duel]:
    """Items that both answered, in the candidate's order; where either has an error there is nothing to compare."""
    answers = {said.item: said.text for said in champion if said.error is None}
    return [
        Duel(said.item, said.text, answers[said.item])
        for said in candidate
        if said.error is None and said.item in answers
    ]


def judge_pairs(
    pairs: Sequence[Duel],
    *,
    judge: Judge,
    log: Heard,
    at_once: int,
    persona: str,
    progress: Callable[[int, int], None],
    local_notes: LocalNotes | None = None,
    tally: Tally | None = None,
) -> Iterator[Pair]:
    """Which answer is better, in their order; each pair is asked twice, of the first of the judge's chats.

    Equal answers are a tie that nobody is asked about. Arguments as of `judge_all`.
    """
    words = JudgeWords(persona, count_tokens=judge.chats[0].count_tokens)
    tally = tally or Tally()

    def ask(duel: Duel) -> Pair:
        return _pair(duel, words, judge, log, _local(duel, local_notes or {}), tally)

    at_once = most_at_once(judge.chats[0], at_once)
    with closing(ask_at_once(pairs, ask, at_once=at_once, progress=progress)) as results:
        yield from results


def _local(duel: Duel, local_notes: LocalNotes) -> Collection[str]:
    key = duel.item.key
    return {*local_notes.get(("candidate", key), ()), *local_notes.get(("champion", key), ())}


def _pair(duel: Duel, words: JudgeWords, judge: Judge, log: Heard, local: Collection[str], tally: Tally) -> Pair:
    counts = (len(duel.candidate.split()), len(duel.champion.split()))
    if duel.candidate.strip() == duel.champion.strip():
        return Pair(duel.item.key, "tie", "tie", "tie", rationale=_SAME, words=counts)
    outcomes: list[Outcome | None] = []
    reasons, errors = [], []
    for order, meaning in enumerate(_OUTCOMES):
        first, second = (duel.candidate, duel.champion) if order == 0 else (duel.champion, duel.candidate)
        outcome: Outcome | None = None
        try:
            choice, reason, _ = ask_judge(
                words.pair(duel.item, first=first, second=second), read_choice,
                judge=judge, repeat=0, log=log, local_notes=local, tally=tally,
            )  # fmt: skip
        except CervellaError as error:
            errors.append(tally.tell(f"the pair {duel.item.key}", error))
        else:
            outcome = meaning[choice] if choice else None
            reasons.append(reason)
        outcomes.append(outcome)
    there, back = outcomes
    both = None if there is None or back is None else there if there == back else "tie"
    return Pair(
        duel.item.key, there, back, both, rationale=next((reason for reason in reasons if reason), ""),
        errors=tuple(errors), words=counts,
    )  # fmt: skip
