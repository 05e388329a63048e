"""--fix: what is mended and what never is; every change listed; the old file untouched; once is enough."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.dataset.files.fix import Change, fix_file
from components.dataset.files.mend import mend_text
from components.dataset.files.reading import Reader
from components.errors import InputError


def chat(*values: str, **more: Any) -> dict[str, Any]:
    roles = ("human", "gpt")
    return {**more, "conversations": [{"from": roles[at % 2], "value": value} for at, value in enumerate(values)]}


def fix(tmp_path: Path, content: bytes, name: str = "chats.jsonl") -> tuple[list[Change], Path]:
    path, out = tmp_path / name, tmp_path / f"mended-{name}"
    path.write_bytes(content)
    changes = fix_file(path, out)
    assert path.read_bytes() == content
    return changes, out


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("text", "mended", "rules"),
    [
        pytest.param("  \n\n Ciao. \n ", " Ciao.", ["C2"], id="edges"),
        pytest.param("\n    codice\n", "    codice", ["C2"], id="indented-code-stays"),
        pytest.param("uno\r\ndue", "uno\ndue", ["C2"], id="crlf"),
        pytest.param("La cittÃ\xa0 Ã¨ piÃ¹ bella, perÃ²", "La città è più bella, però", ["C4"], id="mojibake"),
        pytest.param("perche\u0301", "perché", ["C4"], id="accent-apart"),
        pytest.param("zero\u200bwidth\ufeff \u202eabc\u2069", "zerowidth abc", ["C3"], id="hidden"),
        pytest.param("famiglia 👨\u200d👩\u200d👧 ❤\ufe0f", None, [], id="emoji-stay"),
        pytest.param("می\u200cخواهم \u200fשלום", None, [], id="joiners-and-direction-stay"),
        pytest.param("Si scrive `cittÃ\xa0` se si sbaglia:\n```\nperÃ²\u200b\n```", None, [], id="code-stays"),
        pytest.param("perche' no? “virgolette” … naïve ﬁne", None, [], id="words-stay"),
        pytest.param("  \n ", None, [], id="blank-stays"),
        pytest.param("\u200b", None, [], id="nothing-but-hidden-stays"),
        pytest.param("a" + "\u0301\u0316" * 50_000, None, [], id="a-heap-of-marks"),
    ],
)
def test_texts(text: str, mended: str | None, rules: list[str]) -> None:
    steps = mend_text(text)
    assert [rule for rule, _, _ in steps] == rules
    assert (steps[-1][2] if steps else None) == mended


def test_a_file_with_everything(tmp_path: Path) -> None:
    good = chat("Ciao", "Ciao!", id="a")
    written_call = '{"name": "f", "arguments": {"x": " y\u200b "}}'
    tools = {
        "conversations": [
            {"from": "human", "value": "q"}, {"from": "function_call", "value": written_call + "\n"},
            {"from": "tool", "value": '{"t": "cittÃ\xa0 "} '}, {"from": "gpt", "value": "ok"},
        ],
        "tools": [{"name": "f"}],
    }  # fmt: skip
    content = b"\xef\xbb\xbf" + lines(
        good, {**good, "id": "b"}, chat("user \n", "cittÃ\xa0"), {"messages": [{"role": "user", "content": "q"}]}, tools
    ).replace(b"\n", b"\r\n") + b'{"broken": \n{"a": "\xe8"}\n{"id": 1, "id": 2}\n[1]\n'  # fmt: skip
    changes, out = fix(tmp_path, content)
    written = [json.loads(line) for line in out.read_bytes().splitlines()[:4]]
    assert written == [
        good,
        chat("user", "città"),
        {"conversations": [{"from": "human", "value": "q"}]},
        {
            "conversations": [
                {"from": "human", "value": "q"}, {"from": "function_call", "value": written_call},
                {"from": "observation", "value": '{"t": "cittÃ\xa0 "}'}, {"from": "gpt", "value": "ok"},
            ],
            "tools": '[{"name": "f"}]',
        },
    ]  # fmt: skip
    assert out.read_bytes().splitlines()[4:] == [b'{"id": 1, "id": 2}', b"[1]"]  # decisions, for people
    assert b"\r" not in out.read_bytes()
    assert [(change.rule, change.line, change.conversation, change.turn) for change in changes] == [
        ("A2", None, None, None), ("A2", 1, None, None), ("E1", 2, 1, None), ("C2", 3, 2, 0), ("C4", 3, 2, 1),
        ("A6", 4, 3, None), ("A6", 5, 4, None), ("C2", 5, 4, 1), ("C2", 5, 4, 2), ("A1", 6, 5, None),
        ("A2", 7, 6, None),
    ]  # fmt: skip
    assert (tmp_path / "mended-chats.jsonl.left-out").read_bytes() == b'{"broken":\n{"a": "\xe8"}\n'
    listed = (tmp_path / "mended-chats.jsonl.changes.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in listed] == [change.to_dict() for change in changes]


def test_a_change_shows_where_without_secrets(tmp_path: Path) -> None:
    secret = "ghp_" + "b7Xq2LzR9vTn4KdWc8HsY1pMfE6jUaG3oB5i"
    [change], _ = fix(tmp_path, lines(chat(f"la chiave è {secret}, la cittÃ\xa0", "ok")))
    assert (change.rule, change.conversation, change.turn) == ("C4", 0, 0)
    assert "cittÃ" in change.before and "città" in change.after
    assert secret[:8] not in str(change.to_dict())


def test_nothing_to_mend_is_no_list(tmp_path: Path) -> None:
    changes, out = fix(tmp_path, lines(chat("q", "a")))
    assert (changes, out.read_bytes()) == ([], lines(chat("q", "a")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chats.jsonl", "mended-chats.jsonl"]


def test_an_array_stays_one_where_the_name_asks_for_it(tmp_path: Path) -> None:
    rows = [chat("q", "a"), chat("r", "b")]
    _, out = fix(tmp_path, json.dumps(rows, indent=2).encode(), "chats.json")
    assert json.loads(out.read_bytes()) == rows
    assert len(out.read_bytes().splitlines()) == 4


def test_what_was_not_read_is_left_out_whole(tmp_path: Path) -> None:
    content = b"[\n" + lines(chat("q", "a")) + b",}, rest\n"
    changes, out = fix(tmp_path, content, "chats.json")
    assert json.loads(out.read_bytes()) == [chat("q", "a")]
    assert (tmp_path / "mended-chats.json.left-out").read_bytes() == b"}, rest\n"
    assert "left out from here to the end" in changes[-1].what


def test_gzip(tmp_path: Path) -> None:
    path, out = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"
    path.write_bytes(gzip.compress(lines(chat("q ", "a")) + b"{x\n"))
    assert [change.rule for change in fix_file(path, out)] == ["C2", "A1"]
    assert out.read_bytes() == lines(chat("q", "a"))
    assert (tmp_path / "b.jsonl.left-out").read_bytes() == b"{x\n"


def test_numbers_and_odd_values_stay(tmp_path: Path) -> None:
    row = {"n": 12345678901234567890123, "f": 0.1, "s": "\ud83d", "conversations": [5, {"from": "bot", "value": " x "}]}
    changes, out = fix(tmp_path, json.dumps(row).encode())
    assert changes == []
    assert json.loads(out.read_bytes()) == row


@pytest.mark.parametrize("taken", ["out.jsonl", "out.jsonl.changes.jsonl", "out.jsonl.left-out", "chats.jsonl"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(lines(chat("q ", "a")))
    if taken == "chats.jsonl":
        out = path
    else:
        out = tmp_path / "out.jsonl"
        os.symlink(tmp_path / "nowhere", tmp_path / taken)
    with pytest.raises(InputError, match="exists already"):
        fix_file(path, out)
    assert path.read_bytes() == lines(chat("q ", "a"))
    assert not out.is_file() or out == path


@pytest.mark.parametrize("content", [b"", b"ciao\n", b"[]", '{"a": 1}'.encode("utf-16")])
def test_nothing_is_written_where_nothing_can_be_read(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="nothing of it can be read"):
        fix(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir()] == ["chats.jsonl"]


def test_no_such_folder(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(lines(chat("q", "a")))
    with pytest.raises(InputError, match="no such folder"):
        fix_file(path, tmp_path / "none" / "out.jsonl")


def twice(tmp_path: Path, content: bytes, name: str) -> None:
    """Mends, and mends what was mended: the second time there is nothing to do."""
    (tmp_path / "in").write_bytes(content)
    first, second = tmp_path / f"first{name}", tmp_path / f"second{name}"
    try:
        fix_file(tmp_path / "in", first)
    except InputError:
        return
    assert fix_file(first, second) == []
    assert second.read_bytes() == first.read_bytes()
    values = [row.value for row in Reader(first)]
    assert len(values) <= len(list(Reader(tmp_path / "in")))


def test_the_real_files_twice(shared: Path, tmp_path: Path) -> None:
    for at, path in enumerate(sorted((shared / "data" / "sharegpt").iterdir())):
        folder = tmp_path / str(at)
        folder.mkdir()
        twice(folder, path.read_bytes(), ".jsonl")
        if path.name == "identity_alpaca.json":
            rows = [row.value for row in Reader(folder / "first.jsonl")]
            assert {tuple(turn["from"] for turn in row["conversations"]) for row in rows} == {("human", "gpt")}


TEXTS = st.lists(
    st.sampled_from(
        ["Ã¨", "Ã", "\xa0", "è", "e\u0301", "\u200b", "\ufeff", "\u200d", "\u202e", "\u200f", "ש", "👨", "`", "```",
         "\n", "\r\n", " ", "    ", "ciao", "<tool_call>", '{"name": "f", "arguments": {}}', "</tool_call>",
         "<tool_response>", "</tool_response>", "\u0e01", "\ud83d", "\xad", "~~~"]
    ),
    max_size=8,
).map("".join)  # fmt: skip
ROLES = st.sampled_from(
    ["human", "gpt", "system", "user", "assistant", "tool", "function_call", "observation", "bot", 5]
)
TURNS = st.lists(
    st.fixed_dictionaries({"from": ROLES, "value": TEXTS})
    | st.fixed_dictionaries({"role": ROLES, "content": TEXTS})
    | st.fixed_dictionaries({"human": TEXTS, "assistant": TEXTS})
    | st.none(),
    max_size=4,
)
ROWS = st.dictionaries(
    st.sampled_from(
        ["conversations", "messages", "conversation", "prompt", "completion", "tools", "system", "history"]
    ),
    TURNS | TEXTS | st.none() | st.integers(),
    max_size=3,
) | st.fixed_dictionaries({"instruction": TEXTS, "input": TEXTS | st.integers(), "output": TEXTS, "history": TURNS})


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(TEXTS)
def test_a_mended_text_is_at_rest(text: str) -> None:
    steps = mend_text(text)
    assert not steps or mend_text(steps[-1][2]) == []


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(st.lists(ROWS, min_size=1, max_size=4), st.sampled_from([".jsonl", ".json"]), st.sampled_from([None, 2]))
@example([{"conversations": [{"from": "gpt", "value": '\u200b<tool_call>{"name": 1}</tool_call>'}]}], ".jsonl", None)
def test_once_is_enough(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], name: str, indent: int | None
) -> None:
    content = (
        json.dumps(rows, indent=indent).encode() if indent else b"".join(json.dumps(r).encode() + b"\n" for r in rows)
    )
    twice(tmp_path_factory.mktemp("twice"), content, name)


@settings(deadline=None)  # files are written, on a machine that may be busy
@given(st.binary(max_size=100), st.sampled_from([".jsonl", ".json"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    twice(tmp_path_factory.mktemp("any"), b'{"conversations": []}\n' + content, name)
