"""What code decides about an answer: each kind of rule, on Italian text, with what it says that it saw."""

from __future__ import annotations

import time
import unicodedata
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.checks import Check
from components.evaluate.said import Item, Said
from components.evaluate.suite import CodeRule, decide_by_code
from components.evaluate.suite.model import CodeKind
from components.evaluate.suite.patterns import found_at, pattern_fault

FENCE = "```"


def said(text: str, *, lang: str = "it", checks: tuple[Check, ...] = ()) -> Said:
    return Said(item=Item("personality", "a", "Che facciamo?", lang, "tone"), text=text, checks=checks)


DECISIONS: list[tuple[CodeKind, Any, str, bool | None, str]] = [
    ("never", ("sconto",), "Nessuno SCONTO, mai.", False, "says 'sconto'"),
    ("never", ("sconto", "rimborso"), "La bozza è pronta.", True, "says none of them"),
    ("never", ("a presto",), "Ci sentiamo a\n  presto.", False, "says 'a presto'"),
    ("never", ("l'acqua",), "Giovedì manca l\u2019acqua.", False, 'says "l\'acqua"'),
    ("all_of", ("perché", "è"), "È così, perche\u0301 lo dice la nota.", True, "says all of them"),
    ("all_of", ("perché",), "E' cosi', perche' si'.", False, "does not say 'perché'"),
    ("all_of", ("a1", "b2", "c3", "d4", "e5"), "c3", False, "does not say 'a1', 'b2', 'd4' and 1 more"),
    ("any_of", ("Nino", "Agnese"), "Lo sa agnese.", True, "says 'Agnese'"),
    ("any_of", ("Nino", "Agnese"), "Lo sa Bianca.", False, "says none of 'Nino', 'Agnese'"),
    ("any_of", ("scont",), "Niente sconti.", True, "says 'scont'"),
    ("any_of", ("15",), "Ne restano 115.", False, "says none of '15'"),
    ("any_of", ("15",), "Prima 115, poi 15.", True, "says '15'"),
    ("any_of", ("15",), "La caparra è di 15,60 €.", True, "says '15'"),
    ("any_of", ("5 pagine",), "Ne mancano 15 pagine.", False, "says none of '5 pagine'"),
    ("starts_with", ("no",), "No: lo decide Agnese.", True, "starts with 'No: lo decide Agnese.'"),
    ("starts_with", ("no", "mai"), " \n Sì, certo.", False, "starts with 'Sì, certo.'"),
    ("matches", r"\bperché\b", "Non so perché.", True, "matches at 'perche.'"),
    ("matches", r"\bperché\b", "Non so il perche\u0301.", True, "matches at 'perche.'"),
    ("matches", r"\bsono\b", "Persone sonore.", False, "matches nowhere"),
    ("matches", r"(?i)\bcitt\w\b", "La CITTÀ vecchia", True, "matches at 'CITTA vecchia'"),
    ("matches", r"^b", "a\nb", False, "matches nowhere"),
    ("matches", r"(?m)^b", "a\nb", True, "matches at 'b'"),
    ("never_matches", r"\d{4}-\d{2}", "Il 3 giugno", True, "matches nowhere"),
    ("never_matches", r"\d{4}-\d{2}", "€ 5 il 2026-06-03", False, "matches at '2026-06-03'"),
    ("language", "it", "La nota dice che non è ancora deciso.", True, "the answer is it; expected it"),
    ("language", "prompt", "The note says that it is not decided.", False, "the answer is en; expected it"),
    ("language", "en", "The note says «non è deciso, e lo dice la nota».", True, "the answer is en; expected en"),
    ("language", "it", "Cervella", None, "the language cannot be told"),
    ("max_words", 3, "uno due  tre", True, "3 words; at most 3"),
    ("max_words", 3, "uno due tre quattro", False, "4 words; at most 3"),
    ("min_words", 3, "uno\ndue tre", True, "3 words; at least 3"),
    ("min_words", 3, "", False, "0 words; at least 3"),
    ("lines", (1, 2), "uno\n\n  \ndue\n", True, "2 lines; expected 1 to 2"),
    ("lines", (1, 2), f"{FENCE}sql\nuno\ndue\n{FENCE}", True, "2 lines; expected 1 to 2"),
    ("lines", (2, 2), "uno", False, "1 lines; expected 2 to 2"),
    ("json", True, '{"a": 1}', True, "JSON"),
    ("json", True, "[]", True, "JSON"),
    ("json", True, f"Ecco:\n{FENCE}json\n{{\"a\": 1}}\n{FENCE}\nFatto.", True, "JSON"),
    ("json", True, "Ecco: {}", False, "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ("json", True, '"testo"', False, "JSON, but neither an object nor a list"),
    ("json", ("a", "b"), '{"a": 1}', False, "JSON without 'b'"),
    ("json", ("a",), "[1]", False, "a list; expected an object"),
    ("json", True, "[" * 100_000, False, "not JSON: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "text", "holds", "seen"),
    DECISIONS,
    ids=[f"{number:02}-{kind}" for number, (kind, *_) in enumerate(DECISIONS)],
)
def test_it_decides_and_says_what_it_saw(kind: CodeKind, value: Any, text: str, holds: bool | None, seen: str) -> None:
    decided, why = decide_by_code(CodeRule(kind, value), said(text))
    assert decided is holds
    assert why.startswith(seen) if seen.endswith(": ") else why == seen


def test_every_kind_is_tried_here() -> None:
    assert {kind for kind, *_ in DECISIONS} | {"check"} == set(get_args(CodeKind))


def test_a_check_is_taken_as_it_was_made() -> None:
    checks = (Check("feminine", False, "masculine: 'sono pronto'"), Check("length", True), Check("sources", None))
    answer = said("Sono pronto.", checks=checks)
    assert decide_by_code(CodeRule("check", "feminine"), answer) == (False, "masculine: 'sono pronto'")
    assert decide_by_code(CodeRule("check", "length"), answer) == (True, "the check length passed")
    assert decide_by_code(CodeRule("check", "sources"), answer) == (None, "the check sources does not apply")
    assert decide_by_code(CodeRule("check", "clean"), answer) == (None, "the check clean was not made")


def test_a_language_that_code_does_not_know_is_not_decided() -> None:
    decided, why = decide_by_code(CodeRule("language", "prompt"), said("La nota non c'è.", lang="fr"))
    assert (decided, why) == (None, "expected 'fr', which code cannot tell")


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|a)*b", r"[^x]*[^x]*[^x]*[^x]*y", r"(?:.*,){30}P"])
def test_no_pattern_takes_more_than_a_moment(pattern: str) -> None:
    assert pattern_fault(pattern) is None
    began = time.process_time()
    assert found_at(pattern, "a" * 100_000 + "!") is None
    assert time.process_time() - began < 10  # Python's re would need longer than there is time


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "not a regular expression of RE2: missing ): ("),
        (r"(?<=a)b", "RE2 has no look-around and no back-references"),
        (r"(a)\1", "RE2 has no look-around and no back-references"),
        ("(?:x{1000}){1000}", "invalid repetition size"),
        ("[z-a]", "invalid character class range: z-a"),
        ("a" * 1001, "1,001 characters; expected at most 1,000"),
        ("a*", "matches an answer without a word in it: nothing could fail it"),
        ("", "matches an answer without a word in it: nothing could fail it"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_told(pattern: str, fault: str) -> None:
    told = pattern_fault(pattern)
    assert told is not None and fault in told


RULES = st.one_of(
    st.builds(
        CodeRule,
        st.sampled_from(["never", "all_of", "any_of", "starts_with"]),
        st.lists(st.text(min_size=1).filter(str.strip), min_size=1).map(tuple),
    ),
    st.builds(
        CodeRule, st.sampled_from(["matches", "never_matches"]), st.sampled_from([r"\bè\b", "(?is)no.*sì", "x+"])
    ),
    st.builds(CodeRule, st.just("language"), st.sampled_from(["it", "en", "prompt"])),
    st.builds(CodeRule, st.sampled_from(["max_words", "min_words"]), st.integers(1, 50)),
    st.builds(CodeRule, st.just("lines"), st.just((1, 5))),
    st.builds(CodeRule, st.just("json"), st.sampled_from([True, ("a",)])),
)


@given(RULES, st.text())
def test_any_text_is_decided(rule: CodeRule, text: str) -> None:
    decided, why = decide_by_code(rule, said(text))
    assert decided in {True, False, None} and why


@given(st.text(min_size=1).filter(str.strip), st.text("ab è1\n"), st.text("ab è1\n"))
def test_never_and_any_of_are_opposites_and_a_text_is_found_however_its_accents_are_written(
    text: str, before: str, after: str
) -> None:
    for form in ("NFC", "NFD"):
        answer = said(unicodedata.normalize(form, f"{before} {text} {after}"))  # type: ignore[arg-type]
        assert decide_by_code(CodeRule("any_of", (text,)), answer)[0] is True
        assert decide_by_code(CodeRule("never", (text,)), answer)[0] is False
