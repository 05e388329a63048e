"""Two releases on real questions: nobody waits for the candidate, and no fault of its is felt."""

from __future__ import annotations

import random
import string
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import EASY, HARD, HELPER, OWN, One, chat, desk, make_partner, wanted, write_note  # noqa: E402

from components.answer.partner import Partner  # noqa: E402
from components.errors import CervellaError, InputError, TransientError  # noqa: E402
from components.evaluate.judge.pairs import duels  # noqa: E402
from components.llm import Budget  # noqa: E402
from components.llm.budget import BudgetError  # noqa: E402
from components.serve.compare import AbDesk, Compared, Comparisons, ShadowDesk, comparisons_file  # noqa: E402
from components.serve.compare.purge import forget_compared  # noqa: E402
from components.serve.compare.share import in_share  # noqa: E402
from components.serve.desk import Served  # noqa: E402
from components.serve.own_desk import OwnDesk  # noqa: E402
from components.serve.params import CompareParams  # noqa: E402

OTHER = "fake/chat?reply=Altra [1]"
CANDIDATE = "b" * 64
LONG = " ".join(f"parola{number}" for number in range(100))


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("compare"), examples)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Comparisons]:
    file = Comparisons(comparisons_file(tmp_path))
    yield file
    file.close()


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
        **{"max_chars": 8000, **more},
    )  # fmt: skip


def of_side(side: str) -> str:
    """A conversation that the candidate answers (B) or not, of a half."""
    names = (f"c{number}" for number in range(1000))
    return next(
        name for name in names
        if in_share(wanted(EASY, conversation=name), candidate=CANDIDATE, share=0.5) == (side == "B")
    )  # fmt: skip


# Shadow.


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


# A and B.


@pytest.mark.parametrize(("side", "text"), [("A", "Mia [1]"), ("B", "Altra [1]")])
def test_a_conversation_stays_with_who_began_it(partner: Partner, records: Comparisons, side: str, text: str) -> None:
    here = ab(partner, records)
    for number in range(3):
        served = here.ask(wanted(EASY, id=f"r{number}", conversation=of_side(side)))
        assert (served.side, served.asked.answer.text) == (side, text)
    assert [one.side for one in records.answers(CANDIDATE)] == [side] * 3


def test_the_share_is_of_the_conversations_and_each_comparison_has_its_own() -> None:
    asked = [wanted(EASY, conversation=f"c{number}") for number in range(4000)]
    drawn = [in_share(one, candidate=CANDIDATE, share=0.1) for one in asked]
    assert 300 < sum(drawn) < 500
    assert drawn != [in_share(one, candidate="c" * 64, share=0.1) for one in asked]
    assert all(in_share(one, candidate=CANDIDATE, share=1.0) for one in asked)
    keys = [in_share(wanted(EASY, conversation="c1", key=f"k{number}"), candidate=CANDIDATE, share=0.5)
            for number in range(50)]  # fmt: skip
    assert 0 < sum(keys) < 50, "two people may use the same name"


def test_a_candidate_that_fails_before_it_says_anything_is_followed_by_what_is_in_service(
    partner: Partner, records: Comparisons
) -> None:
    here = ab(partner, records, b=OTHER + "&fail_prob=1")
    served = here.ask(wanted(EASY, conversation=of_side("B")))
    assert (served.side, served.asked.answer.text) == ("A", "Mia [1]")
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError"), ("A", None)]


def test_a_candidate_that_fails_in_the_middle_is_followed_by_nobody(partner: Partner, records: Comparisons) -> None:
    here = ab(partner, records, b=f"fake/chat?reply={LONG}&break_at=90")
    with pytest.raises(TransientError):
        here.ask(wanted(EASY, conversation=of_side("B")))
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "TransientError")]


def test_a_question_that_cannot_be_asked_is_no_fault_of_the_candidate(partner: Partner, records: Comparisons) -> None:
    with pytest.raises(InputError):
        ab(partner, records).ask(wanted(" \n ", conversation=of_side("B")))
    assert records.answers(CANDIDATE) == []


def test_when_enough_was_asked_all_go_to_what_is_in_service(partner: Partner, records: Comparisons) -> None:
    here = ab(partner, records, questions=2)
    sides = [here.ask(wanted(EASY, id=f"r{number}", conversation=of_side("B"))).side for number in range(4)]
    assert sides == ["B", "B", "A", "A"] and here.told() == {"compared": 2, "enough": 2}
    assert ab(partner, records, questions=2).side(wanted(EASY, conversation=of_side("B"))) == "A"


def test_an_answer_is_recorded_although_nobody_takes_what_comes_after_it(
    partner: Partner, records: Comparisons
) -> None:
    stream = ab(partner, records, share=1.0).stream(wanted(EASY))
    while isinstance(next(stream), str):
        pass
    stream.close()
    assert records.count(CANDIDATE, "ab") == 1


NO_KEY = "anthropic/claude-sonnet-4-5"


def test_a_candidate_without_its_key_is_followed_by_what_is_in_service_and_the_comparison_ends(
    partner: Partner, records: Comparisons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    here = ab(partner, records, b=NO_KEY, questions=2)
    for number in range(3):
        served = here.ask(wanted(EASY, id=f"r{number}", conversation=of_side("B")))
        assert (served.side, served.asked.answer.text) == ("A", "Mia [1]")
    assert [one.error for one in records.answers(CANDIDATE) if one.side == "B"] == ["InputError"] * 2
    assert here.told()["compared"] == 2


def test_both_sides_are_recorded_alike_and_nothing_once_enough_was_compared(
    partner: Partner, records: Comparisons
) -> None:
    here = ab(partner, records, a=OWN + "&fail_prob=1", questions=1)
    for number in range(2):
        with pytest.raises(TransientError):
            here.ask(wanted(EASY, id=f"a{number}", conversation=of_side("A")))
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("A", "TransientError")] * 2
    assert here.ask(wanted(EASY, conversation=of_side("B"))).side == "B"
    with pytest.raises(TransientError):
        here.ask(wanted(EASY, conversation=of_side("A")))
    assert [one.side for one in records.answers(CANDIDATE)] == ["A", "A", "B"]


def test_spent_money_of_the_candidate_is_not_recorded_and_told_by_its_budget(
    partner: Partner, records: Comparisons
) -> None:
    b = poor(partner)
    assert ab(partner, records, b=b, share=1.0).ask(wanted(EASY)).side == "A"
    assert [one.side for one in records.answers(CANDIDATE)] == ["A"]
    with b._live.use() as opened:
        assert opened.partner.budget.exhausted


def test_a_question_that_alone_costs_too_much_ends_nothing(partner: Partner) -> None:
    budget = Budget(per_run_usd=9, per_query_usd=0.1)
    with pytest.raises(BudgetError):
        replace(partner, chat=chat("fake/chat?cost=1", budget=budget), budget=budget).ask(EASY)
    assert not budget.exhausted


def test_while_it_may_not_be_asked_what_is_in_service_answers_unrecorded(
    partner: Partner, records: Comparisons
) -> None:
    why: list[str | None] = ["the candidate is in service"]
    here = ab(partner, records, share=1.0, why_not=lambda: why[0])
    assert here.ask(wanted(EASY)).side == "A" and records.answers(CANDIDATE) == []
    why[0] = None
    assert here.ask(wanted(EASY)).side == "B" and len(records.answers(CANDIDATE)) == 1


def test_a_candidate_that_hangs_is_followed_in_time_by_what_is_in_service(
    partner: Partner, records: Comparisons
) -> None:
    here, begun = ab(partner, records, b=OTHER + "&delay=60", share=1.0), time.monotonic()
    served = here.ask(wanted(EASY, deadline=begun + 4))
    assert (served.side, served.asked.answer.text) == ("A", "Mia [1]") and 2 <= time.monotonic() - begun < 30
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [("B", "LateError"), ("A", None)]


@pytest.mark.parametrize("side", ["A", "B"])
def test_who_is_stopped_when_the_time_is_up_has_failed(partner: Partner, records: Comparisons, side: str) -> None:
    slow = f"fake/chat?reply={LONG}&delay=0.05"
    here = ab(partner, records, a=slow, b=slow)
    stream = here.stream(wanted(EASY, conversation=of_side(side), deadline=time.monotonic() + 2))
    while not next(stream):
        pass
    time.sleep(2)
    stream.close()
    assert [(one.side, one.error) for one in records.answers(CANDIDATE)] == [(side, "LateError")]


def test_with_a_router_both_sides_have_the_helper_and_its_answers_count_to_neither(
    partner: Partner, records: Comparisons
) -> None:
    a = desk(partner, helper=HELPER)
    broken = One(replace(partner, chat=chat(OTHER + "&fail_prob=1")), release=CANDIDATE)
    b, failing = a.beside(One(replace(partner, chat=chat(OTHER)), release=CANDIDATE)), a.beside(broken)
    more: dict[str, Any] = {"a": a, "patience": None, "classified": lambda asked: ("simple", asked == EASY)}
    here = ab(partner, records, b=b, **more)
    for side, text in (("A", "Mia [1]"), ("B", "Altra [1]")):
        for question, who, said in ((EASY, "own", text), (HARD, "helper", "Aiuto [1]")):
            served = here.ask(wanted(question, id=f"{side}{who}", conversation=of_side(side)))
            assert (served.side, served.who, served.asked.answer.text) == (side, who, said)
    assert [(one.request, one.error, one.tier) for one in records.answers(CANDIDATE)] == [
        ("Aown", None, "simple"), ("Bown", None, "simple"),
    ]  # fmt: skip
    here = ab(partner, records, b=failing, **more)
    assert here.ask(wanted(EASY, id="helped", conversation=of_side("B"))).who == "helper"
    last = records.answers(CANDIDATE)[-1]
    assert (last.request, last.side, last.error, last.release) == ("helped", "B", "HandedOnError", None)
    assert a.states() == {"own": "closed", "helper": "closed"}


def test_two_desks_share_the_breaker_of_the_helper_alone(partner: Partner) -> None:
    a = desk(partner, own=OWN, helper=HELPER + "&fail_prob=1", breaker={"failures": 1, "seconds": 60})
    b = a.beside(One(replace(partner, chat=chat(OTHER + "&fail_prob=1"))))
    with pytest.raises(CervellaError):
        b.ask(wanted(EASY))
    assert (a.states(), b.states()) == ({"own": "closed", "helper": "open"}, {"own": "open", "helper": "open"})


def test_a_client_that_goes_away_is_no_fault_and_no_answer(partner: Partner, records: Comparisons) -> None:
    stream = ab(partner, records, b=f"fake/chat?reply={LONG}&delay=0.01", share=1.0).stream(wanted(EASY))
    next(stream)
    stream.close()
    assert records.answers(CANDIDATE) == []


# The record.


def test_the_record_is_bounded_and_both_answers_to_a_question_are_there_or_neither(tmp_path: Path) -> None:
    records = Comparisons(comparisons_file(tmp_path), max_rows=5)
    for number in range(30):
        pair = [Compared("x", "shadow", side, f"r{number}", "it") for side in ("A", "B")]
        assert records.record(pair)
    assert [one.request for one in records.answers("x")] == [f"r{n}" for n in range(25, 30) for _ in range(2)]
    assert not records.record([Compared("x", "shadow", "A", "half", "it"), replace(pair[1], request=None)])  # type: ignore[arg-type]
    assert "half" not in [one.request for one in records.answers("x")]
    records.close()


def test_a_side_of_many_pushes_out_none_of_the_other_and_old_comparisons_go_whole(tmp_path: Path) -> None:
    records = Comparisons(comparisons_file(tmp_path), max_rows=3)
    assert records.record([Compared("x", "ab", "B", "b", "it")])
    for number in range(30):
        assert records.record([Compared("x", "ab", "A", f"r{number}", "it")])
    assert [one.request for one in records.answers("x")] == ["b", "r27", "r28", "r29"]
    assert records.record([Compared("x", "shadow", "B", "s", "it")])
    for candidate in "vwyz":
        assert records.record([Compared(candidate, "ab", "B", "b", "it")])
    assert [len(records.answers(candidate)) for candidate in "xvwyz"] == [0, 1, 1, 1, 1]
    records.close()


def test_threads_may_record_at_the_same_time(records: Comparisons) -> None:
    def work(name: str) -> None:
        for number in range(20):
            assert records.record([Compared("x", "ab", "B", f"{name}{number}", "it")])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert records.count("x", "ab") == 80


def test_what_is_recorded_is_read_back(records: Comparisons) -> None:
    one = Compared(
        "x", "ab", "B", "r1", "en", release="y", live_index="z", model="m", tier="simple", found=True, confidence=0.5,
        sources=("a b.md:1-2", "c.md:3-4"), cited=("c.md:3-4",), seconds=1.5, prompt_tokens=3, completion_tokens=4,
        cost_usd=0.25, is_local=False, cached=True, chars=7, question="q", text="t", at="2026-11-29T00:00:00+00:00",
    )  # fmt: skip
    assert records.record([one]) and records.answers("x") == [one]


def test_a_note_that_is_forgotten_takes_the_texts_that_were_made_with_it(records: Comparisons, tmp_path: Path) -> None:
    file = comparisons_file(tmp_path)
    assert forget_compared(file, {"a.md"}, do=True) == 0
    for request, source in (("r1", "segreti/a.md:1-2"), ("r2", "b.md:1-2")):
        told = {"question": "Quale?", "text": f"Parola-{request}"}
        assert records.record([Compared("x", "ab", "B", request, "it", sources=(source, "c.md:1-9"), **told)])
    assert forget_compared(file, {"segreti/a.md"}, do=False) == 1
    records.close()
    assert forget_compared(file, {"segreti/a.md"}, do=True) == 1
    first, second = records.answers("x")
    assert (first.text, first.question, first.sources) == (None, None, ("c.md:1-9",))
    assert second.text == "Parola-r2"
    records.close()
    assert b"Parola-r1" not in file.read_bytes() and b"segreti/a.md" not in file.read_bytes()


def test_forgetting_finds_the_longest_path_the_last_source_and_an_exact_duplicate(
    records: Comparisons, tmp_path: Path, partner: Partner
) -> None:
    far, file = "note/" + "lunga " * 60 + ".md", comparisons_file(tmp_path)
    places = (*(f"n{number}.md:1-2" for number in range(30)), f"{far}:10-12")
    assert records.record([Compared("x", "ab", "B", "r1", "it", sources=places, question="Q", text="T")])
    asked = own(partner, OWN).ask(wanted(EASY)).asked
    twice = replace(asked.answer.sources[0], paths=(asked.answer.sources[0].path, "copia.md"))
    served = Served(
        asked=replace(asked, answer=replace(asked.answer, sources=(twice,))), who="own", tier=None, because="",
        tried=(), release=None, index="i",
    )  # fmt: skip
    one = Compared.of(wanted(EASY), served, candidate="x", mode="ab", side="B", keep_texts=True)
    assert len(one.sources) == 2 and records.record([one])
    records.close()
    for path in (far, "n29.md", "copia.md"):
        assert forget_compared(file, {path}, do=True) == 1
    first, second = records.answers("x")
    assert len(first.sources) == 29 and first.text is None and len(second.sources) == 1 and second.text is None
