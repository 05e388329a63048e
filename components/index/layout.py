"""Pieces -> parts: which pieces share a chunk, and what stands in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from components.index.blocks import Block, parse_blocks, split_lines
from components.index.pieces import Measure, Piece, block_pieces
from components.index.plain import plain_line

__all__ = ["Layout", "Part"]

_SEPARATOR = " > "


@dataclass
class Part:
    """Pieces that make one chunk, under their heading path."""

    path: tuple[str, ...]
    pieces: list[Piece]

    def text(self) -> str:
        """The lines as they are in the note, blank lines between pieces included."""
        text = self.pieces[0].text
        for before, piece in zip(self.pieces, self.pieces[1:], strict=False):
            text += (" " if piece.first == before.last else "\n" * (piece.first - before.last)) + piece.text
        return text


@dataclass(frozen=True)
class Layout:
    """How one note is laid out into parts of at most `max_tokens` tokens, breadcrumb included."""

    title: str
    measure: Measure
    max_tokens: int
    breadcrumbs: bool
    _crumbs: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False)

    def parts(self, text: str) -> Iterator[Part]:
        """Parts in the order of the lines; those without a word are left out."""
        packed = [part for path, pieces in self._sections(text) for part in self._pack(path, pieces)]
        for part in self._lead(packed):
            trimmed = _trim(part.pieces)
            if trimmed:
                yield Part(part.path, trimmed)

    def embed_text(self, part: Part) -> str:
        """Breadcrumb, then the words of the pieces; headings that the breadcrumb has are not said twice."""
        rows = [self._crumb(part.path)] if self.breadcrumbs else []
        for number, piece in enumerate(part.pieces):
            if piece.lead and not _continues(part.pieces[number - 1] if number else None, piece):
                rows.append(piece.lead)
            if not self._said(piece, part.path):
                rows.append(piece.plain)
        return "\n".join(filter(None, rows))

    def _sections(self, text: str) -> Iterator[tuple[tuple[str, ...], list[Piece]]]:
        """Heading path and pieces of each section; a jump from H1 to H3 keeps the H1 as parent."""
        lines = split_lines(text)
        stack: list[tuple[int, str]] = []
        pieces: list[Piece] = []
        for block in parse_blocks(text):
            if block.kind != "heading":
                path = tuple(heading for _, heading in stack)
                pieces += block_pieces(block, lines=lines, measure=self.measure, room=self._room(path))
                continue
            if pieces:
                yield tuple(heading for _, heading in stack), pieces
            stack = [(level, heading) for level, heading in stack if level < block.level]
            stack.append((block.level, block.heading))
            pieces = self._heading(block, lines, path=tuple(heading for _, heading in stack))
        if pieces:
            yield tuple(heading for _, heading in stack), pieces

    def _heading(self, block: Block, lines: list[str], *, path: tuple[str, ...]) -> list[Piece]:
        """A heading as one piece; one that fills a chunk, and that no breadcrumb says for it, is cut as text is."""
        plain = plain_line(block.heading)
        raw = "\n".join(lines[block.start : block.end])
        piece = Piece(block.start + 1, block.end, raw, plain, self.measure(plain), depth=len(path) - 1)
        if self._cost(None, piece, path) <= self._room(path):
            return [piece]
        return block_pieces(block, lines=lines, measure=self.measure, room=self._room(path))

    def _pack(self, path: tuple[str, ...], pieces: list[Piece]) -> list[Part]:
        """Pieces in as few parts as they need, filled in order."""
        room = self._room(path)
        parts: list[Part] = []
        used = 0
        for piece in pieces:
            before = parts[-1].pieces[-1] if parts else None
            cost = self._cost(before, piece, path)
            if parts and used + cost <= room:
                parts[-1].pieces.append(piece)
                used += cost
            else:
                parts.append(Part(path, [piece]))
                used = self._cost(None, piece, path)
        return parts

    def _lead(self, parts: list[Part]) -> list[Part]:
        """A bare heading goes with the section below it, unless it takes more than half of a chunk.

        Sections are not joined: each is about its own subject.
        """
        joined: list[Part] = []
        for part in parts:
            above = joined[-1] if joined else None
            if above and self._leads(above) and part.path[: len(above.path)] == above.path:
                part = Part(part.path, joined.pop().pieces + part.pieces)
            joined.append(part)
        return joined

    def _leads(self, part: Part) -> bool:
        """Whether a part is a heading, or some, without a text of its own, and short enough to stand before one."""
        bare = all(piece.depth >= 0 or not piece.plain for piece in part.pieces)
        return bare and 2 * sum(self._cost(None, piece, part.path) for piece in part.pieces) <= self._room(part.path)

    def _cost(self, before: Piece | None, piece: Piece, path: tuple[str, ...]) -> int:
        """Tokens that a piece adds after `before` in a part under `path`."""
        lead = piece.lead_tokens if piece.lead and not _continues(before, piece) else 0
        return lead + (0 if self._said(piece, path) else piece.tokens)

    def _said(self, piece: Piece, path: tuple[str, ...]) -> bool:
        """Whether the breadcrumb says this heading already."""
        return self.breadcrumbs and 0 <= piece.depth < len(path)

    def _room(self, path: tuple[str, ...]) -> int:
        """Tokens left for the text under a heading path."""
        crumb = self.measure(self._crumb(path)) if self.breadcrumbs else 0
        return max(8, self.max_tokens - self.measure.overhead - crumb)

    def _crumb(self, path: tuple[str, ...]) -> str:
        """Title > headings, in at most half of the budget: the middle goes first, the nearest heading stays."""
        if path not in self._crumbs:
            self._crumbs[path] = self._made_crumb(path)
        return self._crumbs[path]

    def _made_crumb(self, path: tuple[str, ...]) -> str:
        names = [name for heading in path if (name := plain_line(heading))]
        title = plain_line(self.title)
        if title and (not names or names[0] != title):
            names.insert(0, title)
        half = (self.max_tokens - self.measure.overhead) // 2
        while len(names) > 1 and self.measure(_SEPARATOR.join(names)) > half:
            names.pop(1 if len(names) > 2 else 0)
        if names and self.measure(names[0]) > half:
            words = names[0].split()
            while len(words) > 1 and self.measure(" ".join(words)) > half:
                words.pop()
            names = [" ".join(words)] if self.measure(" ".join(words)) <= half else []
        return _SEPARATOR.join(names)


def _continues(before: Piece | None, piece: Piece) -> bool:
    """Whether `before` already shows the table header that `piece` needs."""
    return before is not None and piece.lead in {before.lead, before.plain}


def _trim(pieces: list[Piece]) -> list[Piece]:
    """Without rules and drawings at either end."""
    worded = [number for number, piece in enumerate(pieces) if piece.plain]
    return pieces[worded[0] : worded[-1] + 1] if worded else []
