"""Rules C1 to C14 but C4 and C10: what is wrong with the text of a turn, whatever its language.

A turn of a machine (function_call, observation) holds JSON, so only C1, C3 and C5 look at it. What these rules do NOT
see: control tokens of templates that are not in components/answer/control_tokens.py; an ending that is cut but looks
finished, and one in a script without full stops; loops of passages longer than twelve words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.dataset.checks.endings import cut_off
from components.dataset.checks.glance import AMPERSAND, ANGLE, BRACE, BRACKET, BUTTON, FENCE, FILL, SQUARE, Look, glance
from components.dataset.checks.hidden import hidden_characters
from components.dataset.checks.loops import loop
from components.dataset.conversation import Conversation
from components.dataset.findings import Hit, Severity
from components.llm.control_tokens import MARKS, TAGS, TOKENS

__all__ = ["text_hits"]

_MACHINES = frozenset({"function_call", "observation"})
_SPOKEN = frozenset({"system", "human", "gpt"})

_TOKENS = re.compile(TOKENS, re.IGNORECASE)
_TAGS = re.compile(TAGS, re.IGNORECASE)
_MARKS = re.compile(MARKS, re.IGNORECASE)
_THINK = re.compile(r"<(/?)think(?:ing)?>", re.IGNORECASE)
_TOOL_PART = re.compile(r"<(/?)(tool_calls?|tool_responses?|tools)>", re.IGNORECASE)
_THOUGHT_FIRST = re.compile(r"\s*<(think|thinking)>(?:(?!</?think).)*</\1>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})", re.MULTILINE)
_CODE = re.compile(r"^[ \t>]*(?P<fence>`{3,}|~{3,}).*?(?:^[ \t>]*(?P=fence)|\Z)|`[^`\n]+`", re.DOTALL | re.MULTILINE)

_BUTTONS = frozenset(
    "copy code|copy|copied|copied!|copy to clipboard|copy link|copia|copia codice|copiato|copiato!|regenerate|chatgpt"
    "|regenerate response|regenerated response|rigenera|rigenera risposta|share|share chat|share this chat|share prompt"
    "|share conversation|condividi|condividi chat|stop generating|continue generating|read aloud|edit message"
    "|view drafts|view other drafts|show drafts|good response|bad response|thumbs up|thumbs down|like|dislike"
    "|new chat|nuova chat|upgrade to plus|network error".split("|")
)
"""Lines of a chat page that are nothing but a button."""
_COUNTER = re.compile(r"\d{1,2} ?/ ?\d{1,2}")
_NOTICES = (
    "too many requests in 1 hour", "too many requests in one hour", "!error in message stream",
    "something went wrong. if this issue persists", "there was an error generating a response",
    "our systems have detected unusual activity", "chatgpt can make mistakes", "chatgpt may make mistakes",
    "chatgpt può commettere errori", "sharegpt.com", "chat.openai.com/share/", "chat.openai.com/c/",
    "chat.openai.com/chat", "chatgpt.com/share/", "chatgpt.com/c/", "shared via sharegpt",
    "pythoncopy code", "bashcopy code", "sqlcopy code", "javascriptcopy code", "htmlcopy code", "csscopy code",
    "jsoncopy code", "javacopy code", "csharpcopy code", "phpcopy code", "cppcopy code", "typescriptcopy code",
)  # fmt: skip
"""In small letters."""
_COPY_COUNT = re.compile(r"\bcopy ?\d+ chars ?/ ?\d+ words", re.IGNORECASE)

_BRACKETED = re.compile(
    r"\[(?:(?:your|my|the|a|an|il|la|lo|un|una|tuo|tua|mio|mia|vostro|vostra|insert|enter|add|inserisci|inserire)"
    r"(?=[ '’_-]\w)"
    r"|full|first|last|company|recipient|sender|customer|client|nome|cognome|data|indirizzo|azienda|name|date|address"
    r"|email|e-mail|phone|telefono|titolo|title|position|city|città|state|zip|signature|firma|url|xxx+)"
    r"(?:[ '’_/-][\w'’&/ .-]{0,40})?\](?![(\[:\w])"
    r"|\[(?:redacted|omissis|masked|removed)(?::[\w-]{1,40})?\](?![(\[:\w])",  # as components.sncp.redact writes it
    re.IGNORECASE,
)
_BRACED = re.compile(r"\{\{[ \t]*[^\W\d][\w .-]{0,40}\}\}(?!\})")
_ANGLED = re.compile(r"<(?:your|insert|enter|il[_ -]tuo|la[_ -]tua|inserisci)[ _-][\w _-]{1,40}>", re.IGNORECASE)
_FILLED = re.compile(
    r"\b(?:TODO|TBD|FIXME)[ \t]*:|[\[(](?:TODO|TBD|FIXME)[\])]|\[(?:TODO|TBD|FIXME)\b[^\]\n]{0,80}\]"
    r"|^[ \t]*(?:TODO|TBD|FIXME)[ \t.]*$|\b(?i:lorem\s+ipsum)\b",
    re.MULTILINE,
)
_HTML = re.compile(
    r"<(?:div|span|p|a|img|font|table|tbody|thead|tr|td|th|ul|ol|li|h[1-6]|script|style|iframe|button|form|input|section"
    r"|article|header|footer|nav|svg|html|body|head|meta|link|center|label|pre|em|strong|code|b|i)"
    r"(?:\s+[\w:-]{1,30}\s*=[^<>]{0,300}|\s*)/?>"
    r"|</(?:div|span|p|a|font|table|tr|td|th|ul|ol|li|h[1-6]|script|style|button|form|html|body)>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:nbsp|amp|lt|gt|quot|apos|rsquo|lsquo|ldquo|rdquo|hellip|ndash|mdash|[aeiou](?:grave|acute)"
                     r"|#\d{2,5}|#x[0-9a-f]{2,4});", re.IGNORECASE)  # fmt: skip


def text_hits(conversation: Conversation) -> Iterator[Hit]:
    """C1 to C3, C5 to C9 and C11 to C14 of every text of the conversation, the system prompt of the column too."""
    looks = glance(conversation)
    question = ""
    about_html: bool | None = None
    for look in looks:
        text, role = look.text, look.role
        if not look.words:
            if look.turn is not None or text:
                # A tool that has nothing to say is no fault of who wrote the conversation.
                severity: Severity | None = "warning" if role == "observation" else None
                said = "nothing but white space" if text else "the text is empty"
                yield Hit("C1", said, look.turn, severity=severity)
            continue
        machine = role in _MACHINES
        if not machine and (text[0].isspace() or text[-1].isspace()):
            yield Hit("C2", _edges(text), look.turn)
        yield from hidden_characters(look, lowered=machine)
        if look.marks & (ANGLE | SQUARE):
            yield from _control_tokens(look, looks)
        if machine or role not in _SPOKEN:
            continue
        if look.marks & (FENCE | BUTTON | BRACE | BRACKET | FILL | ANGLE):
            yield from _left_overs(look)
        if role != "gpt":
            question = text if role == "human" else question
            continue
        if look.marks & (ANGLE | AMPERSAND):
            if about_html is None:
                about_html = any("html" in other.text.lower() for other in looks if other.role != "system")
            if not about_html:
                yield from _html(look)
        if why := cut_off(text, fenced=bool(look.marks & FENCE)):
            yield Hit("C11", why, look.turn)
        if why := loop(look):
            yield Hit("C12", why, look.turn)
        if question and _is_copy(text, question):
            yield Hit("C13", "the answer is the question over again", look.turn)


def _edges(text: str) -> str:
    where = [name for name, edge in (("begins", text[0]), ("ends", text[-1])) if edge.isspace()]
    return f"{' and '.join(where)} with white space"


def _control_tokens(look: Look, looks: tuple[Look, ...]) -> Iterator[Hit]:
    """C5 and C6."""
    text, role = look.text, look.role
    seen: set[str] = set()
    for match in _TOKENS.finditer(text):
        if match[0] not in seen:
            seen.add(match[0])
            yield Hit("C5", f"the control token {_spelled(match[0])}", look.turn, _spaced(match[0]))
    for match in _MARKS.finditer(text):
        if match[0] not in seen:
            seen.add(match[0])
            message = f"{_spelled(match[0])} is a control token of some models"
            yield Hit("C5", message, look.turn, _spaced(match[0]), "warning")
    if role == "gpt" and (why := _unbalanced_thought(text)):
        yield Hit("C6", why, look.turn)
    if not (tag := _TAGS.search(text)):
        return
    severity = _of_tags(look, looks)
    if severity is not None:
        where = {
            "human": "a human turn",
            "observation": "an observation",
            "gpt": "an answer",
            "system": "a system prompt",
        }
        message = f"{_spelled(tag[0])} in {where.get(role, 'a turn')}, where templates put none"
        yield Hit("C5", message, look.turn, _spaced(tag[0]), severity)


def _of_tags(look: Look, looks: tuple[Look, ...]) -> Severity | None:
    """How bad the tags of thoughts and tools are in this text; None: they are in their place."""
    if look.role in {"gpt", "function_call"}:
        rest = look.text
        if thought := _THOUGHT_FIRST.match(rest):
            rest = rest[thought.end() :]
        return "warning" if _TAGS.search(rest) and not _are_tool_parts(rest) else None
    if look.role in {"human", "observation"}:
        # A whole turn in one tag is how some write the result of a tool: no accident, but the template adds its own.
        stripped = look.text.strip().lower()
        if stripped.startswith("<tool_response>") and stripped.endswith("</tool_response>"):
            return "warning"
        return "error"
    return "warning"


def _are_tool_parts(text: str) -> bool:
    """Whether all its tags are calls in pairs, as models with tags of their own are trained."""
    tags = [(match[1] == "/", match[2].lower()) for match in _TOOL_PART.finditer(text)]
    if len(tags) != len(_TAGS.findall(text)) or len(tags) % 2:
        return False
    return all(
        not closes and ends and name == other and name.startswith("tool_call")
        for (closes, name), (ends, other) in zip(tags[::2], tags[1::2], strict=True)
    )


def _unbalanced_thought(text: str) -> str | None:
    depth = 0
    for match in _THINK.finditer(text):
        depth += -1 if match[1] else 1
        if depth not in (0, 1):
            return f"{_spelled(match[0])} without its other half"
    return "a <think> that nothing closes" if depth else None


def _left_overs(look: Look) -> Iterator[Hit]:
    """C7, C8 and C9."""
    text = look.text
    bare = text
    if look.marks & FENCE:
        if why := _odd_fences(text):
            yield Hit("C7", why, look.turn)
    if (look.marks & FENCE or "`" in text) and look.marks & (BUTTON | BRACE | BRACKET | FILL | ANGLE):
        bare = _CODE.sub(" ", text)
    if look.marks & BUTTON and (junk := _of_a_page(bare, answer=look.role == "gpt")):
        yield Hit("C8", f"left over from a web page: {_short(junk)}", look.turn)
    if look.marks & (BRACE | BRACKET | FILL | ANGLE) and (placeholder := _placeholder(bare, look.marks)):
        yield Hit("C9", f"{_short(placeholder)} stands for something else", look.turn)


def _of_a_page(text: str, *, answer: bool) -> str | None:
    """A button or a notice of a chat page. A line `2 / 2` of a person may be a fraction."""
    for line in text.split("\n"):
        if len(line) <= 40 and line:
            bare = line.strip()
            if bare.lower() in _BUTTONS and (answer or " " in bare):
                return bare
            if answer and _COUNTER.fullmatch(bare):
                return bare
    low = text.lower()
    for notice in _NOTICES:
        if notice in low:
            return notice
    match = _COPY_COUNT.search(text) if "chars" in low else None
    return match[0] if match else None


def _placeholder(text: str, marks: int) -> str | None:
    if marks & BRACE:
        for match in _BRACED.finditer(text):
            before = text[match.start() - 1 : match.start()]
            if not (before.isalnum() or (before and before in "\\^_}$")):  # not LaTeX
                return match[0]
    if marks & BRACKET:
        for match in _BRACKETED.finditer(text):
            before = text[match.start() - 1 : match.start()]
            if not (before.isalnum() or (before and before in "!]\\_")):
                return match[0]
    last = _ANGLED.search(text) if marks & ANGLE else None
    if last is None and marks & FILL:
        last = _FILLED.search(text)
    return last[0] if last else None


def _odd_fences(text: str) -> str | None:
    """Why the fences do not pair, as CommonMark pairs them; what does not begin a line is no fence."""
    opened = ""
    at = 0
    for match in _FENCE.finditer(text):
        end = text.find("\n", match.end())
        info = text[match.end() : end if end >= 0 else len(text)]
        if not opened:
            if "`" in info:
                continue  # a code span that begins a line
            opened, at = match[1], match.start()
        elif match[1].startswith(opened) and not info.strip():
            opened = ""
    if not opened:
        return None
    line = text.count("\n", 0, at) + 1
    return f"the code fence of line {line} of the text is not closed"


def _html(look: Look) -> Iterator[Hit]:
    bare = _CODE.sub(" ", look.text) if "`" in look.text or look.marks & FENCE else look.text
    if look.marks & ANGLE and (match := _HTML.search(bare)):
        yield Hit("C14", f"the HTML tag {_short(match[0])}", look.turn)
    elif look.marks & AMPERSAND and (match := _ENTITY.search(bare)):
        yield Hit("C14", f"the HTML entity {_short(match[0])}", look.turn)


def _is_copy(answer: str, question: str) -> bool:
    if not 0.8 * len(question) <= len(answer) <= 1.2 * len(question) + 4:
        return False
    asked = [word.strip(".,;:!?\"'«»") for word in question.lower().split()]
    said = [word.strip(".,;:!?\"'«»") for word in answer.lower().split()]
    return asked == said and (len(asked) >= 4 or len(answer) >= 24)


def _spelled(token: str) -> str:
    return token if len(token) <= 40 else f"{token[:40]}…"


def _spaced(token: str) -> str:
    return f"remove it, or write it so that no tokenizer takes it for one: {token[0]} {_spelled(token[1:])}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else f"{line[:59]}…")
