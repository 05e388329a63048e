"""The suite of the audit: what Great Expectations is to assert, read from YAML and checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from components.dataset.findings import Severity
from components.dataset.rules import RULES
from components.errors import InputError

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

__all__ = [
    "COLUMNS",
    "SEVERITY_OF",
    "TABLES",
    "TYPES",
    "Expectation",
    "GxSeverity",
    "Suite",
    "Table",
    "composed",
    "load_suite",
    "parsed",
    "read_small",
]

GxSeverity = Literal["critical", "warning", "info"]
Table = Literal["conversations", "files"]
SEVERITY_OF: Mapping[Severity, GxSeverity] = {"error": "critical", "warning": "warning", "info": "info"}
TABLES: tuple[Table, ...] = get_args(Table)
COLUMNS: Mapping[Table, tuple[str, ...]] = {
    "conversations": ("file", "line", "conversation", "id", "tokens", "trainable", "turns", "language", "stage",
                      "softened", *RULES),
    "files": ("file", "format", "container", "conversations", "bytes", "errors", "softened", *RULES),
}  # fmt: skip
"""Columns of the two tables. A rule's column says whether it is broken (true or false); `softened`: the worst severity
of findings that a rule holds for less than it usually is (warning, info, or none); `errors`: how many findings about
the file as a whole are errors."""

_NUMBER, _TEXT, _VALUES, _FLAG = "a number", "text", "a list of values", "true or false"
_MAP = {"column": _TEXT, "mostly": "a number from 0 to 1"}
_RANGE = {"min_value": _NUMBER, "max_value": _NUMBER}
TYPES: Mapping[str, Mapping[str, str]] = {
    "expect_table_row_count_to_be_between": _RANGE,
    "expect_column_values_to_be_in_set": {**_MAP, "value_set": _VALUES},
    "expect_column_values_to_not_be_in_set": {**_MAP, "value_set": _VALUES},
    "expect_column_values_to_be_between": {**_MAP, **_RANGE, "strict_min": _FLAG, "strict_max": _FLAG},
    "expect_column_values_to_not_be_null": _MAP,
    "expect_column_mean_to_be_between": {"column": _TEXT, **_RANGE},
    "expect_column_median_to_be_between": {"column": _TEXT, **_RANGE},
    "expect_column_sum_to_be_between": {"column": _TEXT, **_RANGE},
    "expect_column_unique_value_count_to_be_between": {"column": _TEXT, **_RANGE},
    "expect_column_distinct_values_to_contain_set": {"column": _TEXT, "value_set": _VALUES},
}
"""Kinds of expectation that a suite may hold -> their arguments. Those that run code or SQL are not among them."""

_MAX_BYTES = 200_000
_KEYS = ("type", "kwargs", "severity", "meta")


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing to assert of a table. `rule` is the rule whose column it looks at; None for other columns."""

    table: Table
    type: str
    kwargs: Mapping[str, Any]
    severity: GxSeverity
    rule: str | None
    line: int

    @property
    def column(self) -> str | None:
        """The column that it looks at; None: the table as a whole."""
        column = self.kwargs.get("column")
        return column if isinstance(column, str) else None


@dataclass(frozen=True, slots=True)
class Suite:
    """The expectations of a file, in its order."""

    name: str
    file: str
    expectations: tuple[Expectation, ...]

    def of(self, table: Table) -> list[Expectation]:
        """Those about one table."""
        return [expectation for expectation in self.expectations if expectation.table == table]


def load_suite(path: Path) -> Suite:
    """Read and check a suite. Raises InputError with every fault at its file:line:col."""
    root = parsed(path, what="suite")
    reader = _Reader(str(path))
    expectations = list(reader.suite(root))
    if reader.faults:
        count = len(reader.faults)
        raise InputError("\n".join([*reader.faults, f"{count} {'fault' if count == 1 else 'faults'} in {path}"]))
    return Suite(name=reader.name, file=str(path), expectations=tuple(expectations))


def parsed(path: Path, *, what: str) -> Node | None:
    """The nodes of a small YAML file, with their places; `what` it is, in words, such as "suite".

    Raises:
        InputError: it cannot be read, is too large, or is no YAML; with its place.
    """
    return composed(read_small(path, what=what), path=path, what=what)


def read_small(path: Path, *, what: str) -> bytes:
    """The bytes of a small file. Raises InputError: it cannot be read, or is too large."""
    try:
        with path.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(f"{path}: the {what} cannot be read: {reason.lower()}") from None
    if len(data) > _MAX_BYTES:
        raise InputError(f"{path}: is too large for the {what}; expected at most {_MAX_BYTES:,} bytes")
    return data


def composed(data: bytes, *, path: Path, what: str) -> Node | None:
    """As `parsed`, of bytes that were read from `path`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        return YAML(typ="safe", pure=True).compose(data.decode("utf-8-sig"))  # type: ignore[no-any-return]
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace").split("\n")
        where = f"{len(before)}:{len(before[-1]) + 1}"
        raise InputError(f"{path}:{where}: byte {error.start} is not UTF-8; save the file again as UTF-8") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise InputError(f"{path}{where}: not valid YAML: {error.problem or error.context}") from None
    except Exception as error:  # the parser is not ours: whatever it raises on odd text means "not YAML"
        raise InputError(f"{path}: not valid YAML: {type(error).__name__}") from None


@dataclass
class _Reader:
    """Nodes -> expectations; what is wrong is added to `faults`, and the rest is read on."""

    file: str
    name: str = "suite"
    faults: list[str] = field(default_factory=list)

    def fault(self, node: Node | None, message: str) -> None:
        where = "" if node is None else f":{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        self.faults.append(f"{self.file}{where}: {message}")

    def suite(self, root: Node | None) -> Iterator[Expectation]:
        keys = self.mapping(root, "the suite", allowed=("name", *TABLES))
        if "name" in keys:
            name = self.scalar(keys["name"])
            if isinstance(name, str) and name:
                self.name = name
            else:
                self.fault(keys["name"], "name: expected text")
        for table in TABLES:
            if table not in keys:
                self.fault(root, f"no list {table!r}: what is expected of the table of {table}")
                continue
            yield from self.table(keys[table], table)

    def table(self, node: Node, table: Table) -> Iterator[Expectation]:
        from ruamel.yaml.nodes import SequenceNode

        if not isinstance(node, SequenceNode):
            self.fault(node, f"{table}: expected a list of expectations")
            return
        found = [self.expectation(item, table) for item in node.value]
        read = [expectation for expectation in found if expectation is not None]
        if not any(
            item.type == "expect_table_row_count_to_be_between" and (item.kwargs.get("min_value") or 0) >= 1
            for item in read
        ):
            self.fault(
                node,
                f"{table}: nothing says how many rows there must be, and an empty table meets every other "
                "expectation; add expect_table_row_count_to_be_between with min_value: 1 or more",
            )
        yield from read

    def expectation(self, node: Node, table: Table) -> Expectation | None:
        before = len(self.faults)
        keys = self.mapping(node, "an expectation", allowed=_KEYS)
        if not keys:
            return None
        kind = self.scalar(keys["type"]) if "type" in keys else None
        if "type" not in keys:
            self.fault(node, "no 'type'; expected one of " + ", ".join(TYPES))
        elif kind not in TYPES:
            self.fault(keys["type"], f"type: {kind!r} is not among the kinds of a suite{_nearest(kind, TYPES)}")
        severity = self.scalar(keys["severity"]) if "severity" in keys else None
        if severity not in get_args(GxSeverity):
            self.fault(keys.get("severity", node), f"severity: expected critical, warning or info, found {severity!r}")
        if len(self.faults) > before:
            return None
        kwargs = self.kwargs(keys.get("kwargs"), node, str(kind), table)
        rule = self.rule(keys.get("meta"), node, kwargs.get("column"))
        if len(self.faults) > before:
            return None
        line = node.start_mark.line + 1
        return Expectation(table, str(kind), kwargs, severity, rule, line)  # type: ignore[arg-type]

    def kwargs(self, node: Node | None, owner: Node, kind: str, table: Table) -> dict[str, Any]:
        wanted = TYPES[kind]
        keys = self.mapping(node, "kwargs", allowed=tuple(wanted)) if node is not None else {}
        found = {key: self.value(item) for key, item in keys.items()}
        for key, value in found.items():
            if not _fits(value, wanted[key]):
                self.fault(keys[key], f"kwargs.{key}: expected {wanted[key]}")
        for key in ("column", "value_set"):
            if key in wanted and key not in found:
                self.fault(node or owner, f"kwargs: {kind} needs {key!r}")
        if "min_value" in wanted and found.get("min_value") is None and found.get("max_value") is None:
            self.fault(node or owner, f"kwargs: {kind} needs min_value, max_value or both; without, all is well")
        column = found.get("column")
        if isinstance(column, str) and column not in COLUMNS[table]:
            near = _nearest(column, COLUMNS[table])
            self.fault(keys["column"], f"kwargs.column: the table of {table} has no column {column!r}{near}")
        return found

    def rule(self, node: Node | None, owner: Node, column: Any) -> str | None:
        keys = self.mapping(node, "meta", allowed=("rule", "note")) if node is not None else {}
        rule = self.scalar(keys["rule"]) if "rule" in keys else None
        if "rule" in keys and rule not in RULES:
            self.fault(keys["rule"], f"meta.rule: {rule!r} is no rule of the check{_nearest(rule, RULES)}")
        elif column in RULES and rule != column:
            self.fault(keys.get("rule", owner), f"meta.rule: the column is {column}, so the rule is {column} too")
        return rule if isinstance(rule, str) else None

    def mapping(self, node: Node | None, what: str, *, allowed: tuple[str, ...]) -> dict[str, Node]:
        from ruamel.yaml.nodes import MappingNode

        if not isinstance(node, MappingNode) or not node.value:
            self.fault(node, f"{what}: expected key: value, with the keys {', '.join(allowed)}")
            return {}
        found: dict[str, Node] = {}
        for key_node, value in node.value:
            key = self.scalar(key_node)
            if key not in allowed:
                expected = _nearest(key, allowed) or f"; expected {', '.join(allowed)}"
                self.fault(key_node, f"{what}: unknown key {key!r}{expected}")
            elif key in found:
                self.fault(key_node, f"{what}: the key {key!r} is there twice; keep one of them")
            else:
                found[str(key)] = value
        return found

    def value(self, node: Node) -> Any:
        from ruamel.yaml.nodes import SequenceNode

        return [self.scalar(item) for item in node.value] if isinstance(node, SequenceNode) else self.scalar(node)

    def scalar(self, node: Node) -> Any:
        """A plain value; what is none (a list, a mapping, a date, a tag of its own) is a fault and given as None."""
        from ruamel.yaml.nodes import ScalarNode

        if isinstance(node, ScalarNode):
            kind, text = str(node.tag).rpartition(":")[2], str(node.value)
            try:
                if kind in ("str", "null", "bool"):
                    return {"str": text, "null": None, "bool": text.lower() in ("true", "yes", "on")}[kind]
                if kind in ("int", "float"):
                    return int(text) if kind == "int" else float(text)
            except ValueError:
                pass
        self.fault(node, "expected text, a number, true, false or null")
        return None


def _fits(value: Any, wanted: str) -> bool:
    if wanted == _VALUES:
        return isinstance(value, list) and bool(value)
    if wanted == _TEXT:
        return isinstance(value, str)
    if wanted == _FLAG:
        return isinstance(value, bool)
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    return number and (wanted == _NUMBER or 0 <= value <= 1)


def _nearest(value: Any, among: Any) -> str:
    near = get_close_matches(value, list(among), n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""
