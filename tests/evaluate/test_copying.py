"""Answers that repeat a training answer word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.copying import (
    LEAST_WORDS,
    SHORTEST,
    Answered,
    copied_answers,
    copied_measure,
    training_answers,
    words_of,
)
from components.evaluate.intervals import wilson_interval
from components.store import Run, StepSpec, recorded_step

TRAINED = "Il rilascio del venerdì è una cattiva idea, lo sai: se qualcosa si rompe restiamo qui fino a notte."
SHORT = "Buongiorno, oggi si va con calma."


def copied(text: str, *training: str, asked: str = "Che ne pensi?") -> str | None:
    found = copied_answers([Answered("golden/a", asked, text)], training)
    return found[0].run if found else None


def words(n: int, start: int = 0) -> str:
    return " ".join(f"parola{number}" for number in range(start, start + n))


def test_twelve_words_in_a_row_are_copied_and_eleven_are_not() -> None:
    trained = words(30)
    assert copied(f"Ecco: {words(LEAST_WORDS, 5)}. Fine", trained) == words(LEAST_WORDS, 5)
    assert copied(f"Ecco: {words(LEAST_WORDS - 1, 5)}. Fine", trained) is None


def test_case_punctuation_and_the_way_accents_are_written_do_not_matter() -> None:
    said = TRAINED.upper().replace(",", " -").replace("Ì", "I\u0300")
    assert copied(f"Allora: {said}", TRAINED) == " ".join(words_of(TRAINED))


def test_one_word_changed_in_the_middle_breaks_the_run() -> None:
    trained = words(20)
    assert copied(trained.replace("parola10", "altro"), trained) is None


def test_a_whole_short_answer_is_copied_a_part_of_it_is_not() -> None:
    assert len(words_of(SHORT)) == SHORTEST
    assert copied(f"Ciao. {SHORT} E poi vediamo.", SHORT) == "buongiorno oggi si va con calma"
    assert copied("Buongiorno, oggi si va con fretta.", SHORT) is None
    assert copied("Va bene, grazie a te.", "Va bene, grazie a te.") is None  # five words: a greeting


def test_words_that_were_asked_may_be_repeated() -> None:
    asked = f"Riscrivi questo: {TRAINED}"
    assert copied(TRAINED, TRAINED, asked=asked) is None
    longer = f"{TRAINED} E il lunedì mattina nessuno di noi due vuole ricominciare da capo."
    assert copied(longer, longer, asked=asked) == " ".join(words_of(longer))


def test_of_several_the_longest_run_is_told_and_each_answer_counts_once() -> None:
    answers = [
        Answered("golden/a", "?", words(40)),
        Answered("personality/b", "?", "Altro, con parole sue e di nessun altro."),
        Answered("task/c", "?", words(13)),
    ]
    found = copied_answers(answers, [words(12), words(25), words(14)])
    assert [(one.key, len(one.run.split())) for one in found] == [("golden/a", 25), ("task/c", 13)]
    measure = copied_measure(found, answers)
    assert (measure.value, measure.low, measure.high, measure.n) == (2 / 3, *wilson_interval(2, 3), 3)


def test_training_answers_are_read_once_and_not_held() -> None:
    def rows() -> Iterator[str]:
        yield from (words(20, 100 * number) for number in range(1000))

    assert copied(words(15, 99_902), *[]) is None
    assert copied_answers([Answered("golden/a", "?", words(15, 99_902))], rows())[0].run == words(15, 99_902)


def test_nothing_said_is_nothing_copied() -> None:
    assert copied_answers([], [TRAINED]) == []
    assert copied("", TRAINED, "") is None
    assert copied_measure([], []).value is None


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60), st.lists(st.sampled_from(["a", "b", "c"]), max_size=60))
def test_it_finds_what_a_plain_search_finds(said: list[str], trained: list[str]) -> None:
    least = min(LEAST_WORDS, len(trained))
    runs = {tuple(trained[at : at + least]) for at in range(len(trained) - least + 1)} if least >= SHORTEST else set()
    plain = any(tuple(said[at : at + least]) in runs for at in range(len(said) - least + 1))
    assert (copied(" ".join(said), " ".join(trained)) is not None) == plain


def test_training_answers_are_what_the_assistant_says_in_the_training_rows(tmp_path: Path) -> None:
    turns = [("human", "Come va?"), ("gpt", TRAINED), ("human", "E poi?"), ("gpt", SHORT)]
    run = Run.create(tmp_path / "workspace", recipe="test", phase="optimize")
    row = {"conversations": [{"from": who, "value": text} for who, text in turns], "system": words(20)}
    with recorded_step(run, StepSpec("dataset.split", 1, {})) as step:
        step.write_text("train-abc.jsonl", json.dumps(row) + "\n")
        step.write_text("validation-abc.jsonl", json.dumps({"conversations": [{"from": "gpt", "value": "no"}]}) + "\n")
        step.write_json("split.json", {"files": {"train": "train-abc.jsonl", "validation": "validation-abc.jsonl"}})
    assert list(training_answers(step.artefact)) == [TRAINED, SHORT]
