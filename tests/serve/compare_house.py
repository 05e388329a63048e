"""Two releases that are compared, doubles both: A, which is in service, and B, the candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.answer.partner import Partner
from components.llm import Budget
from components.serve.compare import AbDesk, Comparisons, ShadowDesk
from components.serve.compare.share import in_share
from components.serve.own_desk import OwnDesk
from components.serve.params import CompareParams
from tests.serve.router_house import EASY, OWN, One, chat, wanted

OTHER = "fake/chat?reply=Altra [1]"
CANDIDATE = "b" * 64


def own(partner: Partner, model: str, *, release: str = "a" * 64) -> OwnDesk:
    return OwnDesk(One(replace(partner, chat=chat(model)), release=release), max_chars=8000, history_tokens=1000)


def poor(partner: Partner, reply: str = "Altra") -> OwnDesk:
    """A candidate that costs more than its run may cost."""
    budget = Budget(per_run_usd=0.1, per_query_usd=9)
    rich = replace(partner, chat=chat(f"fake/chat?cost=1&reply={reply} [1]", budget=budget), budget=budget)
    return OwnDesk(One(rich, release=CANDIDATE), max_chars=8000, history_tokens=1000)


def shadow(partner: Partner, records: Comparisons, *, a: Any = OWN, b: Any = OTHER, share: float = 1.0,
           questions: int = 200, **more: Any) -> ShadowDesk:  # fmt: skip
    return ShadowDesk(
        own(partner, a) if isinstance(a, str) else a, own(partner, b, release=CANDIDATE) if isinstance(b, str) else b,
        params=CompareParams(mode="shadow", share=share, questions=questions), records=records, candidate=CANDIDATE,
        **more,
    )  # fmt: skip


def ab(partner: Partner, records: Comparisons, *, a: Any = OWN, b: Any = OTHER, share: float = 0.5,
       questions: int = 200, **more: Any) -> AbDesk:  # fmt: skip
    return AbDesk(
        own(partner, a) if isinstance(a, str) else a, own(partner, b, release=CANDIDATE) if isinstance(b, str) else b,
        params=CompareParams(mode="ab", share=share, questions=questions), records=records, candidate=CANDIDATE,
        max_chars=8000, **more,
    )  # fmt: skip


def of_side(side: str) -> str:
    """A conversation that the candidate answers (B) or not, of a half."""
    names = (f"c{number}" for number in range(1000))
    return next(
        name for name in names
        if in_share(wanted(EASY, conversation=name), candidate=CANDIDATE, share=0.5) == (side == "B")
    )  # fmt: skip
