"""Prices of machines by the hour: the dated table of this version, and a file of the same form that overrides it.

Not covered: storage, traffic, what a provider charges while a machine is stopped, discounts, taxes. A machine that no
line names has no price here; unknown is never 0.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from components.dataset.reports.suite import parsed
from components.errors import InputError
from components.train.estimate.memory import Band
from components.train.params import HardwareName

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = ["OLD_DAYS", "Price", "load_prices", "prices_of"]

OLD_DAYS = 90
"""Prices older than this are told to be old."""

_TABLE = Path(__file__).with_name("prices.yaml")
_KEYS = ("provider", "hardware", "usd_per_hour", "date", "source", "note")
_NEEDED = _KEYS[:-1]


@dataclass(frozen=True)
class Price:
    """What an hour of a machine costs.

    Attributes:
        provider: who rents it out, and on what terms.
        hardware: the machine.
        usd_per_hour: from, to.
        date: when it was read.
        source: where, in words.
        note: limits that belong to the price.
    """

    provider: str
    hardware: HardwareName
    usd_per_hour: Band
    date: datetime.date
    source: str
    note: str = ""

    def age_days(self, today: datetime.date) -> int:
        """How many days old it is."""
        return (today - self.date).days

    def is_old(self, today: datetime.date) -> bool:
        """Whether it is so old that people should look it up anew."""
        return self.age_days(today) > OLD_DAYS


def prices_of(hardware: HardwareName, *, overrides: Path | None) -> tuple[Price, ...]:
    """Prices of a machine, the lowest first. `overrides`: the file of `train.prices`.

    Raises:
        InputError: the file cannot be understood; each fault at its file:line:col.
    """
    merged: dict[tuple[str, str], Price] = {}
    for price in (*load_prices(_TABLE), *(load_prices(overrides) if overrides else ())):
        merged[price.provider.casefold(), price.hardware] = price
    found = (price for price in merged.values() if price.hardware == hardware)
    return tuple(sorted(found, key=lambda price: (price.usd_per_hour, price.provider)))


def load_prices(path: Path) -> tuple[Price, ...]:
    """The prices of a file, in its order.

    Raises:
        InputError: what is wrong with it, each fault at its file:line:col.
    """
    reader = _Reader(str(path))
    prices = tuple(reader.table(parsed(path, what="prices")))
    if reader.faults:
        raise InputError("\n".join(reader.faults))
    return prices


@dataclass
class _Reader:
    """Nodes -> prices; what is wrong is added to `faults`, and the rest is read on."""

    file: str
    faults: list[str] = field(default_factory=list)

    def fault(self, node: Node | None, message: str) -> None:
        where = "" if node is None else f":{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.faults.append(f"{self.file}{where}: {message}")

    def table(self, root: Node | None) -> Iterable[Price]:
        from ruamel.yaml.nodes import SequenceNode

        keys = self.mapping(root, "the file", ("prices",))
        entries = keys.get("prices")
        if not isinstance(entries, SequenceNode):
            self.fault(entries or root, "expected 'prices:' and a list of prices")
            return
        seen: dict[tuple[str, str], Node] = {}
        for node in entries.value:
            price = self.price(node)
            if price is None:
                continue
            key = price.provider.casefold(), price.hardware
            if key in seen:
                line = seen[key].start_mark.line + 1
                self.fault(node, f"{price.provider} has a price for {price.hardware} already, in line {line}")
            seen[key] = node
            yield price

    def mapping(self, node: Node | None, what: str, allowed: Sequence[str]) -> dict[str, Node]:
        from ruamel.yaml.nodes import MappingNode

        if not isinstance(node, MappingNode):
            self.fault(node, f"{what}: expected keys and values ({', '.join(allowed)})")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.value:
            name = str(key.value)
            if name not in allowed:
                near = get_close_matches(name, allowed, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(allowed)}"
                self.fault(key, f"unknown key {name!r}; {hint}")
            elif name in found:
                self.fault(key, f"{name!r} is there twice")
            else:
                found[name] = value
        return found

    def price(self, node: Node) -> Price | None:
        before = len(self.faults)
        keys = self.mapping(node, "a price", _KEYS)
        if not keys:
            return None
        for name in _NEEDED:
            if name not in keys:
                self.fault(node, f"the price has no {name!r}")
        values: dict[str, Any] = {"note": ""}
        readers = {"hardware": self.hardware, "usd_per_hour": self.dollars, "date": self.day}
        for name, value in keys.items():
            values[name] = readers.get(name, self.text)(value, name)
        return Price(**values) if len(self.faults) == before else None

    def text(self, node: Node, name: str) -> str:
        if not isinstance(node.value, str) or not node.value.strip():
            self.fault(node, f"{name}: expected text")
            return ""
        return node.value.strip()

    def hardware(self, node: Node, name: str) -> HardwareName:
        text = self.text(node, name)
        known = get_args(HardwareName)
        if text and text not in known:
            near = get_close_matches(text.lower(), known, n=1)
            self.fault(node, f"no hardware {text!r}; " + (f"did you mean {near[0]!r}?" if near else ", ".join(known)))
        return cast(HardwareName, text)

    def dollars(self, node: Node, name: str) -> Band:
        from ruamel.yaml.nodes import SequenceNode

        parts = node.value if isinstance(node, SequenceNode) else [node]
        found = [self.number(part, name) for part in parts]
        if isinstance(node, SequenceNode) and (len(found) != 2 or (None not in found and found[0] > found[1])):  # type: ignore[operator]
            self.fault(node, f"{name}: expected one number, or the lowest and the highest as [0.3, 0.6]")
        numbers = [number for number in found if number is not None]
        return (numbers[0], numbers[-1]) if numbers else (0.0, 0.0)

    def number(self, node: Node, name: str) -> float | None:
        try:
            number = float(node.value) if isinstance(node.value, str) else float("nan")
        except ValueError:
            number = float("nan")
        if not 0 <= number < 1e6:
            self.fault(node, f"{name}: expected US dollars an hour, 0 or more")
            return None
        return number

    def day(self, node: Node, name: str) -> datetime.date:
        try:
            day = datetime.date.fromisoformat(node.value if isinstance(node.value, str) else "")
        except ValueError:
            self.fault(node, f"{name}: expected a day as 2026-11-29")
            return datetime.date.min
        if day > datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1):  # a day ahead: time zones
            self.fault(node, f"{name}: {day} is still to come; expected the day when the price was read")
        return day
