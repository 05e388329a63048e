"""The guard on an answer that is still being written: what can be shown already, and will not change any more.

The pieces that it gives, joined, are what `clean_answer` makes of the whole. So it holds back whatever a later word can
change: an open tag, link, image, fence, thought, citation or address, and what may become a list of sources.

How it knows: the text so far is cut before a blank, where no change of the guard can reach over the cut. That is so
when no pattern matches up to the very end of the beginning, none may have begun there (`_BEGUN`, `_BEGUN_LAST`), and
both still hold after each change. Then the beginning and the rest are changed as if each stood alone. A pattern that is
added to the guard needs its beginning here; `tests/answer/test_stream_guard.py` looks for one that is missing.

Where signs stand in one another deeper than the guard looks, all that was not shown by then is held back and disarmed.
So what was shown by then must not depend on the pieces: the first cuts are tried in the order of the text.

**Not covered**: what the guard itself does not cover. A language without blanks is shown all at once, at the end; so is
the rest of an answer after a tag, comment or image that is opened and never closed.
"""

from __future__ import annotations

import re

from components.answer.guard import ROUNDS, Change, disarmed, first_changes, last_changes, repeated_changes

__all__ = ["StreamGuard"]

_CUT = re.compile(r"(?<=\S) ")
_CUT_LAST = re.compile(r"(?<=\S) (?=[^\[])")  # a number in brackets that goes takes the blank before it along
_TRIED = 3  # cuts for the last changes, the last ones; earlier ones were tried when they were the last
_PATIENCE = 16  # what is held back is looked at again when it has grown by this part of it
_BEGUN = re.compile(
    r"<[a-z/!][^<>]*+\Z"  # a tag, a comment, an address
    r"|!\[(?:[^\[\]]|\[[^\[\]]*\])*+(?:\[[^\[\]]*+)?+\Z"  # an image
    r"|\[(?:[^\[\]\n]|\[[^\[\]\n]*\])*+(?:\[[^\[\]\n]*+)?+\Z"  # the text of a link
    r"|\]\(\s*<?\Z"
    r"|^ {0,3}\[[^\]\n]+(?:\]:[ \t]*<?)?\Z"  # the definition of a link
    r"|[\[［][|｜][^\[\]\n]{0,40}\Z"  # [|user|]
    r"|^#{2,3}\Z"  # ### Response:
    r"|(?<![0-9a-f])[0-9a-f]{8,}+\Z",  # the end of a fence
    re.IGNORECASE | re.MULTILINE,
)
_BEGUN_LAST = re.compile(
    r"\n[ \t]*\W{0,3}(?:note)?\Z"  # a list of sources
    r"|\n[ \t]*\W{0,3}(?:fonti|fonte|sources?|references|riferimenti|note lette)\W{0,3}:?\W{0,3}[ \t]*"
    r"(?:\n[ \t]*(?:[-*•]\s*)?\[\d{1,3}\][^\n]*|\n[ \t]*)*(?:\n[ \t]*[-*•])?\Z"
    r"|\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*[,;]?\Z",  # numbers of notes
    re.IGNORECASE,
)
_FENCE = "```"


class StreamGuard:
    """Takes an answer in pieces and gives it cleaned, in pieces, as `clean_answer` would the whole.

    Args:
        marker: see `clean_answer`.
        known: see there.
        notes: see there.
    """

    def __init__(self, *, marker: str, known: str, notes: int | None) -> None:
        self._first = first_changes(marker)
        self._repeated = repeated_changes()
        self._last = last_changes(known=known, notes=notes)
        self._raw = _Held()
        self._linked = _Held()
        self._linked.text = "\n"
        self._blanks = ""
        self._too_deep = False
        self.text = ""
        """All that was given so far."""

    def feed(self, piece: str) -> str:
        """What can be shown now that the answer has gone on with `piece`; often nothing."""
        self._raw.text += piece
        while not self._too_deep and (cut := self._raw.next_cut(_CUT)) is not None:
            done = self._unlinked(self._raw.before(cut), whole=False)
            if done is None:
                self._raw.keep(cut)
            else:
                self._linked.text += self._raw.take(done, cut, context="x")
        for cut in self._linked.cuts(_CUT_LAST):
            done = self._finished(self._linked.before(cut), whole=False)
            if done is not None:
                in_code = self._in_code(self._linked.before(cut))
                return self._give(self._linked.take(done, cut, context=f"{_FENCE}x" if in_code else "x"))
        return ""

    def end(self) -> str:
        """The rest: the answer is complete."""
        raw, linked = self._raw, self._linked
        linked.text += raw.take(self._unlinked(raw.before(None), whole=True) or "", None, context="")
        return self._give(linked.take(self._finished(linked.before(None), whole=True) or "", None, context=""))

    def _give(self, text: str) -> str:
        """Without blanks at the beginning and the end of the answer."""
        text = self._blanks + text if self.text else text.lstrip()
        given = text.rstrip()
        self._blanks = text[len(given) :]
        self.text += given
        return given

    def _unlinked(self, text: str, *, whole: bool) -> str | None:
        """After the first and the repeated changes; None: what follows may still change it."""
        for change in self._first:
            if not whole and _reaches_on(text, change):
                return None
            text = change[0].sub(change[1], text)
        for _ in range(ROUNDS):
            before = text
            for change in self._repeated:
                if not whole and _reaches_on(text, change):
                    return None
                text = change[0].sub(change[1], text)
            if text == before:
                return text
        self._too_deep = True  # and so is whatever goes on from here
        return disarmed(text) if whole else None

    def _finished(self, text: str, *, whole: bool) -> str | None:
        """After the last changes; None: what follows may still change it."""
        sources, numbers, *others = self._last
        if not whole and _BEGUN_LAST.search(text):
            return None
        text = sources[0].sub(sources[1], text)
        if not whole and "`" in _after_code(text, numbers[0]):
            return None
        for pattern, by in (numbers, *others):
            text = pattern.sub(by, text)
        return text

    def _in_code(self, text: str) -> bool:
        """Whether it ends within a fence of code that was not closed: there numbers in brackets are no citations."""
        numbers = self._last[1][0]
        code = [m["code"] for m in numbers.finditer(text) if m["code"] is not None and m.end() == len(text)]
        return any(c.startswith(_FENCE) and not (len(c) >= 6 and c.endswith(_FENCE)) for c in code)


class _Held:
    """Text that is held back, after `context`, which stands for what was given before it."""

    def __init__(self) -> None:
        self.text = ""
        self._context = ""
        self._wait_for = 0

    def next_cut(self, pattern: re.Pattern[str]) -> int | None:
        """Where it may be cut next, after `keep` with some distance; None: nowhere yet."""
        match = pattern.search(self.text, self._wait_for)
        self._wait_for = match.start() if match else max(self._wait_for, len(self.text))
        return match.start() if match else None

    def keep(self, cut: int) -> None:
        """It could not be cut there."""
        self._wait_for = cut + cut // _PATIENCE + 1

    def cuts(self, pattern: re.Pattern[str]) -> list[int]:
        """Where it may be cut, the last first; none while it has hardly grown."""
        if len(self.text) < self._wait_for:
            return []
        self._wait_for = len(self.text) + len(self.text) // _PATIENCE
        return [match.start() for match in pattern.finditer(self.text)][: -_TRIED - 1 : -1]

    def before(self, cut: int | None) -> str:
        return self._context + self.text[:cut]

    def take(self, done: str, cut: int | None, *, context: str) -> str:
        """Let go of what is before the cut; `done` is what it became, context included."""
        done = done[len(self._context) :]
        self.text = "" if cut is None else self.text[cut:]
        self._context = context
        self._wait_for = 0
        return done


def _reaches_on(text: str, change: Change) -> bool:
    """Whether the change may concern what follows the text, and a blank, too."""
    if not text or text[-1].isspace() or _BEGUN.search(text):
        return True
    return any(match.end() == len(text) for match in change[0].finditer(text))


def _after_code(text: str, numbers: re.Pattern[str]) -> str:
    """The end of the last line, after all code: a backtick there may begin some."""
    end = max((match.end() for match in numbers.finditer(text) if match["code"] is not None), default=0)
    return text[max(end, text.rfind("\n") + 1) :]
