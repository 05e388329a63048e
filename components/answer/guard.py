"""What is taken out of notes before a model reads them, and out of answers before a person does.

A guard, not a proof. **Covered**: control tokens of the common chat templates (ChatML, Llama, Mistral, Gemma, Qwen,
DeepSeek, harmony, Phi, StarCoder and more, full-width too) and fences like ours are written with look-alike characters,
so that no note can end its fence or begin a turn; characters that people do not see (zero width, direction, tags,
variation selectors used as an alphabet, control characters, which would also drive a terminal) and HTML comments are
removed; images, the way by which an answer shown in a browser sends text away, become their alternative text; HTML that
fetches, runs or links is written with look-alikes; links, reference-style ones too, show their address. In answers an
address that no note and no question holds word for word is broken (`hxxps://a[.]b/`): a model that was talked into
carrying something away has to make an address for it. Numbers of notes that were not given, and a list of sources of
the model's own, are taken out. Each pattern takes time in the length of the text, and what is made of it is looked at
again a bounded number of times: signs that then still stand in one another are written with look-alikes.

**Not covered**: plain words. "Ignore your instructions" stays in the note, as the person wrote it, inside its fence,
and a model may still obey it: no fence is a wall for a language model, small ones least of all. Nor instructions that
are hidden in meaning, in look-alikes of other alphabets, in base64 or in pictures; turns in plain words (`User:`); nor
control tokens of templates that are not in the list; an address that a note holds word for word, which stays readable
and which some programs turn into a link; a name of a note that the model invents in its prose. What protects then is
that the answering model has no tools and no network, and that the sources which it was really given are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from components.llm.control_tokens import AHEAD, HEADINGS, LEFT, MARKS, RIGHT, TAGS, TOKENS

__all__ = [
    "ROUNDS", "Change", "clean_answer", "disarmed", "first_changes", "last_changes", "neutralise", "one_line",
    "repeated_changes",
]  # fmt: skip

ROUNDS = 8
"""How often a text is looked at again. Nobody writes tags, links or comments so deep in one another by chance."""

Change = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]
"""A pattern and what it is replaced by. An answer is cleaned by nothing else: `stream_guard` relies on that."""

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufeff"
    "\uffa0\ufff9-\ufffb\ufe00-\ufe0e\U0001d173-\U0001d17a\U000e0000-\U000e0fff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
    "|\ufe0f{2,}"
)
_TURN = rf"{TOKENS}|{TAGS}|{MARKS}|{HEADINGS}"
_TURNS = re.compile(rf"{AHEAD}(?:{_TURN})", re.IGNORECASE | re.MULTILINE)
# Long attributes count as a tag, closed or not: to look for its end from each beginning would take the square.
_TAG_END = rf"(?:/?{RIGHT}|\s(?:[^<>\n]{{0,200}}{RIGHT}|[^<>\n]{{200}}))"
_CONTROL = re.compile(
    rf"{AHEAD}(?:{_TURN}|{LEFT}/?(?:system|developer|user|assistant|human|agent|tool|ai)[-_ ]?"
    rf"(?:instructions?|prompts?|messages?|turn|role|rules?|reminders?|override)?{_TAG_END}"
    rf"|{LEFT}/?(?:instructions?|prompts?|important|function_calls?|function_results?|invoke){_TAG_END}"
    rf"|{LEFT}(?:repo_?name|filename|file_sep|gh_stars|issue_\w{{1,20}}|jupyter_\w{{1,20}}|empty_output|fim_\w{{1,20}}"
    rf"|commit_\w{{1,20}}){RIGHT})",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE_LIKE = re.compile(
    rf"(?=[<＜﹤>＞﹥≪⋘《≫⋙》])(?:{LEFT}{{3,}}|{RIGHT}{{3,}}|[≪⋘《]{{2,}}|[≫⋙》]{{2,}})"  # looked ahead: see AHEAD
)
_IMAGE_TAGS = r"img|image|iframe|object|embed|video|audio|source|picture|track|link|svg|use|feimage"
_HTML_IMAGE = re.compile(rf"<(?:{_IMAGE_TAGS})\b[^>]*>?", re.IGNORECASE)
_FETCHES = r"src|srcset|href|xlink:href|style|background|poster|data|action|formaction|ping|on[a-z]+"
_ACTIVE = re.compile(
    r"</?(?:script|style|base|meta|form|input|button|textarea|area|frame|frameset|applet|animate|set|foreignobject"
    rf"|{_IMAGE_TAGS})\b[^<>]*>?"
    rf"|<[a-z][\w:-]*\s(?:[^<>]*[\s\"'/])?(?:{_FETCHES})\s*=[^<>]*>?",
    re.IGNORECASE,
)
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))", re.IGNORECASE)
_IMAGE = re.compile(r"!\[((?:[^\[\]]|\[[^\[\]]*\])*)\](?:\(\s*(?:<[^>\n]{0,1000}>|[^)\s]*)[^)\n]*\)?|\s?\[[^\]\n]*\])?")
_IMAGE_LEFT = re.compile(r"!\[")  # brackets that do not pair: a lenient program may take it for one
_ADDRESS = r"(?:[a-z][a-z0-9+.-]*:)?//[^)\s>]+|[a-z]+:[^)\s>]+"
_LINK = re.compile(rf"(?<!!)\[((?:[^\[\]\n]|\[[^\[\]\n]*\])*)\]\(\s*<?({_ADDRESS})>?[^)\n]*\)?", re.I)
_DEFINITION = re.compile(
    r"^( {0,3})\[([^\]\n]+)\]:[ \t]*<?((?:[a-z][a-z0-9+.-]*:)?//[^\s>]+|[a-z]+:[^\s>]+)>?", re.I | re.M
)
_AUTOLINK = re.compile(r"<((?:[a-z][a-z0-9+.-]{1,20}:)?//[^\s<>]+|(?:mailto|data|javascript):[^\s<>]+)>", re.IGNORECASE)
_LOOK_ALIKE = str.maketrans({
    "<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "\uff5c": "¦", "＜": "‹", "﹤": "‹", "＞": "›", "﹥": "›",
    "［": "⟦", "］": "⟧", "#": "♯", ":": "∶", "≪": "‹", "⋘": "‹", "《": "‹", "≫": "›", "⋙": "›", "》": "›",
})  # fmt: skip
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_OUR_FENCE = re.compile(r"<<<NOTA\b\s*(?:[0-9a-f]{8,}\b)?[ \t]*\n?|\n?(?:\b[0-9a-f]{8,}\s+)?\bFINE>>>")
_DIGITS, _CUT_DIGITS = re.compile(r"[0-9a-f]{16,}"), re.compile(r"\s([0-9a-f]{5,15})\s*\Z")  # where a marker may be
_URL = re.compile(
    r"\b(?:(?:https?|ftps?|wss?|file)://|www\.)[^\s<>\"'`]+|\b(?:data|javascript|mailto):[^\s<>\"'`]+"
    r"|(?<![\w@./-])(?:[\w-]+\.)+[a-z]{2,}/[^\s<>\"'`?]{0,1000}\?(?:[^\s<>\"'`=]{0,1000}=|[^\s<>\"'`=]{1000})"
    r"[^\s<>\"'`]*",
    re.IGNORECASE,
)
_AFTER = ".,;:!?)]}*_»”’"
"""What may stand behind an address in a sentence."""
_OWN_SOURCES = re.compile(
    r"\n[ \t]*\W{0,3}(?:fonti|fonte|sources?|references|riferimenti|note lette)\W{0,3}:?\W{0,3}[ \t]*"
    r"(?:\n[ \t]*(?:[-*•]\s*)?\[\d{1,3}\][^\n]*|\n[ \t]*)+\Z",
    re.IGNORECASE,
)
_PIECE = 1000  # characters
_CARRIAGE_RETURN = re.compile(r"\r")
_EMPTY_LINES = re.compile(r"\n{3,}")
_NUMBERS = re.compile(
    r"(?P<code>```.*?(?:```|\Z)|`[^`\n]*`)|(?:[ \t]|(?<![\w\])]))\[(?P<numbers>\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\](?!\()",
    re.DOTALL,
)


def neutralise(text: str, *, fence_marks: bool = True) -> tuple[str, Counter[str]]:
    """Text of a note that is safe to stand inside a fence, and how often each kind of thing was found.

    Kinds: "unseen characters", "html comments", "control tokens", "fence marks", "images", "links", "active html",
    "signs in one another" (1: all of the text's brackets and the like were written with look-alikes).
    Doing it twice changes nothing more. `fence_marks=False` leaves `<<<` and `>>>`. See the module for what it does
    not catch.
    """
    found: Counter[str] = Counter()
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for _ in range(ROUNDS):  # taking one thing out can join the halves of another: <|im_<!-- -->start|>
        before = text
        text = _unlinked(text, found)
        text = _replace(_CONTROL, _look_alike, text, found, "control tokens")
        if fence_marks:
            text = _replace(_FENCE_LIKE, _look_alike, text, found, "fence marks")
        if text == before:
            return text, found
    found["signs in one another"] += 1
    return disarmed(text), found


def disarmed(text: str) -> str:
    """The text with every sign that can open or close something written with a look-alike: no pattern finds any."""
    return _UNSEEN.sub("", _UNSEEN.sub("", text.translate(_LOOK_ALIKE)))  # the first can bring two selectors together


def one_line(text: str, *, max_chars: int = 200) -> str:
    """A path or heading for a label: neutralised, on one line, cut."""
    line = " ".join(neutralise(text)[0].split())
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def clean_answer(text: str, *, marker: str, known: str = "", notes: int | None = None) -> str:
    """What a model said, without all that would act where it is shown or pretend to be the program.

    Args:
        text: the model's.
        marker: that of the request's fences, 16 digits of hex; its beginning goes too where the answer was cut in
            it. Marks like `>>>` that belong to code stay.
        known: all that the model was given; an address that stands in it word for word can carry nothing away, and
            is left as it is.
        notes: how many notes it was given, numbered from 1; other numbers in brackets go. None: all stay.
    """
    shown = _changed(text, first_changes(marker))
    for _ in range(ROUNDS):
        before = shown
        shown = _changed(shown, repeated_changes())
        if shown == before:
            return _changed(f"\n{shown}", last_changes(known=known, notes=notes)).strip()
    # From where on it is disarmed depends on what can be shown before: one place knows that.
    from components.answer.stream_guard import StreamGuard

    guard = StreamGuard(marker=marker, known=known, notes=notes)
    for place in range(0, len(text), _PIECE):
        guard.feed(text[place : place + _PIECE])
    guard.end()
    return guard.text


def _changed(text: str, changes: Sequence[Change]) -> str:
    """The text after these changes, one after the other."""
    for pattern, by in changes:
        text = pattern.sub(by, text)
    return text


def first_changes(marker: str) -> list[Change]:
    """What is taken out of an answer first, once. See `clean_answer` for `marker`."""
    return [
        (_UNSEEN, ""),
        (_THOUGHT, ""),
        (_OUR_FENCE, ""),
        (_DIGITS, lambda match: match[0].replace(marker, "")),
        (_CUT_DIGITS, lambda match: "" if marker.startswith(match[1]) else match[0]),
    ]


def repeated_changes() -> list[Change]:
    """What is changed then, until nothing changes, `ROUNDS` times at most: taking one thing out can make another."""
    return [(_CARRIAGE_RETURN, "\n"), *((pattern, by) for pattern, by, _ in _UNLINKED), (_TURNS, "")]


def last_changes(*, known: str, notes: int | None) -> list[Change]:
    """What is changed last, once, in the answer with a line end put before it. See `clean_answer` for the rest."""
    return [
        (_OWN_SOURCES, ""),
        (_NUMBERS, lambda match: _given(match, notes)),
        (_URL, lambda match: match[0] if match[0].rstrip(_AFTER) in known else _broken(match[0])),
        (_EMPTY_LINES, "\n\n"),
    ]


def _unlinked(text: str, found: Counter[str]) -> str:
    """Without what people do not see, and with nothing that is fetched, run or followed where the text is shown."""
    for pattern, by, kind in _UNLINKED:
        text = _replace(pattern, by, text, found, kind)
    return text


def _look_alike(match: re.Match[str]) -> str:
    return match[0].translate(_LOOK_ALIKE)


def _given(match: re.Match[str], notes: int | None) -> str:
    if notes is None or match["code"] is not None:
        return match[0]
    numbers = [int(number) for number in re.findall(r"\d+", match["numbers"])]
    kept = [str(number) for number in numbers if 1 <= number <= notes]
    if len(kept) == len(numbers):
        return match[0]
    return f"{match[0][: match[0].index('[')]}[{', '.join(kept)}]" if kept else ""


def _broken(address: str) -> str:
    """An address that no program takes for one, and a person can still read."""
    scheme, _, rest = address.partition(":") if re.match(r"[a-zA-Z]+:", address) else ("", "", address)
    named = re.sub(r"(?i)^http", "hxxp", scheme) if rest.startswith("//") else scheme
    return f"{named}{'[:]' if scheme and named == scheme else ':' if scheme else ''}{rest.replace('.', '[.]', 1)}"


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


_UNLINKED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str], str], ...] = (
    (_UNSEEN, "", "unseen characters"),
    (_COMMENT, "", "html comments"),
    (_HTML_IMAGE, _html_alt, "images"),
    (_IMAGE, lambda m: f"(immagine: {m[1].strip()})" if m[1].strip() else "", "images"),
    (_IMAGE_LEFT, _look_alike, "images"),
    (_LINK, lambda m: f"{m[1]} ({m[2]})" if m[1] != m[2] else m[2], "links"),
    (_DEFINITION, lambda m: f"{m[1]}{m[2]}: {m[3]}", "links"),
    (_AUTOLINK, lambda m: m[1], "links"),
    (_ACTIVE, _look_alike, "active html"),
)
