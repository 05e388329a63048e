"""What the tests of prompts, checklist and tasks share: a file, the faults told of it, one task, and a secret."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import pytest

from components.errors import InputError
from components.evaluate.said import Item
from components.evaluate.suite import CodeRule, Task, TaskRule, TaskSuite

KEY = "sk-ant-" + "api03-" + "".join(random.Random(1).choices(ascii_letters + digits, k=93)) + "AA"
TASK = Item("task", "path", "Dov'è la nota?", "it", "path resolution", tier="simple")
ONE_TASK = TaskSuite(
    tasks=(
        Task(
            TASK,
            (
                TaskRule(2, "dice dove", code=CodeRule("all_of", ("nota.md",))),
                TaskRule(1, "in italiano", code=CodeRule("language", "it")),
                TaskRule(2, "è breve", ask="È breve?"),
            ),
        ),
    ),
    passing={"simple": 4},
    needed={"simple": 1},
    go=1,
    conditional=1,
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults(load: Callable[[Path], Any], path: Path) -> list[str]:
    with pytest.raises(InputError) as raised:
        load(path)
    return str(raised.value).replace(f"{path}:", "").replace(str(path), "FILE").splitlines()
