"""The real notes: everything is found, nothing is lost, and each note is told for what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.sncp import Collection, Document, collect
from components.sncp.params import DEFAULT_SOURCES
from components.sncp.report import report_markdown


@pytest.fixture(scope="module")
def root(shared: Path) -> Path:
    return shared / "data" / "sncp"


@pytest.fixture(scope="module")
def collection(root: Path) -> Collection:
    return collect(
        root=root, sources=DEFAULT_SOURCES, include=["**/*.md"], exclude=[], max_bytes=2_000_000, redact="redact"
    )


@pytest.fixture(scope="module")
def by_name(collection: Collection) -> dict[str, Document]:
    return {document.path.rsplit("/", 1)[-1]: document for document in collection.documents}


def test_every_markdown_file_is_in_one_document(root: Path, collection: Collection) -> None:
    on_disk = {file.relative_to(root).as_posix() for file in root.rglob("*.md")}
    collected = [path for document in collection.documents for path in document.paths]
    assert len(collected) == len(set(collected)) == 127
    assert set(collected) == on_disk
    assert collection.skipped == ()


def test_every_line_keeps_its_number_and_correct_text_its_letters(root: Path, collection: Collection) -> None:
    for document in collection.documents:
        for path in document.paths:
            # These notes hold no mojibake, secrets or comments: cleaning must find nothing to change.
            assert document.text == (root / path).read_text(encoding="utf-8"), path
    assert collection.notices == ()


def test_no_placeholder_is_taken_for_a_secret(collection: Collection) -> None:
    assert collection.findings == ()


def test_exact_duplicate_is_one_document_under_its_current_path(collection: Collection) -> None:
    (twin,) = [document for document in collection.documents if len(document.paths) > 1]
    assert twin.paths == (
        ".sncp/idee/20260111_AUDIT_PULIZIA.md",
        ".sncp/archivio/2026-01/analisi/AUDIT_PULIZIA_20260111.md",
    )
    assert (twin.kind, twin.status) == ("idea", "current")
    assert [(item.path, item.of) for item in collection.duplicates] == [(twin.paths[1], twin.paths[0])]


def test_only_notes_that_say_so_are_not_current(collection: Collection) -> None:
    told = {document.path: document.status for document in collection.documents if document.status != "current"}
    archived = {path for path, status in told.items() if status == "archived"}
    assert archived == {document.path for document in collection.documents if "/archivio/" in document.path}
    assert {path: status for path, status in told.items() if status != "archived"} == {
        ".sncp/stato/oggi.md": "deprecated",
        ".sncp/memoria/decisioni/_TEMPLATE_DECISIONE.md": "template",
    }


def test_a_deprecated_note_has_each_note_that_its_pattern_fits_as_successor(by_name: dict[str, Document]) -> None:
    later = by_name["oggi.md"].superseded_by  # it says PROMPT_RIPRESA_{progetto}.md
    assert [path.rsplit("/", 1)[-1] for path in later] == [
        "PROMPT_RIPRESA_MASTER.md", "PROMPT_RIPRESA_cervellaswarm.md", "PROMPT_RIPRESA_cervellatrading.md",
        "PROMPT_RIPRESA_contabilita.md",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "date", "source"),
    [
        ("HANDOFF_226.md", "2026-01-15", "header"),
        ("NORD.md", "2026-01-29", "header"),
        ("PROMPT_RIPRESA_MASTER.md", "2026-01-30", "header"),
        ("PROMPT_RIPRESA_cervellatrading.md", "2026-02-02", "header"),
        ("MAPPA_LANCIO_DEFINITIVA.md", "2026-01-19", "header"),
        ("RATEBOARD_DIAMANTE.md", "2026-01-13", "header"),
        ("ROADMAP_DIAMANTE.md", "2026-01-12", "header"),
        ("BACKEND_20260114_attachments.md", "2026-01-14", "header"),
        ("20260109_BYOK_vs_bundled_da_decidere.md", "2026-01-09", "header"),
        ("oggi.md", "2026-01-20", "header"),
        ("20260114_VALIDAZIONE_ROADMAP.md", "2026-01-14", "header"),
        ("SUB_ROADMAP_MVP_FEBBRAIO.md", "2026-01-15", "header"),
        ("IMPATTO_REALE_2026.md", "2026-01-18", "header"),
    ],
)
def test_dates_in_their_real_forms(by_name: dict[str, Document], name: str, date: str, source: str) -> None:
    assert (by_name[name].date, by_name[name].date_source) == (date, source)


def test_notes_without_any_date_get_none_from_a_copy_of_files(collection: Collection) -> None:
    undated = {document.path.rsplit("/", 1)[-1] for document in collection.documents if document.date is None}
    assert undated == {
        "RICERCA_INFRASTRUTTURA_DEFINITIVA_2026_PARTE4.md",
        "_TEMPLATE_DECISIONE.md",
        "OVERVIEW_2.0_4_SETTIMANE.md",
        "RICERCA_CONTEXT_MENU_PARTE2.md",
        "DNA_FAMIGLIA.md",
    }


@pytest.mark.parametrize(
    ("name", "kind", "project"),
    [
        ("NORD.md", "north", None),
        ("oggi.md", "state", None),
        ("PROMPT_RIPRESA_contabilita.md", "resume", "contabilita"),
        ("ARCHITETTURA_SCELTA.md", "decision", None),
        ("CONTEXT_MENU_DESIGN_SPECS.md", "decision", "miracollo"),
        ("20260111_COSTITUZIONE_CERVELLA_AI_v2.md", "idea", None),
        ("RICERCA_20260115_LETTURA_VERA_COSTITUZIONE.md", "research", "cervellaswarm"),
        ("STUDIO_LOGGING_9.5_PARTE3_ROADMAP.md", "report", "cervellaswarm"),
        ("MAPPA_MCP_BYOK.md", "roadmap", "cervellaswarm"),
        ("HANDOFF_245.md", "handoff", None),
        ("LEZIONE_20260110_sncp_automazione.md", "lesson", None),
        ("SESSIONI_ARCHIVIATE_PRE_214.md", "session", "miracollo"),
        ("20260114_RESEARCHER_INDEX.md", "research", "crypto-research"),
        ("DNA_FAMIGLIA.md", "persona", None),
        ("RATEBOARD_DIAMANTE.md", "note", "miracollo"),
    ],
)
def test_kinds_and_projects(by_name: dict[str, Document], name: str, kind: str, project: str | None) -> None:
    assert (by_name[name].kind, by_name[name].project) == (kind, project)


def test_titles_are_the_first_heading_or_the_file_name(by_name: dict[str, Document]) -> None:
    assert by_name["HANDOFF_226.md"].title == "HANDOFF SESSIONE 226"
    assert by_name["SESSIONI_ARCHIVIATE_PRE_214.md"].title == "SESSIONI ARCHIVIATE PRE 214"
    assert all(document.title for document in by_name.values())


def test_defaults_take_only_what_the_owner_wants_indexed(root: Path, read: Callable[..., Collection]) -> None:
    collection = read(root, include=[])
    assert {document.kind for document in collection.documents} == {"decision", "idea", "state", "resume", "north"}
    assert len(collection.documents) == 13 + 17 + 1 + 4 + 1


def test_golden_evidence_is_still_there(shared: Path, collection: Collection) -> None:
    texts = {path: document.text for document in collection.documents for path in document.paths}
    lines = (shared / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    answerable = [question for question in questions if question["gold"]]
    assert len(answerable) == 37
    for question in answerable:
        assert any(question["evidence"] in texts[path] for path in question["gold"]), question["id"]


def test_report_reads_well_and_goes_through_json(collection: Collection) -> None:
    assert Collection.from_dict(json.loads(json.dumps(collection.to_dict()))) == collection
    shown = report_markdown(json.loads(json.dumps(collection.report())))
    assert shown.startswith("# 126 notes\n") and "AUDIT_PULIZIA_20260111.md" in shown
