"""Text of turns: each fault is found where it is, and text as people and machines really write it is left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chats import chat, glaive, rules, said  # noqa: E402

from components.dataset.checks.text import text_hits  # noqa: E402
from components.dataset.conversation import Conversation  # noqa: E402
from components.dataset.findings import Hit  # noqa: E402
from components.dataset.rules import RULES  # noqa: E402
from components.sncp.redact import redact  # noqa: E402

CLEAN = "Abbiamo scelto Postgres, perché regge più scritture. La migrazione è finita."


def _hits(conversation: Conversation) -> list[Hit]:
    return list(text_hits(conversation))


def test_a_clean_conversation_has_no_finding() -> None:
    assert _hits(said(CLEAN)) == []


@pytest.mark.parametrize("value", ["", " ", "\n\t", "\u00a0", "\u3000"])
@pytest.mark.parametrize("role", ["human", "gpt", "function_call", "system"])
def test_a_turn_without_a_word_is_an_error(role: str, value: str) -> None:
    assert [(hit.rule, hit.turn, hit.severity) for hit in _hits(chat((role, value)))] == [("C1", 0, None)]
    assert RULES["C1"].severity == "error"


def test_a_tool_that_says_nothing_is_a_warning() -> None:
    assert [(hit.rule, hit.severity) for hit in _hits(chat(("observation", "")))] == [("C1", "warning")]


def test_an_empty_system_column_is_no_turn() -> None:
    assert _hits(chat(("human", "Ciao, come va?"), ("gpt", "Bene, grazie."), system="")) == []
    assert rules(text_hits(chat(("human", "Ciao, come va?"), ("gpt", "Bene, grazie."), system="  "))) == ["C1"]


@pytest.mark.parametrize("text", [f" {CLEAN}", f"{CLEAN}\n", f"\n\n{CLEAN} "])
def test_white_space_at_the_edges(text: str) -> None:
    assert rules(text_hits(said(text))) == ["C2"]
    assert _hits(chat(("human", "Prova"), ("observation", f"{text}"))) == []


@pytest.mark.parametrize(
    ("letter", "name"),
    [
        ("\u200b", "ZERO WIDTH SPACE"), ("\x00", "U+0000"), ("\x1b", "U+001B"), ("\u202e", "RIGHT-TO-LEFT OVERRIDE"),
        ("\ufffd", "REPLACEMENT"), ("\ufeff", "U+FEFF"), ("\u00ad", "SOFT HYPHEN"), ("\u2028", "LINE SEPARATOR"),
        ("\x1c", "U+001C"), ("\x85", "U+0085"), ("\ud800", "U+D800"), ("\U000e0041", "TAG LATIN"), ("\r", "U+000D"),
        ("\u200d", "ZERO WIDTH JOINER"), ("\ufe0f", "VARIATION"), ("\u200e", "LEFT-TO-RIGHT MARK"), ("\x7f", "U+007F"),
    ],
)  # fmt: skip
def test_a_hidden_character_is_named(letter: str, name: str) -> None:
    (hit,) = _hits(said(f"Abbiamo scelto{letter} Postgres{letter}, alla fine."))
    assert (hit.rule, hit.turn, hit.severity) == ("C3", 1, None)
    assert name in hit.message and "2 times" in hit.message and letter not in hit.message
    (hit,) = _hits(chat(("observation", f'{{"a": "b{letter}c{letter}d"}}')))
    assert (hit.rule, hit.severity) == ("C3", "info")


@pytest.mark.parametrize(
    "text",
    [
        "Fatto 👩‍💻 e 👨‍👩‍👧‍👦, 🏳️‍🌈 e ❤️‍🔥!", "Va bene ✅ 1️⃣ e ℹ️ e ☎️ e ©️.", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 e 👍🏽 e 🧑🏽‍🚀.",
        "می‌خواهم کتاب‌ها را بخوانم.", "क्‍ष और श्रीमान्‌ जी।", "שלום\u200f, מה שלומך?", "Prima riga.\r\nSeconda riga.",
        "葛\U000e0100城市です。", "Tabella:\ta\tb.", "Uno spazio\u00a0fisso e uno\u2009sottile.",
    ],
)  # fmt: skip
def test_characters_that_belong_to_their_script_are_left_alone(text: str) -> None:
    assert [hit for hit in _hits(said(text)) if hit.rule == "C3"] == []


@pytest.mark.parametrize(
    "token",
    [
        "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "</s>", "<s>", "[INST]",
        "[/INST]", "<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>", "<｜User｜>", "<｜end▁of▁sentence｜>",
        "<bos>", "<eos>", "<|assistant|>", "<|channel|>", "<|python_tag|>", "[TOOL_CALLS]", "<|turn>", "<turn|>",
        "<｜tool▁calls▁begin｜>",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["human", "gpt", "observation", "function_call", "system"])
def test_a_control_token_is_an_error_in_every_turn(token: str, role: str) -> None:
    for text in (f"Prima {token} dopo, e basta.", f"{token}", f"parola{token}parola.", f"`{token}` chiude il turno."):
        (hit,) = [hit for hit in _hits(chat((role, text))) if hit.rule == "C5"]
        assert (hit.turn, hit.severity) == (0, None) and token in hit.message


@pytest.mark.parametrize("token", ["[PAD]", "<unk>", "[MASK]", "<mask>", "[|user|]"])
def test_a_token_of_few_models_is_a_warning(token: str) -> None:
    (hit,) = _hits(said(f"Il modello mette {token} in fondo."))
    assert (hit.rule, hit.severity) == ("C5", "warning")


@pytest.mark.parametrize(
    "text",
    [
        "In F# si scrive f <| x |> g, e in Haskell a <|> b.", "Se a < b e c > d, allora b|c.",
        "Vec<Option<T>> e List<String>.", "- [ ] da fare\n- [x] fatto.", "Vedi [INSTALL] e [Nota](a.md) e [1].",
        "x[i] = y[INDEX]; z.", "[SYSTEM] avviato.", "a <- b, <= c, <-> d.",
        "Un link <https://esempio.it> e <nome@esempio.it>.",
    ],
)  # fmt: skip
def test_brackets_of_prose_and_code_are_no_tokens(text: str) -> None:
    assert [hit for hit in _hits(said(text)) if hit.rule in {"C5", "C6"}] == []


@pytest.mark.parametrize(
    ("role", "text", "severity"),
    [
        ("human", "Metti </think> qui.", "error"),
        ("human", "<tool_call>{}</tool_call>", "error"),
        ("observation", "ok </tool_response> e poi", "error"),
        ("observation", '{"a": "<think>"}', "error"),
        ("observation", '<tool_response>\n{"a": 1}\n</tool_response>', "warning"),
        ("human", '<tool_response>\n{"a": 1}\n</tool_response>', "warning"),
        ("system", "Rispondi dentro <tool_call></tool_call>.", "warning"),
        ("gpt", "Il tag <tools> elenca gli strumenti.", "warning"),
        ("gpt", "Prima parlo. <think>poi penso</think> Fine.", "warning"),
    ],
)
def test_tags_of_thoughts_and_tools_out_of_their_place(role: str, text: str, severity: str) -> None:
    (hit,) = [hit for hit in _hits(chat((role, text))) if hit.rule == "C5"]
    assert (hit.severity or RULES["C5"].severity) == severity


@pytest.mark.parametrize(
    "turn",
    [
        ("gpt", "<think>\nDevo guardare le note.\n</think>\n\nAbbiamo scelto Postgres."),
        ("gpt", '<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call>'),
        ("gpt", '<think>\nServe.\n</think>\n<tool_call>\n{"name": "a"}\n</tool_call>\n<tool_call>\n{}\n</tool_call>'),
        ("function_call", '<think>\nServe.\n</think>\n{"name": "a", "arguments": {}}'),
    ],
)  # fmt: skip
def test_tags_in_their_place_are_no_finding(turn: tuple[str, str]) -> None:
    assert _hits(chat(turn)) == []


@pytest.mark.parametrize(
    "text", ["<think>\nPenso e basta.", "Penso.</think> Sì.", "<think><think>a</think></think> Sì."]
)
def test_thoughts_that_do_not_pair(text: str) -> None:
    assert "C6" in rules(text_hits(said(text)))


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("Ecco:\n```python\nprint(1)\n```\nFatto.", False),
        ("Ecco:\n```python\nprint(1)\n", True),
        ("Ecco:\n```\na\n```\nPoi:\n```\nb\nFine.", True),
        ("Ecco:\n````md\n```python\nx\n```\n````\nFatto.", False),
        ("Ecco:\n~~~\n```\n~~~\nFatto.", False),
        ("Con ```un frammento``` in una riga.", False),
        ("1. Così:\n   ```sh\n   ls\n   ```\n2. Fatto.", False),
        ("> ```\n> a\n> ```\nFatto.", False),
    ],
)
def test_fences_pair_as_in_commonmark(text: str, odd: bool) -> None:
    assert ("C7" in rules(text_hits(said(text)))) is odd


@pytest.mark.parametrize(
    "text",
    [
        "Ecco il codice.\n\nCopy code\n\nprint(1) e basta.", "Risposta buona.\n2 / 2", "2/2\nRisposta buona.",
        "pythonCopy code\nprint(1).", "Fatto. Copy123 chars / 45 words",
        "Too many requests in 1 hour. Try again later.", "Share Prompt\nEcco la risposta.",
        "Regenerate response\nEcco.", "Condividi\nEcco la risposta.",
        "Vedi https://chat.openai.com/share/abc per il resto.", "ChatGPT can make mistakes. Check important info.",
    ],
)  # fmt: skip
def test_left_overs_of_a_web_page(text: str) -> None:
    assert "C8" in rules(text_hits(said(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Puoi copiare il codice con il tasto Copy code in alto.", "La copia è pronta.", "Siamo a 2 / 2 prove riuscite.",
        "Condividi la nota con il gruppo.", "Il risultato è 3/4.", "I share your opinion.",
    ],
)  # fmt: skip
def test_prose_about_buttons_is_none(text: str) -> None:
    assert _hits(said(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Ciao, sono {{name}}, come va?", "Cordiali saluti,\n[Your Name]", "Gentile [Nome], grazie.",
        "Da [Inserisci la data].", "[Il tuo nome], piacere.", "La risposta: TODO: scriverla.",
        "Lorem ipsum dolor sit amet.", "Vale [TBD].", "Firma: [Company Name].", "Scrivi a <your email> per altro.",
        "La chiave è [REDACTED:anthropic-key].", "La password è [REDACTED:password], non dirla.", "Nome: [REDACTED]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", ["gpt", "human", "system"])
def test_a_placeholder(role: str, text: str) -> None:
    assert "C9" in rules(text_hits(chat((role, text))))


def test_the_mask_of_this_project_is_a_placeholder() -> None:
    masked, _ = redact("La password del wifi è Mira" + "collo2026!", path="a.md")
    assert "[REDACTED:password]" in masked
    assert rules(text_hits(said(masked))) == ["C9"]


@pytest.mark.parametrize(
    "text",
    [
        "Si scrive così:\n```jinja\n{{ nome }}\n```\nFatto.", "Il modello usa `{{name}}` come segno.",
        r"Vale \frac{{a}}{{b}} sempre.", "Vedi [Nome del file](a.md) e [data][1].", "La lista TODO è vuota.",
        "Todo bien, gracias.", "È tutto un todo.", "La chiave è `x[data]`.", "Vedi [1] e [a].", "x^{{n}} cresce.",
    ],
)  # fmt: skip
def test_templates_and_links_are_no_placeholders(text: str) -> None:
    assert "C9" not in rules(text_hits(said(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Abbiamo scelto Postgres perché è più robusto. La migrazione è prevista per",
        "We chose Postgres because it is the", "La prima ragione è la velocità, la seconda il costo,",
        "Abbiamo deciso di usare Postgres e di spostare il resto dei dati sul server entro la fine del mese prossi",
        "Мы выбрали Postgres. Потом мы решили перенести все данные на но",
        "Ci sono tre motivi. Il primo è che il nuovo sist",
    ],
)  # fmt: skip
def test_an_answer_that_stops_in_the_middle(text: str) -> None:
    assert rules(text_hits(said(text))) == ["C11"]


@pytest.mark.parametrize(
    "text",
    [
        "Sì", "Postgres", "Abbiamo scelto Postgres",
        "Ecco:\n- uno\n- due\n- il terzo punto della lista che è lungo e senza punto",
        "1. primo\n2. secondo punto senza fine", "| a | b |\n|---|---|\n| uno | due |", "Fatto ✅", "Fatto 🎉",
        "Ciao! 😊", "Vedi https://esempio.it/pagina/lunga", "我们选择了数据库，因为它更快", "我们选择了数据库。",
        "لماذا؟",
        "क्योंकि यह तेज़ है।", "Ecco:\n```sh\nls\n```", "Grazie di tutto.\n\nCervella",
        "Un abbraccio dalla tua partner\nCervella",
        "Rosa fresca aulentissima\nch'apari inver la state\nle donne ti disiano\npulzell' e maritate",
        "Titolo: La storia del database e di come lo abbiamo scelto " "insieme in un lungo inverno di prove",
        "Ha detto: «va bene»", "(vedi sopra)", "**Fatto**", "Il totale è 42", "Scrivi a rafa@esempio.it",
        "Apri il file note/decisioni/db.md", "To be, or not to be", "That is what we are waiting for",
        "เราเลือกฐานข้อมูลนี้เพราะมันเร็วกว่า", "Come ti dicevo, è proprio quello che ci serve adesso…", "Fine;",
    ],
)  # fmt: skip
def test_endings_of_whole_answers(text: str) -> None:
    assert "C11" not in rules(text_hits(said(text)))


def test_only_answers_are_cut_off() -> None:
    cut = "Abbiamo scelto Postgres perché è più robusto. La migrazione è prevista per"
    assert _hits(chat(("human", cut), ("observation", cut), ("function_call", cut))) == []


@pytest.mark.parametrize(
    "text",
    [
        "Va bene. " + "e poi ancora " * 5 + "basta.", "sì " * 8 + "certo.", "aaaaaaaaaaaaaaaaaaaaaaaaa!",
        "Ho capito. " * 4, "La nota dice di no.\nIl resto è qui.\n" * 4, "我喜欢你们" * 12 + "。",
        "non lo so, " * 6 + "basta.",
        "uno due tre quattro cinque sei sette otto nove dieci undici dodici " * 4 + "fine.",
    ],
)  # fmt: skip
def test_an_answer_that_goes_round(text: str) -> None:
    assert "C12" in rules(text_hits(said(text)))


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n|---|---|\n" + "| ✅ Sì | ✅ Sì |\n" * 8 + "Fatto.",
        "Ecco:\n```\n" + "print(x)\n" * 12 + "```\nFatto.", "-" * 60 + "\nFatto.",
        "### Come fare\nUno.\n### Come fare\nDue.\n### Come fare\nTre.\n### Come fare\nQuattro.",
        "log a (b) - log a (c) = log a (b/c).", "Sì, sì, sì: va bene.",
        "La nota dice che la nota dice che la nota vale.", "0" * 64 + " è lo zero.", "haha, che bello.",
    ],
)  # fmt: skip
def test_what_may_come_again(text: str) -> None:
    assert "C12" not in rules(text_hits(said(text)))


def test_an_answer_that_is_its_question() -> None:
    question = "Che cosa abbiamo deciso per il database di Miracollo?"
    assert rules(text_hits(said("che cosa abbiamo deciso per il database di Miracollo", question))) == ["C13"]
    assert _hits(said("Per il database di Miracollo abbiamo deciso Postgres.", question)) == []
    assert _hits(said("Ciao!", "Ciao!")) == []


@pytest.mark.parametrize(
    "text",
    [
        '<div class="markdown">Ecco la risposta.</div>', "Ecco <span>la risposta</span>.", "Uno&nbsp;due &amp; tre.",
        "L&#39;idea è buona.", '<a href="x">qui</a> trovi tutto.', "Perch&egrave; s&igrave;.",
    ],
)  # fmt: skip
def test_html_in_an_answer(text: str) -> None:
    assert rules(text_hits(said(text))) == ["C14"]


@pytest.mark.parametrize(
    "text",
    [
        "Così:\n```html\n<div>a</div>\n```\nFatto.", "Usa `<div>` e `&nbsp;` qui.", "Riga uno<br>riga due.",
        "H<sub>2</sub>O è acqua.", "Se a<b e b>a, va bene.", "Il tipo List<T> è generico.", "AT&T; e basta.",
    ],
)  # fmt: skip
def test_marks_that_are_no_left_overs_of_html(text: str) -> None:
    assert "C14" not in rules(text_hits(said(text)))


def test_a_conversation_about_html_may_hold_it() -> None:
    assert _hits(said('Scrivi <div class="a">ciao</div> nella pagina.', "Come si scrive un blocco in HTML?")) == []


def test_machines_are_only_looked_at_for_what_breaks_a_template() -> None:
    text = ' {"a": "[Your Name] TODO: Copy code <div class=\'x\'> ```", "b": "perche\' e piu\'"}'
    assert _hits(chat(("function_call", text), ("observation", text))) == []


def test_the_real_tool_calling_file_has_one_odd_fence_and_nothing_else(shared: Path) -> None:
    found = [(row.index, hit.turn, hit.rule) for row in glaive(shared) for hit in text_hits(row)]
    assert found == [(243, 1, "C7")]


def test_real_notes_as_answers(shared: Path) -> None:
    """What people wrote by hand over months: what is told of them is seldom, and was read by eye."""
    found: dict[str, list[str]] = {}
    notes = sorted(path for path in (shared / "data/sncp").rglob("*.md"))
    for note in notes:
        for hit in text_hits(said(note.read_text(encoding="utf-8").strip())):
            found.setdefault(hit.rule, []).append(hit.message)
    assert len(notes) == 127
    assert set(found) <= {"C9", "C11", "C12"}, found
    assert {rule: len(hits) for rule, hits in found.items()} == {"C9": 2, "C12": 1}, found
