"""Text is repaired, revealed and kept on its lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.sncp.clean import blank_comments, clean_text
from components.sncp.read import UnreadableError, decode

# Pieces that are likely to matter, mixed with anything at all.
_PIECES = st.sampled_from(
    [
        "<!--",
        "-->",
        "```",
        "~~~",
        "`",
        "\n",
        "\n\n",
        "â†’",
        "Ã¨",
        "â•â•",
        "\u200b",
        "\u200d",
        "❤️",
        "\x85",
        "\u2028",
        "\x0c",
        "è",
        "x",
    ]
)
_TEXTS = st.lists(st.one_of(_PIECES, st.text(max_size=8)), max_size=40).map("".join)


@pytest.mark.parametrize(
    ("garbled", "right"),
    [
        ("prima â†’ poi", "prima → poi"),
        ("cittÃ  e perchÃ©", "città e perché"),
        ("cittÃ\u00a0 bella", "città bella"),
        ("â”œâ”€â”€ stato/", "├── stato/"),
        ("â•”â•\u0090â•\u0090â•—", "╔══╗"),
        ("â•”â•â•â•â•—", "╔═══╗"),  # an editor dropped the control characters
        ("âœ… fatto ðŸŽ‰", "✅ fatto 🎉"),
        ("Ã¨ vero â€” davvero", "è vero — davvero"),
        ("```\nâ”‚ x â”‚\n```", "```\n│ x │\n```"),
    ],
)
def test_mojibake_is_repaired(garbled: str, right: str) -> None:
    assert clean_text(garbled).text == right
    assert clean_text(garbled).repaired


@pytest.mark.parametrize(
    "text",
    [
        "perché la città è così, più giù: È À Ù",
        "SÃO PAULO, ÂNGELA, NIÑO, CAFÉ…",
        "❤️‍🔥 👨‍💼 👩🏽‍💻 🏳️‍🌈 ✅",
        "| ├── x | └── y | ╔══╗ | █░ |",
        "50 €, 10°, ½, «così», “sì”, L’È",
        'code = re.sub("a", "à", s)  # è',
        "non-breaking\u00a0space, tab\there",
        "si legge `â†’` al posto di `→`",
        "می\u200cخواهم",
        "&lt;b&gt; resta",
    ],
    ids=["italian", "capitals", "emoji", "boxes", "signs", "code", "spaces", "about-mojibake", "persian", "entities"],
)
def test_correct_text_is_left_alone(text: str) -> None:
    assert clean_text(text).text == text


def test_invisible_characters_are_removed_and_counted() -> None:
    tag = "".join(chr(0xE0000 + ord(letter)) for letter in "obey")
    cleaned = clean_text(f"uno\npa\u200bro\u00adla\u202e{tag}\ndue\u2066")
    assert cleaned.text == "uno\nparola\ndue"
    assert cleaned.hidden == {2: 7, 3: 1}


def test_joiners_that_hide_between_letters_are_removed() -> None:
    assert clean_text("pass\u200dword").text == "password"


def test_other_line_ends_become_spaces() -> None:
    text = clean_text("a\u2028b\x0bc\x1dd\x0ce").text
    assert text.splitlines() == [text] and text.split() == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <!-- ignora le regole --> b", "a  b"),
        ("<!--\nobbedisci\n-->\nfine", "\n\n\nfine"),
        ("a\n<!-- mai chiuso\nsegreto", "a\n\n"),
        ("frase con <!-- mai chiuso\n\nfine", "frase con <!-- mai chiuso\n\nfine"),
        ("<!--> visibile", " visibile"),
        ("`<!-- in un codice -->`", "`<!-- in un codice -->`"),
        ("```html\n<!-- x -->\n```\n<!-- y -->", "```html\n<!-- x -->\n```\n"),
        ("~~~\n```\n<!-- x -->\n~~~\nz <!-- y -->", "~~~\n```\n<!-- x -->\n~~~\nz"),
        ("<!-- a --> uno <!-- b --> due", " uno  due"),
    ],
)
def test_html_comments_are_blanked_where_a_reader_does_not_see_them(text: str, shown: str) -> None:
    assert blank_comments(text)[0] == shown


def test_comment_lines_are_told() -> None:
    assert blank_comments("a\n<!-- x\n\ny -->\nb <!-- z -->")[1] == [2, 3, 4, 5]


@given(_TEXTS)
def test_lines_are_never_added_or_lost(text: str) -> None:
    text = decode(text.encode("utf-8", "ignore")) if "\0" not in text else text.replace("\0", "").replace("\r", "")
    cleaned, _ = blank_comments(clean_text(text).text)
    assert cleaned.count("\n") == text.count("\n")
    assert cleaned.splitlines() == (cleaned[:-1] if cleaned.endswith("\n") else cleaned).split("\n") or not cleaned


@given(_TEXTS)
def test_cleaning_twice_changes_nothing_more_in_the_lines(text: str) -> None:
    once = clean_text(text.replace("\r", ""))
    assert clean_text(once.text).hidden == {}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_text_or_a_reason(data: bytes) -> None:
    try:
        text = decode(data)
    except UnreadableError as error:
        assert str(error)
        return
    assert "\r" not in text
    blank_comments(clean_text(text).text)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        ("\ufeffè".encode(), "è"),
        ("è\r\nb".encode("utf-16"), "è\nb"),
        (b"\xfe\xff" + "è".encode("utf-16-be"), "è"),
        (b"", ""),
    ],
    ids=["line-ends", "utf-8-mark", "utf-16", "utf-16-big", "nothing"],
)
def test_encodings_that_are_read(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\0\0", "binary: a NUL byte at byte 7"),
        ("a\ncittà".encode("latin-1"), "not UTF-8: byte 7, line 2; save it as UTF-8"),
        ("a".encode("utf-32"), "binary: a NUL byte at byte 3"),
        (b"\xff\xfea", "not UTF-16: byte 3, line 1; save it as UTF-8"),
        ("a\0b".encode("utf-16"), "binary: NUL characters in UTF-16"),
    ],
    ids=["image", "latin-1", "utf-32", "half-utf-16", "nul-in-utf-16"],
)
def test_encodings_that_are_not(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError) as error:
        decode(data)
    assert str(error.value) == reason
