"""Secrets and personal data are found in every place of a conversation, told without being shown, or allowed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chats import chat, glaive, said  # noqa: E402

from components.dataset.checks.private import ALL_PERSONAL_DATA, private_hits  # noqa: E402
from components.sncp.redact import find_private, redact  # noqa: E402


def _neighbour(name: str) -> Any:
    """A helper or a table of the tests of the room whose finders these are."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "sncp"))
    spec = importlib.util.spec_from_file_location(f"sncp_{name}", Path(__file__).parent.parent / "sncp" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shapes = _neighbour("secret_shapes")
places = _neighbour("test_secrets_places")
personal = _neighbour("test_personal_data")
FORMS = _neighbour("test_secrets_makers")._FORMS
WHERE = ("human", "gpt", "function_call", "observation", "system", "the column system", "tools")


def _with(text: str, where: str) -> tuple[Any, int | None]:
    """A conversation that holds the text at a place, and the turn of it."""
    turns = [
        ("human", "Che cosa c'è nella nota?"),
        ("gpt", "Una decisione."),
        ("human", "Va bene."),
        ("gpt", "Grazie a te."),
    ]
    if where == "the column system":
        return chat(*turns, system=text), None
    if where == "tools":
        return chat(*turns, tools=text), None
    at = {"human": 2, "system": 0}.get(where, 3)
    turns[at] = (where, text)
    return chat(*turns), at


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_a_key_of_every_maker_is_an_error_wherever_it_is(name: str) -> None:
    planted = shapes.key(name)
    for where in WHERE:
        conversation, turn = _with(f"La chiave è {planted} e basta.", where)
        (hit,) = private_hits(conversation)
        assert (hit.rule, hit.turn, hit.severity) == ("F1", turn, None), where
        assert planted[-8:] not in hit.message and planted[5:20] not in hit.message


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_nothing_is_missed_that_the_masking_of_notes_finds(name: str) -> None:
    """The quick look at words may not hide a key in any of the forms that notes are tried with."""
    for seed in range(4):
        for form, pattern in FORMS.items():
            text = pattern.format(shapes.key(name, seed))
            found = {(span.rule, text[span.start : span.end]) for span in find_private(text)}
            assert len(list(private_hits(said(text), personal_data=()))) == len(found), (form, seed)


@pytest.mark.parametrize(
    "text",
    [
        "| Servizio | Password |\n|---|---|\n| booking | {} |", "credenziali: admin / {}",
        "La password del wifi è {}", "La password del server è {}, non dirla.",
        "psw: {}", "login: mario@hotel.it / {}", "password:\n  {}",
        "db:\n  password: >-\n    {}\n  host: x", '{"password": "{}"}',
        '{"user":"rafa","password":"{}","remember":true}', "https://rafa:{}@hotel.it/", "PASSWORD={}",
        "login(password={})",
    ],
)  # fmt: skip
def test_a_password_that_a_word_gives_away(text: str) -> None:
    hits = list(private_hits(said(text.replace("{}", places._PASSWORD))))
    assert [(hit.turn, hit.severity) for hit in hits if hit.rule == "F1"] == [(1, None)]
    assert all(places._PASSWORD[1:4] not in hit.message for hit in hits)


def test_a_made_up_password_of_a_tool_is_a_warning() -> None:
    result = ("observation", f'{{"password": "{places._PASSWORD}"}}')
    conversation = chat(("human", "Una password, grazie."), ("function_call", "{}"), result, ("gpt", "Ecco."))
    assert [(hit.rule, hit.turn, hit.severity) for hit in private_hits(conversation)] == [("F1", 2, "warning")]
    key = chat(("human", "Una chiave."), ("function_call", "{}"), ("observation", shapes.key("groq")), ("gpt", "Ecco."))
    assert [(hit.rule, hit.severity) for hit in private_hits(key)] == [("F1", None)]


def test_a_question_and_its_secret_are_read_together() -> None:
    secret = "E" + places._random(39, places._ALNUM + "+/")
    conversation = chat(("human", "Qual è la AWS secret access key?"), ("gpt", f"È {secret}, tienila per te."))
    assert [(hit.rule, hit.turn) for hit in private_hits(conversation)] == [("F1", 1)]


PERSONAL = {
    "codice fiscale": ["RSSMRA80A01H501U", "rssmra80a01h501u", "RSS MRA 80A01 H501U"],
    "partita IVA": ["00488410010", "IT 06363391001"],
    "IBAN": ["IT60X0542811101000000123456", "IT60 X054 2811 1010 0000 0123 456", "MT84MALT011000012345MTLCAST001S"],
    "payment card": ["4539 1488 0343 6467", "4539148803436467"],
    "telephone number": ["+39 333 1234567", "333 123 4567", "tel. 0436 860123"],
    "e-mail address": ["rafa.bianchi@hotelmiracollo.it", "a.b+c@posta.gov.it"],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in PERSONAL.items() for value in values])
@pytest.mark.parametrize("where", WHERE)
def test_personal_data_is_a_warning_wherever_it_is(kind: str, value: str, where: str) -> None:
    for text in (f"Il dato è {value}, grazie.", value, f'{{"a": "{value}"}}'):
        conversation, turn = _with(text, where)
        hits = [hit for hit in private_hits(conversation) if kind in hit.message]
        assert [(hit.rule, hit.turn, hit.severity) for hit in hits] == [("F2", turn, None)], text
        assert value[3:] not in hits[0].message


@pytest.mark.parametrize("value", [*personal.FISCAL, *personal.PARTITE, *personal.IBANS])
def test_every_example_of_the_finders_is_found(value: str) -> None:
    for text in (value, f"È {value}.", " ".join(value[at : at + 4] for at in range(0, len(value), 4))):
        found = find_private(text, personal_data=ALL_PERSONAL_DATA)
        hits = list(private_hits(said(text)))
        assert len(hits) == len({(span.rule, text[span.start : span.end]) for span in found}), text


def test_kinds_that_are_not_asked_for_are_left_alone() -> None:
    conversation = said("Scrivi a rafa@hotelmiracollo.it, IBAN IT60X0542811101000000123456.")
    assert [hit.message.split(":")[0] for hit in private_hits(conversation, personal_data=["iban"])] == ["an IBAN"]
    assert list(private_hits(conversation, personal_data=())) == []


@pytest.mark.parametrize(
    "text",
    [
        "mario@example.com", "a@b.example", "noreply@hotel.it", "git@github.com:a/b.git", "4242 4242 4242 4242",
        "12345678901", "2026-11-29 07:15:00", "RSSMRA80A01H501X", "IT60X0542811101000000123457", "sk-ant-...",
        "password: <la tua password>", "api_key = os.environ['API_KEY']", "3.14159265358979", "1.234.567,89 euro",
        "commit 3f2a9c1d4e5b6a7f8091a2b3c4d5e6f708192a3b",
    ],
)  # fmt: skip
def test_examples_and_near_misses_are_left_alone(text: str) -> None:
    assert list(private_hits(said(f"Il dato è {text} e basta."))) == []


def test_what_is_allowed_is_left_alone() -> None:
    conversation = said("Scrivi a info@cervella.dev o a rafa@cervella.dev.")
    assert len(list(private_hits(conversation))) == 2
    assert len(list(private_hits(conversation, allow=["info@cervella.dev"]))) == 1
    assert list(private_hits(conversation, allow=["*@cervella.dev"])) == []


def test_a_value_is_told_once_a_turn() -> None:
    mail = "rafa@hotelmiracollo.it"
    conversation = chat(("human", f"È {mail}?"), ("gpt", f"Sì, {mail}: proprio {mail}."))
    assert [hit.turn for hit in private_hits(conversation)] == [0, 1]


def test_the_real_file_has_19_turns_with_e_mails(shared: Path) -> None:
    """15 of people and firms, which are told, and 4 at example.com, which are left alone."""
    rows = glaive(shared)
    told = [(row.index, hit.turn) for row in rows for hit in private_hits(row) if "e-mail" in hit.message]
    examples = [
        (row.index, turn) for row in rows for turn, value in enumerate(row.turns or ()) if "@example.com" in value.text
    ]
    assert (len(told), len(set(told)), len(examples), set(told) & set(examples)) == (15, 15, 4, set())


def test_the_real_file_has_16_made_up_passwords_and_no_key(shared: Path) -> None:
    hits = [hit for row in glaive(shared) for hit in private_hits(row) if hit.rule == "F1"]
    assert [(hit.severity, hit.message.split(":")[0]) for hit in hits] == [("warning", "password")] * 16


def test_the_quick_look_hides_nothing_in_real_files(shared: Path) -> None:
    for row in glaive(shared):
        text = "\n\n".join(turn.text for turn in row.turns or ())
        rules = {finding.rule for finding in redact(text, path="", personal_data=ALL_PERSONAL_DATA)[1]}
        assert len({hit.message.split(":")[0] for hit in private_hits(row)}) == len(rules), row.index
    for note in sorted((shared / "data/sncp").rglob("*.md")):
        text = note.read_text(encoding="utf-8")
        found = {
            (span.rule, text[span.start : span.end]) for span in find_private(text, personal_data=ALL_PERSONAL_DATA)
        }
        assert len(list(private_hits(said(text)))) == len(found), note
