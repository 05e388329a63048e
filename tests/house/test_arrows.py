"""Who may import whom: a room imports only rooms before it; flows import rooms; nobody imports flows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ORDER = [
    "store", "usage", "llm", "sncp", "index", "persona", "answer", "dataset", "train", "evaluate", "registry",
    "roadmap", "services", "serve", "scale", "recipe",
]  # fmt: skip
FOR_ALL = {"components.errors", "components.hosts", "components.params", "components.page", "components"}
ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.name for path in (ROOT / "components").iterdir() if path.is_dir() and path.name != "__pycache__")


def imported(path: Path, *, only_top: bool = False) -> Iterator[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if only_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}" if node.module == "components" else str(node.module)


def rooms_of(path: Path) -> Iterator[tuple[int, str]]:
    for line, name in imported(path):
        if name.startswith("components.") and name not in FOR_ALL:
            yield line, name.split(".")[1]


def test_every_room_has_its_place_in_the_order() -> None:
    assert set(ROOMS) == set(ORDER)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it_and_never_flows(room: str) -> None:
    allowed = set(ORDER[: ORDER.index(room) + 1])
    wrong = []
    for path in (ROOT / "components" / room).rglob("*.py"):
        wrong += [f"{path}:{line}: {room} imports {name}" for line, name in rooms_of(path) if name not in allowed]
        wrong += [f"{path}:{line}: imports flows" for line, name in imported(path) if name.split(".")[0] == "flows"]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ROOMS)
def test_params_import_no_other_room(room: str) -> None:
    path = ROOT / "components" / room / "params.py"
    if path.exists():
        assert {name for _, name in rooms_of(path)} <= {room}


@pytest.mark.parametrize("room", ROOMS)
def test_only_tasks_import_prefect(room: str) -> None:
    wrong = [
        f"{path}:{line}"
        for path in (ROOT / "components" / room).rglob("*.py")
        for line, name in imported(path, only_top=True)
        if name.split(".")[0] == "prefect" and path.name != "tasks.py"
    ]
    assert not wrong, "prefect is imported at the top of: " + ", ".join(wrong)


def test_no_room_imports_tasks_and_no_init_does() -> None:
    wrong = [
        f"{path}:{line}"
        for path in (ROOT / "components").rglob("*.py")
        for line, name in imported(path)
        if name.startswith("components.") and name.endswith(".tasks")
    ]
    assert not wrong


def test_modules_are_short() -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "components").rglob("*.py")
    }
    assert len(lines) > 100
    assert {path: count for path, count in lines.items() if count > 400} == {}
