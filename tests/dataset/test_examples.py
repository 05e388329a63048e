"""The conversations of examples/dataset: what somebody copies as a pattern is true, clean, and as the README says."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.answer.language import detect_language
from components.dataset.check import check_files
from components.dataset.checks.provenance import STAGES
from components.evaluate.checks import persona_checks
from components.evaluate.golden import load_golden
from components.sncp import DEFAULT_SOURCES, Document, collect

_CITED = re.compile(r"`([^`]+\.md)`")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@pytest.fixture(scope="module")
def documents(examples: Path) -> list[Document]:
    found = collect(
        root=examples / "sncp", sources=DEFAULT_SOURCES,
        include=["docs/**/*.md", ".sncp/progetti/*/ricerche/**/*.md"], exclude=[], max_bytes=1_000_000,
        redact="redact", persona_files=[examples / "persona" / name for name in ("COSTITUZIONE.md", "DNA_FAMIGLIA.md")],
    )  # fmt: skip
    return list(found.documents)


@pytest.fixture(scope="module")
def rows(examples: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for stage in STAGES
        for line in (examples / "dataset" / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def said(row: dict[str, Any], role: str) -> list[str]:
    return [turn["value"] for turn in row["conversations"] if turn["from"] == role]


def cited(row: dict[str, Any], documents: list[Document]) -> list[Document]:
    """The notes that its answers name; each name must fit exactly one."""
    found = []
    for name in _CITED.findall("\n".join(said(row, "gpt"))):
        fits = [document for document in documents if f"/{document.path}".endswith(f"/{name}")]
        assert len(fits) == 1, f"{row['id']}: {name} fits {[document.path for document in fits]}"
        found += fits
    return found


def test_check_finds_no_error_and_no_warning(examples: Path, documents: list[Document]) -> None:
    golden = load_golden(examples / "golden.jsonl", known_paths=[path for one in documents for path in one.paths])
    assert len(golden) == 24
    report = check_files(
        [examples / "dataset" / f"{stage}.jsonl" for stage in STAGES], golden=golden,
        known_notes={document.path: document.content_hash for document in documents},
    )  # fmt: skip
    assert [finding.to_dict() for finding in report.findings if finding.severity != "info"] == []
    assert len(report.rows) == 58


def test_counts_are_those_of_the_readme(examples: Path, rows: list[dict[str, Any]]) -> None:
    readme = (examples / "README.md").read_text(encoding="utf-8")
    counts = Counter(row["stage"] for row in rows)
    for stage in STAGES:
        assert f"| `dataset/{stage}.jsonl` | {counts[stage]} of 200 " in readme
    languages = Counter(detect_language(said(row, "human")[0]) for row in rows)
    assert f"({languages['it']} Italian, {languages['en']} English, one to six\nexchanges)" in readme
    assert f"{len(rows)} of the 600" in readme
    assert {min(len(said(row, "gpt")) for row in rows), max(len(said(row, "gpt")) for row in rows)} == {1, 6}


def test_each_says_who_wrote_it_and_from_which_note(rows: list[dict[str, Any]], documents: list[Document]) -> None:
    hashes = {document.path: document.content_hash for document in documents}
    for row in rows:
        source = row["provenance"]
        assert source["note_sha256"] == hashes[source["note"]], row["id"]
        assert (source["kind"], source["author"], source["licence"]) == ("hand", "Cervella developers", "Apache-2.0")
    assert len({row["id"] for row in rows}) == len(rows) and len({row["system"] for row in rows}) == 1


def test_each_names_its_note_and_no_note_that_is_not_there(
    rows: list[dict[str, Any]], documents: list[Document]
) -> None:
    for row in rows:
        assert row["provenance"]["note"] in {document.path for document in cited(row, documents)}, row["id"]


def test_each_figure_stands_in_a_note_that_is_named_or_in_the_question(
    rows: list[dict[str, Any]], documents: list[Document]
) -> None:
    for row in rows:
        known = "\n".join([*said(row, "human"), *(f"{note.path}\n{note.text}" for note in cited(row, documents))])
        own = re.sub(r"(?m)^\d\. ", "", "\n".join(said(row, "gpt")))  # numbers of a list are nobody's figures
        assert set(_NUMBER.findall(own)) <= set(_NUMBER.findall(known)), row["id"]


def test_each_quotation_stands_in_a_note_that_is_named(rows: list[dict[str, Any]], documents: list[Document]) -> None:
    quoted = 0
    for row in rows:
        notes = " ".join(" ".join(note.text.split()) for note in cited(row, documents)).lower()
        for quotation in re.findall(r'"([^"]*)"', "\n\n".join(said(row, "gpt"))):
            if not quotation.startswith(("Buongiorno", "Camera 5")):  # what she drafts herself
                quoted += 1
                assert quotation.rstrip(".").lower() in notes, f"{row['id']}: {quotation}"
    assert quoted >= 8


def test_answers_are_in_her_voice(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for question, answer in zip(said(row, "human"), said(row, "gpt"), strict=True):
            language = detect_language(question) if len(question.split()) > 4 else detect_language(answer)
            checks = persona_checks(answer, question_lang=language, answerable=True, found=False, cited=())
            assert [check for check in checks if check.passed is False] == [], row["id"]
            assert len(answer.split()) <= 110 and "!" not in answer, row["id"]


def test_they_do_not_all_begin_or_run_alike(rows: list[dict[str, Any]]) -> None:
    answers = [answer for row in rows for answer in said(row, "gpt")]
    openings = Counter(answer.split()[0].strip(",.:") for answer in answers)
    assert openings.most_common(1)[0][1] <= len(answers) // 8
    assert len({len(said(row, "gpt")) for row in rows}) >= 4
    lengths = sorted(len(answer.split()) for answer in answers)
    assert lengths[len(lengths) // 10] * 2 < lengths[len(lengths) * 9 // 10]
