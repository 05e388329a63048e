"""Notes and sections that say nearly the same: found, measured, and told with the one that holds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.sncp import Document, SncpParams
from components.sncp.near_duplicates import MIN_WORDS, Sketch, near_duplicates
from components.sncp.report import report_markdown
from components.sncp.steps import collect_notes
from components.store import Run

WORDS = [f"parola{n}" for n in range(3000)]


def prose(seed: int, words: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)  # noqa: S311


def note(path: str, text: str, **changes: object) -> Document:
    values = {
        "doc_id": path, "path": path, "paths": (path,), "kind": "note", "project": None, "title": path,
        "date": "2026-01-01", "date_source": "header", "status": "current", "supersedes": (), "superseded_by": (),
        "content_hash": f"{hash(text)}", "text": text,
    }  # fmt: skip
    return Document(**(values | changes))  # type: ignore[arg-type]


def changed(words: list[str], every: int) -> str:
    return " ".join("altro" if at % every == every - 1 else word for at, word in enumerate(words))


@pytest.mark.parametrize(
    ("every", "found"),
    [(200, True), (60, True), (15, False), (3, False)],
    ids=["one word", "every sixtieth word", "every fifteenth", "every third"],
)
def test_notes_are_told_from_four_fifths_in_common_on(every: int, found: bool) -> None:
    words = prose(1)
    pairs, _ = near_duplicates([note("a.md", " ".join(words)), note("b.md", changed(words, every))])
    assert bool(pairs) is found
    if pairs:
        one, other = set(zip(*(words[at:] for at in range(5)), strict=False)), changed(words, every).split()
        both = set(zip(*(other[at:] for at in range(5)), strict=False))
        assert pairs[0].similarity == pytest.approx(len(one & both) / len(one | both), abs=1e-3)


def test_all_pairs_among_many_are_found_and_none_beside() -> None:
    documents = [note(f"{n}.md", " ".join(prose(n))) for n in range(300)]
    documents += [note(f"{n}_bis.md", changed(prose(n), 100)) for n in range(0, 300, 3)]
    pairs, _ = near_duplicates(documents)
    assert {tuple(sorted((pair.keep, pair.other))) for pair in pairs} == {
        (f"{n}.md", f"{n}_bis.md") for n in range(0, 300, 3)
    }


@pytest.mark.parametrize(
    ("a", "b", "keep", "why"),
    [
        ({"date": "2026-02-01"}, {}, "a.md", "it is newer"),
        ({}, {"date": "2026-02-01"}, "b.md", "it is newer"),
        ({"date": "2026-02-01", "status": "archived"}, {}, "b.md", "the other is archived"),
        ({"status": "deprecated"}, {"supersedes": ("a.md",), "date": "2025-01-01"}, "b.md", "it replaces the other"),
        ({"date": None}, {"date": "2026-02-01"}, "a.md", "its path is shorter"),
        ({}, {}, "a.md", "its path is shorter"),
    ],
)
def test_which_of_two_holds(a: dict[str, object], b: dict[str, object], keep: str, why: str) -> None:
    words = prose(1)
    documents = [note("a.md", " ".join(words), **a), note("b.md", changed(words, 100), **b)]
    for order in (documents, documents[::-1]):
        (pair,), _ = near_duplicates(order)
        assert (pair.what, pair.keep, pair.why) == ("note", keep, why)
        assert {pair.keep, pair.other} == {"a.md", "b.md"}


def test_a_section_in_two_notes_is_told_by_its_lines() -> None:
    same = " ".join(prose(5, 80))
    one = f"# Uno\n{' '.join(prose(6))}\n\n## Regole\n\n{same}\n"
    other = (
        f"# Due\n{' '.join(prose(7))}\n```\n# nessun titolo\n```\n## Regole\n\n{same}\n## Fine\n{' '.join(prose(8))}"
    )
    (pair,), _ = near_duplicates([note("uno.md", one), note("due.md", other, date="2026-02-01")])
    assert (pair.what, pair.similarity) == ("section", 1.0)
    assert (pair.keep, pair.keep_lines, pair.other, pair.other_lines) == ("due.md", (6, 8), "uno.md", (4, 6))


def test_sections_of_notes_that_are_told_already_are_not_told_again() -> None:
    text = f"# A\n{' '.join(prose(1))}\n## B\n{' '.join(prose(2))}\n## C\n"
    pairs, _ = near_duplicates([note("a.md", text), note("b.md", f"{text}fine diversa")])
    assert [pair.what for pair in pairs] == ["note"]


@pytest.mark.parametrize(
    "texts",
    [[], [""], ["breve", "breve "], ["# solo\n## titoli\n", "# solo\n## titoli\n\n"], ["x " * (MIN_WORDS - 1)] * 2],
    ids=["none", "empty", "short", "headings", "just too short"],
)
def test_short_texts_are_not_compared(texts: list[str]) -> None:
    assert near_duplicates([note(f"{at}.md", text) for at, text in enumerate(texts)])[0] == []


def test_a_text_that_repeats_one_word_is_compared_too() -> None:
    pairs, _ = near_duplicates([note("a.md", "ora " * 50), note("b.md", "ora " * 60)])
    assert [pair.similarity for pair in pairs] == [1.0]


def test_what_is_known_is_read_only_where_something_is_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [note(f"{n}.md", f"# Uno\n{' '.join(prose(n))}\n# Due\n{' '.join(prose(-n))}") for n in range(1, 40)]
    documents += [note("bis.md", documents[0].text + " poi")]
    pairs, sketches = near_duplicates(documents)
    stored = {key: Sketch.all_from_json([sketch.to_json() for sketch in row]) for key, row in sketches.items()}
    from components.sncp import near_duplicates as module

    read: list[int] = []
    hashes = module._Words.hashes
    monkeypatch.setattr(module._Words, "hashes", lambda self, text: read.append(1) or hashes(self, text))
    assert near_duplicates(documents, known=stored) == (pairs, sketches)
    assert len(read) == 2, "the two that are alike"
    near_duplicates([*documents, note("neu.md", " ".join(prose(99)))], known=stored)
    assert len(read) == 2 + 2 + 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="ab \n#`", max_size=400), max_size=8))
def test_any_texts_end_in_pairs_of_different_notes(texts: list[str]) -> None:
    documents = [note(f"{at}.md", text) for at, text in enumerate(texts)]
    pairs, sketches = near_duplicates(documents)
    again, _ = near_duplicates(documents, known=sketches)
    assert pairs == again
    for pair in pairs:
        assert pair.keep != pair.other and 0.8 <= pair.similarity <= 1
        lines = {document.path: document.text.count("\n") + 1 for document in documents}
        assert 1 <= pair.keep_lines[0] <= pair.keep_lines[1] <= lines[pair.keep]


def test_the_report_of_a_collecting_tells_them_also_when_most_was_known(tmp_path: Path) -> None:
    root, words = tmp_path / "notes", prose(3)
    root.mkdir()
    (root / "uno.md").write_text(f"# Uno\n**Data:** 2026-01-01\n{' '.join(words)}\n", encoding="utf-8")
    (root / "altro.md").write_text(f"# Altro\n{' '.join(prose(4))}\n", encoding="utf-8")
    params = SncpParams(root=root, include=["**/*.md"])

    def collected() -> tuple[dict, str]:  # type: ignore[type-arg]
        run = Run.create(tmp_path / "workspace", recipe="test", phase="mvp")
        artefact = collect_notes(run, params, persona_files=[])
        report = artefact.read_json("report.json")
        return report, artefact.digest

    assert collected()[0]["near_duplicates"] == []
    (root / "due.md").write_text(f"# Due\n**Data:** 2026-02-01\n{changed(words, 100)}\n", encoding="utf-8")
    report, digest = collected()
    (pair,) = report["near_duplicates"]
    assert (pair["keep"], pair["keep_lines"], pair["other"]) == ("due.md", [1, 3], "uno.md")
    assert "| due.md:1-3 | uno.md:1-3 | 9" in report_markdown(report)
    fresh = collect_notes(Run.create(tmp_path / "other", recipe="test", phase="mvp"), params, persona_files=[])
    assert fresh.digest == digest, "what was known changes nothing"


def test_real_notes_have_one_section_twice(shared: Path) -> None:
    from components.sncp import collect
    from components.sncp.params import DEFAULT_SOURCES

    documents = collect(
        root=shared / "data" / "sncp", sources=DEFAULT_SOURCES, include=["**/*.md"], exclude=[], max_bytes=2_000_000,
        redact="redact",
    ).documents  # fmt: skip
    (pair,), _ = near_duplicates(documents)
    assert pair.what == "section"
    assert {Path(pair.keep).name, Path(pair.other).name} == {
        "DA_STUDIARE_CONTEXT_LIBERATION.md", "20260111_ANALISI_CACHE_CONTROL_VANTAGGIO_STRATEGICO.md",
    }  # fmt: skip
