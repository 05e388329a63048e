from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from support import count_tokens, cut, note  # noqa: E402

from components.index.blocks import split_lines  # noqa: E402
from components.index.chunk import chunk_documents  # noqa: E402
from components.index.plain import plain_line  # noqa: E402


def headings(text: str, max_tokens: int = 30) -> list[tuple[str, ...]]:
    return [chunk.heading for chunk in cut(note("a.md", text), max_tokens=max_tokens)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("# A\nuno", ("A",), id="atx"),
        pytest.param("# A ##\nuno", ("A",), id="closing hashes"),
        pytest.param("A\n===\nuno", ("A",), id="setext"),
        pytest.param("# A\n### C\nuno", ("A", "C"), id="a jump from H1 to H3 keeps the parent"),
        pytest.param("# A\n## B\n# D\nuno", ("D",), id="a higher heading closes the section"),
        pytest.param("# A\n```sh\n# no heading\n```", ("A",), id="hash in a fence"),
        pytest.param("# A\n\n    # no heading\n", ("A",), id="hash in indented code"),
        pytest.param("# A\n> # no heading\n", ("A",), id="hash in a quote"),
        pytest.param("# A\n#no heading\n", ("A",), id="hash without a space"),
        pytest.param("---\ntitle: x\n---\n# A\nuno", ("A",), id="front matter is no setext heading"),
        pytest.param("# A\nriga uno\nriga due\n---\nuno", ("A",), id="a rule under a paragraph is no heading"),
    ],
)
def test_heading_path(text: str, expected: tuple[str, ...]) -> None:
    assert headings(text)[-1] == expected


def test_front_matter_is_not_text_and_lines_stay_those_of_the_file() -> None:
    (chunk,) = cut(note("a.md", "---\ntitle: segreto\n---\n\n# A\n\nuno due\n"))
    assert (chunk.first_line, chunk.last_line) == (5, 7)
    assert "segreto" not in chunk.text


def test_breadcrumb_stands_before_the_text_once() -> None:
    chunk = cut(
        note("a.md", "# Casa\n## Tetto\n" + "tegole rosse " * 10 + "\n## Porta\n" + "legno " * 30), max_tokens=40
    )[0]
    assert chunk.embed_text.splitlines()[0] == "Casa > Tetto"
    assert chunk.embed_text.count("Tetto") == 1
    assert chunk.text.startswith("# Casa\n## Tetto")


def test_words_inside_a_box_stay_and_the_box_goes() -> None:
    text = "# A\n```\n+=====+\n| FASE UNO  ║ ▶ fatta ✅ |\n└─────┘\n```\n"
    (chunk,) = cut(note("a.md", text))
    assert "FASE UNO" in chunk.embed_text and "fatta" in chunk.embed_text
    assert not re.search(r"[═─║▶✅+=]|\|$", chunk.embed_text)
    assert "+=====+" in chunk.text


def test_badges_emoji_and_emphasis_are_not_embedded() -> None:
    (chunk,) = cut(note("a.md", "# 🐝 A\n![stato](https://x.y/z.svg) **molto** `codice` ❤️‍🔥\n"))
    assert chunk.embed_text == "A\nstato molto codice"


def test_a_long_table_repeats_its_header() -> None:
    rows = "\n".join(f"| voce {n} | {n} euro |" for n in range(30))
    chunks = cut(note("a.md", f"# A\n\n| Voce | Costo |\n| --- | --- |\n{rows}\n"), max_tokens=40)
    assert len(chunks) > 3
    assert all("Voce | Costo" in chunk.embed_text for chunk in chunks)
    assert sum(chunk.text.count("| Voce | Costo |") for chunk in chunks) == 1


def test_a_table_that_fits_is_not_cut() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
    chunks = cut(note("a.md", f"# A\n{'parola ' * 30}\n\n{table}\n"), max_tokens=45)
    assert any(table in chunk.text for chunk in chunks)


def test_each_section_is_a_chunk_and_a_bare_heading_goes_with_the_next() -> None:
    one, two = cut(note("a.md", "# A\n## B\nuno\n## C\ndue\n"))
    assert (one.heading, one.first_line, one.embed_text) == (("A", "B"), 1, "A > B\nuno")
    assert (two.heading, two.first_line, two.embed_text) == (("A", "C"), 4, "A > C\ndue")


def test_a_heading_without_anything_below_is_kept() -> None:
    *_, last = cut(note("a.md", "# A\n## B\nuno\n## C\n"))
    assert (last.heading, last.first_line, last.embed_text) == (("A", "C"), 4, "A > C")


def test_one_endless_line_is_cut_and_cited() -> None:
    chunks = cut(note("a.md", "# A\n" + "Frase lunga uno due tre. " * 100), max_tokens=40)
    assert len(chunks) > 10
    assert {(chunk.first_line, chunk.last_line) for chunk in chunks[1:]} == {(2, 2)}


def test_data_in_one_line_is_never_counted_as_a_whole() -> None:
    longest = 0

    def count(text: str) -> int:
        nonlocal longest
        longest = max(longest, len(text))
        return count_tokens(text)

    data = "".join(f"{number:x}A9z" for number in range(20_000))
    document = note("a.md", f"# Foto\n\n![](data:image/png;base64,{data})\n\n{data}\n")
    chunks = chunk_documents([document], max_tokens=40, breadcrumbs=True, count_tokens=count)
    assert longest <= 40 * 40
    assert "".join(chunks[-1].text.split())[-24:] == data[-24:]


def test_an_edit_above_moves_lines_and_keeps_ids() -> None:
    body = "".join(f"## Parte {n}\n{'parola ' * 40}\n" for n in range(5))
    before = cut(note("a.md", f"# A\n{body}"))
    after = cut(note("a.md", f"# A\n\n\n\n{'nuovo ' * 40}\n{body}"))
    kept = {chunk.chunk_id: chunk.first_line for chunk in before}
    moved = [chunk.first_line - kept[chunk.chunk_id] for chunk in after if chunk.chunk_id in kept]
    assert moved == [4] * 4


def test_equal_passages_have_distinct_ids() -> None:
    chunks = cut(note("a.md", "# A\n" + ("## B\n" + "uguale " * 40 + "\n") * 3))
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks) >= 3


def test_chunk_round_trip() -> None:
    for chunk in cut(note("a.md", "# A\n## B\nuno", paths=("a.md", "b.md"), supersedes=("c.md",))):
        assert type(chunk).from_dict(chunk.to_dict()) == chunk


LINE = st.one_of(
    st.sampled_from(
        ["# Uno", "## Due ##", "#### Quattro", "Titolo", "===", "---", "```", "~~~", "| a | b |", "|---|---|", "- voce",
         "  - dentro", "1. uno", "> citato", "    codice", "", "", "+======+", "| ║ |", "<div>", "[x]: http://y", "***",
         "testo semplice con molte parole una dopo l'altra", "\ttab", "parola" * 40, "🐝🐝", "* * *", "\u2028x"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=60),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LINE, max_size=40), st.integers(32, 90), st.booleans())
@example(["0:0::0\x1b0:0::0\x1b0:0:0\x1b0::0\x1b0\x1b0::0", "==="], 32, False)  # headings that fill a chunk
@example(["0\x1b\x1b0:0\x1b0:0:0:0:0:0:0:0::0::0:0", "===", "## Due ##"], 32, False)
@example(["0\x1b\x1b0:0\x1b0:0:0:0:0:0:0:0::0::0:0\x1b0\ud7fc", "==="], 32, False)
@example([f"{'#' * level} uno due tre quattro cinque sei" for level in range(1, 7)] + ["parola " * 12], 32, False)
def test_no_line_with_words_is_lost_and_no_chunk_is_too_long(lines: list[str], max_tokens: int, crumbs: bool) -> None:
    text = "\n".join(lines)
    if lines and lines[0].strip() == "---":
        lines = ["", *lines]
        text = "\n".join(lines)
    chunks = cut(note("a.md", text, title="Titolo"), max_tokens=max_tokens, breadcrumbs=crumbs)
    covered = {line for chunk in chunks for line in range(chunk.first_line, chunk.last_line + 1)}
    numbered = enumerate(split_lines(text), start=1)
    assert [number for number, line in numbered if plain_line(line) and number not in covered] == []
    assert [chunk.text for chunk in chunks if count_tokens(chunk.embed_text) > max_tokens] == []
    assert len({chunk.chunk_id for chunk in chunks}) == len(chunks)
    assert all(1 <= chunk.first_line <= chunk.last_line <= len(lines) for chunk in chunks)
    shown = re.sub(r"\s", "", "".join(chunk.text for chunk in chunks))
    # Taking out marks joins what they parted: 0`0 is 00 in plain words.
    said = re.sub(r"\s", "", "".join(plain_line(line) for chunk in chunks for line in split_lines(chunk.text)))
    for line in lines:
        assert all(word in shown or word in said for word in re.findall(r"[^\W_]{1,20}", plain_line(line))[:5])


def test_real_notes_lose_nothing(shared: Path) -> None:
    for path in sorted((shared / "data" / "sncp").rglob("*.md"))[:40]:
        text = path.read_text(encoding="utf-8")
        chunks = cut(note(path.name, text), max_tokens=120)
        covered = {line for chunk in chunks for line in range(chunk.first_line, chunk.last_line + 1)}
        front = 0
        if text.startswith("---\n"):
            front = text.split("\n").index("---", 1) + 1
        lost = [
            number
            for number, line in enumerate(split_lines(text), start=1)
            if number > front and plain_line(line) and number not in covered
        ]
        assert lost == [], path
