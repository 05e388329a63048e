"""Personal data with a check digit or a form of its own: Italian codes, IBANs, cards, telephone numbers, e-mail.

What is caught: codice fiscale of a person (omocodia too, in one word or in its usual groups); partita IVA (11 digits
whose check digit and tax office fit, with or without `IT`); IBANs of every country in the SWIFT registry, in one word
or in groups; payment cards by issuer, length and check digit; telephone numbers with `+39` or another country's
prefix, Italian mobiles, Italian landlines with a separator, or with a word like `tel` before them; e-mail addresses.

NOT caught: a code with a wrong digit; numbers broken over two lines; landlines written in one go without a word
before them; local numbers without their area code; names, addresses, dates and places of birth; documents and plates;
e-mail written as `mario at esempio`. Left alone: the test cards of payment firms, addresses in the domains that are
kept for examples (RFC 2606), senders that nobody reads (`noreply@`), and `git@` of repositories.
A partita IVA is one in 80 of the numbers of 11 digits that are none: the check digit and the office cannot tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from components.sncp.check_digits import iban_length, is_card, is_codice_fiscale, is_iban, is_partita_iva
from components.sncp.params import PersonalData
from components.sncp.spans import Span, pieces

__all__ = ["find_personal_data"]

_NUM = r"(?<![A-Za-z0-9_])"
_END = r"(?![A-Za-z0-9_])"
_FISCAL = re.compile(
    _NUM + r"[A-Za-z]{3}[ ]?[A-Za-z]{3}[ ]?[0-9LMNPQRSTUVlmnpqrstuv]{2}[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{2}[ ]?"
    r"[A-Za-z][0-9LMNPQRSTUVlmnpqrstuv]{3}[ ]?[A-Za-z]" + _END
)
_PARTITA = re.compile(r"(?<![A-Za-z0-9_])(?<![.,:/+-])(?:IT[ ]?)?([0-9]{11})(?![A-Za-z0-9_])(?![.,/:-][0-9])")
_IBAN = re.compile(_NUM + r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,45}")
_CARD = re.compile(r"(?<![A-Za-z0-9_.,/+-])[0-9](?:[ -]?[0-9]){12,18}(?![A-Za-z0-9_])(?![.,/-][0-9])")
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+@/-])[A-Za-z0-9_](?:[A-Za-z0-9._%+-]{0,63})@"
    r"(?=([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,5}\.[A-Za-z]{2,24}))\1(?![A-Za-z0-9@-])"
)
_NOT_MAIL = re.compile(
    r"(?i)@(?:.*\.)?(?:example\.(?:com|net|org|edu|it)|esempio\.(?:it|com)|\w+\.(?:test|example|invalid|localhost)|.*\.gserviceaccount\.com)$"
    r"|^(?:git|no-?reply|do-?not-?reply|mailer-daemon)@"
    r"|\.(?:png|jpe?g|gif|svg|webp|py|js|ts|md|service|timer|socket|target|local)$"
)
# Numbers that payment firms publish for tests: https://docs.stripe.com/testing (all of 400000 and 424242) and others'.
_TEST_CARD = re.compile(
    r"400000\d+|4242424242424242|4111111111111111|4012888888881881|4000056655665556|5555555555554444|5200828282828210"
    r"|5105105105105100|2223003122003222|378282246310005|371449635398431|6011111111111117|6011000990139424"
    r"|3056930009020004|36227206271667|3566002020360505|6200000000000005|30569309025904|38520000023237"
)
_SEP = r"[ ./-]"
_PHONE = re.compile(
    rf"""(?x) (?<![A-Za-z0-9_.,/=\#-]) (?<!\d:) (?: tel: )? (?:
        (?: \+ | 00 ) 39 {_SEP}? (?: \(?0\d{{1,3}}\)? (?: {_SEP}? \d ){{5,8}} | 3 \d{{2}} (?: {_SEP}? \d ){{6,7}} )
      | \+ (?!39) [1-9]\d{{0,2}} [ .-]? \(? \d{{1,4}} \)? (?: [ .-] \d{{2,5}} ){{1,5}}
      | \+ (?!39) [1-9]\d{{9,13}}
      | 3 [2-9] \d (?: {_SEP} \d{{6,7}} | {_SEP} \d{{3}} {_SEP} \d{{3,4}}
          | {_SEP} \d{{2}} {_SEP} \d{{2}} {_SEP} \d{{2,3}}
          | {_SEP} \d{{3}} {_SEP} \d{{2}} {_SEP} \d{{2}} | {_SEP} \d{{4}} {_SEP} \d{{3}} | \d{{6,7}} )
      | (?<! \d[ ] ) \(? 0 [1-9] \d{{0,2}} \)? (?: [ ]?[/.-][ ]? | [ ] ) (?: \d{{5,8}}
          | \d{{3,4}} [ .-] \d{{3,4}} | \d{{2,3}} (?: [ .-] \d{{2,3}} ){{2,3}} )
    ) (?! [A-Za-z0-9_] ) (?! [.,/:-] \d ) (?! \s* (?: € | % | (?i:euro?|eur|usd|token|mb|gb|kb|ms|px) \b ) )"""
)
_TOLD_PHONE = re.compile(
    r"(?i)(?<![a-z])(?:tel(?:efono)?|cell?(?:ulare)?|fax|phone|mobile|whatsapp|recapito|chiam\w{1,6})\b[ .:*_`|]{1,8}"
    r"(?:n\.?[ ]?)?(\(?[0-9][0-9 ./()-]{5,18}[0-9])(?![A-Za-z0-9_])"
)


def find_personal_data(text: str, *, kinds: Collection[PersonalData]) -> Iterator[Span]:
    """Every place of the kinds that are asked for. An IBAN or a card that also looks like a phone is found as both."""
    for kind, find in _FINDERS.items():
        if kind in kinds:
            yield from find(text)


def _fiscal_codes(text: str) -> Iterator[Span]:
    for match in _FISCAL.finditer(text):
        if is_codice_fiscale(match[0].replace(" ", "")):
            yield Span(match.start(), match.end(), "codice-fiscale")


def _partite_iva(text: str) -> Iterator[Span]:
    for match in _PARTITA.finditer(text):
        if is_partita_iva(match[1]):
            yield Span(match.start(), match.end(), "partita-iva")


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = iban_length(match[0][:2])
        if length is None:
            continue
        end, taken = match.start(), 0
        while taken < length and end < match.end():
            taken += text[end] not in " -"
            end += 1
        whole = not text[end : end + 1].isalnum()
        if taken == length and whole and is_iban(re.sub("[ -]", "", text[match.start() : end])):
            yield Span(match.start(), end, "iban")


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        digits = re.sub("[ -]", "", match[0])
        groups = re.split("[ -]", match[0])
        even = len(groups) == 1 or (
            all(len(group) >= 3 for group in groups) and len(set(re.findall("[ -]", match[0]))) == 1
        )
        if even and is_card(digits) and not _TEST_CARD.fullmatch(digits):
            yield Span(match.start(), match.end(), "card")


def _phones(text: str) -> Iterator[Span]:
    for offset, piece in pieces(text):
        for match in _PHONE.finditer(piece):
            digits = sum(map(str.isdigit, match[0]))
            if 8 <= digits <= 15 and not (match[0].startswith("+") and digits < 9):
                yield Span(offset + match.start(), offset + match.end(), "phone")
        for match in _TOLD_PHONE.finditer(piece):
            if 6 <= sum(map(str.isdigit, match[1])) <= 13 and not re.fullmatch(
                r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", match[1]
            ):
                yield Span(offset + match.start(1), offset + match.end(1), "phone")


def _emails(text: str) -> Iterator[Span]:
    if "@" not in text:
        return
    for offset, piece in pieces(text):
        for match in _EMAIL.finditer(piece) if "@" in piece else ():
            if not _NOT_MAIL.search(match[0]):
                yield Span(offset + match.start(), offset + match.end(), "email")


_FINDERS: dict[PersonalData, Callable[[str], Iterator[Span]]] = {
    "codice_fiscale": _fiscal_codes,
    "partita_iva": _partite_iva,
    "iban": _ibans,
    "card": _cards,
    "phone": _phones,
    "email": _emails,
}
