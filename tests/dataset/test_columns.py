"""Mixed types in a column: told where Arrow refuses the file, and only there."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as arrow_json
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.dataset.files.columns import Columns
from components.dataset.files.reading import Reader
from components.dataset.findings import Hit


def found(rows: list[Any]) -> list[tuple[Hit, int | None]]:
    columns = Columns()
    for line, row in enumerate(rows, start=1):
        columns.add(row, line=line)
    return columns.finish()


def lines_of(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def arrow_refuses(rows: list[Any]) -> bool:
    """As `datasets` up to 4.0 reads JSONL."""
    try:
        arrow_json.read_json(io.BytesIO(lines_of(rows)))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return True
    return False


@pytest.fixture(scope="module")
def load() -> Iterator[Any]:
    """Loads a file as trainers do, with no memory of the one before; the features, or None where it is refused."""
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)

    def features(content: bytes, name: str = "rows.jsonl") -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            try:
                return datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=folder).features
            except datasets.exceptions.DatasetGenerationError:
                return None

    yield features


@pytest.mark.parametrize(
    ("one", "other", "name", "seen"),
    [
        pytest.param({"v": "x"}, {"v": ["x"]}, "v", "a text (first in line 1), a list (first in line 3)", id="list"),
        pytest.param({"v": "x"}, {"v": {"a": 1}}, "v", "a text (first in line 1), an object", id="object"),
        pytest.param({"v": 1}, {"v": "1"}, "v", "a number (first in line 1), a text", id="number"),
        pytest.param({"v": True}, {"v": 1}, "v", "true or false (first in line 1), a number", id="bool"),
        pytest.param({"v": [{"value": "x"}]}, {"v": [{"value": ["x"]}]}, "v[].value", "a text", id="in-turns"),
        pytest.param({"v": {"a": {"b": 1}}}, {"v": {"a": {"b": "x"}}}, "v.a.b", "a number", id="nested"),
        pytest.param({"v": [[1]]}, {"v": [["x"]]}, "v[][]", "a number", id="list-of-lists"),
    ],
)
def test_mixed_types_are_told_as_arrow_refuses_them(one: Any, other: Any, name: str, seen: str) -> None:
    rows = [one, {"v": None}, other]
    [(hit, line)] = found(rows)
    assert (hit.rule, hit.severity, line) == ("A5", None, 3)
    assert f"`{name}` is {seen}" in hit.message
    assert arrow_refuses(rows)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([{"v": 1}, {"v": 1.5}, {"v": 10**30}], id="numbers"),
        pytest.param([{"v": None}, {"v": "x"}, {}], id="null-and-missing"),
        pytest.param([{"v": {"a": 1}}, {"v": {"b": "x"}}, {"v": {}}], id="objects-are-merged"),
        pytest.param([{"v": []}, {"v": ["x"]}, {"v": [None]}], id="empty-lists"),
        pytest.param([{"v": "2026-11-29"}, {"v": "domani"}], id="what-looks-like-a-date"),
    ],
)
def test_what_goes_together(rows: list[Any], load: Any) -> None:
    assert found(rows) == []
    assert not arrow_refuses(rows)
    assert load(lines_of(rows)) is not None


def test_tools_and_what_is_converted_are_warnings() -> None:
    for key in ("tools", "messages", "tool_calls"):
        [(hit, line)] = found([{key: [{"default": 1}]}, {key: [{"default": "x"}]}])
        assert (hit.rule, hit.severity, line) == ("A5", "warning", 2)
    [(hit, _)] = found([{"v": {"arguments": {"n": 1}}}, {"v": {"arguments": {"n": "x"}}}])
    assert hit.severity == "warning"


LEAVES = st.sampled_from([None, True, 1, 0.5, "a", "2026-01-01"])
VALUES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.sampled_from(["a", "b"]), below, max_size=2),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["k", "v"]), VALUES, min_size=1), min_size=1, max_size=4)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(ROWS)
def test_told_where_arrow_refuses_and_only_there(rows: list[Any]) -> None:
    assert bool(found(rows)) == arrow_refuses(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, lines=st.booleans())
def test_what_is_not_told_loads_and_what_is_told_is_no_column(rows: list[Any], lines: bool, load: Any) -> None:
    features = load(lines_of(rows) if lines else json.dumps(rows).encode())
    if not found(rows):
        assert features is not None
    elif features is not None:
        assert "Json(" in str(features)  # 5.2 gave up the column and hands its values over as JSON


BIG = [{"v": "x" * 1000} for _ in range(10_600)]


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        pytest.param([*BIG, {"v": "x", "tools": "[]"}], "tools", id="a-new-key"),
        pytest.param([*({**row, "t": None} for row in BIG), {"v": "x", "t": "s"}], "t", id="null-until-then"),
        pytest.param([*({**row, "t": []} for row in BIG), {"v": "x", "t": ["s"]}], "t[]", id="empty-until-then"),
        pytest.param([*({"v": [row]} for row in BIG), {"v": [{"v": "x", "w": {"b": 1}}]}], "v[].w", id="in-a-turn"),
        pytest.param([{"v": "x", "t": "s"}, *BIG], None, id="a-key-that-goes"),
    ],
)
@pytest.mark.slow
def test_a_key_that_comes_too_late_stops_datasets(rows: list[Any], name: str | None, load: Any, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines_of(rows))
    columns = Columns()
    for row in Reader(path):
        columns.add(row.value, line=row.line, offset=row.offset)
    told = columns.finish()
    assert (load(lines_of(rows)) is None) == (name is not None)
    assert [line for _, line in told] == ([len(rows)] if name else [])
    assert all(f"`{name}` has its first value here" in hit.message for hit, _ in told)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=2), below, max_size=3),
)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(st.lists(JSON, max_size=5), st.integers(0, 30 << 20))
def test_any_json(rows: list[Any], offset: int) -> None:
    columns = Columns()
    for line, row in enumerate(rows):
        columns.add(row, line=line, offset=offset + line * (5 << 20))
    assert {hit.rule for hit, _ in columns.finish()} <= {"A5"}


def test_memory_is_bounded_whatever_the_keys() -> None:
    columns = Columns()
    for at in range(50_000):
        columns.add({"arguments": {f"k{at}": at}}, line=at, offset=20 << 20)
    assert len(columns.finish()) <= 100


def test_the_real_files(shared: Path) -> None:
    for path in (shared / "data" / "sharegpt").iterdir():
        assert found([row.value for row in Reader(path)]) == []
