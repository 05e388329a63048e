"""Exports of real conversations (Claude, ChatGPT, an endpoint's) -> curated rows, and a report of what is not in them.

Neither maker documents its format; both change it. What was read, in October 2025 to November 2026:

- Claude (Settings > Privacy > Export data), `conversations.json`: a list of conversations with `uuid`, `name`,
  `created_at`, `chat_messages`. A message has `uuid`, `sender` (human, assistant), `text`, `content` (blocks of type
  text, thinking, tool_use, tool_result, ...), `attachments` (pasted text is one, its words in `extracted_content`),
  `files`, `parent_message_uuid` (of the first message 00000000-0000-4000-8000-000000000000). Where an answer was asked
  for anew the list holds all branches; `current_leaf_message_uuid`, where it is there, names the end of the one that is
  shown. `text` writes "This block is not supported on your current device yet." in place of tools. Sources: importers
  with tests on real exports, danny-avila/LibreChat pull 11124, CherryHQ/cherry-studio pull 16164 (tool results lie in
  the message of their call; the review on branches), lugia19/Claude-QoL issue 43 (pasted text).
- ChatGPT (Settings > Data controls > Export data), `conversations.json`, in large exports `conversations-000.json` and
  on: a list of conversations with `id` or `conversation_id`, `title`, `create_time`, `current_node`, `mapping`: a tree
  of nodes `{id, parent, children, message}`. A message has `author.role` (user, assistant, system, tool), `recipient`
  (other than `all`: a call of a tool), `channel`, `content` (`content_type` text, multimodal_text, code, thoughts,
  reasoning_recap, user_editable_context, ...; `parts`: texts and objects for pictures and sound) and `metadata`
  (`is_visually_hidden_from_conversation`, `model_slug`). The shown conversation is the path from `current_node` to the
  root. Sources: mohamed-chs/convoviz docs/dev/chatgpt-spec.md 3.0 (February 2026), mitkury/chatgpt-export-parser
  docs/chatgpt-data-export-format.md, elizaOS/eliza pull 12007, MonkeyRun-com/monkeyrun-open-brain issue 2.

- What an endpoint of a recipe with `serve.keep_conversations` has kept: `usage/conversations.sqlite` of its workspace;
  without conversations of which somebody said at the endpoint that an answer is not helpful (`usage.sqlite` beside it).

**Not caught**: personal data of others in a conversation beyond the kinds that are asked for; whether an answer is
worth learning: another assistant wrote it, so a person reviews each (`cervella data review`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from components.dataset.conversation import MISSING
from components.dataset.files.chat_messages import Message, claude_messages, openai_messages
from components.dataset.files.reading import Reader
from components.errors import InputError
from components.sncp.params import PersonalData
from components.sncp.redact import redact
from components.usage import UsageLog, usage_file
from components.usage.conversations import NAME, read_conversations

__all__ = ["ExportReport", "read_export"]

Maker = Literal["claude", "chatgpt", "cervella"]

_UNKNOWN = {
    (True, False): "neither Claude's nor ChatGPT's form", (False, False): "no object", (False, True): "cannot be read",
}  # fmt: skip


@dataclass
class ExportReport:
    """What became of an export; whole once all of its rows were taken."""

    path: str
    maker: Maker | None = None
    """None: it has no conversations."""
    conversations: int = 0
    taken: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Why conversations are not among the rows."""
    parts: Counter[str] = field(default_factory=Counter)
    """What is not in the rows of those that are: thoughts, calls of tools, pictures, other branches, hidden texts..."""
    secrets: Counter[str] = field(default_factory=Counter)
    """Secrets and personal data that were masked, by rule."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the file itself."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("left_out", "parts", "secrets")}
        return {
            "path": self.path, "maker": self.maker, "conversations": self.conversations, "taken": self.taken, **counts,
            "faults": list(self.faults),
        }  # fmt: skip

    def text(self) -> str:
        """A few lines for a person."""
        lines = [f"{self.path}: {self.taken} of {self.conversations} conversations taken"]
        for name, counts in (("left out", self.left_out), ("not in them", self.parts), ("masked", self.secrets)):
            if counts:
                lines.append(f"  {name}: " + ", ".join(f"{count} {what}" for what, count in counts.most_common()))
        return "\n".join([*lines, *(f"  {fault}" for fault in self.faults)])


def read_export(
    path: Path,
    *,
    report: ExportReport,
    author: str | None = None,
    licence: str | None = None,
    stage: str = "expansion",
    personal_data: Collection[PersonalData] = (),
    allow: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Rows of an export, one for each conversation that has a question and an answer in words. Streamed.

    Messages of one side that follow each other become one turn; what is said before the first question and after the
    last answer is left out, and counted.

    Args:
        path: `conversations.json`, as it lies in the unpacked export, or its folder; or `conversations.sqlite`.
        report: filled while rows are taken.
        author: whose conversations these are; in the provenance.
        licence: see author.
        stage: that the rows count for.
        personal_data: kinds to mask; secrets always are.
        allow: exact values, or globs, that are not masked.

    Raises:
        InputError: there is no export at `path`, or it is a file of something else.
        TerminalError: `conversations.sqlite`, or the usage log beside it, cannot be read.
    """
    if path.name == NAME:
        yield from _kept(
            path, report, author=author, licence=licence, stage=stage, personal_data=personal_data, allow=allow
        )
        return
    for file in _files(path):
        reader = Reader(file)
        for value in _conversations(reader, report):
            report.conversations += 1
            maker = _maker(value)
            if maker is None:
                report.left_out[_UNKNOWN[type(value) is dict, value is MISSING]] += 1
                continue
            report.maker = report.maker or maker
            made = _row(value, maker, report, personal_data=personal_data, allow=allow)
            if made is not None:
                report.taken += 1
                turns, about = made
                provenance = {"kind": "log", "author": author, "licence": licence, **about}
                yield {
                    "id": f"{maker}-{_id(value, report.conversations)}",
                    "stage": stage,
                    "conversations": turns,
                    "provenance": {key: value for key, value in provenance.items() if value is not None},
                }
        report.faults += [f"{file.name}: {hit.message}" for hit, _ in reader.hits if hit.rule != "A3"]
    if report.maker is None and report.conversations:
        raise InputError(
            f"{path}: no conversation of it is one of Claude's (with `chat_messages`) or of ChatGPT's (with "
            "`mapping`); expected conversations.json of an export. `cervella data check` reads other files of chats"
        )


def _kept(
    path: Path, report: ExportReport, *, author: str | None, licence: str | None, stage: str,
    personal_data: Collection[PersonalData], allow: Sequence[str],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    scores = UsageLog(path.with_name(usage_file(path).name)).scores()
    for one in read_conversations(path):
        report.maker = "cervella"
        report.conversations += 1
        if any(scores.get(request, 0) < 0 for request in one.requests):
            report.left_out["with an answer that was judged not helpful"] += 1
            continue
        report.taken += 1
        turns = [
            {"from": role, "value": text}
            for turn in one.turns for role, text in zip(("human", "gpt"), turn, strict=True)
        ]  # fmt: skip
        for turn in turns:
            turn["value"], findings = redact(turn["value"], path="", personal_data=personal_data, allow=allow)
            report.secrets.update(finding.rule for finding in findings)
        provenance = {
            "kind": "log", "author": author, "licence": licence, "model": one.model or "cervella",
            "created": _day(one.at), "notes": list(one.sources),
        }  # fmt: skip
        yield {
            "id": f"cervella-{one.id}", "stage": stage, "conversations": turns,
            "provenance": {key: value for key, value in provenance.items() if value is not None},
        }  # fmt: skip


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted([*path.glob("conversations.json"), *path.glob("conversations-[0-9]*.json")])
        if not found:
            raise InputError(f"{path}: no conversations.json in this folder; expected an unpacked export")
        return found
    if path.suffix == ".zip":
        raise InputError(f"{path}: unpack the export first, and name its folder or its conversations.json")
    return [path]


def _conversations(reader: Reader, report: ExportReport) -> Iterator[Any]:
    """Each value of the file; those of a list `conversations` in one object, as some exports have it, one by one."""
    for row in reader:
        if row.value is MISSING:
            report.faults += [f"{reader.path.name}:{row.line}: {hit.message}" for hit in row.hits]
        inside = row.value.get("conversations") if isinstance(row.value, dict) and not _maker(row.value) else None
        if isinstance(inside, list) and any(map(_maker, inside)):
            yield from inside
        else:
            yield row.value


def _maker(value: Any) -> Maker | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("mapping"), dict):
        return "chatgpt"
    return "claude" if isinstance(value.get("chat_messages"), list) else None


def _row(
    value: dict[str, Any], maker: Maker, report: ExportReport, *, personal_data: Collection[PersonalData],
    allow: Sequence[str],
) -> tuple[list[dict[str, str]], dict[str, Any]] | None:  # fmt: skip
    """The turns, and what the provenance says of them; None: left out, and counted why."""
    left: Counter[str] = Counter()
    messages = (openai_messages if maker == "chatgpt" else claude_messages)(value, left)
    turns = _turns(messages, left)
    if not turns:
        report.left_out[_why(messages, left)] += 1
        return None
    report.parts += left
    for turn in turns:
        turn["value"], findings = redact(turn["value"], path="", personal_data=personal_data, allow=allow)
        report.secrets.update(finding.rule for finding in findings)
    model = next((message.model for message in reversed(messages) if message.model), None)
    about = {"model": model or maker, "created": _day(value.get("created_at", value.get("create_time")))}
    return turns, {**about, "left_out": dict(sorted(left.items())) or None}


def _turns(messages: Sequence[Message], left: Counter[str]) -> list[dict[str, str]]:
    """One turn for each side in its time, from the first question to the last answer."""
    turns: list[dict[str, str]] = []
    for message in messages:
        if turns and turns[-1]["from"] == message.role:
            turns[-1]["value"] += f"\n\n{message.text}"
            left["joined to the message before"] += 1
        elif not turns and message.role == "gpt":
            left["answer before the first question"] += 1
        else:
            turns.append({"from": message.role, "value": message.text})
    if turns and turns[-1]["from"] == "human":
        turns.pop()
        left["question without an answer"] += 1
    return turns


def _why(messages: Sequence[Message], left: Counter[str]) -> str:
    if messages:
        return "no answer" if messages[-1].role == "human" else "no question"
    tools = [what for what in left if what.startswith(("tool", "thought"))]
    pictures = [what for what in left if what in ("picture", "sound", "video", "file")]
    if tools or pictures:
        return "tools only" if not pictures else "pictures, sound or files only"
    return "hidden texts only" if left["hidden text"] else "empty"


def _id(value: Mapping[str, Any], number: int) -> str:
    for key in ("uuid", "conversation_id", "id"):
        if isinstance(value.get(key), str) and value[key]:
            return str(value[key])[:64]
    return str(number)


def _day(moment: Any) -> str | None:
    """ISO day (UTC) of an ISO text or of seconds since 1970."""
    try:
        if isinstance(moment, str):
            return datetime.fromisoformat(moment).astimezone(UTC).date().isoformat()
        if isinstance(moment, int | float) and not isinstance(moment, bool):
            return datetime.fromtimestamp(moment, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        pass
    return None
