"""Secrets known by the words around them: `password = ...`, `login: admin / ...`, a URL's password, a header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.sncp.borrowed_rules import borrowed_patterns
from components.sncp.placeholders import is_placeholder, is_strong, is_token, is_word_like
from components.sncp.spans import Span, line_around, pieces

__all__ = ["ASSIGNED_NAME", "judged", "told_secrets"]

ASSIGNED_NAME = r"""
    pass(?:word|wd|phrase|code)? | pwd | psw | parola[ ](?:d'ordine|chiave)
    | (?: api | access | secret | client | private | auth | encryption | signing | account | service | bot
        | refresh | id | chiave | webhook | codice )
      (?: [_ -]? (?: secret | access[_ -]?key | key(?:[_ -]?id)? | token | segret[ao] ) | [_ -] api )
    | secret | segreto | token | credentials? | credenziali
"""
"""Names of secrets (verbose, case-insensitive)."""

_MARKS = (
    "pass",
    "pwd",
    "psw",
    "parola d",
    "parola chiave",
    "secret",
    "segret",
    "token",
    "key",
    "credenzial",
    "credential",
    " api",
    "_api",
    "-api",
)
"""One of these (in lower case) stands in every line that `_ASSIGNED` can match."""

_CODE = re.compile(
    r"\w+=(?:True|False|None|true|false|[A-Z_]+|\d[\d.,]*|[a-z_]+)|\w*(?i:pass|pwd|key|token|secret)\w*[:=].*"
)
"""An argument or an assignment, where a value was expected: `allow_access=True`, `nice=0.5`."""
_ASSIGNED = re.compile(
    rf"""(?ix) (?P<name> {ASSIGNED_NAME} )
        (?: [ ] (?:del(?:l[oa])? | dei | di | of | for)\b (?: [ ] the\b )? )?
        (?: [ ] (?!or\b|o\b) [\w'/.-]{{1,20}} ){{0,3}}?
        ["'`*_\])]{{0,4}} [ \t]{{0,4}} (?P<sign> :=? | ={{1,3}} | => | \| | (?<=\s)è\b | (?<=\s)e'(?=\s) | (?<=\s)is\b
          | (?<=[ \t]) (?= \S{{0,200}}? [\d!@\#$%^&*+=?] ) )
        ["'`*_ \t]{{0,6}} (?: \|[ \t]{{0,4}} )? ["'`*_]{{0,4}} (?P<value> [^\s"'`|<>]{{6,200}} )""",
)
"""`password = value`, `| Password | value |`, `la password del wifi è value`: the value is judged apart.

Without a sign or a verb before it a value must hold a digit or a sign: the word "server" in "password del server è" is
none.
"""

_PAIR = re.compile(
    r"""(?ix) (?<![a-z/]) (?: credenziali | credentials? | log-?in | access[oi]? | wi-?fi | utente
          | user(?:name)? | account | admin ) (?: [ ] [\w'.-]{1,20} ){0,3} (?: \s*/\s* pass(?:word)? )?
        ["'`*_\])]{0,4} [ \t]{0,3} [:=]
        ["'`*_ \t]{0,6} (?P<user> [\w.@+-]{2,60} ) ["'`*_]{0,4} [ \t]{0,3} [/|:,] ["'`*_ \t]{0,6}
        (?P<value> [^\s"'`|<>/]{6,100} ) (?! [/\w] )"""
)
"""`credenziali: admin / value`, `login: mario@x.it : value`."""
_PAIR_MARKS = (
    "credenzial",
    "credential",
    "login",
    "log-in",
    "access",
    "wifi",
    "wi-fi",
    "utente",
    "user",
    "account",
    "admin",
)

_URL = re.compile(r"://[^\s:/@\"'`<>|]{0,100}:([^\s/\"'`<>|]{1,200})@(?=[\w\[{$-])")
_URL_TOKEN = re.compile(r"://([A-Za-z0-9_-]{20,200})@(?=[\w\[-])")
_BEARER = re.compile(r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{16,})")
_BASIC = re.compile(r"(?i)authorization\W{1,6}basic\s+([A-Za-z0-9+/=]{12,})")

# Keys without a shape of their own: (name, words of which one must stand within three lines, pattern). What has only
# hexadecimal digits could be a commit: those makers' words have to be near, and `key` or `token` too.
_NEAR: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    ("aws-secret-key", ("aws", "secret access", "secret_access", "akia", "asia"),
     re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")),
    ("twilio-token", ("twilio",), re.compile(r"(?<![A-Za-z0-9])[a-f0-9]{32}(?![A-Za-z0-9])")),
    ("cloudflare-token", ("cloudflare", "cf_api", "cf_token"),
     re.compile(r"(?<![A-Za-z0-9_/-])(?=[A-Za-z0-9_-]{0,39}[A-Z])[A-Za-z0-9_-]{40}(?![A-Za-z0-9_/-])")),
    ("cloudflare-key", ("cloudflare", "cf_api"), re.compile(r"(?<![A-Za-z0-9])[a-f0-9]{37}(?![A-Za-z0-9])")),
    ("vercel-token", ("vercel_token", "vercel token", "token vercel", "token di vercel"),
     re.compile(r"(?<![A-Za-z0-9_/.-])[A-Za-z0-9]{24}(?!\.?[A-Za-z0-9_/-])")),
    ("netlify-token", ("netlify_auth_token", "netlify token", "token netlify", "token di netlify"),
     re.compile(r"(?<![A-Za-z0-9_/.-])[A-Za-z0-9_-]{43}(?!\.?[A-Za-z0-9_/-])")),
    ("heroku-key", ("heroku_api", "heroku api", "heroku key", "chiave heroku", "chiave di heroku"),
     re.compile(r"(?<![A-Za-z0-9-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![A-Za-z0-9-])")),
    ("paypal-secret", ("paypal",), re.compile(r"(?<![A-Za-z0-9_-])[AE][A-Za-z0-9_-]{79}(?![A-Za-z0-9_-])")),
    ("mailgun-key", ("mailgun",), re.compile(r"(?<![a-z0-9-])[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![a-z0-9-])")),
    ("datadog-key", ("dd_api_key", "dd_app_key", "datadog api", "datadog key", "datadog app"),
     re.compile(r"(?<![A-Za-z0-9])(?:[a-f0-9]{32}|[a-f0-9]{40})(?![A-Za-z0-9])")),
    ("pinecone-key", ("pinecone",),
     re.compile(r"(?<![a-z0-9-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![a-z0-9-])")),
)  # fmt: skip
_NEAR_LINES = 3


def told_secrets(text: str, low: str) -> Iterator[Span]:
    """Every secret that a word gives away, unless it is a placeholder. `low`: the text in lower case, as long as it."""
    for start, end in _lines_with(low, _MARKS):
        for offset, piece in _pieces_with(text, low, start, end, _MARKS):
            for match in _ASSIGNED.finditer(piece):
                yield from _assigned(match, offset)
    for start, end in _lines_with(low, _PAIR_MARKS):
        for offset, piece in _pieces_with(text, low, start, end, _PAIR_MARKS):
            for match in _PAIR.finditer(piece):
                value = match["value"].rstrip(".,;:)]}*_")
                if _is_password(value) and not _is_word(match["user"], value):
                    yield Span(offset + match.start("value"), offset + match.start("value") + len(value), "password")
    yield from _in_urls_and_headers(text, low)
    yield from _near_words(text, low)
    yield from _borrowed(text, low)


def judged(name: str, value: str, *, sign: bool = True) -> tuple[str, str] | None:
    """(rule, the secret in the value) if what stands behind such a name looks like one that is in use."""
    value = value.rstrip(".,;:)]}*_")
    is_password = any(word in name.lower() for word in ("pass", "pwd", "psw", "parola"))
    if is_placeholder(value) or is_word_like(value) or "](" in value or "://" in value:
        return None
    if _CODE.fullmatch(value):
        return None
    if not sign and not (is_password and is_strong(value)):
        return None
    if is_password:
        return "password", value
    return ("assigned-secret", value) if is_token(value) and any(c.isdigit() for c in value) else None


def _assigned(match: re.Match[str], offset: int) -> Iterator[Span]:
    before = match.string[max(0, match.start() - 1) : match.start()]
    inside = before.isalpha() and not (before.islower() and match[0][0].isupper())
    if inside and not match["name"].lower().startswith(("password", "passwd", "passphrase")):
        return  # the end of another word: `bypass`; but not `dbPassword`, `PGPASSWORD`
    if match.string[max(0, match.start() - 2) : match.start()] == "//":
        return  # a URL
    found = judged(match["name"], match["value"], sign=bool(match["sign"]))
    if found:
        start = offset + match.start("value")
        yield Span(start, start + len(found[1]), found[0])


def _is_password(value: str) -> bool:
    kinds = sum((any(map(str.isalpha, value)), any(map(str.isdigit, value)), any(c in "!@#$%^&*+=?" for c in value)))
    return len(value) >= 6 and kinds >= 2 and not is_placeholder(value) and not is_word_like(value)


def _is_word(user: str, value: str) -> bool:
    """True for what is no user with a password: `admin: v1 / v2`, a time, a number with its unit."""
    return user.isdigit() or bool(_CODE.fullmatch(value)) or (value[:1].isdigit() and not is_strong(value))


def _lines_with(low: str, words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Start and end of each line that holds one of the words."""
    found: dict[int, int] = {}
    for word in words:
        at = low.find(word)
        while at >= 0:
            end = low.find("\n", at)
            end = len(low) if end < 0 else end + 1
            found[low.rfind("\n", 0, at) + 1] = end
            at = low.find(word, end)
    return sorted(found.items())


def _pieces_with(text: str, low: str, start: int, end: int, words: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """The line, or of one that is very long the pieces that hold one of the words."""
    for offset, piece in pieces(text, start, end):
        if len(piece) == end - start or any(low.find(word, offset, offset + len(piece)) >= 0 for word in words):
            yield offset, piece


def _in_urls_and_headers(text: str, low: str) -> Iterator[Span]:
    if "://" in text:
        for offset, piece in pieces(text):
            for match in _URL.finditer(piece) if "://" in piece else ():
                if not is_placeholder(match[1]):
                    yield Span(offset + match.start(1), offset + match.end(1), "url-password")
            for match in _URL_TOKEN.finditer(piece) if "://" in piece else ():
                if is_token(match[1]):
                    yield Span(offset + match.start(1), offset + match.end(1), "url-password")
    for mark, rule, pattern in (("bearer", "bearer-token", _BEARER), ("basic", "basic-auth", _BASIC)):
        if mark not in low:
            continue
        for offset, piece in pieces(text):
            for match in pattern.finditer(piece):
                real = is_token(match[1]) if rule == "bearer-token" else not is_placeholder(match[1])
                if real:
                    yield Span(offset + match.start(1), offset + match.end(1), rule)


def _near_words(text: str, low: str) -> Iterator[Span]:
    for name, words, pattern in _NEAR:
        for word in words:
            at = low.find(word)
            while at >= 0:
                start, end = line_around(text, at, lines=_NEAR_LINES)
                for match in pattern.finditer(text, start, end):
                    if is_token(match[0]):
                        yield Span(match.start(), match.end(), name)
                at = low.find(word, max(end, at + 1))


def _borrowed(text: str, low: str) -> Iterator[Span]:
    """Matches of detect-secrets: the longest group if that can be the secret, else the whole."""
    patterns = list(borrowed_patterns(low))
    for offset, piece in pieces(text) if patterns else ():
        for name, pattern in patterns:
            for match in pattern.finditer(piece):
                groups = [number for number in range(1, match.re.groups + 1) if len(match[number] or "") >= 16]
                group = max(groups, key=lambda number: len(match[number]), default=0)
                if is_token(match[group].strip()) and any(c.isdigit() for c in match[group]):
                    start, end = match.span(group)
                    yield Span(offset + start, offset + end, name)
