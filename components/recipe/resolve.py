"""References and paths: from the tree of a recipe to plain values. `${a.b}` is another key's value, nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.recipe.faults import Fault, Place
from components.recipe.shape import default_of, is_path, keys_of, may_be_address, nearest
from components.recipe.source import BROKEN, Broken, Node, Scalar

__all__ = ["Keys", "Resolved", "dotted", "resolve"]

MAX_CHAIN = 20
MAX_TEXT = 10_000

Keys = tuple[str | int, ...]
_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\}")


@dataclass(frozen=True)
class Resolved:
    """Plain values, the node of each, and the keys whose value is broken (and therefore left out)."""

    plain: dict[str, Any]
    nodes: dict[Keys, Node]
    broken: set[Keys]

    def place(self, keys: Keys) -> tuple[Place, bool]:
        """Where the value at `keys` is written and True; or where the nearest section around it is, and False."""
        node = self.nodes.get(keys)
        if node is not None:
            return node.at, True
        while keys not in self.nodes:
            keys = keys[:-1]
        node = self.nodes[keys]
        return node.key_at or node.at, False


def dotted(keys: Keys) -> str:
    """`("sncp", "include", 0)` as people write it: `sncp.include[0]`."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def resolve(tree: Node, *, folder: Path, faults: list[Fault]) -> Resolved:
    """Every reference replaced, every path absolute.

    Args:
        tree: the composed recipe.
        folder: of the top recipe; paths that are defaults start from it.
        faults: gets references that are no references, name nothing or go round in a circle.
    """
    nodes = dict(_walk(tree, ()))
    resolver = _Resolver(nodes, folder, faults)
    resolved = Resolved({}, nodes, resolver.broken)
    plain = resolver.plain((), tree)
    resolved.plain.update(plain if isinstance(plain, dict) else {})
    return resolved


def _walk(node: Node, keys: Keys) -> Iterator[tuple[Keys, Node]]:
    yield keys, node
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _walk(child, (*keys, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _walk(child, (*keys, index))


@dataclass
class _Resolver:
    nodes: dict[Keys, Node]
    folder: Path
    faults: list[Fault]
    broken: set[Keys] = field(default_factory=set)
    done: dict[Keys, Scalar | Broken] = field(default_factory=dict)

    def plain(self, keys: Keys, node: Node) -> Any:
        if isinstance(node.value, dict):
            pairs = {key: self.plain((*keys, key), child) for key, child in node.value.items()}
            return {key: value for key, value in pairs.items() if value is not BROKEN}
        if isinstance(node.value, list):
            values = [self.plain((*keys, index), child) for index, child in enumerate(node.value)]
            if any(value is BROKEN for value in values):
                self.broken.add(keys)
                return BROKEN
            return values
        value = self.scalar(keys, node, chain=())
        if value is BROKEN:
            self.broken.add(keys)
        return value

    def scalar(self, keys: Keys, node: Node, *, chain: tuple[Keys, ...]) -> Scalar | Broken:
        if keys not in self.done:
            value = node.value
            if isinstance(value, str) and "${" in value:
                value = self.expand(keys, node, value, chain=(*chain, keys))
            if isinstance(value, str) and is_path([str(key) for key in keys]):
                value = self.absolute(keys, value, node.at)
            self.done[keys] = value  # type: ignore[assignment]  # never a list or a map here
        return self.done[keys]

    def absolute(self, keys: Keys, text: str, place: Place) -> str | Broken:
        if not text.strip():
            self.faults.append(Fault(place, dotted(keys), "is an empty path", expected="a path, or no such key"))
            return BROKEN
        if "://" in text and may_be_address([str(key) for key in keys]):
            return text
        if text == "~" or text.startswith("~/"):
            text = os.path.expanduser(text)
        return os.path.normpath(place.folder / text)

    def expand(self, keys: Keys, node: Node, text: str, *, chain: tuple[Keys, ...]) -> Scalar | Broken:
        def fault(message: str, **more: str) -> Broken:
            self.faults.append(Fault(node.at, dotted(keys), message, **more))
            return BROKEN

        rest = _REFERENCE.sub("", text)
        if "${" in rest or "\\${" in text:
            if re.search(r"\$\{[^}]*:", rest):
                what = "a recipe reads no environment and calls nothing"
            else:
                what = "not a reference to a key"
            expected = "${section.key}, the value of another key of this recipe; nothing else begins with ${"
            return fault(what, expected=expected)
        if len(text) > MAX_TEXT or len(chain) > MAX_CHAIN:
            return fault(
                "references that are too long", expected=f"at most {MAX_CHAIN} in a row, {MAX_TEXT:,} characters"
            )
        scope: dict[str, Any] = {}
        for name in dict.fromkeys(_REFERENCE.findall(text)):
            target: Keys = tuple(name.split("."))
            if target in chain:
                loop = " -> ".join(dotted(step) for step in (*chain[chain.index(target) :], target))
                return fault(f"refers to itself: {loop}", suggestion="write one of these values out")
            value = self.target(target, chain)
            if isinstance(value, Broken):
                if target in self.broken or target in self.done:
                    return BROKEN  # its own fault is told there
                return fault(f"${{{name}}} names nothing", expected="a key of this recipe", **_near(target))
            if isinstance(value, (dict, list)):
                inside = [f"${{{name}.{key}}}" for key in keys_of([str(key) for key in target])[:8]]
                more = {"expected": "one of " + ", ".join(inside)} if inside else {}
                kind = "a section" if isinstance(value, dict) else "a list"
                return fault(f"${{{name}}} is {kind}, not one value", **more)
            if text != f"${{{name}}}" and (value is None or isinstance(value, bool)):
                return fault(
                    f"${{{name}}} is {'empty' if value is None else 'true or false'}: it cannot be a part of a text"
                )
            _put(scope, target, value)
        result: Scalar | Broken = _interpolated(text, scope)
        return fault("gives a text that is again a reference, or too long") if result is BROKEN else result

    def target(self, target: Keys, chain: tuple[Keys, ...]) -> Any:
        node = self.nodes.get(target)
        if node is not None:
            return node.value if isinstance(node.value, (dict, list)) else self.scalar(target, node, chain=chain)
        names = [str(key) for key in target]
        if target[-1] not in keys_of(names[:-1]):
            return BROKEN
        value = default_of(names)
        if isinstance(value, str) and is_path(names):
            return os.path.normpath(self.folder / value)
        return value


def _interpolated(text: str, scope: dict[str, Any]) -> Any:
    """`text` with its references replaced by OmegaConf; BROKEN when the result would be read as a reference again."""
    whole = _REFERENCE.fullmatch(text)
    if whole:  # the value itself, with its type
        value: Any = scope
        for key in whole[1].split("."):
            value = value[key]
        return BROKEN if isinstance(value, str) and len(value) > MAX_TEXT else value
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        value = OmegaConf.create({**scope, " result": text})[" result"]
    except OmegaConfBaseException:
        return BROKEN
    if isinstance(value, str) and (len(value) > MAX_TEXT or "${" in value):
        return BROKEN
    return value


def _put(scope: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        scope = scope.setdefault(str(key), {})
    scope[str(keys[-1])] = value


def _near(target: Keys) -> dict[str, str]:
    section = [str(key) for key in target[:-1]]
    name = nearest(str(target[-1]), keys_of(section))
    return {"suggestion": f"did you mean '${{{'.'.join([*section, name])}}}'?"} if name else {}
