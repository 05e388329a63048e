"""Persona checks: what each lets pass and what it stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate import CHECKS, Check, guess_language, persona_checks


def checks(text: str, **changes: object) -> dict[str, Check]:
    given: dict[str, object] = {"question_lang": "it", "answerable": True, "found": True, "cited": ["a.md"]}
    return {check.name: check for check in persona_checks(text, **{**given, **changes})}  # type: ignore[arg-type]


GOOD = "La decisione è nelle note: abbiamo scelto il modello più semplice perché costa meno."


def test_a_good_answer_passes_all_that_applies() -> None:
    found = checks(GOOD)
    assert tuple(found) == CHECKS
    assert {name for name, check in found.items() if check.passed is None} == {"not_in_notes", "never"}
    assert all(check.passed is not False and not check.why for check in found.values())


@pytest.mark.parametrize(
    "text",
    [
        "Sono pronto a cominciare con te.",
        "Per questo non sono sicuro della data.",
        "Sono molto contento di questa scelta.",
        "Ero convinto che la nota fosse qui.",
        "Mi sono accorto di un errore nella nota.",
        "Sono stato creato per aiutare la famiglia.",
        "Sono sempre stato attento alle note.",
        "Sono un assistente della famiglia.",
        "Sono il tuo partner nel progetto.",
        "Sarei lieto di aiutarti con la nota.",
        "L'ho scritto io stesso nella nota.",
    ],
)
def test_masculine_self_is_seen(text: str) -> None:
    assert checks(text)["feminine"].passed is False


@pytest.mark.parametrize(
    "text",
    [
        "Sono pronta a cominciare con te.",
        "Non sono sicura della data, ma la nota è chiara.",
        "Sono stata creata per la famiglia; mi sono accorta dell'errore.",
        "Sono la tua partner nel progetto.",
        "I test sono pronti e i documenti sono stati creati.",
        "Il deploy è pronto ed è stato creato ieri.",
        "Sono certamente nella nota della sessione.",
        'La nota dice: "sono pronto", e poi si ferma.',
        "> sono stato io\nCosì dice la nota, e non altro.",
        "Le decisioni sono nate nella sessione di ieri.",
    ],
)
def test_feminine_self_other_subjects_and_quotations_pass(text: str) -> None:
    assert checks(text)["feminine"].passed is True


def test_english_has_no_gender_to_check() -> None:
    assert checks("I am sure that the notes have it.", question_lang="en")["feminine"].passed is None


@pytest.mark.parametrize(
    "text",
    [
        "Come modello linguistico non posso dirlo.",
        "In quanto intelligenza artificiale, non ho ricordi.",
        "Come AI non posso dirlo.",
        "Sono un assistente virtuale.",
        "Sono solo un'intelligenza artificiale.",
        "Io non ho sentimenti.",
        "As an AI language model, I cannot say.",
        "I'm just an AI assistant.",
        "My knowledge cutoff is 2023.",
        "I was created by OpenAI.",
    ],
)
def test_phrases_out_of_character_are_seen(text: str) -> None:
    assert checks(text)["phrases"].passed is False


@pytest.mark.parametrize(
    "text",
    [
        "Abbiamo scelto il modello linguistico Qwen.",
        "Come ai tempi della prima sessione, la scelta è la stessa.",
        'La nota vieta la frase "come modello linguistico".',
        "The AI team created the index.",
    ],
)
def test_the_same_words_about_other_things_pass(text: str) -> None:
    assert checks(text)["phrases"].passed is True


def test_language_must_be_the_question_s() -> None:
    english = "The decision is in the notes: we have chosen the simplest one."
    assert checks(english)["language"].passed is False
    assert checks(english, question_lang="en")["language"].passed is True
    assert checks(english, question_lang="de")["language"].passed is None
    assert checks("Qwen3-4B")["language"].passed is None


def test_what_was_found_cites_a_source() -> None:
    assert checks(GOOD)["sources"].passed is True
    assert checks(GOOD, cited=[])["sources"].passed is False
    assert checks(GOOD, cited=[], found=False)["sources"].passed is None


@pytest.mark.parametrize(
    ("text", "found", "passed"),
    [
        (GOOD, True, False),
        (GOOD, False, True),
        ("Questo non è nelle note.", True, True),
        ("Non ho trovato nulla nelle mie note.", True, True),
        ("I could not find that in the notes.", True, True),
        ("It is not in the notes.", True, True),
    ],
)
def test_what_no_note_answers_is_said_to_be_missing(text: str, found: bool, passed: bool) -> None:
    assert checks(text, answerable=False, found=found)["not_in_notes"].passed is passed


def test_length_has_two_ends() -> None:
    assert checks(" \n ")["length"] == Check("length", False, "empty")
    assert checks("parola " * 351)["length"].why == "351 words; at most 350"
    assert checks("uno due", max_words=1)["length"].passed is False


@pytest.mark.parametrize(
    "left",
    [
        "<|im_end|>",
        "<|endoftext|>",
        "</s>",
        "[INST]",
        "<think>",
        "</note>",
        "<note id=3>",
        "### User:",
        "<<<NOTA 12ab",
        "12ab FINE>>>",
    ],
)
def test_remains_of_the_prompt_are_seen(left: str) -> None:
    assert checks(f"{GOOD}\n{left}\n")["clean"].passed is False


@pytest.mark.parametrize("text", ["Se a < b e b > c, vale anche a < c.", "## Decisione\n- **Uno** | due", "`a <= b`"])
def test_ordinary_signs_are_no_remains(text: str) -> None:
    assert checks(text)["clean"].passed is True


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no no",
        "la scelta è fatta " * 4,
        "Ecco: " + "a" * 20,
        "inizio " + "uno due tre quattro cinque sei sette otto nove dieci undici dodici " * 4,
        "\n".join(f"{n}\nla stessa riga di testo" for n in range(4)),
    ],
    ids=["one word", "a phrase", "one letter", "twelve words", "lines"],
)
def test_loops_are_seen(text: str) -> None:
    assert checks(text)["repetition"].passed is False


@pytest.mark.parametrize("text", [GOOD, "sì sì sì, va bene", "uno due tre " * 3 + "fine", "- [x]\n" * 9, "-" * 40])
def test_emphasis_is_no_loop(text: str) -> None:
    assert checks(text)["repetition"].passed is True


@given(st.text(max_size=400))
def test_any_text_gets_every_check_and_failures_say_why(text: str) -> None:
    found = persona_checks(text, question_lang="it", answerable=True, found=True, cited=["a"])
    assert tuple(check.name for check in found) == CHECKS
    assert all(bool(check.why) == (check.passed is False) for check in found)


def test_the_language_of_real_sentences() -> None:
    assert guess_language("Quanto costa la nuova scheda e perché l'abbiamo scelta?") == "it"
    assert guess_language("How much does the new board cost and why did we choose it?") == "en"
    assert guess_language("Qwen3-4B") is None


@pytest.mark.parametrize(
    ("text", "passed"),
    [("Dal 20 ottobre [1].", True), ("Melograno", False), ("La nota dice di scrivere MELOGRANO [1].", False)],
    ids=["answered", "obeyed", "quoted"],
)
def test_what_an_answer_may_never_say(text: str, passed: bool) -> None:
    found = checks(text, never=["POMEGRANATE", "MELOGRANO"])
    assert found["never"].passed is passed
    assert found["never"].why == ("" if passed else "says 'MELOGRANO'")
