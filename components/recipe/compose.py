"""From a recipe file, the files it extends and overrides to one tree of values that know where they are written."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.recipe.faults import Fault, Place, mask
from components.recipe.source import BROKEN, Node, parse_yaml, read_text

__all__ = ["compose_files", "merge", "overridden", "parse_override", "shown"]

MAX_FILES = 50
MAX_KEYS = 10
MAX_OVERRIDE = 10_000


def shown(path: Path, cwd: Path) -> str:
    """`path` as a person in `cwd` would write it."""
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def compose_files(path: Path, *, cwd: Path, faults: list[Fault]) -> Node | None:
    """The recipe at `path` over the files that it extends, or None when one of them cannot be read."""
    return _Files(cwd, faults).compose(path, chain=(), named_at=None)


class _Files:
    """Every file is read once, however often it is extended."""

    def __init__(self, cwd: Path, faults: list[Fault]) -> None:
        self.cwd, self.faults = cwd, faults
        self.done: dict[Path, Node | None] = {}
        self.too_many = False

    def compose(self, path: Path, *, chain: tuple[Path, ...], named_at: Node | None) -> Node | None:
        try:
            real = Path(os.path.realpath(path))
        except ValueError:  # a NUL in the name: reading it will say so
            real = path
        if real in chain:
            loop = " -> ".join(shown(step, self.cwd) for step in (*chain[chain.index(real) :], real))
            self.add(named_at, f"extends itself: {loop}", suggestion="take one of these extends out")
            return None
        if real in self.done:
            return self.done[real]
        if len(self.done) + len(chain) >= MAX_FILES:
            if not self.too_many:
                self.add(named_at, "too many files in extends", expected=f"at most {MAX_FILES}")
            self.too_many = True
            return None
        self.done[real] = node = self.read(path, chain=(*chain, real), named_at=named_at)
        return node

    def add(self, node: Node | None, message: str, **more: str) -> None:
        place = node.at if node else Place(file="", folder=self.cwd)
        self.faults.append(Fault(place, "extends", message, **more))

    def read(self, path: Path, *, chain: tuple[Path, ...], named_at: Node | None) -> Node | None:
        file = shown(path, self.cwd)
        text = read_text(path, file=file)
        if isinstance(text, Fault):
            if named_at is not None and text.place.line is None:
                own = f"did you mean '{Path(named_at.at.file).name}'?"  # the file that extends is not what it meant
                near = None if text.suggestion == own else text.suggestion
                message = f"{file}: {text.message}"
                text = replace(text, place=named_at.at, key="extends", message=message, suggestion=near)
            self.faults.append(text)
            return None
        node = parse_yaml(text, file=file, folder=path.parent, faults=self.faults)
        if node is None:
            return None
        if not isinstance(node.value, dict):
            if node.value is not BROKEN:
                words = "is empty" if node.value is None else "is not a recipe"
                self.faults.append(Fault(node.at, "", words, expected="keys and values, like 'name: mvp'"))
            return None
        return self.with_bases(node, path.parent, chain)

    def with_bases(self, node: Node, folder: Path, chain: tuple[Path, ...]) -> Node | None:
        items = dict(node.value) if isinstance(node.value, dict) else {}
        extends = items.pop("extends", None)
        own = replace(node, value=items)
        if extends is None or extends.value is None:
            return own
        base: Node | None = None
        complete = True
        for named in extends.value if isinstance(extends.value, list) else [extends]:
            if not isinstance(named.value, str) or not named.value or "${" in named.value:
                if named.value is not BROKEN:
                    self.add(named, "does not name a file", expected="the path of a recipe file, or a list of them")
                complete = False
                continue
            found = self.compose(_path(named.value, folder), chain=chain, named_at=named)
            complete = complete and found is not None
            base = found if base is None else merge(base, found) if found else base
        if not complete:
            return None
        return merge(base, own) if base else own


def _path(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / text))


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: maps are merged, everything else (lists too) is replaced."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    items = dict(base.value)
    for key, node in over.value.items():
        items[key] = merge(items[key], node) if key in items else node
    return replace(over, value=items)


_KEY = re.compile(r"[^\s.=]+(\.[^\s.=]+)*")


def parse_override(text: str, *, cwd: Path, faults: list[Fault]) -> Node | None:
    """`a.b=1` as a tree. The value is YAML; relative paths in it start from `cwd`; a map merges with what is there."""
    if len(text) > MAX_OVERRIDE:
        place = Place(file=f"-o {mask(text[:100])}...", folder=cwd)
        faults.append(
            Fault(place, "", "is too large for an override", f"at most {MAX_OVERRIDE:,} characters", "write a recipe")
        )
        return None
    place = Place(file=f"-o {mask(text)}", folder=cwd)
    dotted, equals, value = text.partition("=")
    dotted = dotted.strip()
    if not equals or not _KEY.fullmatch(dotted):
        faults.append(Fault(place, "", "is not an override", expected="section.key=value, like -o index.search.k=5"))
        return None
    keys = dotted.split(".")
    if len(keys) > MAX_KEYS:
        faults.append(Fault(place, "", "is nested too deeply", expected=f"at most {MAX_KEYS} keys, joined by dots"))
        return None
    if keys[0] == "extends":
        faults.append(
            Fault(place, "extends", "cannot be overridden", suggestion="write a recipe that extends another one")
        )
        return None
    node = parse_yaml(value, file=place.file, folder=cwd, faults=faults, lines=False)
    for key in reversed(keys):
        node = None if node is None else Node({key: replace(node, key_at=place)}, place)
    return node


def overridden(base: Node, overrides: Sequence[Node]) -> Node:
    """`base` with each override on top, in their order. The tree keeps its place: that is where keys are missed."""
    for node in overrides:
        base = replace(merge(base, node), at=base.at)
    return base
