"""Exports of real chats, in the shape in which they come: what was said is a row, all else is counted."""

from __future__ import annotations

import json
import random
import string
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.dataset.check import check_files
from components.dataset.files.chat_exports import ExportReport, read_export
from components.errors import InputError

ROOT = "00000000-0000-4000-8000-000000000000"
UNSUPPORTED = "\n```\nThis block is not supported on your current device yet.\n```\n"


def claude_message(name: str, sender: str, *blocks: Any, parent: str | None = None, **changes: Any) -> dict[str, Any]:
    """A message as Claude exports it; a block that is a text becomes a text block."""
    content = [
        {"start_timestamp": None, "stop_timestamp": None, "type": "text", "text": block, "citations": []}
        if isinstance(block, str)
        else block
        for block in blocks
    ]
    text = UNSUPPORTED.join(block for block in blocks if isinstance(block, str))
    message = {
        "uuid": name, "text": text, "content": content, "sender": sender,
        "created_at": f"2026-05-0{len(name)}T10:00:00Z", "updated_at": "2026-05-01T10:00:00Z", "attachments": [],
        "files": [],
    }  # fmt: skip
    return message | ({} if parent is None else {"parent_message_uuid": parent}) | changes


def claude(*messages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    about = {
        "uuid": "3f0c", "name": "Olio", "summary": "", "created_at": "2026-05-01T23:30:00.5Z",
        "updated_at": "2026-05-02T10:00:00Z", "account": {"uuid": "a"}, "chat_messages": list(messages),
    }  # fmt: skip
    return about | changes


def node(name: str, parent: str | None, role: str, *parts: Any, **changes: Any) -> dict[str, Any]:
    message = {
        "id": name, "author": {"role": role, "name": None, "metadata": {}}, "create_time": 1_777_000_000.5,
        "update_time": None, "content": {"content_type": "text", "parts": list(parts)},
        "status": "finished_successfully", "end_turn": True, "weight": 1.0, "recipient": "all", "channel": None,
        "metadata": {"model_slug": "gpt-5"} if role == "assistant" else {},
    }  # fmt: skip
    return {"id": name, "parent": parent, "children": [], "message": message | changes}


def chatgpt(*nodes: dict[str, Any], current: str | None = None, **changes: Any) -> dict[str, Any]:
    root = {"id": "root", "parent": None, "children": [], "message": None}
    mapping = {each["id"]: each for each in [root, *nodes]}
    for each in nodes:
        if each["parent"] in mapping:
            mapping[each["parent"]]["children"].append(each["id"])
    return {
        "id": "c-1", "conversation_id": "c-1", "title": "Olio", "create_time": 1_777_000_000.1,
        "update_time": 1_777_000_900.0, "mapping": mapping, "current_node": current or [*mapping][-1],
        "moderation_results": [], "is_archived": False,
    } | changes  # fmt: skip


def read(folder: Path, *conversations: Any, **options: Any) -> tuple[list[dict[str, Any]], ExportReport]:
    path = folder / "conversations.json"
    path.write_text(json.dumps(list(conversations)), encoding="utf-8")
    report = ExportReport(str(path))
    return list(read_export(path, report=report, **options)), report


def turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(turn["from"], turn["value"]) for turn in row["conversations"]]


def test_claude_words_are_taken_thoughts_and_tools_are_counted(tmp_path: Path) -> None:
    conversation = claude(
        claude_message("m1", "human", "Quanto olio serve?"),
        claude_message(
            "m2", "assistant", {"type": "thinking", "thinking": "penso"}, "Cerco.",
            {"type": "tool_use", "id": "t", "name": "web_search", "input": {}},
            {"type": "tool_result", "tool_use_id": "t", "content": []}, "Due cucchiai.",
        ),
    )  # fmt: skip
    (row,), report = read(tmp_path, conversation, author="Bianca", licence="propria")
    assert turns(row) == [("human", "Quanto olio serve?"), ("gpt", "Cerco.\n\nDue cucchiai.")]
    assert row["id"] == "claude-3f0c" and row["stage"] == "expansion"
    left_out = {"thought": 1, "tool call": 1, "tool result": 1}
    assert row["provenance"] == {
        "kind": "log", "author": "Bianca", "licence": "propria", "model": "claude", "created": "2026-05-01",
        "left_out": left_out,
    }  # fmt: skip
    assert report.to_dict() == {
        "path": str(tmp_path / "conversations.json"), "maker": "claude", "conversations": 1, "taken": 1, "left_out": {},
        "parts": left_out, "secrets": {}, "faults": [],
    }  # fmt: skip


def test_claude_text_alone_is_read_and_its_placeholders_go(tmp_path: Path) -> None:
    old = claude(
        claude_message("m1", "human", content=[], text="Ciao?"),
        claude_message("m2", "assistant", content=[], text=f"Guardo.{UNSUPPORTED}\nFatto."),
    )
    (row,), report = read(tmp_path, old)
    assert turns(row)[1] == ("gpt", "Guardo.\n\nFatto.") and report.parts == {"tool call": 1}


def test_claude_pasted_text_is_part_of_the_question(tmp_path: Path) -> None:
    pasted = {"file_name": "", "file_size": 9, "file_type": "txt", "extracted_content": "La ricetta."}
    asked = claude_message("m1", "human", "Riassumi.", attachments=[pasted], files=[{"file_name": "foto.jpg"}])
    (row,), report = read(tmp_path, claude(asked, claude_message("m2", "assistant", "È corta.")))
    assert turns(row)[0] == ("human", "Riassumi.\n\nLa ricetta.")
    assert report.parts == {"attachment taken as text": 1, "file": 1}


@pytest.mark.parametrize("named", [True, False])
def test_claude_branch_that_was_shown_is_taken(tmp_path: Path, named: bool) -> None:
    conversation = claude(
        claude_message("1", "human", "Prima?", parent=ROOT),
        claude_message("12", "assistant", "Vecchia.", parent="1"),
        claude_message("123", "assistant", "Nuova.", parent="1"),
        claude_message("1234", "human", "E poi?", parent="123"),
        claude_message("12345", "assistant", "Basta.", parent="1234"),
        **({"current_leaf_message_uuid": "12345"} if named else {}),
    )
    (row,), report = read(tmp_path, conversation)
    assert [text for _, text in turns(row)] == ["Prima?", "Nuova.", "E poi?", "Basta."]
    assert report.parts == {"message of another branch": 1}


def test_chatgpt_path_to_the_shown_end_is_taken(tmp_path: Path) -> None:
    conversation = chatgpt(
        node("s", "root", "system", "", metadata={"is_visually_hidden_from_conversation": True}),
        node("ctx", "s", "user", content={"content_type": "user_editable_context", "user_profile": "Sono Bianca"},
             metadata={"is_visually_hidden_from_conversation": True, "is_user_system_message": True}),
        node("u1", "ctx", "user", "Quanto olio?"),
        node("a-old", "u1", "assistant", "Tre."),
        node("think", "u1", "assistant", content={"content_type": "thoughts", "thoughts": []}),
        node("call", "think", "assistant", recipient="web.run", content={"content_type": "code", "text": "{}"}),
        node("result", "call", "tool", "pagina"),
        node("recap", "result", "assistant", content={"content_type": "reasoning_recap", "content": "7 s"}),
        node("a1", "recap", "assistant", "Due cucchiai \ue200cite\ue202turn0search1\ue201.", "Colmi【12†fonte】."),
    )  # fmt: skip
    (row,), report = read(tmp_path, conversation)
    assert turns(row) == [("human", "Quanto olio?"), ("gpt", "Due cucchiai .\n\nColmi.")]
    assert row["provenance"]["model"] == "gpt-5" and row["provenance"]["created"] == "2026-04-24"
    assert report.parts == {
        "message of another branch": 1, "thought": 2, "tool call": 1, "tool result": 1, "citation mark": 2,
        "hidden text": 1,
    }  # fmt: skip
    assert "author" not in row["provenance"] and row["id"] == "chatgpt-c-1"


def test_chatgpt_pictures_are_counted_and_speech_is_read(tmp_path: Path) -> None:
    spoken = {"content_type": "audio_transcription", "text": "Che cos'è?", "direction": "in"}
    sound = {"content_type": "audio_asset_pointer", "asset_pointer": "sediment://x"}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://y"}
    content = {"content_type": "multimodal_text", "parts": [spoken, sound, picture]}
    (row,), report = read(
        tmp_path, chatgpt(node("u", "root", "user", content=content), node("a", "u", "assistant", "Un frantoio."))
    )
    assert turns(row)[0] == ("human", "Che cos'è?") and report.parts == {"sound": 1, "picture": 1}


@pytest.mark.parametrize("current", ["missing", None])
def test_chatgpt_without_its_end_takes_the_newest(tmp_path: Path, current: str | None) -> None:
    conversation = chatgpt(
        node("u", "root", "user", "Chi?"), node("a", "u", "assistant", "Una."),
        node("b", "u", "assistant", "Due.", create_time=1_777_000_100), current_node=current,
    )  # fmt: skip
    (row,), _ = read(tmp_path, conversation)
    assert turns(row)[1] == ("gpt", "Due.")


def test_chatgpt_in_several_files_and_in_an_object(tmp_path: Path) -> None:
    one = chatgpt(node("u", "root", "user", "Chi?"), node("a", "u", "assistant", "Io."))
    for number in range(3):
        name = f"conversations-00{number}.json"
        (tmp_path / name).write_text(json.dumps([{**one, "conversation_id": f"c{number}"}]))
    report = ExportReport("x")
    assert [row["id"] for row in read_export(tmp_path, report=report)] == ["chatgpt-c0", "chatgpt-c1", "chatgpt-c2"]
    wrapped = tmp_path / "conversations.json"
    wrapped.write_text(json.dumps({"conversations": [one, one]}))
    assert len(list(read_export(wrapped, report=ExportReport("x")))) == 2


def test_turns_are_joined_and_loose_ends_left_out(tmp_path: Path) -> None:
    said = [("assistant", "Benvenuta."), ("human", "Una cosa."), ("human", "Anzi due."), ("assistant", "Dimmi."),
            ("assistant", "Ti ascolto."), ("human", "Aspetta")]  # fmt: skip
    messages = [claude_message(f"m{n}", sender, text) for n, (sender, text) in enumerate(said)]
    (row,), report = read(tmp_path, claude(*messages))
    assert turns(row) == [("human", "Una cosa.\n\nAnzi due."), ("gpt", "Dimmi.\n\nTi ascolto.")]
    assert report.parts == {
        "joined to the message before": 2, "answer before the first question": 1, "question without an answer": 1
    }  # fmt: skip


PICTURE = {"content_type": "multimodal_text", "parts": [{"content_type": "image_asset_pointer"}]}
TOOL = {"type": "tool_use", "id": "t", "name": "x", "input": {}}


@pytest.mark.parametrize(
    ("conversation", "why"),
    [
        (claude(), "empty"),
        (claude(claude_message("m", "human", "Ciao?")), "no answer"),
        (claude(claude_message("m", "assistant", "Ciao.")), "no question"),
        (claude(claude_message("m", "assistant", TOOL)), "tools only"),
        (claude(claude_message("m", "human", files=[{"file_name": "a.png"}])), "pictures, sound or files only"),
        (chatgpt(node("u", "root", "user", content=PICTURE)), "pictures, sound or files only"),
        (chatgpt(node("s", "root", "system", "Sei utile.")), "hidden texts only"),
        (chatgpt(node("t", "root", "tool", "x")), "tools only"),
        ({"title": "x"}, "neither Claude's nor ChatGPT's form"),
        (7, "no object"),
    ],
)
def test_what_is_no_conversation_is_counted_with_its_reason(tmp_path: Path, conversation: Any, why: str) -> None:
    good = claude(claude_message("m1", "human", "Ciao?"), claude_message("m2", "assistant", "Ciao."))
    rows, report = read(tmp_path, conversation, good)
    assert len(rows) == 1 and report.left_out == {why: 1} and (report.taken, report.conversations) == (1, 2)
    assert f"1 of 2 conversations taken\n  left out: 1 {why}" in report.text()


def test_secrets_are_masked_and_counted(tmp_path: Path) -> None:
    key = "ghp_" + "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=36))
    messages = (claude_message("m1", "human", f"La chiave è {key}, vero?"),
                claude_message("m2", "assistant", f"Sì: {key}. Scrivi a rossi@posta.it"))  # fmt: skip
    (row,), report = read(tmp_path, claude(*messages))
    assert key not in json.dumps(row) and sum(report.secrets.values()) == 2 and "posta.it" in json.dumps(row)
    (row,), report = read(tmp_path, claude(*messages), personal_data=["email"])
    assert sum(report.secrets.values()) == 3 and "posta.it" not in json.dumps(row)
    (row,), report = read(tmp_path, claude(*messages), allow=[key])
    assert key in json.dumps(row) and not report.secrets


def test_rows_pass_the_check(tmp_path: Path) -> None:
    rows, _ = read(
        tmp_path,
        claude(claude_message("m1", "human", "Quanto olio serve per la focaccia di casa?"),
               claude_message("m2", "assistant", "Due cucchiai nell'impasto, e uno sopra prima del forno."), uuid="a"),
        chatgpt(node("u", "root", "user", "A che ora si accende il forno la domenica?"),
                node("a", "u", "assistant", "Alle sei, perché scalda piano: lo hai scritto tu nel quaderno.")),
        author="Bianca",
    )  # fmt: skip
    out = tmp_path / "rows.jsonl"
    out.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [finding for finding in check_files([out]).findings if finding.severity != "info"] == []


def test_files_of_something_else_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected conversations.json of an export"):
        read(tmp_path, {"conversations": [{"from": "human", "value": "x"}]})
    for name, said in (("missing.json", "no such file"), ("export.zip", "unpack the export")):
        with pytest.raises(InputError, match=said):
            list(read_export(tmp_path / name, report=ExportReport("x")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no conversations.json in this folder"):
        list(read_export(tmp_path / "empty", report=ExportReport("x")))


def test_an_export_that_was_cut_tells_so(tmp_path: Path) -> None:
    good = claude(claude_message("m1", "human", "Ciao?"), claude_message("m2", "assistant", "Ciao."))
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([good, good])[:-30])
    report = ExportReport("x")
    assert len(list(read_export(path, report=report))) == 1
    assert report.faults and "conversations.json" in report.faults[0]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    thought = {"type": "thinking", "thinking": "Penso a che cosa serve. " * 1000}
    long = claude(claude_message("m1", "human", "Che cosa?"), claude_message("m2", "assistant", thought, "Così."))
    path = tmp_path / "conversations.json"

    def peak(conversations: int) -> int:
        path.write_text("[" + ",\n".join([json.dumps(long)] * conversations) + "]")
        tracemalloc.start()
        assert sum(1 for _ in read_export(path, report=ExportReport("x"))) == conversations
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = peak(100)
    assert path.stat().st_size > 2 << 20  # more than a block of the reader
    assert peak(400) < 1.2 * few


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["human", "u", "text", "all"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["mapping", "chat_messages", "message", "content", "parts", "author", "role", "parent", "type",
                         "text", "uuid", "parent_message_uuid", "current_node", "attachments", "sender"]),
        inner, max_size=5),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(JSON, max_size=3), mapping=st.dictionaries(st.sampled_from("uab"), JSON, max_size=3), more=JSON
)
def test_no_json_value_crashes(tmp_path: Path, messages: Any, mapping: Any, more: Any) -> None:
    looped = chatgpt(node("u", "a", "user", more), node("a", "u", "assistant", "x"))
    looped["mapping"] |= {"v": {"parent": more, "message": more}}
    rows, report = read(
        tmp_path, claude(*messages, created_at=more), chatgpt(current=more, **{"mapping": mapping})
        if mapping else more, looped, claude(claude_message("1", "human", more, parent="1"), uuid=more),
    )  # fmt: skip
    assert report.taken == len(rows) and report.taken + sum(report.left_out.values()) == report.conversations
