"""The checklist: YAML with one yes/no question, or one rule for code, for each rule of the COSTITUZIONE."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from components.evaluate.suite.model import Checklist, Rule
from components.evaluate.suite.reading import Reader, near

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["load_checklist"]

_KEYS = ("id", "rule", "ask", "code", "kinds")


def load_checklist(path: Path, *, kinds: Collection[str] | None = None, patterns: bool = True) -> Checklist:
    """Read a checklist. `kinds`: those that the prompts have; a rule of another kind is a fault. None: not checked.

    `patterns` False: regular expressions are not tried, and nothing heavy is imported.

    Raises:
        InputError: it cannot be read, or every fault in it, each at its file:line:col.
    """
    known = None if kinds is None else sorted(kinds)

    def rules(reader: Reader, root: Node | None) -> tuple[Rule, ...]:
        taken: dict[str, int] = {}
        table = reader.mapping(root, "the file", ("rules",), ("rules",))
        entries = reader.entries(table["rules"], "rules") if "rules" in table else ()
        return tuple(_rule(reader, entry, taken, known) for entry in entries)

    reader = Reader(path, "checklist", patterns=patterns)
    return Checklist(rules=reader.read(rules), digest=reader.digest)


def _rule(reader: Reader, node: Node, taken: dict[str, int], known: list[str] | None) -> Rule:
    keys = reader.mapping(node, "a rule", _KEYS, ("id", "rule"))
    ask, code = reader.decision(node, keys) if keys else (None, None)
    asked = reader.texts(keys["kinds"], "kinds") if "kinds" in keys else ()
    for kind in asked:
        if kind and known is not None and kind not in known:
            reader.fault(keys["kinds"], f"kinds: no prompt is of the kind {kind[:40]!r}; {near(kind, known)}")
    return Rule(
        id=reader.name(keys["id"], "id", taken) if "id" in keys else "",
        rule=reader.text(keys["rule"], "rule").strip() if "rule" in keys else "",
        ask=ask, code=code, kinds=asked,
    )  # fmt: skip
