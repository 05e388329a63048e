"""Reads a page of ours as a browser would: its tags, attributes and words; and what somebody may write to break in."""

from __future__ import annotations

import re
from collections.abc import Collection
from html.parser import HTMLParser

__all__ = ["ATTACK", "Outline", "section"]

ATTACK = (
    "<script>document.title='broken into'</script></style></script><svg onload=\"document.title='broken into'\">"
    '<img src=x onerror="document.title=\'broken into\'">"\'><a href="javascript:alert(1)">x</a>{{ 7 * 7 }}<!--`x`'
)


class Outline(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, text: str, *, inline: Collection[str] = ("i", "b", "mark", "code")) -> None:
        """`inline`: tags that may begin within a word; none: every end of a tag parts words, too."""
        super().__init__()
        self.tags: list[str] = [""]
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self._inline = inline
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self._inline:
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        """What can be read, with one blank between words."""
        return " ".join(("" if self._inline else " ").join(self.words).split())


def section(text: str, name: str) -> str:
    """The words of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return Outline(found[1]).text
