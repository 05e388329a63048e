from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from components.persona.markdown import compress, split_sections


def headings(text: str) -> list[tuple[int, str, int, int]]:
    return [(s.level, s.heading, s.first_line, s.last_line) for s in split_sections(text, source="x.md")]


def test_sections_have_the_lines_of_the_file() -> None:
    text = "prima\n\n# Uno\na\n\n## Due\nb\n# Tre\n"
    assert headings(text) == [(0, "", 1, 2), (1, "Uno", 3, 5), (2, "Due", 6, 7), (1, "Tre", 8, 8)]


def test_headings_in_code_quotes_and_lists_are_none() -> None:
    text = "# Uno\n```bash\n# commento\n```\n> # citato\n\n- # voce\n"
    assert [heading for _, heading, *_ in headings(text)] == ["Uno"]


def test_an_underlined_heading_is_one() -> None:
    sections = split_sections("Titolo\n======\ntesto\n", source="x.md")
    assert [(s.level, s.heading, s.heading_last_line, s.body) for s in sections] == [(1, "Titolo", 2, "testo")]


def test_front_matter_makes_no_heading() -> None:
    text = "---\ntitle: Uno\ndate: 2026-01-11\n---\n# Uno\na\n"
    assert headings(text) == [(0, "", 1, 4), (1, "Uno", 5, 6)]


def test_text_between_two_rules_is_no_front_matter() -> None:
    sections = split_sections("---\nSono Cervella\n\n---\n# Uno\n", source="x.md")
    assert sections[0].body == "Sono Cervella"


def test_windows_line_ends_and_form_feeds_do_not_shift_lines() -> None:
    assert headings("# Uno\r\na\x0cb\r\n# Due\r\nc") == [(1, "Uno", 1, 2), (1, "Due", 3, 4)]


def test_an_empty_text_has_no_sections() -> None:
    assert split_sections("", source="x.md") == []


def test_level_jumps_nest() -> None:
    sections = split_sections("# A\n### B\nb\n## C\nc\n# D\nd\n", source="x.md")
    assert [s.parents for s in sections] == [(), (0,), (0,), ()]


def test_frames_rules_and_bare_fences_go_and_words_stay() -> None:
    lines = [
        "```", "+====+", "|    |", "| La LIBERTA' |", "+====+", "```", "", "---", "", "", "fine",
        "┌───┐", "│ a │", "└───┘", "```python", "x = 1", "", "", "---", "```",
    ]  # fmt: skip
    assert compress(lines, fences=[(0, 6), (14, 20)]) == "La LIBERTA'\n\nfine\n\n a\n\n```python\nx = 1\n\n\n---\n```"


def test_tables_stay() -> None:
    table = ["| Nome | Ruolo |", "|------|-------|", "| a | b |"]
    assert compress(table) == "\n".join(table)


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", re.sub(r"^\s*(?:```|~~~)(?:text|txt)\s*$", "", text, flags=re.MULTILINE)))


line = st.sampled_from(
    ["# Uno", "### Due", "testo", "", "", "---", "===", "```", "```text", "```python", "~~~", "+====+", "| riga |",
     "|---|---|", "> citato", "- voce", "    codice", "┌──┐ a │", "É così.", "***", "a | b", "+---+---+", "<!-- c -->"]
)  # fmt: skip


@given(st.lists(line, max_size=25))
def test_any_text_keeps_its_words_and_its_lines(lines: list[str]) -> None:
    text = "\n".join(lines)
    sections = split_sections(text, source="x.md")
    covered = [n for s in sections for n in range(s.first_line, s.last_line + 1)]
    count = len(lines) - (1 if lines and not lines[-1] else 0)
    assert covered == list(range(1, count + 1))
    assert sum((words(s.block) for s in sections), Counter()) == words(text)
