"""Check digits of Italian and international numbers: pure arithmetic, each with its source."""

from __future__ import annotations

import re

__all__ = ["iban_length", "is_card", "is_codice_fiscale", "is_iban", "is_luhn", "is_partita_iva"]

# Decreto ministeriale 23 dicembre 1976 (Agenzia delle Entrate): values of the characters in odd places (from 1).
# In even places a digit counts for itself, a letter for its place in the alphabet (A = 0).
_ODD = dict(zip("0123456789", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21), strict=True)) | dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)
_OMOCODIA = str.maketrans("LMNPQRSTUV", "0123456789")
"""When two people would get the same code, digits of the second become these letters, from the right."""
_FISCAL = re.compile(
    r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]", re.ASCII
)

# SWIFT IBAN Registry: how many characters each country's IBAN has.
_IBAN_LENGTH = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip


def is_codice_fiscale(code: str) -> bool:
    """True for the code of a person: 16 characters, a day that exists, its check letter; omocodia included.

    Not checked: whether the municipality's code is in use.
    """
    code = code.upper()
    if not _FISCAL.fullmatch(code):
        return False
    day = int(code[9:11].translate(_OMOCODIA)) % 40  # women: 40 more
    if not 1 <= day <= 31 or int(code[9:11].translate(_OMOCODIA)) > 71:
        return False
    odd = sum(_ODD[letter] for letter in code[0:15:2])
    even = sum(int(letter) if letter.isdigit() else ord(letter) - ord("A") for letter in code[1:15:2])
    return chr(ord("A") + (odd + even) % 26) == code[15]


def is_luhn(digits: str) -> bool:
    """True if the last digit is right by ISO/IEC 7812-1, annex B: every second digit from the right is doubled."""
    total = 0
    for place, letter in enumerate(reversed(digits)):
        value = int(letter) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def is_partita_iva(digits: str) -> bool:
    """True for 11 digits: the number of the firm, that of the tax office, a check digit.

    Same formula as `is_luhn` (D.M. 23 dicembre 1976, art. 7); the office is 001 to 100, 120, 121, 888 or 999.
    """
    if not re.fullmatch(r"[0-9]{11}", digits) or digits.startswith("0000000"):
        return False
    office = int(digits[7:10])
    return (1 <= office <= 100 or office in (120, 121, 888, 999)) and is_luhn(digits)


def is_iban(code: str) -> bool:
    """True for an IBAN without spaces: the length of its country, and 1 modulo 97 (ISO 13616, ISO 7064)."""
    code = code.upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+", code, re.ASCII) or _IBAN_LENGTH.get(code[:2]) != len(code):
        return False
    return int("".join(str(int(letter, 36)) for letter in code[4:] + code[:4])) % 97 == 1


def iban_length(country: str) -> int | None:
    """Characters of an IBAN of this country (two letters); None where there are none."""
    return _IBAN_LENGTH.get(country.upper())


def is_card(digits: str) -> bool:
    """True for the number of a payment card: a known issuer's prefix and length (ISO/IEC 7812), check digit."""
    if not re.fullmatch(r"[0-9]{13,19}", digits) or len(set(digits)) < 3 or not is_luhn(digits):
        return False
    return any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last for first, last, lengths in _ISSUERS
    )


_ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),  # Visa
    (51, 55, (16,)), (2221, 2720, (16,)),  # Mastercard
    (34, 34, (15,)), (37, 37, (15,)),  # American Express
    (300, 305, (14, 16)), (36, 36, (14, 16)), (38, 39, (14, 16)),  # Diners Club
    (6011, 6011, (16, 19)), (644, 649, (16, 19)), (65, 65, (16, 19)),  # Discover
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (5018, 5018, (13, 14, 15, 16, 17, 18, 19)), (5020, 5020, (13, 14, 15, 16, 17, 18, 19)),
    (5038, 5038, (13, 14, 15, 16, 17, 18, 19)), (5893, 5893, (13, 14, 15, 16, 17, 18, 19)),
    (6304, 6304, (13, 14, 15, 16, 17, 18, 19)), (6759, 6763, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
)  # fmt: skip
"""(first and last prefix, lengths) of each issuer."""
