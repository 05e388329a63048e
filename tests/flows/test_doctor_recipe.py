"""What doctor says of a recipe: its keys and its index."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.services.doctor_index import check_keys
from tests.flows.doctor_house import healthy, only


def test_keys_that_are_not_set() -> None:
    names = {"llm.chat.api_key_env": "MY_KEY", "index.embedding.api_key_env": None}
    found = only(check_keys(names, {"OTHER": "x"}))
    assert found.level == "problem" and "MY_KEY" in found.says
    secret = only(check_keys(names, {"MY_KEY": "sk-very-secret"}))
    assert secret.level == "ok" and "secret" not in secret.says
    assert healthy(check_keys({"llm.chat.api_key_env": None}, {}))


def test_the_keys_of_a_shipped_recipe(here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    done = here("doctor", "mvp-claude", "-o", f"workspace={tmp_path / 'new'}", "--json")
    keys = [check for check in done.json["checks"] if check["name"] == "keys"]
    assert done.code == 1 and len(keys) == 2
    assert "OPENAI_API_KEY" in keys[0]["says"] and "ANTHROPIC_API_KEY" in keys[1]["says"]


def of_index(done: Any) -> list[dict[str, Any]]:
    return [check for check in done.json["checks"] if check["name"] == "index"]


@pytest.mark.slow
def test_a_published_index_is_healthy(here: Any, published: Any, finished: Any) -> None:
    notes = ("-o", f"sncp.root={finished.workspace.notes}")  # `published` is a copy, with a copy of the notes
    done = here("doctor", "mvp", *published.options, *notes, "--deep", "--json")
    assert [check for check in done.json["checks"] if check["level"] != "ok"] == []
    assert (done.code, done.json["good"]) == (0, True)
    assert "whole" in of_index(done)[0]["says"]


@pytest.mark.slow
def test_an_index_of_another_embedder_or_other_notes(here: Any, published: Any, tmp_path: Path) -> None:
    done = here("doctor", "mvp", *published.options, "-o", "index.embedding.model=none", "--json")
    assert done.code == 1 and "was built with the embedder fake/embedding" in of_index(done)[0]["says"]
    assert "cervella reindex mvp" in of_index(done)[0]["mend"]
    shutil.copytree(published.notes, tmp_path / "others")
    done = here("doctor", "mvp", *published.options, "-o", f"sncp.root={tmp_path / 'others'}", "--json")
    assert (done.code, of_index(done)[0]["level"]) == (0, "warning")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["pointer", "no table", "a data file", "a cut data file"])
def test_a_damaged_index(here: Any, spoiled: Any, damage: str) -> None:
    index = spoiled.path / "index"
    if damage == "pointer":
        (index / "live.json").write_text("{spoiled", encoding="utf-8")
    elif damage == "no table":
        shutil.rmtree(next(index.glob("*.lance")))
    else:
        file = max(index.glob("*.lance/data/*.lance"), key=lambda path: path.stat().st_size)
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2] if damage == "a cut data file" else b"x" * len(data))
    done = here("doctor", "mvp", *spoiled.options, "--json")
    assert done.code == 1
    found = [check for check in of_index(done) if check["level"] == "problem"]
    assert found and all("cervella reindex mvp" in check["mend"] for check in found)


def test_limits_are_those_of_the_process() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256  # else the tests above say nothing
