"""Reading: every container, every fault with its place, and no bytes whatsoever that end in a traceback."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.dataset.conversation import MISSING
from components.dataset.files.formats import detect_format, to_conversation
from components.dataset.files.reading import Reader, Row
from components.errors import InputError

ROW = '{"conversations": [{"from": "human", "value": "perché?"}, {"from": "gpt", "value": "così: \\"a\\": 1"}]}'
VALUE = json.loads(ROW)
TWO = [VALUE, {"id": "b", **VALUE}]


def read(tmp_path: Path, content: str | bytes, name: str = "chats.json") -> tuple[Reader, list[Row]]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    reader = Reader(path)
    return reader, list(reader)


def rules(reader: Reader, rows: list[Row]) -> list[str]:
    return sorted([hit.rule for hit, _ in reader.hits] + [hit.rule for row in rows for hit in row.hits])


@pytest.mark.parametrize(
    ("content", "container"),
    [
        pytest.param("\n".join(map(json.dumps, TWO)), "jsonl", id="jsonl"),
        pytest.param("\r\n\r\n".join(map(json.dumps, TWO)) + "\r\n", "jsonl", id="jsonl-crlf-blank-lines"),
        pytest.param(json.dumps(TWO), "array", id="array-on-one-line"),
        pytest.param(json.dumps(TWO, indent=2, ensure_ascii=False), "array", id="array-pretty"),
        pytest.param(json.dumps(TWO, indent="\t").replace("\n", "\r\n"), "array", id="array-pretty-tabs-crlf"),
        pytest.param(" \n[\n" + ",\n".join(map(json.dumps, TWO)) + "\n]\n", "array", id="array-row-a-line"),
        pytest.param("\n".join(json.dumps(row, indent=2) for row in TWO), "objects", id="objects-pretty"),
        pytest.param("".join(json.dumps(row, indent=0) for row in TWO), "objects", id="objects-without-a-line-between"),
    ],
)
def test_containers(tmp_path: Path, content: str, container: str) -> None:
    reader, rows = read(tmp_path, content)
    assert [row.value for row in rows] == TWO
    assert (reader.container, reader.hits, [row.hits for row in rows]) == (container, [], [(), ()])
    raw = content.encode()
    assert reader.bytes == len(raw) and reader.sha256 == hashlib.sha256(raw).hexdigest()
    for row in rows:
        assert json.loads(raw[row.offset : row.offset + row.length]) == row.value
        assert row.line == raw[: row.offset].count(b"\n") + 1


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(map(json.dumps, TWO)).encode())
    reader, rows = read(tmp_path, packed, "chats.jsonl.gz")
    assert [row.value for row in rows] == TWO
    assert reader.sha256 == hashlib.sha256(packed).hexdigest()
    reader, rows = read(tmp_path, packed[:-12], "cut.jsonl.gz")
    assert "A1" in rules(reader, rows)


def test_an_object_over_several_lines_is_one_conversation_and_told(tmp_path: Path) -> None:
    for content in (json.dumps(VALUE, indent=2), '{"conversations": [\n{"from": "human", "value": "x"}\n]}'):
        reader, rows = read(tmp_path, content)
        assert (reader.container, len(rows)) == ("object", 1)
        [(hit, line)] = reader.hits
        assert (hit.rule, hit.severity, line) == ("A3", "info", 1)


@pytest.mark.parametrize(
    ("line", "rule", "words"),
    [
        pytest.param('{"a": ', "A1", "2:6: it ends in the middle", id="cut"),
        pytest.param("{'a': 1}", "A1", "2:2: single quotes", id="python-quotes"),
        pytest.param('{"a": None}', "A1", "2:7: Python's None", id="python-none"),
        pytest.param('{"a": 1,}', "A1", "2:9", id="comma-at-the-end"),
        pytest.param(ROW + ",", "A1", "a comma after the row", id="comma-after-the-row"),
        pytest.param('{"a": 1} x', "A1", "more text after the end", id="text-after"),
        pytest.param('{"b": "NaN", "a": NaN}', "A1", "NaN, which JSON does not have, at 2:19", id="nan"),
        pytest.param('{"a": -Infinity}', "A1", "-Infinity", id="infinity"),
        pytest.param('{"a": 1e999}', "A1", "a number too large", id="too-large"),
        pytest.param('{"a": ' + "1" * 10_000_000 + "}", "A1", "10,000,000 digits", id="ten-megabytes-of-digits"),
        pytest.param("[" * 100_000, "A1", "levels deep", id="depth-bomb"),
        pytest.param('{"a": ' + "[" * 200 + "]" * 200 + "}", "A1", "levels deep", id="deeper-than-arrow-holds"),
        pytest.param(b'{"a": "perch\xe8"}', "A2", "byte 0xE8 at 2:13 is not UTF-8; it may be Windows-1252", id="latin"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "A2", "byte 0xED", id="surrogate-in-utf-8"),
        pytest.param(b'{"a": "x\0"}', "A2", "a NUL byte at 2:9", id="nul"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_costs_no_other(tmp_path: Path, line: str | bytes, rule: str, words: str) -> None:
    broken = line if isinstance(line, bytes) else line.encode()
    reader, rows = read(tmp_path, ROW.encode() + b"\n" + broken + b"\n" + ROW.encode())
    assert (reader.container, reader.hits) == ("jsonl", [])
    assert [row.value for row in rows] == [VALUE, MISSING, VALUE]
    assert [row.line for row in rows] == [1, 2, 3]
    [hit] = rows[1].hits
    assert hit.rule == rule
    assert words in hit.message


def test_a_broken_first_line_does_not_make_an_object_of_the_file(tmp_path: Path) -> None:
    reader, rows = read(tmp_path, ROW[:40] + "\n" + ROW + "\n" + ROW + "\n")
    assert reader.container == "jsonl"
    assert [row.value for row in rows] == [MISSING, VALUE, VALUE]


def test_the_place_of_a_fault_in_a_pretty_file(tmp_path: Path) -> None:
    text = json.dumps(TWO, indent=2)
    reader, rows = read(tmp_path, text.replace('"from": "gpt",', '"from": "gpt"', 1))
    assert [row.value for row in rows] == [MISSING, TWO[1]]
    assert "not JSON at 10:9: expecting ',' delimiter" in rows[0].hits[0].message


def test_a_message_shows_no_secret(tmp_path: Path) -> None:
    secret = "ghp_" + "b7Xq2LzR9vTn4KdWc8HsY1pMfE6jUaG3oB5i"
    _, rows = read(tmp_path, '{"key": "' + secret + '", "mail": "mario.rossi@gmail.com" oops')
    assert secret[:10] not in rows[0].hits[0].message
    assert "mario" not in rows[0].hits[0].message


@pytest.mark.parametrize(
    ("row", "turn", "key"),
    [
        pytest.param('{"conversations": [], "conversations": []}', None, "conversations", id="of-the-row"),
        pytest.param('{"conversations": [{}, {"from": "a", "value": "x", "value": "y"}]}', 1, "value", id="of-a-turn"),
        pytest.param('{"conversations": [{"value": {"a": {"k": 1, "k": [2]}}}]}', None, "k", id="below"),
        pytest.param('{"a" : 1, "a"\t: 2}', None, "a", id="space-before-the-colon"),
        pytest.param('{"a\\\\": 1, "b": "\\u0022\\u0022", "a\\\\":2}', None, "a\\", id="back-slashes-and-u0022"),
        pytest.param('{"a": 1, "\\u0061": 2, "t": "\\"t\\": \\u00e8"}', None, "a", id="one-of-them-escaped"),
    ],
)
def test_doubled_keys(tmp_path: Path, row: str, turn: int | None, key: str) -> None:
    reader, rows = read(tmp_path, f"{row}\n")
    [hit] = rows[0].hits
    assert (reader.hits, hit.rule, hit.turn) == ([], "A4", turn)
    assert f"`{key}`" in hit.message
    assert rows[0].value == json.loads(row)


def test_marks_surrogates_and_nul(tmp_path: Path) -> None:
    reader, rows = read(tmp_path, b"\xef\xbb\xbf" + ROW.encode() + b"\n" + ROW.encode())
    assert [row.value for row in rows] == [VALUE, VALUE]
    assert [(hit.rule, hit.severity, line) for hit, line in reader.hits] == [("A2", "warning", 1)]
    assert rows[0].offset == 3
    text = '{"conversations": [{"from": "human", "value": "\\ud83d\\ude00"}, {"from": "gpt", "value": "\\ud83d"}]}'
    _, rows = read(tmp_path, text)
    assert [(hit.rule, hit.turn, hit.severity) for hit in rows[0].hits] == [("A2", 1, None)]
    _, rows = read(tmp_path, text.replace('"\\ud83d"', '"\\u0000"').replace("\\ude00", ""))
    assert [(hit.turn, hit.severity) for hit in rows[0].hits] == [(0, None), (1, "warning")]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"", "A3", id="empty"),
        pytest.param(b" \n\r\n\t", "A3", id="white-space"),
        pytest.param(b"[]", "A3", id="empty-array"),
        pytest.param('{"a": 1}'.encode("utf-16"), "A2", id="utf-16"),
        pytest.param(bytes(range(256)) * 10, "A2", id="binary"),
    ],
)
def test_a_file_without_rows_is_never_a_clean_bill(tmp_path: Path, content: bytes, rule: str) -> None:
    reader, rows = read(tmp_path, content)
    assert rows == []
    assert rules(reader, rows) == [rule]


def test_rows_that_are_no_objects(tmp_path: Path) -> None:
    for content in ('[[1], [2], 3, "x", null]', '[1]\n[2]\n3\n"x"\nnull\n'):
        reader, rows = read(tmp_path, content)
        assert [row.value for row in rows] == [[1], [2], 3, "x", None]
        assert rules(reader, rows) == ["A3"] * 5


@pytest.mark.parametrize(
    ("content", "values", "words"),
    [
        pytest.param('[{"a": 1} {"a": 2}]', [{"a": 1}, {"a": 2}], "a comma between two rows is missing", id="missing"),
        pytest.param('[{"a": 1},]', [{"a": 1}], "a comma after the last row", id="comma-at-the-end"),
        pytest.param('[{"a": 1}', [{"a": 1}], "the file ends within the array", id="not-closed"),
        pytest.param('[\n{"a": 1}\n]\n{"b"', [{"a": 1}], "more text after the end", id="text-after"),
        pytest.param('[\n{"a": 1}, }', [{"a": 1}], "`}` where a row should begin", id="brace"),
    ],
)
def test_faults_of_an_array(tmp_path: Path, content: str, values: list[object], words: str) -> None:
    reader, rows = read(tmp_path, content)
    assert [row.value for row in rows if row.value is not MISSING] == values
    assert any(words in hit.message for hit, _ in reader.hits)
    assert set(rules(reader, rows)) == {"A1"}


@pytest.mark.parametrize(
    ("content", "rule", "words", "fix"),
    [
        pytest.param(b"prompt,answer\nciao,ehi\na,b\n", "A1", "looks like CSV (its first line: prompt, answer)",
                     "JSONL", id="csv"),
        pytest.param(b'\xef\xbb\xbf"id";"text"\r\n1;"a, b"\r\n', "A1",
                     "looks like CSV with semicolons (its first line: id, text)", "JSONL", id="semicolons"),
        pytest.param(b"id\ttext\n1\tciao\n", "A1", "looks like TSV", "JSONL", id="tsv"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "A2", "the file is a PDF", "JSONL", id="pdf"),
        pytest.param(b"PK\x03\x04\x14\0\0\0", "A2", "the file is a ZIP archive", "unpack it", id="zip"),
        pytest.param(b"PAR1\x15\x04\0\0", "A2", "the file is a Parquet file", "JSONL", id="parquet"),
        pytest.param((ROW + "\n").encode("utf-16"), "A2", "UTF-16 text", "save it as UTF-8", id="utf-16"),
        pytest.param(ROW.encode("utf-16-be"), "A2", "UTF-16 text", "save it as UTF-8", id="utf-16-without-a-mark"),
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_told_by_its_name(
    tmp_path: Path, content: bytes, rule: str, words: str, fix: str
) -> None:
    reader, rows = read(tmp_path, content)
    assert rows == []
    ((hit, line),) = reader.hits
    assert (hit.rule, line) == (rule, 1)
    assert words in hit.message and "nothing of it was read" in hit.message
    assert hit.fix is not None and fix in hit.fix
    assert reader.bytes == len(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("prompt,answer\n" + ROW + "\n", id="a-line-before-the-rows"),
        pytest.param("ciao, a tutti\n\nUna lettera senza colonne\n", id="prose"),
        pytest.param("una riga, sola\n", id="one-line"),
    ],
)
def test_lines_with_commas_are_not_always_a_table(tmp_path: Path, content: str) -> None:
    reader, rows = read(tmp_path, content)
    assert reader.hits == [] and rows
    assert rows[0].hits[0].rule == "A1"


def test_a_text_that_is_no_json_is_given_up(tmp_path: Path) -> None:
    reader, rows = read(tmp_path, "ciao\n" * 5000)
    assert len(rows) == 100
    assert "none of the first 100 lines is JSON" in reader.hits[-1][0].message
    assert reader.unread == 500
    assert reader.bytes == 25_000


def test_no_such_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            Reader(path)


@pytest.mark.parametrize("indent", [None, 2], ids=["one-line", "pretty"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "large.json"
    path.write_text(json.dumps([{"id": str(at), **VALUE, "more": "x" * 2000} for at in range(8000)], indent=indent))
    tracemalloc.start()
    count = sum(1 for _ in Reader(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8000
    assert path.stat().st_size > 16 << 20
    assert peak < 8 << 20


def test_a_row_of_several_blocks(tmp_path: Path) -> None:
    long = {"conversations": [{"from": "human", "value": "è\n" * 1_500_000}]}
    for content in (json.dumps([long, VALUE], ensure_ascii=False), json.dumps([VALUE, long, VALUE], indent=1)):
        reader, rows = read(tmp_path, content)
        assert [row.value for row in rows] == json.loads(content)
        assert reader.hits == []


def test_the_real_files(shared: Path) -> None:
    for name, count, container in (
        ("glaive_toolcall_en_demo.json", 300, "array"), ("identity_alpaca.json", 91, "array"),
        ("conversation.json", 1, "object"), ("conversation.missingturns.json", 1, "object"),
    ):  # fmt: skip
        path = shared / "data" / "sharegpt" / name
        reader = Reader(path)
        rows = list(reader)
        whole = json.loads(path.read_bytes())
        assert [row.value for row in rows] == (whole if isinstance(whole, list) else [whole])
        assert (len(rows), reader.container) == (count, container)
        assert not [hit for row in rows for hit in row.hits]
        assert not [hit for hit, _ in reader.hits if hit.severity != "info"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["from", "value", "conversations", "a", "\\", '"', ""]), below, max_size=3)
    ),
    max_leaves=12,
)
PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b" ", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"1", b"-",
     b"null", b"NaN", b'"a"', b'"from":"human"', b'"conversations":[', b"\\ud800", b"\x1f\x8b", ROW.encode()]
)  # fmt: skip


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(st.binary(max_size=200) | st.lists(PIECES, max_size=40).map(b"".join))
@example(b"\x1f\x8b")
@example(b"[" * 100_000)
@example(b'{"a":' * 5000)
@example(b'[{"a":"' + b'\\"' * 5000)
def test_any_bytes_end_in_rows_and_hits(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    path.write_bytes(content)
    reader = Reader(path)
    rows = list(reader)
    assert rows or reader.hits
    assert reader.bytes == len(content)
    for row in rows:
        assert row.hits or isinstance(row.value, dict)
        assert row.value is not MISSING or row.hits
    format_ = detect_format(row.value for row in rows)
    for row in rows:
        to_conversation(row.value, index=row.index, line=row.line, format=format_)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(st.lists(JSON, min_size=1, max_size=4), st.sampled_from([None, 0, 2]), st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.json"
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    rows = list(Reader(path))
    assert len(rows) == len(values)
    for row, value in zip(rows, values, strict=True):
        if row.value is not MISSING:
            assert repr(row.value) == repr(value)
        else:
            assert {hit.rule for hit in row.hits} <= {"A1", "A2"}
