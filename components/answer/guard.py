"""What is taken out of notes before a model reads them, and out of answers before a person does.

A guard, not a proof. **Covered**: control tokens of the common chat templates and fences like ours are written with
look-alike characters, so that no note can end its fence or begin a turn; characters that people do not see (zero width,
direction, tags, variation selectors used as an alphabet, control characters, which would also drive a terminal) and
HTML comments are removed; images, the way by which an answer shown in a browser sends text away, become their
alternative text; links show their address.

**Not covered**: plain words. "Ignore your instructions" stays in the note, as the person wrote it, inside its fence,
and a model may still obey it: no fence is a wall for a language model, small ones least of all. Nor instructions that
are hidden in meaning, in other alphabets' look-alikes, in base64 or in pictures; nor control tokens of templates that
are not in the list; nor a bare address in an answer, which some programs turn into a link. What protects then is that
the answering model has no tools and no network, and that the sources are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

__all__ = ["clean_answer", "neutralise", "one_line"]

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ufe00-\ufe0e\U0001d173-\U0001d17a\U000e0000-\U000e0fff]|\ufe0f{2,}|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
_CONTROL = re.compile(
    r"<[|\uff5c][^<>\n]{1,60}[|\uff5c]>"  # <|im_start|>, <|eot_id|>, <｜User｜>
    r"|</?(?:s|bos|eos|pad|unk|think|thinking|tool_call|tool_response|tools|start_of_turn|end_of_turn|extra_id_\d+)>"
    r"|<{2}/?SYS>{2}"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|IMG|PREFIX|SUFFIX|MIDDLE)\]"
    r"|</?(?:system|developer|user|assistant|human|agent|tool|ai)[-_ ]?"
    r"(?:instructions?|prompts?|messages?|turn|role|rules?)?(?:\s[^<>\n]*)?/?>"
    r"|</?(?:instructions?|prompts?|important)(?:\s[^<>\n]*)?/?>",
    re.IGNORECASE,
)
_FENCE_LIKE = re.compile(r"<{3,}|>{3,}")
_HTML_IMAGE = re.compile(r"<(?:img|image|iframe|object|embed|video|audio|source|link|svg)\b[^>]*>?", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_IMAGE = re.compile(r"!\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\(\s*(?:<[^>\n]*>|[^)\s]*)[^)\n]*\)?|\s?\[[^\]\n]*\])?")
_LINK = re.compile(
    r"(?<!!)\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\(\s*<?((?:[a-z][a-z0-9+.-]*:)?//[^)\s>]+|[a-z]+:[^)\s>]+)>?[^)\n]*\)?",
    re.I,
)
_LOOK_ALIKE = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "\uff5c": "¦"})
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_OUR_FENCE = re.compile(r"<<<NOTA\b\s*(?:[0-9a-f]{8,}\b)?[ \t]*\n?|\n?(?:\b[0-9a-f]{8,}\s+)?\bFINE>>>")


def neutralise(text: str, *, fence_marks: bool = True) -> tuple[str, Counter[str]]:
    """Text of a note that is safe to stand inside a fence, and how often each kind of thing was found.

    Kinds: "unseen characters", "html comments", "control tokens", "fence marks", "images", "links". Doing it twice
    changes nothing more. `fence_marks=False` leaves `<<<` and `>>>`. See the module for what it does not catch.
    """
    found: Counter[str] = Counter()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    while True:  # taking one thing out can join the halves of another: <|im_<!-- -->start|>
        before = text
        text = _replace(_UNSEEN, "", text, found, "unseen characters")
        text = _replace(_COMMENT, "", text, found, "html comments")
        text = _replace(_HTML_IMAGE, _html_alt, text, found, "images")
        text = _replace(_IMAGE, lambda m: f"(immagine: {m[1].strip()})" if m[1].strip() else "", text, found, "images")
        text = _replace(_LINK, lambda m: f"{m[1]} ({m[2]})" if m[1] != m[2] else m[2], text, found, "links")
        text = _replace(_CONTROL, lambda m: m[0].translate(_LOOK_ALIKE), text, found, "control tokens")
        if fence_marks:
            text = _replace(_FENCE_LIKE, lambda m: m[0].translate(_LOOK_ALIKE), text, found, "fence marks")
        if text == before:
            return text, found


def one_line(text: str, *, max_chars: int = 200) -> str:
    """A path or heading for a label: neutralised, on one line, cut."""
    line = " ".join(neutralise(text)[0].split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def clean_answer(text: str, *, marker: str) -> str:
    """What a model said, without private thoughts, control tokens, repeated fences, images and unseen characters.

    `marker` is that of the request's fences; its beginning goes too where the answer was cut in it. Marks like `>>>`
    that belong to code stay.
    """
    text = _OUR_FENCE.sub("", _THOUGHT.sub("", _UNSEEN.sub("", text))).replace(marker, "")
    beginnings = "|".join(marker[:length] for length in range(len(marker) - 1, 4, -1))
    text = re.sub(rf"\s(?:{beginnings})\s*\Z", "", text)
    text = neutralise(_CONTROL.sub("", text), fence_marks=False)[0]
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _replace(
    pattern: re.Pattern[str], by: str | Callable[[re.Match[str]], str], text: str, found: Counter[str], kind: str
) -> str:
    text, times = pattern.subn(by, text)
    if times:
        found[kind] += times
    return text


def _html_alt(match: re.Match[str]) -> str:
    alt = _ALT.search(match[0])
    words = next((group for group in alt.groups() if group), "") if alt else ""
    return f"(immagine: {words})" if words else ""
