"""Finds secrets, and personal data where a recipe asks for it, and masks them in place."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase

from components.sncp.document import Finding
from components.sncp.params import PersonalData
from components.sncp.spans import Span, lowered, merged

__all__ = ["find_private", "mask_secrets", "redact", "redact_names"]


def redact(
    text: str, *, path: str, personal_data: Collection[PersonalData] = (), allow: Sequence[str] = ()
) -> tuple[str, list[Finding]]:
    """Mask every secret as `[REDACTED:rule]`; the number of lines stays, placeholders stay.

    Sure to be caught: keys of a shape that their maker gives them (the table in secret_prefixes.py), private key
    blocks, passwords in URLs, bearer tokens, `password = value` and its like where the value looks real, values of
    table columns headed `Password` or `Token`, `login: user / value`, such a key over two lines, in base64 or in
    percent-encoding; keys without a shape of AWS, Cloudflare, Twilio, PayPal and some more within three lines of the
    maker's name. `personal_data` is caught as personal_data.py says.

    NOT caught: a secret without a shape and without a telling word before it; a password that is a plain word, has
    fewer than 6 characters, or holds a space; a user and a password side by side without a word like `login`; a key
    in three or more lines, broken before six characters of it, or put together by a program (`"sk-" + rest`); one in
    hex, gzip, or encoded twice; one in a picture; PIN codes in prose; recovery phrases of twelve words; names,
    addresses, dates of birth and other personal data without a check digit or a form.
    So this is a first net, not a permission to publish.

    Args:
        text: a note.
        path: of the note, for the findings.
        personal_data: kinds to mask as well.
        allow: exact values, or globs (`*@example.com`), that stay; upper and lower case are the same.

    Returns:
        The masked text, and what was masked, with the lines of `text`.
    """
    found = find_private(text, personal_data=personal_data, allow=allow)
    if not found:
        return text, []
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    out: list[str] = []
    findings: list[Finding] = []
    at = 0
    for span in found:
        secret = text[span.start : span.end]
        out.append(text[at : span.start])
        out.append(_mask(secret, span.rule))
        at = span.end
        shown = f"{secret[:4]}…" if span.shown else "…"
        line = bisect_right(starts, span.start)
        findings.append(Finding(rule=span.rule, path=path, line=line, masked=f"{shown}({len(secret)})"))
    out.append(text[at:])
    return "".join(out), findings


def find_private(
    text: str, *, secrets: bool = True, personal_data: Collection[PersonalData] = (), allow: Sequence[str] = ()
) -> list[Span]:
    """The places that `redact` masks, in order. `secrets` False: personal data alone."""
    spans = _spans(text, personal_data, secrets=secrets)
    return merged([span for span in spans if not _is_allowed(text[span.start : span.end], allow)])


def mask_secrets(text: str) -> str:
    """The text as `redact` masks it, personal data left as it is: for what people type and what errors quote."""
    return redact(text, path="")[0]


def redact_names(
    names: Collection[str], *, personal_data: Collection[PersonalData] = (), allow: Sequence[str] = ()
) -> dict[str, tuple[str, str]]:
    """Of these paths, those that hold a secret: path -> (the path masked, rule). All are looked at in one go."""
    if not names:
        return {}
    lines = [name.replace("\n", " ") for name in names]  # a blank line between: no two names are one broken secret
    masked, findings = redact("\n\n".join(lines), path="", personal_data=personal_data, allow=allow)
    if not findings:
        return {}
    rules = {finding.line // 2: finding.rule for finding in reversed(findings)}
    hidden = masked.split("\n\n")
    return {name: (hidden[at], rules[at]) for at, name in enumerate(names) if at in rules}


def _mask(secret: str, rule: str) -> str:
    return "\n".join(f"[REDACTED:{rule}]" if line.strip() else line for line in secret.split("\n"))


def _secrets(text: str) -> Iterator[Span]:
    from components.sncp.secret_prefixes import prefixed_secrets
    from components.sncp.secret_words import told_secrets

    yield from prefixed_secrets(text)
    yield from told_secrets(text, lowered(text))


def _spans(text: str, personal_data: Collection[PersonalData], *, secrets: bool) -> Iterator[Span]:
    # Imported here: hundreds of patterns are compiled, and where nothing changed nothing is looked at.
    from components.sncp.personal_data import find_personal_data
    from components.sncp.secret_places import placed_secrets
    from components.sncp.secret_prefixes import prefixed_secrets
    from components.sncp.secret_words import told_secrets

    if secrets:
        yield from prefixed_secrets(text)
        yield from told_secrets(text, lowered(text))
        yield from placed_secrets(text, find=_secrets)
    if personal_data:
        yield from find_personal_data(text, kinds=personal_data)


def _is_allowed(value: str, allow: Sequence[str]) -> bool:
    bare = value.casefold()
    return any(bare == name.casefold() or fnmatchcase(bare, name.casefold()) for name in allow)
