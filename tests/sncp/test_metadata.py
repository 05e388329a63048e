"""Dates, titles, projects, status and what replaces what, in the forms that people write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.sncp import Collection
from components.sncp.kinds import kind_from_path
from components.sncp.metadata import find_date, front_matter, header_lines, title_of
from components.sncp.status import find_status, find_superseded_by, find_supersedes


def _date(header: str, path: str = "a.md") -> str:
    return find_date(path=path, matter={}, header=header.split("\n"), file_day="1999-01-01")[0]


@pytest.mark.parametrize(
    ("header", "day"),
    [
        ("**Data:** 14 Gennaio 2026", "2026-01-14"),
        ("**Data**: 20260114 | **Worker**: x", "2026-01-14"),
        ("> Data: 2026-01-14 - Sessione 3", "2026-01-14"),
        ("> 14/01/2026", "2026-01-14"),
        ("Data: 1° maggio 2025", "2025-05-01"),
        ("Data: 14-15 Gennaio 2026", "2026-01-15"),
        ("Data: 14.01.26", "2026-01-14"),
        ("Date: Jan 5th, 2026", "2026-01-05"),
        ("Date: 12/25/2026", "2026-12-25"),
        ("| **Data** | 14 gen 2026 |", "2026-01-14"),
        ("📅 **Data**: 5/1/2026", "2026-01-05"),
        ("> Data: 1 Gennaio 2026\n> **Ultimo aggiornamento:** 3 Febbraio 2026", "2026-02-03"),
        ("Creato: 1 gennaio 2026\nData: 2 gennaio 2026", "2026-01-02"),
        ("*Last updated: January 5, 2026*", "2026-01-05"),
        ("Aggiornato il 3 marzo 2026", "2026-03-03"),
        ("Versione 1 | Aggiornato: 3 Febbraio 2026", "2026-02-03"),
        ("# Diario - 14 Gennaio 2026", "2026-01-14"),
        ("> **Guardiana** - 14 Gennaio 2026", "2026-01-14"),
        ("Data di scadenza: 3 marzo 2027", "1999-01-01"),
        ("# Piano - Target 10 Febbraio 2026", "1999-01-01"),
        ("Il progetto nacque il 3 marzo 2020", "1999-01-01"),
        ("Database: 2024-01-01", "1999-01-01"),
        ("```\nData: 2024-01-01\n```", "1999-01-01"),
        ("Data: 31 febbraio 2026", "1999-01-01"),
    ],
)
def test_date_in_the_header(header: str, day: str) -> None:
    assert _date(header) == day


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("20260115_073005.md", "2026-01-15"),
        ("nota-2026-01-14.md", "2026-01-14"),
        ("x_20260120_S306.md", "2026-01-20"),
        ("14-01-2026.md", "2026-01-14"),
        ("v20260199.md", "1999-01-01"),
        ("id202601144.md", "1999-01-01"),
    ],
)
def test_date_in_the_file_name(name: str, day: str) -> None:
    assert _date("# X", f"2025-03-01/{name}") == day


def test_front_matter_goes_first() -> None:
    text = "---\ntitle: Uno\ndate: 2026-03-04\nstato: archiviato\n---\n# Due\nData: 2026-01-01\n"
    matter, skip, fault = front_matter(text)
    found = find_date(path="20200101.md", matter=matter, header=header_lines(text, skip=skip), file_day="1999-01-01")
    assert (found, fault, skip) == (("2026-03-04", "front matter"), None, 5)
    assert title_of(text, path="a.md", matter=matter, skip=skip) == "Uno"
    assert find_status(path="a.md", matter=matter, header=[]) == "archived"


@pytest.mark.parametrize(("written", "told"), [(r"\ud83c\udf5e pane", "🍞 pane"), (r"\ud83c pane", "\ufffd pane")])
def test_letters_that_json_writes_as_two_halves_are_whole_or_replaced(
    written: str, told: str, notes: Callable[..., Path], read: Callable[..., Collection]
) -> None:
    root = notes({"a.md": f'---\ntitle: "{written}"\nproject: "{written}"\n---\n# x\n\nciao\n'})
    (document,) = read(root).documents
    assert (document.title, document.project) == (told, told)
    assert len(document.key) == 64 and document.to_dict()["title"].encode()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("---\na: [1\n---\nx", "line 2: expected"),
        ("---\na: 1\na: 2\n---\nx", "found duplicate key"),
        ("---\na: &x 1\nb: *x\n---\nx", "anchors"),
        ("---\na: !!python/object/apply:os.system [ls]\n---\nx", "could not determine a constructor"),
        ("---\n- a: 1\n---\nx", None),
        ("---\n\nuna riga\n\n---\n", None),
        ("---\ntitle: mai chiuso\n", None),
    ],
    ids=["broken", "twice", "anchors", "object", "list", "two rules", "not closed"],
)
def test_faulty_front_matter_is_told_and_not_fatal(text: str, fault: str | None) -> None:
    matter, _, told = front_matter(text)
    assert matter == {} and (fault in (told or "") if fault else told is None)


@given(st.text(max_size=200))
def test_no_front_matter_breaks_it(body: str) -> None:
    front_matter(f"---\na: {body}\n---\nx")
    front_matter(f"---\n{body}\n---\nx")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# **Uno** `due` [tre](x.md) #\n", "Uno due tre"),
        ("```\n# codice\n```\n# Vero\n", "Vero"),
        ("Titolo sotto\n===\n", "Titolo sotto"),
        ("## Solo un secondo\n", "RICERCA PMS 2"),
        ("#senza spazio\n", "RICERCA PMS 2"),
        ("# snake_case_name resta\n", "snake_case_name resta"),
    ],
)
def test_title(text: str, title: str) -> None:
    assert title_of(text, path="x/20260114_RICERCA_PMS_2.md", matter={}, skip=0) == title


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("# DEPRECATO: vecchio piano", "deprecated"),
        ("> ⚠️ **OBSOLETO**", "deprecated"),
        ("**Status:** ARCHIVED", "archived"),
        ("> **Stato:** superata da [[NUOVA]]", "deprecated"),
        ("# Piano (DEPRECATO)", "deprecated"),
        ("Questo file e' DEPRECATO.", "deprecated"),
        ("This document is **obsolete**", "deprecated"),
        ("[ARCHIVIATO]", "archived"),
        ("Sostituita da: NUOVA.md", "deprecated"),
        ("|   Questa decisione è superata.   |", "deprecated"),
        ("# Target 9.5 superato!", "current"),
        ("questo file non è obsoleto", "current"),
        ("- Archiviato: coscienza/, perne/", "current"),
        ("| NORD.md | OBSOLETO |", "current"),
        ("├── stato/   # (DEPRECATO - vedi sotto)", "current"),
        ("Status: PROPOSTA | APPROVATA | SUPERSEDED", "current"),
        ("**TL;DR:** Documentazione a pezzi. NORD.md OBSOLETO.", "current"),
        ("Status: ✅ COMPLETATA", "current"),
    ],
)
def test_status_is_only_what_the_note_says_of_itself(header: str, status: str) -> None:
    assert find_status(path="a.md", matter={}, header=[header]) == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("x/archivio/a.md", "archived"),
        ("_archive/a.md", "archived"),
        ("_TEMPLATE_DECISIONE.md", "template"),
        ("TEMPLATE_nota.md", "template"),
        ("templates/a.md", "template"),
        ("20260111_TEMPLATE_RAFA.md", "current"),
        ("email-template-guide.md", "current"),
        ("archivio.md", "current"),
    ],
)
def test_status_from_the_path(path: str, status: str) -> None:
    assert find_status(path=path, matter={}, header=[]) == status


@pytest.mark.parametrize(
    ("header", "new", "old"),
    [
        ("Sostituisce: Decisione BYOK del 3 marzo", ("Decisione BYOK del 3 marzo",), ()),
        ("Supersedes: [v](old/D_1.md), `D_2.md`", ("old/D_1.md", "D_2.md"), ()),
        ("Questa decisione annulla e sostituisce DEC_20260101_db.md", ("DEC_20260101_db.md",), ()),
        ("Sostituisce i vecchi messaggi con un sommario", (), ()),
        ("non sostituisce X_1.md", (), ()),
        ("> Superseded by ADR-0012.md", (), ("ADR-0012.md",)),
        ("Usa invece: [[NUOVA|quella]]", (), ("NUOVA",)),
        ("Deprecated in favor of `x.md`", (), ("x.md",)),
    ],
)
def test_what_replaces_what(header: str, new: tuple[str, ...], old: tuple[str, ...]) -> None:
    assert find_supersedes(matter={}, header=[header]) == new
    assert find_superseded_by(matter={}, header=[header]) == old


def test_both_sides_of_a_replacement_know_of_it(notes: Callable[..., Path], read: Callable[..., Collection]) -> None:
    root = notes({
        "d/NUOVA.md": "# Nuova\nSostituisce: [vecchia](VECCHIA.md)\n",
        "d/VECCHIA.md": "# Vecchia\n",
        "uno/X.md": "# X uno\n", "due/X.md": "# X due\n",
        "Y.md": "# Y\nSostituisce: X.md\n",
        "A_1.md": "# A\nSostituisce B_1.md\n", "B_1.md": "# B\nSostituisce A_1.md\n",
    })  # fmt: skip
    found = {document.path: document for document in read(root).documents}
    assert found["d/NUOVA.md"].supersedes == ("d/VECCHIA.md",)
    assert (found["d/VECCHIA.md"].superseded_by, found["d/VECCHIA.md"].status) == (("d/NUOVA.md",), "deprecated")
    assert found["Y.md"].supersedes == ("X.md",), "two notes have this name: left as written"
    assert found["uno/X.md"].status == found["A_1.md"].status == found["B_1.md"].status == "current"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("PROMPT_RIPRESA_x.md", "resume"),
        ("progetti/crypto-research/stato.md", "state"),
        ("progetti/x/idee/AUDIT_1.md", "idea"),
        ("docs/COSTITUZIONE.md", "persona"),
        ("dna/appunti.md", "note"),
        ("RICERCA_SULLA_COSTITUZIONE.md", "research"),
        ("qualcosa.md", "note"),
    ],
)
def test_kind_from_the_path(path: str, kind: str) -> None:
    assert kind_from_path(path) == kind
