"""A candidate in the shadow: it is asked after what is in service, nobody waits for it, and no fault of its is felt."""

from __future__ import annotations

import random
import string
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.answer.partner import Partner
from components.errors import TransientError
from components.evaluate.judge.pairs import duels
from components.llm import Budget
from components.serve.compare import Comparisons, comparisons_file
from tests.serve.compare_house import CANDIDATE, OTHER, ab, poor, shadow
from tests.serve.router_house import EASY, HARD, HELPER, LONG, OWN, desk, make_partner, wanted, write_note


def test_a_shadow_answers_as_what_is_in_service_does_and_records_both(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records)
    served = here.ask(wanted(EASY, conversation="c1"))
    assert served.asked.answer.text == "Mia [1]" and served.side is None
    assert here.wait(20)
    a, b = records.answers(CANDIDATE)
    assert (a.side, a.release, b.side, b.release) == ("A", "a" * 64, "B", CANDIDATE)
    assert a.request == b.request == "r1" and a.found and b.found and b.seconds is not None and b.cost_usd == 0
    assert a.sources == b.sources and b.cited == b.sources[:1] and b.chars == len("Altra [1]")
    assert a.conversation == b.conversation and a.conversation not in (None, "c1")
    assert here.told() == {"compared": 1, "enough": 200, "waiting": 0, "left_out": 0}
    here.close()


def test_no_text_is_kept_unless_it_is_asked_for(partner: Partner, records: Comparisons, tmp_path: Path) -> None:
    here = shadow(partner, records)
    here.ask(wanted("Quando costa la caparra Zanzibar?", conversation="Zanzibar"))
    assert here.wait(20)
    here.close()
    records.close()
    kept = b"".join(file.read_bytes() for file in comparisons_file(tmp_path).parent.iterdir())
    assert kept and b"Zanzibar" not in kept and b"Altra [1]" not in kept
    assert records.said(CANDIDATE) == ([], [])


def test_texts_that_are_kept_are_masked_and_the_judge_of_pairs_can_read_them(
    partner: Partner, records: Comparisons, tmp_path: Path
) -> None:
    here = shadow(partner, records, b="fake/chat?reply=Scrivi a mario.rossi@posta-vera.it [1]", keep_texts=True)
    key = "ghp_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))  # noqa: S311
    here.ask(wanted(f"Quando costa la caparra? {key}"))
    assert here.wait(20)
    here.close()
    [duel] = duels(*records.said(CANDIDATE))
    assert "[REDACTED" in duel.item.prompt and "[REDACTED" in duel.candidate and duel.champion == "Mia [1]"
    assert duel.item.lang == "it" and duel.item.kind == "served"
    records.close()
    kept = b"".join(file.read_bytes() for file in comparisons_file(tmp_path).parent.iterdir())
    assert key.encode() not in kept and b"mario.rossi" not in kept


@pytest.mark.parametrize("fault", ["&fail_prob=1", "&break_at=90"], ids=["at once", "in the middle"])
def test_a_candidate_that_fails_is_recorded_and_fails_nobody(
    partner: Partner, records: Comparisons, fault: str
) -> None:
    here = shadow(partner, records, b=f"fake/chat?reply={LONG}{fault}", keep_texts=True)
    assert here.ask(wanted(EASY)).asked.answer.text == "Mia [1]"
    assert here.wait(20)
    here.close()
    a, b = records.answers(CANDIDATE)
    assert a.error is None and b.error == "TransientError" and b.text is None and b.found is None
    assert duels(*records.said(CANDIDATE)) == []


def test_a_candidate_that_hangs_slows_nobody(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records, b=OTHER + "&delay=60", gives_way=False)
    for number in range(3):
        begun = time.monotonic()
        here.ask(wanted(EASY, id=f"r{number}"))
        assert time.monotonic() - begun < 10
    assert here.told()["compared"] == 0
    begun = time.monotonic()
    here.close()
    assert time.monotonic() - begun < 10 and records.answers(CANDIDATE) == []


def test_it_gives_way_to_whoever_asks_and_comes_back_to_the_question(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records, b=f"fake/chat?reply={LONG}&delay=0.01")
    here.ask(wanted(EASY, id="first"))
    while not here._working:
        time.sleep(0.005)
    asking = here.stream(wanted(EASY, id="second"))
    next(asking)  # somebody is answered now
    time.sleep(1.5)
    assert here.told()["compared"] == 0
    asking.close()
    assert here.wait(30) and here.told()["left_out"] == 0
    here.close()
    assert [one.request for one in records.answers(CANDIDATE)] == ["first", "first"]


def test_what_it_cannot_follow_is_left_out_and_counted(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records)
    with here._in_flight():  # as long as this one is answered nothing is compared
        for number in range(40):
            here.ask(wanted(EASY, id=f"r{number}"))
        assert here.told() == {"compared": 0, "enough": 200, "waiting": 32, "left_out": 8}
    assert here.wait(60)
    here.close()
    assert records.count(CANDIDATE, "shadow") == 32


@pytest.mark.parametrize("fault", ["money", "ended"])
def test_spent_money_and_a_comparison_that_ended_are_no_failures_of_the_candidate(
    partner: Partner, records: Comparisons, fault: str
) -> None:
    other: Any = poor(partner) if fault == "money" else OTHER
    why = iter([None, None, "ended"])  # it ends while the candidate answers
    more: dict[str, Any] = {} if fault == "money" else {"why_not": lambda: next(why)}
    here = shadow(partner, records, b=other, **more)
    assert here.ask(wanted(EASY)).asked.answer.text == "Mia [1]"
    assert here.wait(20) and here.told()["compared"] == 0 and here.told()["left_out"] == 1
    here.close()
    assert records.answers(CANDIDATE) == []


def test_while_it_may_not_be_asked_nothing_waits_for_the_candidate(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records, why_not=lambda: "the candidate is in service")
    here.ask(wanted(EASY))
    assert here.wait(20) and here.told() == {"compared": 0, "enough": 200, "waiting": 0, "left_out": 0}
    here.close()


def test_after_enough_questions_nothing_more_is_asked_also_after_a_start(
    partner: Partner, records: Comparisons
) -> None:
    for _ in range(2):
        here = shadow(partner, records, questions=2)
        for number in range(4):
            here.ask(wanted(EASY, id=f"r{number}"))
            assert here.wait(20)
        here.close()
        assert records.count(CANDIDATE, "shadow") == 2
    assert ab(partner, records, questions=2, share=1.0).ask(wanted(EASY)).side == "B", "another comparison"


def test_what_the_helper_answered_is_not_compared(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records, a=desk(partner, helper=HELPER))
    assert here.ask(wanted(HARD)).who == "helper"
    assert here.ask(wanted(EASY)).who == "own"
    assert here.wait(20)
    here.close()
    assert [(one.side, one.tier) for one in records.answers(CANDIDATE)] == [("A", "simple"), ("B", "simple")]


def test_a_record_that_cannot_be_written_fails_nobody(partner: Partner, tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("a file where the folder should be")
    records = Comparisons(comparisons_file(tmp_path))
    here = shadow(partner, records)
    assert here.ask(wanted(EASY)).asked.answer.text == "Mia [1]"
    assert here.wait(20) and here.told()["compared"] == 0
    here.close()
    assert ab(partner, records, share=1.0).ask(wanted(EASY)).side == "B"


def test_a_fault_of_what_is_in_service_is_raised_and_not_compared(partner: Partner, records: Comparisons) -> None:
    here = shadow(partner, records, a=OWN + "&fail_prob=1")
    with pytest.raises(TransientError):
        here.ask(wanted(EASY))
    assert here.wait(20)
    here.close()
    assert records.answers(CANDIDATE) == [] and here._flying == 0


def test_the_index_that_is_told_is_the_one_that_was_searched(
    records: Comparisons, tmp_path: Path, examples: Path
) -> None:
    partner = make_partner(tmp_path, examples)  # of its own: another index is published
    here, before = shadow(partner, records), partner.index.live_digest()
    assert here.ask(wanted(EASY)).index == before
    assert here.wait(20)
    text = "# Caparra a settembre\n\nLa caparra a settembre costa duecento euro.\n"
    write_note(tmp_path, "decisioni/settembre.md", text)  # nobody has opened anything anew
    served = desk(partner, own=OWN).ask(wanted("Quanto costa la caparra a settembre?"))
    assert served.index == partner.index.live_digest() != before
    assert "decisioni/settembre.md" in [source.path for source in served.asked.answer.sources]
    here.ask(wanted(EASY, id="r2"))
    assert here.wait(20)
    here.close()
    assert [one.live_index for one in records.answers(CANDIDATE)] == [before] * 2 + [served.index] * 2


def test_what_is_asked_in_the_shadow_has_a_limit_of_its_own(partner: Partner, records: Comparisons) -> None:
    tight = replace(partner, budget=Budget(per_run_usd=9, per_query_usd=0.1))
    here, asked = shadow(tight, records, a="fake/chat?cost=0.06", b="fake/chat?cost=0.06"), wanted(EASY)
    here.ask(asked)
    assert here.wait(20)
    here.close()
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("A", None), ("B", None)]
    assert asked.bill.charged_usd == 0.06
