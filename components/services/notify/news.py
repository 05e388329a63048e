"""What is told, and in which words: one event as the text of a chat, as JSON and as a mail.

Without `details` the words are our own, and the names are those of recipes, steps, runs and releases: nothing that a
note, a question or an answer says. `details` adds what an error, or the reason of a promotion, says.
NOT covered: a recipe that its owner named after a secret; a secret in an error that `mask_secrets` does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from components.services.params import EmailParams, Event
from components.store import sha256_hex

__all__ = ["FORMAT", "News", "as_json", "as_mail", "as_text"]

FORMAT = 1
"""Of the JSON under `cervella`: raised when a key goes or changes its meaning."""
_LONGEST_TITLE, _LONGEST_DETAILS = 200, 1500  # characters; a chat takes 2000 in all
# What chats read as a command: a mention of everybody, a link with other words.
_HARMLESS = str.maketrans({"<": "‹", ">": "›", "@": "＠"})
_SIGNS: dict[Event, str] = {"failure": "✗", "refused": "!", "champion": "★", "done": "✓"}


@dataclass(frozen=True)
class News:
    """One event.

    Attributes:
        event: what kind it is.
        about: what it is about, the same however often it is told: a run, or a change of the champion.
        title: one line, in our own words.
        facts: names and numbers for programs; JSON values.
        look: what to do to see more: a command.
        link: a page about it; None: there is none.
        details: the words of an error or a reason, as they are; masked here.
        at: when it was noticed (UTC).
    """

    event: Event
    about: str
    title: str
    facts: Mapping[str, Any]
    look: str
    link: str | None = None
    details: str | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def key(self) -> str:
        """What makes two of them the same."""
        return f"{self.event}:{self.about}"


def as_text(news: News, *, details: bool) -> str:
    """Lines for people in a chat."""
    lines = [f"{_SIGNS[news.event]} {_line(news.title, _LONGEST_TITLE)}"]
    if words := _details(news, wanted=details):
        lines.append(words.translate(_HARMLESS))
    lines.append(f"See: {news.look}" + (f" or {news.link}" if news.link else ""))
    return "\n".join(lines)


def as_json(news: News, *, details: bool) -> dict[str, Any]:
    """What a webhook gets: `text` and `content` for chats, all of ours under `cervella` (docs/notifications.md)."""
    text = as_text(news, details=details)
    ours = {
        "format": FORMAT, "id": identity(news), "event": news.event,
        "at": news.at.isoformat(timespec="seconds"), "title": _line(news.title, _LONGEST_TITLE), **news.facts,
        "look": news.look, "link": news.link, "details": _details(news, wanted=details),
    }  # fmt: skip
    return {"text": text, "content": text, "cervella": ours}


def as_mail(news: News, params: EmailParams, *, details: bool) -> EmailMessage:
    """The mail. Told twice, it has the same Message-ID."""
    mail = EmailMessage()
    mail["Subject"] = f"[cervella] {_line(news.title, _LONGEST_TITLE)}"
    mail["From"], mail["To"] = params.sender, ", ".join(params.to)
    mail["Date"] = format_datetime(news.at)
    mail["Message-ID"] = f"<{identity(news)}@{params.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # nobody who is on holiday answers it
    facts = [f"{name.replace('_', ' ')}: {value}" for name, value in news.facts.items() if value is not None]
    words = _details(news, wanted=details)
    parts = [news.title, *([words] if words else []), "\n".join(facts)]
    parts.append(f"See: {news.look}" + (f"\n  or {news.link}" if news.link else ""))
    mail.set_content("\n\n".join(parts) + "\n")
    return mail


def identity(news: News) -> str:
    """The same for the same event, so that a receiver may drop what it has had: 32 hex digits."""
    return sha256_hex(news.key.encode())[:32]


def _details(news: News, *, wanted: bool) -> str | None:
    if not wanted or not news.details:
        return None
    from components.sncp.redact import mask_secrets

    return _line(mask_secrets(news.details), _LONGEST_DETAILS)


def _line(text: str, longest: int) -> str:
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
