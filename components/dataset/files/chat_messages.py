"""Messages of one exported conversation of Claude or ChatGPT, those that were shown, as words; the rest is counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["Message", "claude_messages", "openai_messages"]

_PLACEHOLDER = re.compile(
    r"\s*(?:```\s*)?(?:This block is not supported on your current device yet\.|Viewing artifacts created via the "
    r"Analysis Tool web feature preview isn.t yet supported on mobile\.)(?:\s*```)?\s*"
)
_CITATION = re.compile("\ue200[^\ue201]{0,400}\ue201|[\ue000-\uf8ff]|【[^】\n]{0,80}†[^】\n]{0,200}】")
_NAMED = re.compile(r"[\w-]{1,40}")
_CLAUDE_PARTS = {
    "thinking": "thought", "redacted_thinking": "thought", "tool_use": "tool call", "tool_result": "tool result",
    "image": "picture", "voice_note": "sound",
}  # fmt: skip
_OPENAI_CONTENT = {
    "thoughts": "thought", "reasoning_recap": "thought", "user_editable_context": "hidden text",
    "model_editable_context": "hidden text", "code": "tool call", "execution_output": "tool result",
    "system_error": "tool result", "sonic_webpage": "tool result", "tether_quote": "tool result",
    "tether_browsing_display": "tool result",
}  # fmt: skip
_OPENAI_PARTS = (("image", "picture"), ("video", "video"), ("audio", "sound"))


class Message(NamedTuple):
    """What one side said."""

    role: str
    """`human` or `gpt`."""
    text: str
    model: str | None = None


def claude_messages(value: Mapping[str, Any], left: Counter[str]) -> list[Message]:
    """The shown messages of a conversation of Claude's export; what is not in them is counted in `left`."""
    given = [each for each in value["chat_messages"] if isinstance(each, dict)]
    left["no object"] += len(value["chat_messages"]) - len(given)
    found = []
    for message in _shown_of_claude(value, given, left):
        role = {"human": "human", "assistant": "gpt"}.get(_text(message.get("sender")))
        if role is None:
            left["message of neither side"] += 1
        elif text := _claude_text(message, left):
            found.append(Message(role, text))
    return _counted(found, left)


def _shown_of_claude(value: Mapping[str, Any], given: list[dict[str, Any]], left: Counter[str]) -> list[dict[str, Any]]:
    """The branch that was shown, in order; all messages, where they do not say what they follow."""
    by_id = {_text(message.get("uuid")): message for message in given if _text(message.get("uuid"))}
    parents = {_text(message.get("parent_message_uuid")) for message in given} - {""}
    if not parents & by_id.keys():
        return given
    leaf = _text(value.get("current_leaf_message_uuid"))
    if leaf not in by_id:
        leaves = [message for name, message in by_id.items() if name not in parents]
        newest = max(leaves or given, key=lambda message: _text(message.get("created_at")))
        leaf = _text(newest.get("uuid"))
    path = list(_path(leaf, by_id, lambda message: _text(message.get("parent_message_uuid"))))
    left["message of another branch"] += len(given) - len(path)
    return path[::-1]


def _claude_text(message: Mapping[str, Any], left: Counter[str]) -> str:
    blocks = message.get("content")
    texts: list[str] = []
    for block in blocks if isinstance(blocks, list) else ():
        kind = _text(block.get("type")) if isinstance(block, dict) else ""
        if kind == "text":
            texts.append(_text(block.get("text")))
        else:
            left[_CLAUDE_PARTS.get(kind) or f"other: {_name(kind)}"] += 1
    if not any(text.strip() for text in texts) and not blocks:
        texts = [_text(message.get("text"))]
    text, placeholders = _PLACEHOLDER.subn("\n\n", "\n\n".join(each.strip() for each in texts if each.strip()))
    left["tool call"] += placeholders
    attached = []
    for each in _list(message.get("attachments")):
        words = _text(each.get("extracted_content")) if isinstance(each, dict) else ""
        attached.append(words.strip())
        left["attachment taken as text" if words.strip() else "file"] += 1
    left["file"] += len(_list(message.get("files")))
    return "\n\n".join(part for part in (text.strip(), *attached) if part)


def openai_messages(value: Mapping[str, Any], left: Counter[str]) -> list[Message]:
    """The shown messages of a conversation of ChatGPT's export; what is not in them is counted in `left`."""
    nodes = {name: node for name, node in value["mapping"].items() if isinstance(node, dict)}
    path = list(_path(_current(value, nodes), nodes, lambda node: _text(node.get("parent"))))
    spoken = [node for node in nodes.values() if isinstance(node.get("message"), dict)]
    shown = [node["message"] for node in reversed(path) if isinstance(node.get("message"), dict)]
    left["message of another branch"] += len(spoken) - len(shown)
    found = []
    for message in shown:
        role = _text(_dict(message.get("author")).get("role"))
        content = _dict(message.get("content"))
        hidden = _hidden(message, role, content)
        if hidden:
            left[hidden] += bool(hidden != "hidden text" or _says_something(content))
        elif text := _parts_text(content, left):
            text, marks = _CITATION.subn("", text)
            left["citation mark"] += marks
            model = _text(_dict(message.get("metadata")).get("model_slug")) or None
            if text.strip():
                found.append(Message("human" if role == "user" else "gpt", text.strip(), model))
    return _counted(found, left)


def _current(value: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The end of the shown branch; where it is not named, the newest node without children."""
    current = _text(value.get("current_node"))
    if current in nodes:
        return current
    followed = {_text(node.get("parent")) for node in nodes.values()}
    leaves = [name for name in nodes if name not in followed]
    return max(leaves, key=lambda name: _moment(nodes[name]), default="")


def _moment(node: Mapping[str, Any]) -> float:
    moment = _dict(node.get("message")).get("create_time")
    return float(moment) if isinstance(moment, float) or (type(moment) is int and abs(moment) < 1e12) else 0.0


def _hidden(message: Mapping[str, Any], role: str, content: Mapping[str, Any]) -> str | None:
    """What a message is that was not shown as words of one side; None: it was."""
    metadata, kind = _dict(message.get("metadata")), _text(content.get("content_type"))
    if role == "tool":
        return "tool result"
    if kind in _OPENAI_CONTENT and (role == "assistant" or kind != "code"):
        return _OPENAI_CONTENT[kind]
    if role == "assistant" and _text(message.get("recipient")) not in ("", "all"):
        return "tool call"
    if message.get("channel") == "analysis":
        return "thought"
    if role == "system" or metadata.get("is_visually_hidden_from_conversation") is True:
        return "hidden text"
    return None if role in ("user", "assistant") else "message of neither side"


def _parts_text(content: Mapping[str, Any], left: Counter[str]) -> str:
    texts = []
    for part in _list(content.get("parts")):
        if isinstance(part, str):
            texts.append(part.strip())
            continue
        kind = _text(part.get("content_type")) if isinstance(part, dict) else ""
        if kind == "audio_transcription":  # what was spoken, as words
            texts.append(_text(part.get("text")).strip())
        else:
            left[next((what for mark, what in _OPENAI_PARTS if mark in kind), f"other: {_name(kind)}")] += 1
    if not texts and isinstance(content.get("text"), str):
        texts = [content["text"].strip()]
    return "\n\n".join(text for text in texts if text)


def _says_something(content: Mapping[str, Any]) -> bool:
    """Whether there is a text in it; the first node of each tree is an empty system message."""
    texts = [*_list(content.get("parts")), *(each for key, each in content.items() if key != "content_type")]
    return any(_text(each).strip() for each in texts)


def _path(
    name: str, by_name: Mapping[str, dict[str, Any]], parent: Callable[[Mapping[str, Any]], str]
) -> Iterator[dict[str, Any]]:
    """From a node to its root, each once, whatever the file says."""
    seen: set[str] = set()
    while name in by_name and name not in seen:
        seen.add(name)
        yield by_name[name]
        name = parent(by_name[name])


def _counted(found: list[Message], left: Counter[str]) -> list[Message]:
    for what in [what for what, count in left.items() if count <= 0]:
        del left[what]
    return found


def _name(kind: str) -> str:
    return kind if _NAMED.fullmatch(kind) else "?"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
