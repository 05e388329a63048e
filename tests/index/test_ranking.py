"""Ranking in time: who takes whose place, what a question about the past finds, and copies."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note  # noqa: E402

from components.index import Index, copies, ranking  # noqa: E402
from components.index.copies import copies_last  # noqa: E402
from components.index.question import tense  # noqa: E402
from components.index.ranking import Candidate, in_time  # noqa: E402


def candidate(path: str, **changes: Any) -> Candidate:
    return Candidate(**({"path": path, "paths": (path,), "status": "current", "supersedes": ()} | changes))


def timed(scores: dict[Any, float], notes: dict[Any, Candidate], asks_for: Any = None) -> dict[Any, float]:
    return in_time(scores, notes, answers=scores, tense=asks_for)


def order(scores: dict[str, float], notes: dict[str, Candidate], asks_for: Any = None) -> list[str]:
    ranked = timed(scores, notes, asks_for)
    return sorted(ranked, key=lambda key: (-ranked[key], key))


@pytest.mark.parametrize("status", ["deprecated", "template", "archived"])
def test_what_no_longer_holds_ranks_below_a_current_note_that_is_nearly_as_good(status: str) -> None:
    notes = {"old": candidate("o", status=status), "new": candidate("n")}
    assert order({"old": 1.0, "new": 0.85}, notes) == ["new", "old"]


@pytest.mark.parametrize("status", ["deprecated", "archived"])
def test_what_no_longer_holds_but_answers_much_better_comes_first(status: str) -> None:
    notes = {"old": candidate("o", status=status), "new": candidate("n")}
    assert order({"old": 1.0, "new": 0.7}, notes) == ["old", "new"]


def test_asked_for_the_present_a_deprecated_note_counts_half() -> None:
    notes = {"old": candidate("o", status="deprecated"), "new": candidate("n")}
    assert order({"old": 1.0, "new": 0.6}, notes, "present") == ["new", "old"]


def test_the_successor_takes_the_place_and_the_old_note_comes_right_behind() -> None:
    notes = {"old": candidate("o", status="deprecated"), "new": candidate("n", supersedes=("o",)),
             "other": candidate("x")}  # fmt: skip
    scores = timed({"old": 1.0, "new": 0.5, "other": 0.7}, notes)
    assert sorted(scores, key=lambda key: -scores[key]) == ["new", "old", "other"]
    assert scores["new"] == pytest.approx(0.8) and scores["old"] == pytest.approx(0.792)


def test_a_successor_that_does_not_answer_changes_nothing() -> None:
    notes = {"old": candidate("o"), "new": candidate("n", supersedes=("o",)), "other": candidate("x")}
    assert order({"old": 1.0, "new": 0.4, "other": 0.7}, notes) == ["old", "other", "new"]


def test_a_note_is_demoted_against_its_successor_only() -> None:
    notes = {"old": candidate("o"), "other": candidate("x")}
    assert order({"old": 0.9, "other": 0.8}, notes) == ["old", "other"], "its successor was not found"


def test_every_chunk_of_a_replaced_note_stays_below() -> None:
    notes = {"new": candidate("n", supersedes=("o",)), "one": candidate("o"), "two": candidate("o")}
    assert order({"new": 0.5, "one": 0.9, "two": 0.85}, notes) == ["new", "one", "two"]
    assert order({"new": 0.5, "one": 0.9, "two": 0.1}, notes) == ["new", "one", "two"]


def test_only_the_best_chunk_of_the_successor_is_lifted() -> None:
    notes = {"one": candidate("n", supersedes=("o",)), "two": candidate("n", supersedes=("o",)), "old": candidate("o")}
    assert timed({"one": 0.6, "two": 0.5, "old": 0.9}, notes)["two"] == 0.5


def test_a_chain_is_in_its_order_newest_first() -> None:
    notes = {"a": candidate("a"), "b": candidate("b", supersedes=("a",)), "c": candidate("c", supersedes=("b", "a"))}
    for scores in ({"a": 0.9, "b": 0.7, "c": 0.5}, {"a": 0.5, "b": 0.9, "c": 0.6}, {"a": 0.9, "b": 0.5, "c": 0.8}):
        assert order(scores, notes) == ["c", "b", "a"]
    assert order({"a": 0.9, "c": 0.5}, notes) == ["c", "a"], "also when the one between them was not found"


def test_notes_that_replace_each_other_stay_in_their_order() -> None:
    notes = {"a": candidate("a", supersedes=("b",)), "b": candidate("b", supersedes=("a",))}
    assert timed({"a": 0.9, "b": 0.8}, notes) == {"a": 0.9, "b": 0.8}


def test_a_copy_under_another_path_is_the_same_note() -> None:
    notes = {"old": candidate("o", paths=("o", "archivio/o")), "new": candidate("n", supersedes=("archivio/o",))}
    assert order({"old": 0.9, "new": 0.6}, notes) == ["new", "old"]


def test_a_question_about_the_past_leaves_the_order_alone() -> None:
    notes = {"old": candidate("o", status="deprecated"), "new": candidate("n", supersedes=("o",))}
    scores = {"old": 0.9, "new": 0.8}
    assert timed(scores, notes, "past") == scores


def test_asked_for_the_present_the_newer_of_two_goes_first() -> None:
    notes = {"old": candidate("o", date="2026-01-01"), "new": candidate("n", date="2026-03-01"),
             "undated": candidate("u")}  # fmt: skip
    scores = {"old": 0.85, "new": 0.8, "undated": 0.81}
    assert order(scores, notes) == ["old", "undated", "new"]
    assert order(scores, notes, "present") == ["new", "undated", "old"]
    assert order({"old": 0.99, "new": 0.8}, notes, "present") == ["old", "new"], "age costs little"


def test_one_note_of_another_year_does_not_make_all_others_equally_old() -> None:
    days = {"old": "2026-01-01", "new": "2026-02-01", "far": "2029-01-01", "other": "2026-01-15"}
    notes = {key: candidate(key, date=day) for key, day in days.items()}
    assert order({"old": 0.85, "new": 0.8, "far": 0.1, "other": 0.1}, notes, "present")[:2] == ["new", "old"]


paths = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.dictionaries(
        st.integers(0, 9),
        st.tuples(paths, st.floats(0, 1), st.lists(paths, max_size=3), st.sampled_from(["current", "archived"])),
        max_size=10,
    ),
    st.sampled_from([None, "past", "present"]),
)
def test_any_relations_end_in_scores_within_bounds(rows: dict[int, Any], asks_for: Any) -> None:
    first = {}
    for path, _, replaced, status in rows.values():
        first.setdefault(path, (tuple(replaced), status))
    notes = {key: candidate(row[0], supersedes=first[row[0]][0], status=first[row[0]][1]) for key, row in rows.items()}
    scores = timed({key: row[1] for key, row in rows.items()}, notes, asks_for)
    assert set(scores) == set(rows)
    assert all(0 <= score <= max((row[1] for row in rows.values()), default=0) for score in scores.values())


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Quante righe può avere oggi un file?", "present"),
        ("Quanti siamo adesso? A inizio gennaio eravamo 16.", "present"),
        ("Devo ancora aggiornare oggi.md?", "present"),
        ("Which rule is in force?", "present"),
        ("Do we still use it?", "present"),
        ("Che prezzo vale ora?", "present"),
        ("A che ora apre la bottega?", None),
        ("Com'era la regola prima di marzo?", "past"),
        ("Qual era il vecchio limite?", "past"),
        ("What was the original price?", "past"),
        ("What did we use to say?", None),
        ("Chi ha deciso i prezzi?", None),
        ("Nowhere to be found: snow", None),
    ],
)
def test_the_tense_of_a_question(question: str, expected: str | None) -> None:
    assert tense(question) == expected


LONG = "La bottega apre alle otto di mattina, chiude all'una, riapre alle quattro e chiude di nuovo alle otto di sera, "
HEAD = (
    "Chi vuole il pane nero lo ordina il giorno prima, chi vuole la torta due giorni prima, di persona o al telefono."
)


def test_of_copies_one_stands_for_all_and_the_newest_current_one_is_it() -> None:
    text = LONG * 3
    notes = {
        "old": candidate("o", date="2026-01-01", text=text), "new": candidate("n", date="2026-03-01", text=text),
        "gone": candidate("g", date="2026-04-01", text=text.upper(), status="archived"),
        "other": candidate("x", text="Pomodori e zucchine si annaffiano la sera, mai a mezzogiorno"),
    }  # fmt: skip
    scores = copies_last({"old": 0.9, "new": 0.8, "gone": 0.7, "other": 0.5}, notes, asked="bottega apre")
    assert sorted(scores, key=lambda key: -scores[key]) == ["new", "other", "old", "gone"]
    assert scores["new"] == 0.9


def report(month: str, sum_: str) -> str:
    return f"Rapporto mensile di {month}. {LONG} {LONG.upper()} {HEAD} Il fatturato del mese è di {sum_} euro."


def test_what_differs_in_a_figure_is_no_copy_and_the_question_may_name_the_older() -> None:
    notes = {
        "jan": candidate("1", date="2026-01-31", text=report("gennaio", "100")),
        "feb": candidate("2", date="2026-02-28", text=report("febbraio", "200")),
    }
    scores = {"jan": 0.9, "feb": 0.8}
    assert copies_last(scores, notes, asked="fatturato bottega") == pytest.approx({"jan": 0.891, "feb": 0.9})
    assert copies_last(scores, notes, asked="fatturato gennaio") == scores
    assert copies_last(scores, notes, asked="fatturato bottega", newest_first=False) == scores


def test_two_like_passages_of_one_note_are_not_a_matter_of_time() -> None:
    notes = {"jan": candidate("1", text=report("gennaio", "100")), "feb": candidate("1", text=report("marzo", "200"))}
    assert copies_last({"jan": 0.9, "feb": 0.8}, notes, asked="bottega") == {"jan": 0.9, "feb": 0.8}


@given(st.dictionaries(st.integers(0, 60), st.tuples(st.floats(0, 1), st.text(alphabet="ab 1", max_size=40))))
def test_any_texts_keep_their_hits_and_bounds(rows: dict[int, tuple[float, str]]) -> None:
    notes = {key: candidate(str(key % 5), text=row[1], date=f"2026-01-0{1 + key % 9}") for key, row in rows.items()}
    scores = copies_last({key: row[0] for key, row in rows.items()}, notes, asked="a 1")
    assert set(scores) == set(rows)
    assert all(0 <= score <= 1 for score in scores.values())
    if rows:
        assert max(scores.values()) == max(row[0] for row in rows.values())


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    made = Index.open(tmp_path_factory.mktemp("ranking") / "index", Embedder(dimensions=256))
    old = ("# Listino\n\nIl pane nero costa tre euro al chilo e si paga in contanti.\n\n"
           "# Resto\n\nIl resto si dava in caramelle alla menta.")  # fmt: skip
    made.sync(
        cut(
            note("listino_vecchio.md", old, status="deprecated", date="2026-01-01"),
            note("listino.md", "# Listino\n\nIl pane nero costa quattro euro al chilo e si paga con la carta.",
                 date="2026-02-01", supersedes=("listino_vecchio.md",)),
            note("orto.md", "# Orto\n\nPomodori e zucchine si annaffiano la sera.", date="2026-02-01"),
            *(note(f"copie/{n}.md", f"# Orari\n\n{LONG * 2}", date=f"2026-01-0{n}") for n in range(1, 9)),
        )
    )  # fmt: skip
    return made


def found(index: Index, question: str, **options: Any) -> list[str]:
    return [hit.path for hit in index.search(question, **options)]


@pytest.mark.parametrize(
    ("question", "first"),
    [
        pytest.param("Quanto costa oggi il pane nero, tre euro al chilo in contanti?", "listino.md", id="the present"),
        pytest.param("Il pane nero costa tre euro al chilo e si paga in contanti?", "listino.md", id="no tense"),
        pytest.param("Qual era il vecchio prezzo, il pane nero tre euro in contanti?", "listino_vecchio.md", id="past"),
        pytest.param("Il resto si dava in caramelle alla menta?", "listino_vecchio.md", id="only the old note says it"),
    ],
)
def test_a_replaced_note_in_a_search(index: Index, question: str, first: str) -> None:
    hits = found(index, question)
    assert hits[0] == first
    assert "listino_vecchio.md" in hits[:3], "it is found in any case"


def test_copies_do_not_fill_the_context(index: Index) -> None:
    hits = found(index, "Quando apre la bottega la mattina e quando chiude la sera?", k=3)
    assert hits[0] == "copie/8.md"
    assert sum(path.startswith("copie/") for path in hits) == 1
    assert sum(path.startswith("copie/") for path in found(index, "Quando apre la bottega?", k=20)) == 8


def test_the_ranking_version_stands_for_these_constants() -> None:
    """A constant that changes the order of hits is part of every score's identity: raise RANKING_VERSION with it."""
    from components.llm.fake import FakeEmbedder
    from components.llm.local_embedder import E5Embedder, UseEmbedder
    from components.llm.remote import RemoteEmbedder

    weights = {each.__name__: each.dense_weight for each in (FakeEmbedder, E5Embedder, UseEmbedder, RemoteEmbedder)}
    constants = {
        f"{module.__name__}.{name}": value
        for module in (ranking, copies)
        for name, value in vars(module).items()
        if isinstance(value, int | float | dict) and name != "RANKING_VERSION" and name.startswith("_")
        and not name.startswith("__")
    }  # fmt: skip
    text = json.dumps([weights, constants], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert {ranking.RANKING_VERSION: digest} == {4: "f26a8c38"}, f"these count: {text}"
