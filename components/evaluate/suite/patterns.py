r"""Regular expressions of the user, of RE2: no pattern takes longer than the text is long.

Python's `re` tries an expression such as `(a+)+$` in time that doubles with each letter, and nothing can interrupt it.
RE2 (it comes with pyarrow) takes time in proportion to the text, and refuses what it cannot do so: look-around and
back-references. Its `\b` and `\w` know the letters of ASCII only, so accents are taken off pattern and text first:
`\bperché\b` finds "perché", and "perche" as well.

Not covered: a difference that only accents make, such as `è` and `e`.
"""

from __future__ import annotations

import struct
import unicodedata

from components.sncp.redact import mask_secrets

__all__ = ["found_at", "pattern_fault"]

MAX_PATTERN = 1_000
"""Characters of a pattern: time grows with them as well."""
_SHOWN = 60
_LOOKED_AT = 2_000
"""Characters that are masked before they are cut to what is shown: a secret that is cut is none that is known."""
_NOT_RE2 = ("invalid perl operator: (?", "invalid escape sequence: \\")


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a regular expression, in words; None: nothing."""
    from pyarrow.lib import ArrowInvalid

    if len(pattern) > MAX_PATTERN:
        return f"{len(pattern):,} characters; expected at most {MAX_PATTERN:,}"
    try:
        position = _position(pattern, "")
    except ArrowInvalid as error:
        said = str(error).removeprefix("Invalid regular expression: ")
        hint = "; RE2 has no look-around and no back-references" if said.startswith(_NOT_RE2) else ""
        return f"not a regular expression of RE2: {said}{hint}"
    return "matches an answer without a word in it: nothing could fail it" if position >= 0 else None


def found_at(pattern: str, text: str) -> str | None:
    """A few words of `text` (without accents) from the one where `pattern` first matches on; None: nowhere.

    Secrets in them are masked.
    """
    plain = _without_accents(text)
    position = _position(pattern, plain)
    if position < 0:
        return None
    start = len(plain.encode()[:position].decode())
    while start and not plain[start - 1].isspace():  # a secret is known by its beginning
        start -= 1
    return " ".join(mask_secrets(plain[start : start + _LOOKED_AT])[:_SHOWN].split())


def _position(pattern: str, plain: str) -> int:
    """Of the first match, in bytes; -1: none."""
    import pyarrow
    import pyarrow.compute

    data = plain.encode()
    # By hand: `pyarrow.array` imports pandas, to see whether it is given something of that.
    offsets = pyarrow.py_buffer(struct.pack("=2i", 0, len(data)))
    texts = pyarrow.StringArray.from_buffers(1, offsets, pyarrow.py_buffer(data))
    found = pyarrow.compute.find_substring_regex(texts, pattern=_without_accents(pattern))
    return int(found[0].as_py())


def _without_accents(text: str) -> str:
    """Letters without their marks; half characters, which no encoding can hold, as question marks."""
    whole = text.encode("utf-8", "replace").decode()
    return "".join(char for char in unicodedata.normalize("NFD", whole) if unicodedata.category(char) != "Mn")
