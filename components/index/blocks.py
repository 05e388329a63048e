"""Markdown as a list of blocks with exact lines: headings, tables, code, lists, paragraphs.

Lines are 0-based and half open here, as markdown-it counts them. Only headings at the top level of the file
open a section: one inside a quote, a list or code does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Block", "front_matter_lines", "parse_blocks", "split_lines"]

BlockKind = Literal["heading", "table", "code", "list", "text"]
_LONGEST_HEADING = 200  # characters; a paragraph that a stray --- underlines is not a heading


@dataclass(frozen=True)
class Block:
    """Lines [start, end) of a file. `parts` are the lines where it may be cut first (rows, items)."""

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    heading: str = ""
    parts: tuple[int, ...] = ()


def split_lines(text: str) -> list[str]:
    r"""Lines as editors and markdown-it count them: ended by \n, \r\n or \r, and by nothing else."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def front_matter_lines(lines: Sequence[str]) -> int:
    """How many lines at the top are front matter (0: none). It opens at the first line and must close."""
    if not lines or lines[0].lstrip("\ufeff").rstrip() != "---":
        return 0
    for number, line in enumerate(lines[1:200], start=1):
        if line.rstrip() in {"---", "..."}:
            inner = [inside for inside in lines[1:number] if inside.strip()]
            return number + 1 if inner and all(_is_yaml(inside) for inside in inner) else 0
    return 0


def _is_yaml(line: str) -> bool:
    """Whether a line can belong to front matter: a key, a list item, an indented value or a comment."""
    return line[0] in " \t-#]}" or ":" in line


def parse_blocks(text: str) -> list[Block]:
    """The blocks of a Markdown text, in order, front matter as a `text` block of its own (callers may skip it).

    Every line that is not blank lies in exactly one block.
    """
    from markdown_it import MarkdownIt

    lines = split_lines(text)
    skipped = front_matter_lines(lines)
    body = "\n".join([""] * skipped + lines[skipped:])
    parser = MarkdownIt("commonmark").enable("table")
    parser.disable(["inline", "reference"])  # blocks are enough; link definitions stay visible as paragraphs
    found: list[Block] = []
    tokens = parser.parse(body)
    for index, token in enumerate(tokens):
        if token.level == 0 and token.map and token.nesting >= 0:
            found.append(_block(tokens, index))
    return _fill(found, lines, skipped)


def _block(tokens: list, index: int) -> Block:  # type: ignore[type-arg]
    """The block that opens at `tokens[index]`."""
    token = tokens[index]
    start, end = token.map
    if token.type == "heading_open":
        words = " ".join(tokens[index + 1].content.split())
        if "\n" not in tokens[index + 1].content and 0 < len(words) <= _LONGEST_HEADING:
            return Block(kind="heading", start=start, end=end, level=int(token.tag[1]), heading=words)
        return Block(kind="text", start=start, end=end)
    inner = {"table_open": "tr_open", "bullet_list_open": "list_item_open", "ordered_list_open": "list_item_open"}
    if token.type in inner:
        parts = []
        for child in tokens[index + 1 :]:
            if child.level == 0:
                break
            if child.type == inner[token.type] and child.map and child.level <= 2:
                if token.type != "table_open" and child.level != 1:
                    continue
                parts.append(child.map[0])
        kind: BlockKind = "table" if token.type == "table_open" else "list"
        return Block(kind=kind, start=start, end=end, parts=tuple(parts))
    return Block(kind="code" if token.type in {"fence", "code_block"} else "text", start=start, end=end)


def _fill(blocks: list[Block], lines: list[str], skipped: int) -> list[Block]:
    """The blocks without overlaps, plus a `text` block for each run of lines that the parser left out."""
    result: list[Block] = []
    at = skipped
    for block in blocks:
        start, end = max(block.start, at), min(block.end, len(lines))
        if start >= end:
            continue
        if any(line.strip() for line in lines[at:start]):
            result.append(Block(kind="text", start=at, end=start))
        result.append(block if start == block.start and end == block.end else Block(kind="text", start=start, end=end))
        at = end
    if any(line.strip() for line in lines[at:]):
        result.append(Block(kind="text", start=at, end=len(lines)))
    return result
