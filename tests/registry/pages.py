"""The page of a run as a browser would read it, the words of its parts, and two runs that are not good enough."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from components.registry.report.facts import RunReport
from tests.registry.reports import gate_of, scorecard

ATTACK = (
    "<script>document.title='broken into'</script></style></script><svg onload=\"document.title='broken into'\">"
    '<img src=x onerror="document.title=\'broken into\'">"\'><a href="javascript:alert(1)">x</a>{{ 7 * 7 }}<!--`x`'
)
PARTS = (
    "gate", "personality", "tasks", "retrieval", "cost", "training", "changes", "worst", "errors", "unshown",
)  # fmt: skip


class Outline(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = [""]
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("b", "mark", "code"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def section(text: str, name: str) -> str:
    """The words of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return Outline(found[1]).text


def head(text: str) -> str:
    return Outline(text.partition("</header>")[0]).text


def open_card() -> dict[str, Any]:
    return scorecard(trusted=False, trained=False)


def bare() -> RunReport:
    """Of a run that scored nothing."""
    card = {"metrics": {}}
    return RunReport("mvp", card, gate_of(card, phase="mvp"))
