"""Which note replaces which: whose words are believed, and what is told instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.sncp import Collection, Document
from components.sncp.relations import MOST_CLAIMS, relate

Write = Callable[..., Path]
Read = Callable[..., Collection]


def found(collection: Collection) -> dict[str, Document]:
    return {document.path: document for document in collection.documents}


def told(collection: Collection) -> list[tuple[str, int, str]]:
    return [(item.path, item.line, item.message) for item in collection.notices]


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("# Nuova\nSostituisce: [vecchia](VECCHIA.md)\n", "# Vecchia\n"),
        ("# Nuova\nQuesta nota annulla e sostituisce `VECCHIA.md`.\n", "# Vecchia\n"),
        ("# Nuova\n> Replaces VECCHIA.md\n", "# Vecchia\n"),
        ("---\nsupersedes: VECCHIA\n---\n# Nuova\n", "# Vecchia\n"),
        ("---\nsostituisce: [VECCHIA.md]\n---\n# Nuova\n", "# Vecchia\n"),
        ("# Nuova\nSostituisce: La vecchia regola\n", "# La vecchia regola\n"),
        ("# Nuova\n", "# Vecchia\n> **SUPERATA** da [NUOVA](NUOVA.md)\n"),
        ("# Nuova\n", "# Vecchia\nSostituita da: NUOVA.md\n"),
        ("# Nuova\n", "# Vecchia\nSuperseded by [[NUOVA]]\n"),
        ("# Nuova\n", "---\nsuperseded_by: NUOVA\n---\n# Vecchia\n"),
        ("# Nuova\n", "# Vecchia\n**DEPRECATO** - vedi invece `NUOVA.md`\n"),
    ],
)
def test_either_may_say_it_and_both_know(new: str, old: str, notes: Write, read: Read) -> None:
    by_path = found(read(notes({"d/NUOVA.md": new, "d/VECCHIA.md": old})))
    assert by_path["d/NUOVA.md"].supersedes == ("d/VECCHIA.md",)
    assert by_path["d/VECCHIA.md"].superseded_by == ("d/NUOVA.md",)
    assert (by_path["d/VECCHIA.md"].status, by_path["d/NUOVA.md"].status) == ("deprecated", "current")


def test_a_chain_is_known_from_end_to_end(notes: Write, read: Read) -> None:
    by_path = found(read(notes({
        "UNO_1.md": "# Uno\n", "DUE_2.md": "# Due\nSostituisce UNO_1.md\n", "TRE_3.md": "# Tre\nSostituisce DUE_2.md\n",
    })))  # fmt: skip
    assert by_path["TRE_3.md"].supersedes == ("DUE_2.md", "UNO_1.md")
    assert by_path["UNO_1.md"].superseded_by == ("DUE_2.md",)
    assert [by_path[path].status for path in ("UNO_1.md", "DUE_2.md", "TRE_3.md")] == [
        "deprecated", "deprecated", "current",
    ]  # fmt: skip


def test_versions_in_names_are_in_order_and_keep_their_status(notes: Write, read: Read) -> None:
    by_path = found(read(notes({
        "p/PROMPT_RIPRESA_v1.md": "# Ripresa\n2026-01-01\n", "p/PROMPT_RIPRESA_v2.md": "# Ripresa due\n",
        "p/20260109_PIANO_v2.1.md": "# Piano\n", "p/20260112_PIANO_v2.10.md": "# Piano nuovo\n",
        "altro/PROMPT_RIPRESA_v3.md": "# Altra cartella\n", "p/PARTE1.md": "# Uno\n", "p/PARTE2.md": "# Due\n",
        "p/20260109_STUDIO.md": "# S\n", "p/20260112_STUDIO.md": "# S due\n",
    })))  # fmt: skip
    assert {path: note.supersedes for path, note in by_path.items() if note.supersedes} == {
        "p/PROMPT_RIPRESA_v2.md": ("p/PROMPT_RIPRESA_v1.md",),
        "p/20260112_PIANO_v2.10.md": ("p/20260109_PIANO_v2.1.md",),
    }
    assert {note.status for note in by_path.values()} == {"current"}


def test_a_version_that_is_older_by_its_date_replaces_nothing(notes: Write, read: Read) -> None:
    root = notes({"A_v1.md": "# A\n**Data:** 2026-03-01\n", "A_v2.md": "# A due\n**Data:** 2026-01-01\n"})
    assert not any(note.supersedes for note in read(root).documents)


def test_a_name_with_a_placeholder_fits_each_of_its_notes(notes: Write, read: Read) -> None:
    by_path = found(read(notes({
        "oggi.md": "# Oggi\nQuesto file è DEPRECATO: usa invece `RIPRESA_{progetto}.md`\n",
        "a/RIPRESA_forno.md": "# Forno\n", "b/RIPRESA_orto.md": "# Orto\n", "b/ALTRO_[x].md": "# Altro\n",
    })))  # fmt: skip
    assert by_path["oggi.md"].superseded_by == ("a/RIPRESA_forno.md", "b/RIPRESA_orto.md")


@pytest.mark.parametrize(
    ("files", "told_of"),
    [
        pytest.param(
            {"X.md": "# X\n\nSostituisce X.md\n"},
            ("X.md", 3, "says that it replaces itself; that is passed over"),
            id="itself",
        ),
        pytest.param(
            {"Y.md": "# Y\nSostituisce: X.md\n", "uno/X.md": "# uno\n", "due/X.md": "# due\n"},
            ("Y.md", 2, "says that it replaces 'X.md'; 2 notes have this name (due/X.md, uno/X.md): write its path"),
            id="two of that name",
        ),
        pytest.param(
            {"Y.md": "# Y\nSostituisce: tutte le decisioni\n", "d/D_1.md": "# D\n"},
            ("Y.md", 2, "says that it replaces 'tutte le decisioni'; no note that was read has this name"),
            id="everything",
        ),
        pytest.param(
            {"Y.md": "# Y\nSostituisce: `d/*.md`\n", "d/D_1.md": "# D\n"},
            ("Y.md", 2, "says that it replaces 'd/*.md'; no note that was read has this name"),
            id="a pattern",
        ),
        pytest.param(
            {"Y.md": "# Y\n**Data:** 2026-01-01\nSostituisce X.md\n", "X.md": "# X\n**Data:** 2026-02-01\n"},
            ("Y.md", 3, "says that it replaces X.md, which is newer (2026-02-01, this note: 2026-01-01); "
                        "that is not believed"),
            id="a newer one",
        ),
        pytest.param(
            {"Y.md": "# Y\nSostituisce docs/COSTITUZIONE.md\n", "docs/COSTITUZIONE.md": "# Chi sono\n"},
            ("Y.md", 2, "says that it replaces the persona file docs/COSTITUZIONE.md; only that file can"),
            id="the persona",
        ),
    ],
)  # fmt: skip
def test_what_is_not_believed_is_told(
    files: dict[str, str], told_of: tuple[str, int, str], notes: Write, read: Read
) -> None:
    collection = read(notes(files))
    assert told_of in told(collection)
    assert not any(note.superseded_by or note.status != "current" for note in collection.documents)
    assert not {path for note in collection.documents for path in note.supersedes} & found(collection).keys()


def test_a_note_that_claims_to_replace_them_all_is_not_believed(notes: Write, read: Read) -> None:
    many = {f"d/D_{n}.md": f"# D {n}\n" for n in range(MOST_CLAIMS + 1)}
    claims = "---\nsupersedes: [" + ", ".join(many) + "]\n---\n# Tutto\n"
    collection = read(notes({**many, "TUTTO.md": claims}))
    assert {note.status for note in collection.documents} == {"current"}
    assert f"says that it replaces {MOST_CLAIMS + 1} notes" in told(collection)[0][2]
    few = read(notes({**many, "TUTTO.md": claims.replace("d/D_0.md, ", "")}))
    assert sum(note.status == "deprecated" for note in few.documents) == MOST_CLAIMS


def test_a_template_replaces_nothing(notes: Write, read: Read) -> None:
    collection = read(notes({"_TEMPLATE.md": "# T\nSostituisce X_1.md\n", "X_1.md": "# X\n"}))
    assert found(collection)["X_1.md"].status == "current"


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_circle_replaces_nothing_and_is_told(length: int, notes: Write, read: Read) -> None:
    files = {f"N_{n}.md": f"# {n}\nSostituisce N_{(n + 1) % length}.md\n" for n in range(length)}
    collection = read(notes({**files, "SOPRA_1.md": "# S\nSostituisce N_0.md\n"}))
    by_path = found(collection)
    assert by_path["SOPRA_1.md"].supersedes == ("N_0.md",)
    assert [by_path[path].status for path in files] == ["deprecated", *["current"] * (length - 1)]
    assert sum("in a circle" in message for _, _, message in told(collection)) == length


def test_the_words_of_the_replaced_note_count_whatever_the_dates(notes: Write, read: Read) -> None:
    by_path = found(read(notes({
        "V_1.md": "# V\n**Data:** 2026-02-01\nSuperata da N_1.md\n", "N_1.md": "# N\n**Data:** 2026-01-01\n",
    })))  # fmt: skip
    assert by_path["N_1.md"].supersedes == ("V_1.md",)


names = st.sampled_from(["a.md", "b.md", "d/a.md", "c_v1.md", "c_v2.md", "x", "{p}_v.md", "c_v{n}.md", "*", ""])


@given(st.lists(st.tuples(names, st.lists(names, max_size=3), st.lists(names, max_size=3)), max_size=7))
def test_any_claims_end_in_relations_without_circles(rows: list[tuple[str, list[str], list[str]]]) -> None:
    documents = [
        Document(
            doc_id=str(at), path=f"{at}/{name or 'n.md'}", paths=(f"{at}/{name or 'n.md'}",), kind="note",
            project=None, title=name, date=None, date_source=None, status="current", supersedes=tuple(olds),
            superseded_by=tuple(news), content_hash=str(at), text="",
        )
        for at, (name, olds, news) in enumerate(rows)
    ]  # fmt: skip
    related, _ = relate(documents)
    by_path = {note.path: note for note in related}
    assert [note.path for note in related] == [note.path for note in documents]
    for note in related:
        assert note.path not in note.supersedes
        for old in note.supersedes:
            if old in by_path:
                assert note.path not in by_path[old].supersedes
                assert set(by_path[old].supersedes) & by_path.keys() <= set(note.supersedes)
