"""Where a curated row comes from, and what is said where it does not say."""

from __future__ import annotations

import random
import string
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.checks.provenance import KINDS, STAGES, Provenance, provenance_hits, provenance_of, stage_of
from components.dataset.conversation import Conversation, Turn
from components.dataset.params import Origin, StageName

HASH = "a" * 64
HAND = {"kind": "hand", "author": "Bianca"}
GENERATED = {"kind": "generated", "note": "a.md", "note_sha256": HASH, "model": "fake/chat"}
RATED = {"by": "fake/chat", "score": 0.5}


def row(**extra: Any) -> Conversation:
    turns = (Turn("human", "Ciao"), Turn("gpt", "Ciao, sono Cervella."))
    return Conversation(index=0, line=1, turns=turns, extra=extra)


def told(conversation: Conversation, **options: Any) -> list[tuple[str, str | None, str]]:
    return [(hit.rule, hit.severity, hit.message) for hit in provenance_hits(conversation, **options)]


def test_lists_are_those_of_the_recipe() -> None:
    assert get_args(StageName) == STAGES and get_args(Origin) == KINDS


@pytest.mark.parametrize(
    "extra",
    [{}, {"source": "x", "rating": 4, "review": "good", "note": 1}, {"rating": {"score": 9}}],
    ids=["nothing", "foreign keys", "a foreign rating"],
)
def test_foreign_rows_are_left_alone(extra: dict[str, Any]) -> None:
    assert told(row(**extra)) == []


@pytest.mark.parametrize(
    "provenance",
    [
        HAND,
        {**HAND, "note": "a.md", "note_sha256": HASH, "licence": "Apache-2.0", "created": "2026-11-29"},
        {"kind": "log", "author": "Bianca"},
        {"kind": "log", "model": "gpt-4o"},
    ],
    ids=["hand", "hand with its note", "log by a person", "log of a model"],
)
def test_whole_provenance_is_clean(provenance: dict[str, Any]) -> None:
    conversation = row(stage="foundation", provenance=provenance)
    assert told(conversation, known_notes={"a.md": HASH}) == []
    assert stage_of(conversation) == "foundation" and provenance_of(conversation).kind == provenance["kind"]


def test_whole_generated_row_is_clean() -> None:
    conversation = row(stage="expansion", provenance=GENERATED, rating=RATED)
    assert told(conversation, known_notes={"a.md": HASH}) == []


@pytest.mark.parametrize(
    ("extra", "rule", "said"),
    [
        ({"stage": "foundation"}, "G1", "no `provenance`"),
        ({"provenance": None}, "G1", "no `provenance`"),
        ({"provenance": []}, "G1", "`provenance` is a list"),
        ({"provenance": {}}, "G1", "kind is missing"),
        ({"provenance": {"author": "B", "kind": "by hand"}}, "G1", "kind is 'by h'…"),
        ({"provenance": {"kind": "hand"}}, "G1", "no author"),
        ({"provenance": {"kind": "hand", "model": "gpt-4o"}}, "G1", "no author"),
        ({"provenance": {"kind": "hand", "author": " "}}, "G1", "no author"),
        ({"provenance": {"kind": "log"}}, "G1", "no author (or model)"),
        ({"provenance": {"kind": "generated", "note": "a.md"}, "rating": RATED}, "G1", "no model and no note_sha256"),
        ({"provenance": {**HAND, "note": "a.md", "note_sha256": "abc"}}, "G1", "has 3 characters and is no SHA-256"),
        ({"provenance": HAND, "stage": "fondamenta"}, "G1", "stage is 'fond'…, expected one of foundation"),
        ({"provenance": HAND, "stage": 3}, "G1", "stage is 3"),
        ({"provenance": HAND, "rating": 4.5}, "G2", "rating is 4.5"),
        ({"provenance": HAND, "rating": {"score": 1}}, "G2", "does not say who gave it"),
        ({"provenance": HAND, "rating": {"by": "B", "score": 7}}, "G2", "rating.score is 7"),
        ({"provenance": HAND, "rating": {"by": "B", "score": True}}, "G2", "rating.score is true"),
        ({"provenance": HAND, "rating": {"by": "B", "score": None}}, "G2", "rating.score is null"),
        ({"provenance": HAND, "rating": {"by": "B", "score": float("nan")}}, "G2", "rating.score is nan"),
        ({"provenance": HAND, "review": {"status": "maybe"}}, "G2", "review is no object"),
        ({"provenance": HAND, "review": {"status": "accepted"}}, "G2", "does not say whose it is"),
        ({"provenance": HAND, "review": {"status": "rejected", "by": "B"}}, "G2", "rejected in review"),
        ({"provenance": GENERATED}, "G2", "neither rated nor reviewed"),
    ],
)
def test_what_is_missing_is_told_once(extra: dict[str, Any], rule: str, said: str) -> None:
    ((found, severity, message),) = told(row(**extra))
    assert (found, severity) == (rule, None) and said in message


def test_unparsable_mark_is_told_apart_from_a_wrong_one() -> None:
    rating = {"by": "judge", "score": None, "unparsable": True}
    ((rule, severity, message),) = told(row(provenance=GENERATED, rating=rating))
    assert (rule, severity) == ("G2", "info") and "could not be read" in message


def test_note_that_changed_or_is_gone_is_told() -> None:
    named = row(provenance={**HAND, "note": "perche\u0301.md", "note_sha256": HASH})
    assert told(named) == [] == told(named, known_notes={"perch\u00e9.md": HASH})
    ((_, _, changed),) = told(named, known_notes={"perch\u00e9.md": "b" * 64})
    assert "the note perch\u00e9.md changed since: look at it again" in changed
    ((_, _, gone),) = told(named, known_notes={})
    assert "not among the collected ones" in gone


def test_note_without_a_hash_is_a_remark() -> None:
    ((rule, severity, _),) = told(row(provenance={**HAND, "note": "a.md"}))
    assert (rule, severity) == ("G1", "info")


def test_messages_never_hold_a_secret() -> None:
    key = "ghp_" + "".join(random.Random(4).choices(string.ascii_letters + string.digits, k=36))
    note = {**HAND, "note": f"{key}.md", "note_sha256": HASH}
    for extra in ({"stage": key}, {"provenance": key}, {"provenance": {"kind": key}}, {"provenance": note},
                  {"provenance": HAND, "rating": key}):  # fmt: skip
        hits = told(row(**extra), known_notes={})
        assert hits and all(key[4:10] not in message for _, _, message in hits)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(stage=JSON, provenance=JSON, rating=JSON, review=JSON, inside=JSON)
def test_no_json_value_crashes(stage: Any, provenance: Any, rating: Any, review: Any, inside: Any) -> None:
    for extra in (
        {"stage": stage, "provenance": provenance, "rating": rating, "review": review},
        {"provenance": dict.fromkeys(Provenance.__slots__, inside), "rating": {"by": inside, "score": inside}},
        {"provenance": {"kind": "generated", "note": "\ud800"}, "review": {"status": inside, "by": inside}},
    ):
        for hit in provenance_hits(row(**extra), known_notes={}):
            assert hit.rule in ("G1", "G2") and hit.message
