from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.llm import Tokenizer
from components.persona import Session, choose_session, session_context

RESUME = """\
# PROMPT RIPRESA

> Aggiornato: oggi

## SESSIONE 12
dodici

## SESSIONE 13
tredici

## PROSSIMI PASSI
uno
due
tre
"""


def context(text: str, max_tokens: int, tokenizer: Tokenizer) -> Session:
    return session_context(text=text, path=".sncp/PROMPT_RIPRESA.md", max_tokens=max_tokens, tokenizer=tokenizer)


def test_the_whole_note_when_it_fits(tokenizer: Tokenizer) -> None:
    session = context(RESUME, 400, tokenizer)
    assert session.text.startswith(".sncp/PROMPT_RIPRESA.md:1-14\n\n# PROMPT RIPRESA")
    assert (session.first_line, session.last_line, session.left_out) == (1, 14, ())
    assert session.tokens == tokenizer.count(session.text)


def test_the_newest_session_goes_first_wherever_it_stands(tokenizer: Tokenizer) -> None:
    session = context(RESUME, 50, tokenizer)
    assert "tredici" in session.text and "dodici" not in session.text
    assert session.ranges == ((1, 4), (8, 10))
    assert "SESSIONE 12" in session.left_out


def test_dates_and_nested_sections_move_together(tokenizer: Tokenizer) -> None:
    text = (
        "## Lavoro del 3 gen 2026\nvecchio\n### Dettagli\nprima\n## Lavoro del 5 gen 2026\nnuovo\n### Dettagli\ndopo\n"
    )
    session = context(text, 45, tokenizer)
    assert "nuovo" in session.text and "dopo" in session.text and "vecchio" not in session.text


def test_numbers_and_dates_are_not_compared(tokenizer: Tokenizer) -> None:
    session = context("## Sessione 12\nprima\n## 2026-01-05\nseconda\n## Sessione 13\nterza\n", 30, tokenizer)
    assert "prima" in session.text and "terza" not in session.text


def test_the_last_section_is_cut_after_a_whole_line(tokenizer: Tokenizer) -> None:
    whole = context(RESUME, 400, tokenizer)
    session = context(RESUME, whole.tokens - 2, tokenizer)
    assert session.text.endswith("uno") or session.text.endswith("due")
    assert session.last_line in (12, 13)
    assert session.left_out == ("PROSSIMI PASSI (in part)",)
    assert session.in_prompt(session.path, 11, 12)
    assert not session.in_prompt(session.path, 11, 14)
    assert not session.in_prompt("altro.md", 11, 12)


def test_a_cut_code_block_is_closed(tokenizer: Tokenizer) -> None:
    text = "## Comandi\n```bash\n" + "\n".join(f"make passo{n}" for n in range(40)) + "\n```\n"
    session = context(text, 80, tokenizer)
    assert session.text.count("```") == 2 and session.tokens <= 80


@pytest.mark.parametrize("text", ["", "\n\n", "# Solo un titolo\n", "---\n"], ids=["empty", "blank", "title", "rule"])
def test_an_empty_note(text: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"PROMPT_RIPRESA\.md: .* is empty"):
        context(text, 400, tokenizer)


def test_a_budget_for_nothing(tokenizer: Tokenizer) -> None:
    with pytest.raises(TerminalError, match=r"persona\.session\.max_tokens is 3"):
        context(RESUME, 3, tokenizer)


@pytest.mark.parametrize("max_tokens", [60, 150, 400, 2000])
def test_real_notes_within_any_budget(notes: Path, tokenizer: Tokenizer, max_tokens: int) -> None:
    paths = sorted(notes.rglob("PROMPT_RIPRESA*.md"))
    assert len(paths) >= 4
    for path in paths:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(notes).as_posix()
        try:
            session = session_context(text=text, path=name, max_tokens=max_tokens, tokenizer=tokenizer)
        except TerminalError as error:
            assert max_tokens == 60 and "raise it to at least" in str(error)
            continue
        assert session.tokens <= max_tokens
        assert 1 <= session.first_line <= session.last_line <= len(text.splitlines())
        assert Session.from_dict(json.loads(json.dumps(session.to_dict()))) == session


@dataclass(frozen=True)
class Note:
    path: str
    kind: str = "resume"
    status: str = "current"
    date: str | None = "2026-01-01"
    date_source: str | None = "header"
    text: str = "testo"
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", self.paths or (self.path,))


def choose(notes: list[Note], path: str | None = None) -> str:
    documents: Any = notes
    return str(choose_session(documents, path).path)


def test_the_newest_current_resume() -> None:
    notes = [
        Note("a/PROMPT_RIPRESA.md"),
        Note("b/PROMPT_RIPRESA.md", date="2026-02-03"),
        Note("c/PROMPT_RIPRESA.md", date="2026-03-01", status="archived"),
        Note("d/PROMPT_RIPRESA.md", date="2026-04-01", date_source="file time"),
        Note("e/PROMPT_RIPRESA.md", date="2026-05-01", text=" \n"),
        Note("NORD.md", kind="north", date="2026-06-01"),
    ]
    assert choose(notes) == "b/PROMPT_RIPRESA.md"
    assert choose(notes[3:4]) == "d/PROMPT_RIPRESA.md"


def test_equal_dates_are_decided_by_the_path() -> None:
    notes = [Note("b/PROMPT_RIPRESA.md"), Note("a/PROMPT_RIPRESA.md")]
    assert choose(notes) == choose(notes[::-1]) == "a/PROMPT_RIPRESA.md"


def test_the_recipe_names_a_note_or_a_copy_of_it() -> None:
    notes = [Note("a/PROMPT_RIPRESA.md", paths=("a/PROMPT_RIPRESA.md", "copia.md")), Note("b/PROMPT_RIPRESA.md")]
    assert choose(notes, "copia.md") == "a/PROMPT_RIPRESA.md"


def test_a_missing_note_names_those_that_could_be_meant() -> None:
    notes = [Note("progetti/uno/PROMPT_RIPRESA_uno.md"), Note("progetti/due/PROMPT_RIPRESA_due.md")]
    with pytest.raises(InputError, match=r"It could be: .*PROMPT_RIPRESA_uno\.md"):
        choose(notes, "progetti/uno/PROMPT_RIPRESA.md")
    with pytest.raises(InputError, match=r"It could be: .*PROMPT_RIPRESA_uno\.md.*PROMPT_RIPRESA_due\.md"):
        choose(notes, "x")


def test_no_current_resume_names_the_others() -> None:
    with pytest.raises(InputError, match=r"a\.md \(archived\)"):
        choose([Note("a.md", status="archived")])
    with pytest.raises(InputError, match="There is no candidate"):
        choose([])
