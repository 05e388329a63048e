"""The report for a terminal: the exact texts, one file each, and what must hold of all of them.

After a wanted change: `REPORT_TEXTS=write pytest tests/dataset/test_report_text.py`, then read the diff.
"""

from __future__ import annotations

import os
import random
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.report import Report
from components.dataset.reports.report_text import report_markdown, report_text, verdict
from components.dataset.reports.visible import as_text, masked
from components.dataset.rules import RULES
from components.page import one_line, visible
from tests.dataset.reports import report_of

TEXTS = Path(__file__).with_name("report_texts")

REPORTS: dict[str, Report] = {
    "clean": report_of(),
    "empty": report_of(conversations=0),
    "unreadable": report_of(
        [("A1", None, {"message": "the file looks like CSV; nothing of it was read", "line": 1})],
        conversations=0,
    ),
    "one-error": report_of([("B6", 2, {"turn": 1, "message": "the role 'bot' is none of ShareGPT's"})]),
    "warnings-only": report_of([("C2", 2, {"turn": 1}), ("C2", 3, {"turn": 3}), ("E5", None)]),
    "many-places": report_of(
        [("C5", number, {"turn": 0, "message": "'<|im_end|>' in the text"}) for number in range(9)]
    ),
    "a-fix-of-its-own": report_of([("B6", 2, {"turn": 1, "message": "the role 'user'", "fix": "write 'human'"})]),
    "many-rules": report_of(
        [(rule, number) for number, rule in enumerate(RULES)] + [("B6", number) for number in range(40, 60)],
        conversations=60,
    ),
    "two-files": report_of(
        [("C2", 3), ("B6", 1, {"file": "b.jsonl"}), ("A5", None, {"file": "b.jsonl"})],
        files=("a.jsonl", "b.jsonl", "c.jsonl"),
    ),
    "counted-only": report_of([("C2", 3)], rows={4: {"rules": ("C2",)}}, more={("C2", "warning"): 12_000}),
    "hostile": report_of(
        [("B6", 2, {"message": "the role '\x1b[31m\u202ebot\n\x07' " + "x" * 300})], files=("tr\x1b[2Jain\n.jsonl",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_text(name: str) -> None:
    path = TEXTS / f"{name}.txt"
    told = report_text(REPORTS[name]) + "\n"
    if os.environ.get("REPORT_TEXTS") == "write":
        path.write_bytes(told.encode())
    assert told == path.read_bytes().decode()


def test_every_text_is_here() -> None:
    assert {path.stem for path in TEXTS.glob("*.txt")} == set(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_fits_a_screen(name: str) -> None:
    told = report_text(REPORTS[name])
    assert len(told.splitlines()) <= 40
    assert told.startswith(verdict(REPORTS[name]))
    assert all(char.isprintable() or char == "\n" for char in told)


def test_the_verdict_goes_by_what_shall_fail() -> None:
    report = REPORTS["warnings-only"]
    assert verdict(report).startswith("Fit for training, with 2 warnings and 1 remark")
    assert verdict(report, fail_on="warning").startswith("Not fit for training: 2 warnings and 1 remark")
    assert verdict(REPORTS["empty"], fail_on="error") == "Not fit for training: no conversation could be read"


def test_what_is_left_out_is_counted() -> None:
    told = report_text(REPORTS["many-rules"], lines=20).splitlines()
    assert len(told) <= 20
    shown = sum(f" {rule} {RULES[rule].name}: " in line for rule in RULES for line in told)
    assert (
        told[-1]
        == f"and {len(RULES) - shown} more rules: --json OUT has every finding, --html OUT shows them on a page"
    )


def test_the_foot_can_be_left_out() -> None:
    report = REPORTS["one-error"]
    assert report_text(report).splitlines()[-1].startswith("--json OUT")
    assert report_text(report, foot=False) == report_text(report).rpartition("\n\n")[0]
    told = report_text(REPORTS["many-rules"], lines=20, foot=False).splitlines()
    assert told[-1].startswith("and ") and told[-1].endswith(" more rules")


def test_markdown_has_a_row_for_each_rule_and_holds_what_is_foreign() -> None:
    told = report_markdown(REPORTS["hostile"])
    assert "\x1b" not in told
    report = report_of([("B6", 1, {"fix": "a | b\n# <script> `x`"})], files=("a|b.jsonl",))
    (row,) = [line for line in report_markdown(report).splitlines() if "B6 role" in line]
    assert row.replace("\\|", "").count("|") == 8
    assert "a \\| b \\# \\<script\\> \\`x\\`" in row
    assert report_markdown(REPORTS["many-rules"]).count("\n| error ") == sum(
        rule.severity == "error" for rule in RULES.values()
    )


@given(text=st.text(st.characters(), max_size=80))
def test_any_text_is_made_harmless(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not any(char in shown for char in "\x00\x07\x1b\u200b\u202e\ufeff\r")
    assert one_line(text).isprintable() or not shown.isprintable()
    assert "\n" not in one_line(text)


def test_an_emoji_stays_whole_and_a_hidden_character_is_shown() -> None:
    assert visible("👩‍💻 ok") == "👩‍💻 ok"
    assert visible("a\u200db\ud800") == "a⟨U+200D⟩b⟨U+D800⟩"


def test_secrets_and_personal_data_are_masked_before_the_text_is_cut() -> None:
    secret = "sk-ant-api03-" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=93)) + "AA"
    shown, left = masked("x" * 560 + f" {secret} mario.rossi@azienda.it" + " y" * 100, longest=600)
    assert "sk-ant" not in shown
    assert "mario" not in shown
    assert "[REDACTED:" in shown
    assert left > 0
    assert masked("ciao", longest=600) == ("ciao", 0)


@pytest.mark.parametrize(
    "value", [None, 3, 10**5000, [[1]], {"a": "è"}, float("nan"), object()], ids=lambda value: type(value).__name__
)
def test_any_value_has_a_text(value: object) -> None:
    assert isinstance(as_text(value), str)
