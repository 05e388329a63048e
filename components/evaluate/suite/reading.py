"""YAML nodes -> what a checklist or a task suite says; every fault at its file:line:col, and the rest is read on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from components.dataset.reports.suite import composed, read_small
from components.errors import InputError
from components.evaluate.checks import CHECKS
from components.evaluate.suite.model import CodeKind, CodeRule
from components.evaluate.suite.patterns import pattern_fault
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["KINDS", "LANGUAGES", "MAX_VALUES", "Reader", "is_id", "near"]

KINDS: tuple[str, ...] = get_args(CodeKind)
LANGUAGES = ("it", "en", "prompt")
MAX_VALUES = 20_000
"""Nodes of a file, aliases counted as written out: a few lines of aliases could ask for more than fits into memory."""
MAX_FAULTS = 500
"""After so many the rest is not looked at: each costs time, and nobody reads them."""
_SHOWN = 50  # faults printed in full; the rest is counted
_LARGEST = 1_000_000


def is_id(text: str) -> bool:
    """Whether it can name a prompt, a rule or a task: letters, digits, `_`, `-` and `.`, at most 100."""
    return re.fullmatch(r"[\w.-]{1,100}", text) is not None


class _Stop(Exception):
    """The file has too many values, or faults, to be read on."""


@dataclass
class Reader:
    """Nodes of one file -> values. A value that is wrong becomes None, an empty text or 0, and a fault."""

    path: Path
    what: str
    faults: list[tuple[int, int, str]] = field(default_factory=list)
    """Line and column, from 1 (0: the file as a whole), and what is wrong."""
    digest: str = ""
    patterns: bool = True
    """Whether regular expressions are tried, by a library that takes half a second to import."""
    _left: int = MAX_VALUES

    def read(self, table: Callable[[Reader, Node | None], Any]) -> Any:
        """What `table` makes of the file's root.

        Raises:
            InputError: the file cannot be read, or everything that is wrong with it.
        """
        data = read_small(self.path, what=self.what)
        self.digest = sha256(data).hexdigest()
        root = composed(data, path=self.path, what=self.what)
        value = None
        try:
            value = table(self, root)
        except _Stop:
            if self._left < 0:
                said = f"more than {MAX_VALUES:,} values, aliases written out; expected a smaller {self.what}"
                self.faults.append((1, 1, said))
        if self.faults:
            count = len(self.faults)
            told = [
                mask_secrets(f"{self.path}:{line}:{column}: {said}" if line else f"{self.path}: {said}")
                for line, column, said in sorted(self.faults, key=lambda fault: fault[:2])[:_SHOWN]
            ]
            more = [f"... and {count - _SHOWN} more"] if count > _SHOWN else []
            head = f"{self.path}: {count} {'fault' if count == 1 else 'faults'} in the {self.what}"
            raise InputError("\n".join([head, *told, *more]))
        return value

    def fault(self, node: Node | None, message: str) -> None:
        """Remember what is wrong at a place; None: with the file as a whole."""
        line, column = (0, 0) if node is None else (node.start_mark.line + 1, node.start_mark.column + 1)
        self.faults.append((line, column, message))
        if len(self.faults) >= MAX_FAULTS:
            raise _Stop

    def mapping(self, node: Node | None, what: str, allowed: Sequence[str], needed: Sequence[str]) -> dict[str, Node]:
        """The values of a mapping by their keys; unknown, repeated and missing keys are faults."""
        from ruamel.yaml.nodes import MappingNode

        self._count()
        if not isinstance(node, MappingNode):
            self.fault(node, f"{what}: expected keys and values ({', '.join(allowed)})")
            return {}
        found: dict[str, Node] = {}
        unknown: list[str] = []
        for key, value in node.value:
            self._count()
            name = key.value if isinstance(key.value, str) else "?"
            if name not in allowed:
                unknown.append(name)
                self.fault(key, f"{what}: unknown key {name[:40]!r}; {near(name, allowed)}")
            elif name in found:
                first = found[name].start_mark.line + 1
                self.fault(key, f"{what}: the key {name!r} is there twice (line {first}); keep one of them")
            else:
                found[name] = value
        for name in needed:
            if name not in found and not get_close_matches(name, unknown, n=1):
                self.fault(node, f"{what}: {name!r} is missing")
        return found

    def entries(self, node: Node | None, what: str) -> Iterator[Node]:
        """The entries of a list that is not empty."""
        from ruamel.yaml.nodes import SequenceNode

        self._count()
        if not isinstance(node, SequenceNode) or not node.value:
            self.fault(node, f"{what}: expected a list that is not empty")
            return
        for entry in node.value:
            self._count()
            yield entry

    def text(self, node: Node, what: str) -> str:
        """A text that is not empty, as it is written."""
        from ruamel.yaml.nodes import ScalarNode

        self._count()
        written = node.value if isinstance(node, ScalarNode) else ""
        if not written.strip() or (node.style is None and written in {"~", "null", "Null", "NULL"}):  # type: ignore[attr-defined]
            self.fault(node, f"{what}: expected a text that is not empty")
            return ""
        if "\0" in written or re.search("[\ud800-\udfff]", written):
            self.fault(node, f"{what}: holds a character that is not text")
            return ""
        return str(written)

    def texts(self, node: Node, what: str, *, one: bool = False) -> tuple[str, ...]:
        """A list of texts, each once; with `one`, a single text as well."""
        from ruamel.yaml.nodes import ScalarNode

        if one and isinstance(node, ScalarNode):
            return (self.text(node, what),)
        found: dict[str, None] = {}
        for entry in self.entries(node, what):
            text = self.text(entry, what)
            if text and text in found:
                self.fault(entry, f"{what}: {text[:60]!r} is there twice")
            found[text] = None
        return tuple(found)

    def number(self, node: Node, what: str, *, least: int = 0) -> int:
        """A whole number from `least` on."""
        from ruamel.yaml.nodes import ScalarNode

        self._count()
        plain = isinstance(node, ScalarNode) and node.style is None
        if not plain or not re.fullmatch(r"0|[1-9][0-9]{0,8}", node.value) or not least <= int(node.value) <= _LARGEST:
            self.fault(node, f"{what}: expected a whole number, {least} or more")
            return least
        return int(node.value)

    def choice(self, node: Node, what: str, known: Sequence[str]) -> str:
        """One of the known words."""
        text = self.text(node, what)
        if text and text not in known:
            self.fault(node, f"{what}: no {text[:40]!r}; {near(text, known)}")
        return text

    def name(self, node: Node, what: str, taken: dict[str, int]) -> str:
        """An id that no other has; `taken`: id -> line, and gets this one."""
        text = self.text(node, what)
        if text and not is_id(text):
            self.fault(node, f"{what} {text[:40]!r}: expected letters, digits, '_', '-' and '.', at most 100")
        line = node.start_mark.line + 1
        if text and text in taken:
            self.fault(node, f"{what} {text[:40]!r} is taken by line {taken[text]}; expected ids that differ")
        taken.setdefault(text, line)
        return text

    def decision(self, node: Node, keys: dict[str, Node]) -> tuple[str | None, CodeRule | None]:
        """Who decides a rule: `ask` a judge, or `code`. Exactly one of them has to be there."""
        if ("ask" in keys) == ("code" in keys):
            both = "both 'ask' and 'code'" if "ask" in keys else "neither 'ask' nor 'code'"
            self.fault(node, f"the rule has {both}; expected one of them: ask a judge, or let code decide")
        ask = self.text(keys["ask"], "ask").strip() if "ask" in keys else None
        if ask and not ask.endswith("?"):
            self.fault(keys["ask"], "ask: expected a yes/no question that ends with '?'; yes is as it should be")
        return ask, self.code(keys["code"]) if "code" in keys else None

    def code(self, node: Node) -> CodeRule | None:
        """A code rule: one kind and its value."""
        from ruamel.yaml.nodes import MappingNode

        if not isinstance(node, MappingNode) or len(node.value) != 1:
            self.fault(node, f"code: expected one kind and its value, such as {{never: [a, b]}}; {', '.join(KINDS)}")
            return None
        key, value = node.value[0]
        kind = self.choice(key, "code", KINDS)
        return CodeRule(kind, self._value(kind, value)) if kind in KINDS else None  # type: ignore[arg-type]

    def _value(self, kind: str, node: Node) -> Any:
        from ruamel.yaml.nodes import ScalarNode

        if kind == "check":
            return self.choice(node, kind, CHECKS)
        if kind == "language":
            return self.choice(node, kind, LANGUAGES)
        if kind in {"never", "all_of", "any_of", "starts_with"}:
            return self.texts(node, kind, one=kind == "starts_with")
        if kind in {"max_words", "min_words"}:
            return self.number(node, kind, least=1)
        if kind == "json":
            whole = isinstance(node, ScalarNode) and node.style is None and node.value == "true"
            return whole or self.texts(node, "json (true, or a list of keys)")
        if kind == "lines":
            numbers = [self.number(entry, kind, least=1) for entry in self.entries(node, kind)]
            if numbers and (len(numbers) != 2 or numbers[0] > numbers[1]):
                self.fault(node, "lines: expected the least and the most, as [1, 5]")
            return tuple(numbers)
        return self._pattern(node, kind)

    def _pattern(self, node: Node, kind: str) -> str:
        pattern = self.text(node, kind)
        fault = pattern_fault(pattern) if pattern and self.patterns else None
        if fault:
            self.fault(node, f"{kind}: {fault}")
        return pattern

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Stop


def near(name: str, known: Sequence[str]) -> str:
    """The nearest known name as a question, or all of them."""
    found = get_close_matches(name.casefold(), known, n=1)
    return f"did you mean {found[0]!r}?" if found else f"expected {', '.join(known)}"
