"""What a corpus is as a whole: ids, duplicates, contradictions, shape. A7, E1-E3, E5-E9."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.conversation import MISSING, ROLES, Conversation, Turn
from components.dataset.corpus.corpus import Corpus
from components.dataset.corpus.shape import opening, packed
from components.dataset.rules import RULES
from tests.dataset.corpus_house import CAPARRA, Question, check, talk, told, words

# A7


@pytest.mark.parametrize(
    ("ids", "lines"),
    [
        ([MISSING, MISSING], []),
        ([None, ""], []),
        (["a", "b", 1], []),
        (["a", "b", "a", "a"], [3, 4]),
        ([1, "1"], []),
        (["a", MISSING, None, ""], [2, 3, 4]),
        (["x" * 100 + "1", "x" * 100 + "2", "x" * 100 + "1"], [3]),
        ([["a"], {"a": 1}, True, 1.5], [1, 2, 3, 4]),
    ],
)
def test_ids(ids: list[Any], lines: list[int]) -> None:
    found = check([talk(words(at), words(100 + at), id=value) for at, value in enumerate(ids)])
    assert told(found) == [(line, "A7") for line in lines]
    assert all("x" * 65 not in message for *_, message, _ in found)


def test_ids_are_those_of_a_file() -> None:
    corpus = Corpus()
    for file in (0, 1):
        corpus.add(talk(words(file), words(10 + file), id="a"), file=file)
    assert not list(corpus.finish())


# E1, E2, E3


def test_equal_and_near_name_the_line_of_the_first() -> None:
    question, answer = words(1, 8), words(2, 40)
    found = check(
        [
            talk(words(9), words(8)), talk(question, answer), talk(question.upper(), f"  {answer}!"),
            talk(question, answer + " poi"), talk(question, answer, system="Sei Cervella."),
        ]
    )  # fmt: skip
    assert told(found, "E1", "E2", "E3") == [(3, "E1"), (4, "E2"), (5, "E1")]
    messages = [message for *_, rule, message, _ in found if rule != "E5"]
    assert messages[0] == "says the same as line 2"
    assert messages[1].endswith("% the same as line 2")
    assert messages[2] == "says the same as line 2; only the system prompt or the tools differ"


def test_another_file_is_named() -> None:
    corpus = Corpus(names=["uno.jsonl"])
    for file in (0, 1, 2):
        corpus.add(talk(words(1), words(2)) if file < 2 else talk(words(3), words(4)), file=file)
    corpus.add(talk(words(3), words(4)), file=0)
    assert [(file, hit.message) for file, _, _, hit in corpus.finish() if hit.rule == "E1"] == [
        (1, "says the same as line 1 of uno.jsonl"),
        (0, "says the same as line 1 of file 3"),
    ]


def test_a_long_system_prompt_makes_no_near_duplicates() -> None:
    prompt = words(0, 300)
    rows = [talk(words(at, 5), words(50 + at, 5), system=prompt) for at in range(5)]
    rows += [
        Conversation(0, 1, (Turn("system", prompt), Turn("human", words(70 + at, 5)), Turn("gpt", words(90 + at, 5))))
        for at in range(5)
    ]
    assert not check(rows)


@pytest.mark.parametrize(
    ("one", "other", "lines"),
    [
        (("Come ti chiami, partner?", "Sono Cervella."), ("come ti chiami partner", "Mi chiamo Ada."), [2]),
        (("Come ti chiami, partner?", "Sono Cervella."), ("Come ti chiami, partner?", "SONO  Cervella"), []),
        (("Ciao", "Ciao! Dimmi."), ("ciao", "Eccomi, che si fa oggi?"), []),
        (("Buongiorno!", "Buongiorno."), ("Buongiorno", "Buongiorno a te, che si fa oggi?"), []),
        (
            ("Hi, I need some help with my taxes", "Sure.", words(1), words(2)),
            ("Hi, I need some help with my taxes", "Of course!", words(3), words(4)),
            [],
        ),
        (
            ("Quanto costa il camino della sala grande, con la posa in opera?", "Tremila.", words(1), words(2)),
            ("Quanto costa il camino della sala grande, con la posa in opera?", "Duemila.", words(3), words(4)),
            [2],
        ),
    ],
    ids=["another name", "same but for case", "ciao", "buongiorno", "opens a talk", "a real question"],
)
def test_contradictions(one: tuple[str, ...], other: tuple[str, ...], lines: list[int]) -> None:
    assert told(check([talk(*one), talk(*other)]), "E3") == [(line, "E3") for line in lines]


def test_another_prompt_or_other_tools_may_give_another_answer() -> None:
    question = "Che tempo fa oggi a Bologna?"
    rows = [talk(question, f"{at} gradi") for at in range(2)]
    assert told(check(rows)) == [(2, "E3")]
    assert not told(check([rows[0], talk(question, "1 gradi", tools='[{"name": "meteo"}]')]), "E3")
    assert not told(check([rows[0], talk(question, "1 gradi", system="Sei a Bologna.")]), "E3")


def test_real_files(shared: Path) -> None:
    rows = json.loads((shared / "data" / "sharegpt" / "glaive_toolcall_en_demo.json").read_text(encoding="utf-8"))
    found = check(
        [
            Conversation(at, at, tuple(Turn(turn["from"], turn["value"]) for turn in row["conversations"]))
            for at, row in enumerate(rows)
        ]
    )
    counts = Counter(rule for _, rule in told(found))
    assert (counts["E1"], counts["E2"]) == (38, 52 - 38), "38 equal; 52 rows have an earlier one that is near"
    assert set(counts) <= {"E1", "E2", "E3"}


# E5 to E9


def many(count: int, **keys: Any) -> list[Conversation]:
    """Conversations in which nothing is odd: of one to three questions, short and long."""
    return [
        talk(*(words(1000 * at + part, 4 + 40 * (at % 5)) for part in range(2 + 2 * (at % 3))), **keys)
        for at in range(count)
    ]


def test_a_good_corpus_is_clean() -> None:
    assert not check(many(60, system="Sei Cervella."), language="it", targets={"foundation": 200})


def test_system_prompts() -> None:
    (hit,) = check([*many(10, system="Sei Cervella."), talk(words(1), words(2))])
    assert hit[:4] == (0, None, None, "E5")
    assert hit[4] == "the same system prompt in 10 of 11 conversations; 1 have none"
    (hit,) = check([*many(3, system="A."), talk(words(1), words(2), system="B.")])
    assert hit[4] == "2 different system prompts, the most frequent in 3 of 4 conversations"


def test_a_language_that_is_rare_is_told_where_it_stands_and_a_mixture_as_a_whole() -> None:
    def mixed(*others: str) -> list[tuple[int | None, str]]:
        corpus = Corpus()
        for at, one in enumerate(many(60)):
            placed = Conversation(at, at + 1, one.turns)
            corpus.add(placed, language=others[at - 10] if 10 <= at < 10 + len(others) else "it")
        return [(line, hit.message) for _, line, _, hit in corpus.finish() if hit.rule == "E6"]

    assert mixed("es") == [(11, "this one is in Spanish; 59 of 60 conversations are in Italian")]
    assert mixed(*["en"] * 25) == [(None, "35 of 60 conversations are in Italian, 25 in English")]
    assert mixed() == []


def test_a_mixture_of_several_files_is_told_of_all_of_them_together() -> None:
    corpus = Corpus()
    for at, one in enumerate(many(40)):
        corpus.add(Conversation(at, at + 1, one.turns), file=at // 30, language="en" if at >= 30 else "it")
    (hit,) = [hit for *_, hit in corpus.finish() if hit.rule == "E6"]
    assert hit.message == "30 of 40 conversations of all files together are in Italian, 10 in English"


def test_all_of_one_shape() -> None:
    (hit,) = check([talk(words(at, 3 + at), words(100 + at, 3 + at)) for at in range(30)])
    assert (hit[3], hit[4]) == ("E7", "each of 30 conversations has 1 question")
    alike = [talk(*(words(9 * at + part, 20) for part in range(4 - 2 * (at % 2)))) for at in range(30)]
    for one in alike:
        assert one.turns
    same_length = [talk(*([words(5 * at + n, 9) for n in range(4)] if at % 2 else ["?" + words(at), words(at, 18)]))
                   for at in range(500, 530)]  # fmt: skip
    assert [rule for _, rule in told(check(same_length), "E7")] == ["E7"]
    assert not told(check([talk(words(at), words(100 + at)) for at in range(19)]))


def test_stages_and_sources() -> None:
    rows = [
        Conversation(0, 1, one.turns, extra={"stage": "foundation", "provenance": {"note": f"{max(at, 15)}.md"}})
        for at, one in enumerate(many(40))
    ]
    (hit,) = check(rows, targets={"foundation": 200, "expansion": 40})
    assert hit[:4] == (0, None, None, "E8")
    assert hit[4] == "foundation has 40 of 200; expansion has 0 of 40; 16 of 40 examples come from 15.md"
    assert not check(rows[14:], targets={"foundation": 26})


def test_openings() -> None:
    rows = [
        talk(*(("Certo! " if part % 2 and at % 2 else "") + text.text for part, text in enumerate(one.turns or ())))
        for at, one in enumerate(many(40))
    ]
    (hit,) = check(rows)
    assert hit[3] == "E9" and 'answers begin with "certo"' in hit[4]
    assert not check(rows[:9])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Certo! Ecco la ricetta", "certo"), ("Certo, ecco", "certo"), ("  La ricetta è facile", "la ricetta è"),
        ("L'ho trovato.", "l'ho trovato"), ("…", ""), ("", ""), ("I found two recipes", "i found two"),
    ],
)  # fmt: skip
def test_opening(text: str, expected: str) -> None:
    assert opening(text) == expected


# Statistics


@given(st.lists(st.integers(1, 64), max_size=60))
def test_packing_is_no_better_than_possible_and_not_much_worse(lengths: list[int]) -> None:
    count = packed(lengths, 64)
    least = math.ceil(sum(lengths) / 64)
    assert least <= count <= 11 / 9 * max(least, sum(length > 32 for length in lengths)) + 6 / 9 + len(lengths) * 0.2
    assert packed([64] * 5 + [32] * 4 + [30, 34], 64) == 8


def test_statistics_are_json_values() -> None:
    corpus = Corpus()
    for at, one in enumerate(many(30, system="Sei Cervella.")):
        corpus.add(one, language="it", tokens=10 * (at + 1), trainable=at)
    list(corpus.finish())
    found = json.loads(json.dumps(corpus.statistics(max_tokens=200)))
    assert found["conversations"] == 30 and found["languages"] == {"it": 30} and found["system_prompts"] == 1
    assert found["turns"] == {"2": 10, "4": 10, "6": 10} and found["roles"] == {"human": 60, "gpt": 60}
    assert found["tokens"] == {"p50": 150, "p90": 270, "p95": 290, "p99": 300, "max": 300, "total": 4650}
    assert found["packing"] == {"max_tokens": 200, "sequences": 11, "fill": 0.955, "too_long": 10}
    assert Corpus().statistics(max_tokens=5)["packing"]["fill"] is None


# Anything

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(codec=None), max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ANY = st.one_of(JSON, st.just(MISSING))
TURN = st.builds(Turn, st.one_of(st.sampled_from(ROLES), ANY), st.one_of(ANY, st.text(max_size=40)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            Conversation, st.integers(0, 10**12), st.integers(1, 10**12),
            st.one_of(st.none(), st.lists(TURN, max_size=5).map(tuple)), ANY, ANY, ANY,
            st.dictionaries(st.sampled_from(["stage", "provenance", "source", "x"]), JSON, max_size=3),
        ),
        max_size=8,
    ),
    st.integers(0, 4),
)  # fmt: skip
def test_no_value_makes_it_fail(rows: list[Conversation], held: int) -> None:
    golden = [Question("q", (row.first_user_text()), row.system_text(), row.system_text()) for row in rows]
    corpus = Corpus(held_out=[("val", row) for row in rows[:held]], golden=golden[:held], targets={"foundation": 2})
    for row in rows:
        corpus.add(row, tokens=None)
    for _, _, _, hit in corpus.finish():
        assert hit.rule in RULES and hit.message
    json.dumps(corpus.statistics(max_tokens=100))


def test_hostile_texts_take_no_time_out_of_proportion() -> None:
    nested: Any = []
    for _ in range(900):
        nested = [nested]
    rows = [talk("a" * 300_000, "?" * 300_000), talk("a b " * 100_000, ". " * 100_000), talk("x", tools=nested)]
    rows += [talk("Che percentuale di caparra " * 10_000, CAPARRA.answer * 2_000)]
    assert {rule for _, rule in told(check(rows, golden=[CAPARRA]))} <= {"E4", "E5"}
