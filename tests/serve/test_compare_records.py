"""The record of comparisons: bounded, whole, read back as written, and without what is forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from components.answer.partner import Partner
from components.serve.compare import Compared, Comparisons, comparisons_file
from components.serve.compare.purge import forget_compared
from components.serve.desk import Served
from tests.serve.compare_house import own
from tests.serve.router_house import EASY, OWN, wanted


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
