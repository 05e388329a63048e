"""Personal data: found by check digits and forms; one wrong digit, a date, a price or a session's number is none."""

from __future__ import annotations

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from components.sncp import Collection, RedactParams
from components.sncp.check_digits import (
    iban_length,
    is_card,
    is_codice_fiscale,
    is_iban,
    is_luhn,
    is_partita_iva,
)
from components.sncp.params import PersonalData, SncpParams
from components.sncp.redact import redact
from components.sncp.steps import collect_notes, read_documents
from components.store import Run

ALL = get_args(PersonalData)

# Examples that are printed everywhere: Mario Rossi, numbers of public bodies and firms, the registry's own IBANs.
FISCAL = ["RSSMRA80A01H501U", "RSSMRA80A01F205X"]
PARTITE = ["00488410010", "06363391001", "12345670785"]
IBANS = [
    "IT60X0542811101000000123456", "DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606",
    "ES9121000418450200051332", "CH9300762011623852957", "SM86U0322509800000000270100",
    "MT84MALT011000012345MTLCAST001S", "NO9386011117947", "LC55HEMM000100010012001200023015", "VA59001123000012345678",
]  # fmt: skip


def _luhn(digits: str) -> str:
    return next(f"{digits}{last}" for last in string.digits if is_luhn(f"{digits}{last}"))


def _fiscal(letters: str, year: str, month: str, day: int, place: str) -> str:
    start = f"{letters}{year}{month}{day:02}{place}"
    return next(code for last in string.ascii_uppercase if is_codice_fiscale(code := f"{start}{last}"))


fiscal_codes = st.builds(
    _fiscal,
    st.text(string.ascii_uppercase, min_size=6, max_size=6),
    st.text(string.digits, min_size=2, max_size=2),
    st.sampled_from("ABCDEHLMPRST"),
    st.integers(1, 31) | st.integers(41, 71),
    st.from_regex(r"[A-Z][0-9]{3}", fullmatch=True),
)
partite = st.builds(lambda firm, office: _luhn(f"{firm:07}{office:03}"), st.integers(1, 9_999_999), st.integers(1, 100))


@st.composite
def ibans(draw: Any) -> str:
    country = draw(st.sampled_from(["IT", "DE", "FR", "ES", "GB", "CH", "NL", "SM", "MT", "NO", "RU", "UA"]))
    body = draw(st.text(string.digits + string.ascii_uppercase, min_size=0, max_size=0)) + "".join(
        draw(st.sampled_from(string.digits)) for _ in range((iban_length(country) or 0) - 4)
    )
    rest = int("".join(str(int(letter, 36)) for letter in f"{body}{country}00")) % 97
    return f"{country}{98 - rest:02}{body}"


cards = st.builds(
    lambda start, body: _luhn(f"{start}{body}"[:15]),
    st.sampled_from(["4", "51", "55", "2221", "2720", "6011", "65", "3530"]),
    st.text(string.digits, min_size=15, max_size=15).filter(lambda body: len(set(body)) > 3),
)


@pytest.mark.parametrize("code", FISCAL)
def test_codes_of_people_are_known(code: str) -> None:
    assert is_codice_fiscale(code) and is_codice_fiscale(code.lower())


def test_omocodia_is_known() -> None:
    """The digits, from the right, become letters; the check letter changes with them."""
    code = list("RSSMRA80A01H501")
    for at in reversed([place for place, letter in enumerate(code) if letter.isdigit()]):
        code[at] = "LMNPQRSTUV"[int(code[at])]
        whole = "".join(code)
        (last,) = [last for last in string.ascii_uppercase if is_codice_fiscale(whole + last)]
        assert _found(f"cf: {whole}{last}.", "codice_fiscale") == ["codice-fiscale"]
    assert "".join(code) == "RSSMRAULALMHRLM"


@pytest.mark.parametrize("code", ["RSSMRA80A00H501V", "RSSMRA80A32H501Z", "RSSMRA80A72H501Z", "RSSMRA80F01H501Z"])
def test_days_and_months_that_do_not_exist_are_refused(code: str) -> None:
    assert not any(is_codice_fiscale(code[:15] + last) for last in string.ascii_uppercase)


@given(fiscal_codes, st.integers(0, 15), st.sampled_from(string.digits + string.ascii_uppercase))
def test_codice_fiscale_with_one_other_character_is_none(code: str, at: int, other: str) -> None:
    assert is_codice_fiscale(code)
    changed = code[:at] + other + code[at + 1 :]
    assert changed == code or not is_codice_fiscale(changed)


@given(partite, st.integers(0, 10), st.sampled_from(string.digits))
def test_partita_iva_with_one_other_digit_is_none(code: str, at: int, other: str) -> None:
    assert is_partita_iva(code)
    changed = code[:at] + other + code[at + 1 :]
    assert changed == code or not is_partita_iva(changed)


@given(ibans(), st.data())
def test_iban_with_one_other_digit_is_none(code: str, data: Any) -> None:
    assert is_iban(code)
    at = data.draw(st.sampled_from([place for place, letter in enumerate(code) if letter.isdigit()]))
    other = data.draw(st.sampled_from(string.digits))
    changed = code[:at] + other + code[at + 1 :]
    assert changed == code or not is_iban(changed)
    assert not is_iban(code[:-1]) and not is_iban(code + "0")


@given(cards, st.integers(0, 15), st.sampled_from(string.digits))
def test_card_with_one_other_digit_is_none(code: str, at: int, other: str) -> None:
    assert is_card(code)
    changed = code[:at] + other + code[at + 1 :]
    assert changed == code or not is_card(changed)


@pytest.mark.parametrize("code", PARTITE)
def test_published_partite_are_known(code: str) -> None:
    assert is_partita_iva(code)


@pytest.mark.parametrize("code", IBANS)
def test_the_registrys_examples_are_known(code: str) -> None:
    assert is_iban(code)


def _found(text: str, *kinds: Any) -> list[str]:
    return [item.rule for item in redact(text, path="a.md", personal_data=kinds or ALL)[1]]


@settings(deadline=None)  # the first one imports
@given(fiscal_codes, partite, ibans(), cards)
def test_all_are_found_and_masked_in_a_sentence(fiscal: str, partita: str, iban: str, card: str) -> None:
    grouped = " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))
    text = (
        f"CF {fiscal}, P.IVA IT{partita}; bonifico a {grouped}.\nCarta {card[:4]} {card[4:8]} {card[8:12]} {card[12:]}!"
    )
    masked, findings = redact(text, path="a.md", personal_data=["codice_fiscale", "partita_iva", "iban", "card"])
    assert not any(value in masked for value in (fiscal, partita, grouped, card[4:8] + " " + card[8:12]))
    assert [item.rule for item in findings] == ["codice-fiscale", "partita-iva", "iban", "card"]
    assert [item.line for item in findings] == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "+39 333 1234567", "+393331234567", "0039 333 123 4567", "333 1234567", "333-1234567", "333.123.45.67",
        "3331234567", "347 12 34 567", "+39 06 12345678", "+39 0471 123456", "06 1234 5678", "0471/123456",
        "02-12345678", "(055) 123456", "011 123 45 67", "tel. 0612345678", "Telefono: 055123456", "cell 3401234567",
        "WhatsApp: +39 340 1234567", "[chiama](tel:+393401234567)", "+44 20 7946 0958", "+4915112345678",
        "| Anna | 340 1234567 |", "**Tel:** 0577 123456",
    ],
)  # fmt: skip
def test_phones_are_found(text: str) -> None:
    assert _found(text, "phone") == ["phone"]


@pytest.mark.parametrize(
    "text",
    [
        "20260114_note.md", "2026-01-14", "14/01/2026", "01-02-2026", "14.01.2026 10:30", "2026-01-14T10:30:45",
        "dalle 09:00 alle 18:30", "Sessione 214, HANDOFF 226", "€ 1.250.000,00", "350 000 euro", "06 100000 euro",
        "1.250.000 token", "0,50 USD", "doi:10.1038/s41586-020-02443-8", "arXiv 2305.18290", "v3.11.4", "192.168.1.100",
        "127.0.0.1:8080", "riga 333-340", "pagine 0123-0145", "1768394400", "id 17683944001234", "3.1415926535",
        "commit 3f9a8b7c", "+15% su 340", "porta 3306 e 5432", "300 x 250 px", "0x3331234567", "test_3331234567_x",
        "10 20 30 40 50", "0 1 2 3 4 5 6 7 8 9", "ISBN 978-88-04-66823-7", "2026 01 14 09 30 00", "#3331234567",
        "https://x.it/3331234567/a", "24/7/365", "1-800", "chiamata 12 di 30", "tel: da chiedere", "3405692655.5",
    ],
)  # fmt: skip
def test_dates_prices_and_numbers_are_no_phones(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("scrivi a anna.rossi@locanda.it.", 1), ("<anna@locanda.it>", 1), ("[posta](mailto:anna@locanda.it)", 1),
        ("anna+hotel@mail.locanda.co.uk, bruno@x.it", 2), ("user@example.com", 0), ("a@esempio.it", 0),
        ("git@github.com:x/y.git", 0), ("noreply@x.it", 0), ("logo@2x.png", 0), ("pacchetto@1.2.3", 0),
        ("postgres://anna@db.local/x", 0), ("https://medium.com/@anna", 0), ("npm i @scope/pkg", 0),
        ("getty@tty1.service", 0), ("x@y", 0), ("robot@progetto.iam.gserviceaccount.com", 0),
    ],
)  # fmt: skip
def test_mail_addresses(text: str, found: int) -> None:
    assert _found(text, "email") == ["email"] * found


@pytest.mark.parametrize(
    "text",
    [
        "4242 4242 4242 4242", "4000 0027 6000 3184", "4111111111111111", "111851060729011081", "1234567890123456",
        "0000 0000 0000 0000", "20260114103045000", "4532-0151-1283 0366",
    ],
)  # fmt: skip
def test_test_cards_and_other_numbers_are_no_cards(text: str) -> None:
    assert _found(text, "card") == []


def test_only_what_is_asked_for_is_masked() -> None:
    text = "IT60X0542811101000000123456 e anna@locanda.it"
    assert redact(text, path="a.md") == (text, [])
    assert redact(text, path="a.md", personal_data=["iban"])[0] == "[REDACTED:iban] e anna@locanda.it"


def test_allowed_addresses_stay() -> None:
    text = "Info@Locanda.it, anna@locanda.it, bruno@altrove.it"
    masked, _ = redact(text, path="a.md", personal_data=["email"], allow=["*@locanda.it"])
    assert masked == "Info@Locanda.it, anna@locanda.it, [REDACTED:email]"
    masked, _ = redact(text, path="a.md", personal_data=["email"], allow=["info@locanda.it"])
    assert masked == "Info@Locanda.it, [REDACTED:email], [REDACTED:email]"


@pytest.mark.parametrize("allow", ["*", "**", "?*", "a*", "[a-z]*", "sk-*"])
def test_allowing_nearly_everything_is_refused(allow: str) -> None:
    with pytest.raises(ValidationError, match="too much"):
        RedactParams(allow=[allow])


def test_personal_data_quarantines_too(notes: Callable[..., Path], read: Callable[..., Collection]) -> None:
    root = notes({"a.md": "# A\n\nIBAN IT60X0542811101000000123456\n", "b.md": "# B\n"})
    collection = read(root, redact="quarantine", personal_data=["iban"])
    assert [document.path for document in collection.documents] == ["b.md"]
    assert [(item.path, item.reason.split(";")[0]) for item in collection.skipped] == [
        ("a.md", "quarantined: iban in line 3")
    ]


def test_switched_on_later_it_counts_for_notes_that_did_not_change(notes: Callable[..., Path], tmp_path: Path) -> None:
    """What a workspace remembers of the same bytes was made with other settings."""
    root = notes({"a.md": f"# A\n\nIBAN {IBANS[0]}\n"})
    run = Run.create(tmp_path / "workspace", recipe="x", phase="reindex")
    ids = []
    iban: list[PersonalData] = ["iban"]
    for chosen in (RedactParams(), RedactParams(personal_data=iban), RedactParams(personal_data=iban, allow=IBANS[:1])):
        params = SncpParams(root=root, sources={"note": ["*.md"]}, redact=chosen)
        artefact = collect_notes(run, params, persona_files=[])
        (document,) = read_documents(artefact)
        assert (IBANS[0] in document.text) == (chosen.personal_data == [] or chosen.allow != [])
        ids.append(artefact.id)
    assert len(set(ids)) == 3


@given(st.text(alphabet="0123456789+-./ ()ITitaA@x€%:,\n", max_size=60))
def test_any_text_keeps_its_lines(text: str) -> None:
    masked, findings = redact(text, path="a.md", personal_data=ALL)
    assert masked.count("\n") == text.count("\n")
    assert (masked != text) == bool(findings)
