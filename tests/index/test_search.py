from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note  # noqa: E402

from components.errors import InputError  # noqa: E402
from components.index import Index  # noqa: E402
from components.index.question import content_words  # noqa: E402
from components.index.ranking import fuse  # noqa: E402

HOSTILE = [
    "' OR '1'='1", "x'; DROP TABLE chunks; --", '"citato"', '"mai chiuso', "AND OR NOT (", "title:pane", "*", "???",
    "\\", "il la di", "🐝", "\x00\x01", "%_%", "x" * 10_000, "parola " * 3_000, "`rm -rf`", "a\nb\tc", "{}[]()^~",
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    made = Index.open(tmp_path_factory.mktemp("search") / "index", Embedder(dimensions=256))
    made.sync(
        cut(
            note("forno/PANE_NERO.md", "# Pane\n\nIl pane nero cuoce quaranta minuti nel forno a legna.",
                 kind="decision", project="forno", date="2026-01-10"),
            note("l'orto/d'estate.md", "# L'orto d'estate\n\nPomodori e zucchine si annaffiano la sera.",
                 kind="idea", project="l'orto", date="2026-02-20"),
            note("vecchio.md", "# Orari\n\nLa bottega apre alle otto di mattina.",
                 status="deprecated", date="2026-03-01"),
            note("nuovo.md", "# Orari di oggi\n\nLa bottega apre alle nove di mattina.",
                 date="2026-02-01", supersedes=("vecchio.md",)),
            note("conf.md", "# Variabili\n\nSNCP_ROOT indica la cartella delle note.", kind="research"),
            note("senza-data.md", "# Vario\n\nIl pane bianco si compra in paese."),
        )
    )  # fmt: skip
    return made


def paths(index: Index, question: str, **options: Any) -> list[str]:
    return [hit.path for hit in index.search(question, **options)]


@pytest.mark.parametrize(
    ("question", "path"),
    [
        pytest.param("Quanto deve cuocere il pane nero?", "forno/PANE_NERO.md", id="words"),
        pytest.param("SNCP_ROOT", "conf.md", id="identifier"),
        pytest.param("pane_nero.md", "forno/PANE_NERO.md", id="file name"),
        pytest.param("POMODORO", "l'orto/d'estate.md", id="another form of the word"),
    ],
)
def test_the_right_note_comes_first(index: Index, question: str, path: str) -> None:
    assert paths(index, question)[0] == path


def test_a_hit_tells_lines_scores_and_heading(index: Index) -> None:
    hit = index.search("pane nero", k=1)[0]
    assert (hit.first_line, hit.last_line, hit.heading) == (1, 3, ("Pane",))
    assert hit.to_dict()["lines"] == [1, 3]
    assert 0 < hit.score <= 1 and hit.cosine is not None and -1 <= hit.cosine <= 1.001 and hit.fts is not None


def test_scores_fall(index: Index) -> None:
    for fusion in ("minmax", "rrf"):
        scores = [hit.score for hit in index.search("pane in bottega", fusion=fusion)]  # type: ignore[arg-type]
        assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)


def test_a_superseded_note_stays_below_its_successor(index: Index) -> None:
    found = paths(index, "La bottega apre alle otto di mattina?")
    assert found.index("nuovo.md") < found.index("vecchio.md")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"kind": "idea"}, {"l'orto/d'estate.md"}, id="kind"),
        pytest.param({"kind": ["idea", "research"]}, {"l'orto/d'estate.md", "conf.md"}, id="kinds"),
        pytest.param({"project": "l'orto"}, {"l'orto/d'estate.md"}, id="project with an apostrophe"),
        pytest.param({"project": "' OR '1'='1"}, set(), id="project as SQL"),
        pytest.param({"since": "2026-02-20"}, {"l'orto/d'estate.md", "vecchio.md"}, id="since"),
        pytest.param({"until": "2026-01-31"}, {"forno/PANE_NERO.md"}, id="until leaves undated notes out"),
        pytest.param({"since": "2026-02-01", "until": "2026-02-01"}, {"nuovo.md"}, id="one day"),
        pytest.param({"status": "deprecated"}, {"vecchio.md"}, id="status"),
        pytest.param({"kind": "idea", "status": "deprecated"}, set(), id="both must hold"),
    ],
)
def test_filters(index: Index, options: dict[str, Any], expected: set[str]) -> None:
    assert set(paths(index, "la bottega del pane e l'orto", k=50, **options)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"kind": "idea' OR '1'='1"}, "kind .* is not known; expected one of decision", id="kind"),
        pytest.param({"status": "old"}, "status 'old' is not known", id="status"),
        pytest.param({"since": "ieri"}, "since 'ieri' is no day", id="since"),
        pytest.param({"until": "2026-13-01"}, "until .* is no day", id="until"),
        pytest.param({"kind": []}, "empty list", id="empty list"),
    ],
)
def test_unknown_values_of_filters_are_refused(index: Index, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        index.search("pane", **options)


def test_excluded_chunks_are_left_out(index: Index) -> None:
    first = index.search("pane nero", k=1)[0]
    again = index.search("pane nero", k=50, exclude=[first.chunk_id, "' OR '1'='1"])
    assert again and first.chunk_id not in {hit.chunk_id for hit in again}


@pytest.mark.parametrize("question", HOSTILE, ids=[f"{at}" for at in range(len(HOSTILE))])
def test_a_hostile_question_is_only_a_question(index: Index, question: str) -> None:
    assert len(index.search(question, k=50)) <= 6
    assert len(index.search("pane", k=50)) == 6  # nothing was lost


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_any_question_is_answered_or_empty(index: Index, question: str) -> None:
    if question.strip():
        assert len(index.search(question, k=50)) <= 6
    else:
        with pytest.raises(InputError, match="empty"):
            index.search(question)


@pytest.mark.parametrize("question", ["", " ", "\n\t"])
def test_an_empty_question_is_refused(index: Index, question: str) -> None:
    with pytest.raises(InputError, match="empty"):
        index.search(question)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        pytest.param("Quale modello abbiamo scelto per la chat?", "modello scelto chat", id="italian"),
        pytest.param("What is the price of the plan?", "price plan", id="english"),
        pytest.param("Che cosa è?", "Che cosa è", id="only function words: all are kept"),
        pytest.param("dell'acqua", "acqua", id="elision"),
        pytest.param("?!", "", id="no words"),
    ],
)
def test_content_words(question: str, words: str) -> None:
    assert content_words(question) == words


def test_minmax_adds_stretched_legs() -> None:
    scores = fuse({"a": 0.9, "b": 0.8, "c": 0.7}, {"b": 4.0, "d": 2.0}, fusion="minmax", dense_weight=0.25)
    assert scores == pytest.approx({"a": 0.25, "b": 0.125 + 0.75, "c": 0.0, "d": 0.0})


def test_a_match_of_few_words_counts_less() -> None:
    scores = fuse({}, {"a": 4.0, "b": 2.0}, fusion="minmax", dense_weight=0.0, coverage={"a": 0.25, "b": 0.25})
    assert scores == pytest.approx({"a": 0.5, "b": 0.0})


def test_rrf_is_one_for_the_first_of_both_legs() -> None:
    scores = fuse({"a": 0.9, "b": 0.8}, {"a": 3.0}, fusion="rrf", dense_weight=0.1)
    assert scores == pytest.approx({"a": 1.0, "b": 0.5 * 61 / 62})


def test_one_leg_alone_or_none() -> None:
    assert fuse({}, {}, fusion="minmax", dense_weight=0.5) == {}
    assert fuse({"a": 0.5}, {}, fusion="minmax", dense_weight=0.5) == {"a": 0.5}


@given(
    st.dictionaries(st.integers(0, 20), st.floats(-1, 1)),
    st.dictionaries(st.integers(0, 20), st.floats(0, 50)),
    st.floats(0, 1),
)
def test_fused_scores_are_shares(dense: dict[int, float], text: dict[int, float], weight: float) -> None:
    for fusion in ("minmax", "rrf"):
        scores = fuse(dense, text, fusion=fusion, dense_weight=weight)  # type: ignore[arg-type]
        assert set(scores) == set(dense) | set(text)
        assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores.values())
