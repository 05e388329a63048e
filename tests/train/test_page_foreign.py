"""Nothing foreign gets out of the page of a training: no markup, no secret, no request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.train.report.facts import TrainingReport
from components.train.report.page import page, run_page
from tests.dataset.trainer_rows import conversation
from tests.pages import ATTACK, Outline
from tests.train.reports import ENVIRONMENT, JOB, finished_job, hostile_report, outcome_of


def test_secrets_and_personal_data_are_masked(tmp_path: Path, told: Any) -> None:
    key = "ghp_" + "a8Kd72mQzX0pLr5TvB1nYcW4sEj9HfGu3oRi"
    rows = [conversation(("human", f"usa {key}"), ("gpt", "Scrivo a mario@azienda-vera.it, +39 347 1234567."))]
    audits = finished_job(tmp_path, told=told, rows=rows)
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    plain = Outline(text).text
    for secret in (key, "mario@", "1234567"):
        assert secret not in plain
    assert "[REDACTED:" in plain
    assert "its tokens are only counted" in plain


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60) | st.just(ATTACK))
def test_no_foreign_text_becomes_markup(text: str, report: TrainingReport, decoder: Any) -> None:
    clean = Outline(page(hostile_report(report, decoder, "innocent")))
    found = page(hostile_report(report, decoder, text))
    found.encode()
    foreign = Outline(found)
    assert set(foreign.tags) <= set(clean.tags)
    names = {(tag, name) for tag, name, _ in clean.attributes}
    assert {(tag, name) for tag, name, _ in foreign.attributes} <= names
    assert (foreign.tags.count("script"), foreign.tags.count("style")) == (0, 1)


def test_nothing_is_asked_of_anybody(report: TrainingReport) -> None:
    text = page(report)
    addresses = {value for _, name, value in Outline(text).attributes if name in ("src", "href", "action", "data")}
    parts = ("curves", "masks", "settings", "data", "estimate", "environment", "files", "unchecked")
    assert addresses == {"data:,", *(f"#{part}" for part in parts)}
    assert "url(" not in text
    assert "@import" not in text
