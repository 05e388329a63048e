"""Forgetting a note reaches the usage log."""

from __future__ import annotations

from pathlib import Path

from components.usage import UsageLog, usage_file
from tests.recipe.forget_house import House


def test_a_forgotten_note_is_no_source_of_any_question(tmp_path: Path) -> None:
    house = House(tmp_path)
    file = usage_file(house.workspace)
    log = UsageLog(file)
    log.record(door="ask", question="Dove sta la chiave?", sources=["casa.md", "orari.md"])
    log.close()
    forgetting = house.forgetting("casa.md")
    assert [count for place, count in forgetting.found().items() if place.startswith("usage:")] == [1]
    forgetting.forget()
    assert forgetting.left() == []
    kept = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"casa.md" not in kept and b"orari.md" in kept
    assert UsageLog(file).last_30_days().use.queries == 1
